"""The card that travels with every set of weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bedside.core.errors import WeightsError
from bedside.core.files import write_text_atomically

CARD_FORMAT = "bedside-weights"


@dataclass(frozen=True)
class WeightsCard:
    """What a set of weights is and where it came from.

    Attributes:
        name: Model in the registry.
        version: Of these weights.
        sha256: Of the safetensors file, hexadecimal.
        licence: SPDX identifier of the weights.
        source: Who made them and how.
        data: Data sets they were trained on, each with its licence and number of cases.
        training: Settings and length of the run, seed included.
        metrics: Figures, with the command that produced them.
        calibration: Curve from the DSC that the network's probabilities promise to the one to expect; empty where
            it was not measured (see ``bedside weights calibrate``).
    """

    name: str
    version: str
    sha256: str
    licence: str
    source: str
    data: tuple[Mapping[str, Any], ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    calibration: Mapping[str, Any] = field(default_factory=dict)

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
        """Write the card as JSON."""
        write_text_atomically(path, json.dumps({"format": CARD_FORMAT, **asdict(self)}, indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> WeightsCard:
        """Read a card.

        Raises:
            WeightsError: The file is missing or no card.
        """
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(fields, dict) or fields.pop("format") != CARD_FORMAT:
                raise KeyError("format")
            return cls(**{**fields, "data": tuple(fields.get("data", ()))})
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise WeightsError(
                f"card of weights {path.name}", expected="a JSON card", got=f"{type(error).__name__}: {error}"
            ) from error


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
