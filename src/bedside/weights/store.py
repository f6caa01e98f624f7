"""Where weights are found: those bundled with the package, and a folder of the user's own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bedside.core.errors import WeightsError
from bedside.weights.card import WeightsCard

BUNDLED = Path(__file__).parent / "bundled"
"""Folder of the weights that come with the package."""
FOLDER_VARIABLE = "BEDSIDE_WEIGHTS"
"""Environment variable that names the user's folder of weights."""


@dataclass(frozen=True)
class WeightsFiles:
    """The files of one set of weights.

    Attributes:
        name: Model in the registry.
        graph: ONNX graph, whose large tensors lie in ``tensors``.
        tensors: safetensors file with every parameter, float16 (float32 where a user asked for it).
        card_path: JSON card.
    """

    name: str
    graph: Path
    tensors: Path
    card_path: Path

    @classmethod
    def in_folder(cls, name: str, folder: Path) -> WeightsFiles:
        """The files of ``name`` as they are called in a folder of weights."""
        return cls(name, folder / f"{name}.onnx", folder / f"{name}.safetensors", folder / f"{name}.json")

    @property
    def complete(self) -> bool:
        """Whether all files are there."""
        return self.graph.is_file() and self.tensors.is_file() and self.card_path.is_file()

    @property
    def card(self) -> WeightsCard:
        """The card, read from its file."""
        return WeightsCard.load(self.card_path)


def user_folder() -> Path:
    """The user's folder of weights: ``$BEDSIDE_WEIGHTS``, or ``bedside/weights`` in the user's data folder."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen)
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "bedside" / "weights"


def cache_folder() -> Path:
    """Folder for compiled models, which can be deleted at any time."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "bedside"


def find_weights(name: str) -> WeightsFiles:
    """The weights of the model ``name``: the user's own before the bundled ones.

    Raises:
        WeightsError: There are none.
    """
    for folder in (user_folder(), BUNDLED):
        files = WeightsFiles.in_folder(name, folder)
        if files.complete:
            return files
    raise WeightsError(
        f"weights of '{name}'",
        expected=f"{name}.onnx, {name}.safetensors and {name}.json in {user_folder()}",
        got="none",
        fix=f"bundled are: {', '.join(bundled_names()) or 'none'}",
    )


def bundled_names() -> list[str]:
    """Models whose weights come with the package."""
    return sorted(path.stem for path in BUNDLED.glob("*.onnx"))
