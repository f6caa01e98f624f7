"""The card that travels with every set of weights, in two files.

``NAME.json`` says what the weights are and is read whenever they are used; ``NAME.results.json`` beside it holds what
was measured of them and the data that they were trained on, and is read only when somebody asks. A card that holds all
of it in one file, as they were before, is read as well.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, overload

from bedside.core.errors import WeightsError
from bedside.core.files import write_text_atomically

CARD_FORMAT = "bedside-weights"
RESULTS_FORMAT = "bedside-weights-results"
APART = ("data", "metrics")
"""Attributes of a card that are kept in the file of results."""


@dataclass(frozen=True)
class WeightsCard:
    """What a set of weights is and where it came from.

    Attributes:
        name: Model in the registry.
        version: Version of these weights.
        sha256: Sha256 of the safetensors file, hexadecimal.
        licence: SPDX identifier of the weights.
        source: Who made them and how.
        data: Datasets they were trained on, each with its licence and number of cases; read when first asked for.
        training: Settings and length of the run, seed included.
        metrics: Figures, with the command that produced them; read when first asked for.
        calibration: Curve from the DSC that the network's probabilities promise to the one to expect; empty where
            it was not measured (see ``bedside weights calibrate``).
        graphs: Sha256 of each graph, hexadecimal, by the name of its file; graphs that are not named are not checked.
    """

    name: str
    version: str
    sha256: str
    licence: str
    source: str
    data: Sequence[Mapping[str, Any]] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    calibration: Mapping[str, Any] = field(default_factory=dict)
    graphs: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> Mapping[str, Any]:
        """Settings of the run that made the weights; empty where the card does not tell."""
        stated = self.training.get("config") if isinstance(self.training, Mapping) else None
        return stated if isinstance(stated, Mapping) else {}

    @property
    def architecture(self) -> Mapping[str, Any] | None:
        """In what the network differs from the model's own, see ``registry.build_model``; None for nothing."""
        stated = self.settings.get("architecture")
        return stated if isinstance(stated, Mapping) else None

    def save(self, path: Path) -> None:
        """Write the card as JSON, with the results beside it where there are any."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        # Read now: they may come from the file that is about to be replaced.
        apart: dict[str, Any] = {"data": list(self.data), "metrics": dict(self.metrics)}
        own = {name: value for name, value in values.items() if name not in APART}
        results = results_path(path)
        if any(apart.values()):
            _write(results, {"format": RESULTS_FORMAT, "sha256": self.sha256, **apart})
        _write(path, {"format": CARD_FORMAT, **own})
        if not any(apart.values()):
            results.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path) -> WeightsCard:
        """Read a card.

        Raises:
            WeightsError: The file is missing or no card.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(content, dict) or content.pop("format") != CARD_FORMAT:
                raise KeyError("format")
            if not content.keys() & set(APART):
                results = _Results(results_path(path), content["sha256"])
                return cls(**content, data=_LaterRows(results), metrics=_LaterMapping(results))
            return cls(**{**content, "data": tuple(content.get("data", ()))})
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise WeightsError(
                f"card of weights {path.name}", expected="a JSON card", got=f"{type(error).__name__}: {error}"
            ) from error


def results_path(card: Path) -> Path:
    """Return where the results beside a card are kept."""
    return card.with_suffix(".results.json")


def read_card(path: Path) -> WeightsCard:
    """Return the card in a file, parsed once for as long as the file stays as it is.

    Raises:
        WeightsError: The file is missing or no card.
    """
    try:
        found = path.stat()
    except OSError:
        return WeightsCard.load(path)
    return _read_card(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=64)
def _read_card(path: Path, changed: int, size: int) -> WeightsCard:
    del changed, size
    return WeightsCard.load(path)


def _write(path: Path, content: Mapping[str, Any]) -> None:
    write_text_atomically(path, _indented(content) + "\n")


def _indented(value: Any, margin: str = "") -> str:
    """Return JSON with a line for each entry, but lists of plain values in one: curves have dozens of numbers."""
    inner = margin + " "
    if isinstance(value, Mapping) and value:
        rows = [f"{inner}{json.dumps(name)}: {_indented(of, inner)}" for name, of in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{margin}}}"
    if isinstance(value, list | tuple) and any(isinstance(of, Mapping | list | tuple) for of in value):
        return "[\n" + ",\n".join(inner + _indented(of, inner) for of in value) + f"\n{margin}]"
    return json.dumps(value)


class _Results:
    """The file of results, read when it is first needed.

    Args:
        path: The file, which need not be there.
        sha256: Sha256 of the weights; results of other weights are none of theirs.
    """

    def __init__(self, path: Path, sha256: str) -> None:
        self._path, self._sha256 = path, sha256

    @cached_property
    def content(self) -> Mapping[str, Any]:
        """What the file holds.

        Raises:
            WeightsError: It is damaged.
        """
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            if found["format"] != RESULTS_FORMAT:
                raise KeyError("format")
            if found["sha256"] != self._sha256:
                return {"data": (), "metrics": {}}
            return {"data": tuple(map(dict, found["data"])), "metrics": dict(found["metrics"])}
        except FileNotFoundError:
            return {"data": (), "metrics": {}}
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise WeightsError(
                f"results of weights {self._path.name}",
                expected="JSON as 'bedside weights record-metrics' writes it",
                got=f"{type(error).__name__}: {error}",
            ) from error


class _LaterMapping(Mapping[str, Any]):
    """The metrics in a file of results."""

    def __init__(self, results: _Results) -> None:
        self._results = results

    def __getitem__(self, key: str) -> Any:
        return self._results.content["metrics"][key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._results.content["metrics"])

    def __len__(self) -> int:
        return len(self._results.content["metrics"])


class _LaterRows(Sequence[Mapping[str, Any]]):
    """The datasets in a file of results."""

    def __init__(self, results: _Results) -> None:
        self._results = results

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Mapping[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return self._results.content["data"][index]

    def __len__(self) -> int:
        return len(self._results.content["data"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]


def file_sha256(path: Path) -> str:
    """Return SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
