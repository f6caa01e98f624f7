"""Where weights are found: those bundled with the package, and a folder of the user's own."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from bedside.core.errors import BackendError, InputError, WeightsError
from bedside.core.paths import data_folder
from bedside.weights.card import WeightsCard, file_sha256, read_card, results_path

BUNDLED = Path(__file__).parent / "bundled"
"""Folder of the weights that come with the package."""
FOLDER_VARIABLE = "BEDSIDE_WEIGHTS"
"""Environment variable that names the user's folder of weights."""
PARTS = ("encoder", "decoder")
"""Graphs of a model that encodes an image once; both point into one file of tensors."""
TOWER = "content"
"""Further graph of a model whose prompts need a network of their own."""


@dataclass(frozen=True)
class WeightsFiles:
    """The files of one set of weights.

    Attributes:
        name: Model in the registry.
        graph: ONNX graph, whose large tensors lie in ``tensors``; or a graph of OpenVINO (.xml) that was published as
            such, whose numbers lie there as the bytes of one tensor a part.
        tensors: safetensors file with every parameter, float16 (float32 where a user asked for it).
        card_path: JSON card.
        part: Which of ``PARTS`` the graph is; "" where there is but one graph.
    """

    name: str
    graph: Path
    tensors: Path
    card_path: Path
    part: str = ""

    @classmethod
    def in_folder(cls, name: str, folder: Path, part: str = "") -> WeightsFiles:
        """Return the files of ``name`` as they are called in a folder of weights."""
        graph = folder / f"{name}{'.' if part else ''}{part}.onnx"
        published = graph.with_suffix(".xml")
        if part and published.is_file() and not graph.is_file():
            graph = published
        return cls(name, graph, folder / f"{name}.safetensors", folder / f"{name}.json", part)

    def part_named(self, part: str) -> WeightsFiles:
        """Return the same tensors with the graph of another part."""
        return self.in_folder(self.name, self.graph.parent, part)

    @property
    def int8_graph(self) -> Path:
        """Where the graph is that was quantised from this one, if it was; of bundled weights in the user's folder."""
        folder = user_folder() if self.graph.parent == BUNDLED else self.graph.parent
        return folder / self.graph.with_suffix(".int8.xml").name

    @property
    def graphs(self) -> tuple[Path, ...]:
        """The graphs of all parts."""
        if not self.part:
            return (self.graph,)
        found = [self.part_named(part).graph for part in PARTS]
        tower = self.part_named(TOWER).graph
        return (*found, tower) if tower.is_file() else tuple(found)

    def with_checksums(self, card: WeightsCard) -> WeightsCard:
        """Return ``card`` with the checksums of these files, which are there."""
        sums = {path.name: file_sha256(path) for path in self.graphs}
        return replace(card, sha256=file_sha256(self.tensors), graphs=sums)

    def check_graph(self) -> None:
        """Make sure that the graph is the one that the card names, where it names any.

        Raises:
            BackendError: The checksum differs.
        """
        stated = self.card.graphs.get(self.graph.name)
        # One that is missing is for the runtime to name.
        if stated is None or not self.graph.is_file():
            return
        if (found := file_sha256(self.graph)) != stated:
            raise BackendError(
                f"{self.graph} is damaged or of another version",
                expected=f"sha256 {stated[:12]}...",
                got=f"{found[:12]}...",
                fix="install the package or the weights again",
            )

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file, those of all parts included, and the results where there are any."""
        results = results_path(self.card_path)
        return (self.tensors, *self.graphs, self.card_path, *((results,) if results.is_file() else ()))

    @property
    def complete(self) -> bool:
        """Whether all files are there."""
        return all(path.is_file() for path in self.paths)

    @property
    def card(self) -> WeightsCard:
        """The card, read from its file."""
        return read_card(self.card_path)


def user_folder() -> Path:
    """Return the user's folder of weights: ``$BEDSIDE_WEIGHTS``, or ``bedside/weights`` in the user's data folder."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen)
    return data_folder() / "weights"


def find_weights(name: str) -> WeightsFiles:
    """Return the weights of the model ``name``: the user's own before the bundled ones.

    Raises:
        WeightsError: There are none.
    """
    found = installed_weights(name)
    if found is not None:
        return found
    raise WeightsError(
        f"weights of '{name}'",
        expected=f"{name}.safetensors, {name}.json and its graphs in {user_folder()}",
        got="none",
        fix=_how_to_get(name),
    )


def _how_to_get(name: str) -> str:
    """Return what to do for weights that are not there; a pull is advised only where there is an address to pull
    from.
    """
    from bedside.weights.catalogue import sources_of

    bundled = f"(bundled are: {', '.join(bundled_names()) or 'none'})"
    try:
        sources = sources_of(name)
    except InputError:
        return bundled
    if sources and sources[0].url:
        return f"fetch them with: bedside weights pull {name} {bundled}"
    if not sources:
        return f"import them with: bedside weights import {name} FILE_OR_DIR {bundled}"
    return (
        f"they have no address of their own, only the page {sources[0].page}: fetch them by hand, then run: "
        f"bedside weights import {name} FILE_OR_DIR; or bedside weights pull {name} --from a copy {bundled}"
    )


def installed_weights(name: str) -> WeightsFiles | None:
    """As ``find_weights``, but None where there are none."""
    for folder in (user_folder(), BUNDLED):
        for part in ("", PARTS[0]):
            files = WeightsFiles.in_folder(name, folder, part)
            if files.complete:
                return files
    return None


def bundled_names() -> list[str]:
    """Return models whose weights come with the package."""
    return sorted(path.stem for path in BUNDLED.glob("*.onnx"))
