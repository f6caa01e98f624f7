"""Weights that a training starts from."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bedside.core.errors import InputError, WeightsError
from bedside.models.interactions import InteractionSettings
from bedside.models.registry import model_card, model_cards
from bedside.train.config import TrainingConfig
from bedside.train.inflation import inflate
from bedside.weights.card import WeightsCard
from bedside.weights.efficientnet_lite import FILE, LICENCE, ORIGIN, pretrained_file, read_encoder
from bedside.weights.packed import unpack
from bedside.weights.store import BUNDLED, WeightsFiles, find_weights

NONE, BUNDLED_WEIGHTS = "none", "bundled"
PRETRAINED = "efficientnet-lite0"
"""Of an encoder: ImageNet weights from a package, see ``weights.efficientnet_lite``."""
NNINTERACTIVE, PLANS = "nninteractive", "plans.json"
"""A model whose weights are published as a folder with this file."""
TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I8": torch.int8}


@dataclass(frozen=True, eq=False)
class Start:
    """Weights that a training starts from.

    Attributes:
        file: That they were read from.
        tensors: By name.
        licence: SPDX identifier, None where nothing states it.
        training: How they were trained, from their card; empty where they have none.
    """

    file: Path
    tensors: dict[str, Tensor]
    licence: str | None
    training: Mapping[str, Any] = field(default_factory=dict)


def initial_path(choice: str, model: str) -> Path | None:
    """File or folder of the weights that ``choice`` means for ``model``.

    Args:
        choice: "none", "bundled" for the model's own, "efficientnet-lite0" for the encoder alone, the name of a model
            whose weights are installed, a safetensors file, or, for nninteractive, the folder in which its weights are
            published.
        model: Name in the model registry.

    Raises:
        InputError: There is no such file.
        WeightsError: No weights of the model are bundled or installed.
        DependencyError: The package with the encoder's weights is not installed.
    """
    if choice == NONE:
        return None
    if choice == PRETRAINED:
        return pretrained_file()
    if choice == BUNDLED_WEIGHTS:
        files = WeightsFiles.in_folder(model, BUNDLED)
        if not files.tensors.is_file():
            raise WeightsError(f"bundled weights of '{model}'", got="none", fix="use --initial none or a file")
        return files.tensors
    path = Path(choice)
    if path.is_file() or (model == NNINTERACTIVE and (path / PLANS).is_file()):
        return path
    if choice in {card.name for card in model_cards()}:
        return find_weights(choice).tensors
    kinds = f"bundled, none or a safetensors file, or a model's name, or {PRETRAINED}"
    raise InputError("starting weights", expected=kinds, got=f"'{choice}'")


def read_start(path: Path, config: TrainingConfig) -> Start:
    """The weights of a file or folder as a start for a run; those of a 2D network are inflated for a 3D one.

    Raises:
        WeightsError: A file is damaged or not what it says, or was made for prompts in other channels.
    """
    if path.is_dir():
        return _read_published(path, config)
    if path.name == Path(FILE).name:
        return Start(path, read_encoder(path), LICENCE, ORIGIN)
    state = read_tensors(path)
    if model_card(config.model).dimensions == 3:
        state = _in_three_dimensions(path, state)
    card = _card_beside(path)
    if card is not None and "interactions" in card.training:
        _check_interactions(path, InteractionSettings.from_metadata(card.training["interactions"]))
    return Start(path, state, card.licence if card else None, card.training if card else {})


def _in_three_dimensions(path: Path, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a 2D network inflated, others as they are.

    Raises:
        WeightsError: They are of a 2D network that has no counterpart in 3D.
    """
    if "stem_image.weight" in state:
        raise WeightsError(
            f"weights {path.name}",
            expected="those of a network that there is in 3D",
            got="a 2D network with a pretrained encoder",
            fix="use --initial none or weights of bedside-3d",
        )
    stem = state.get("stem.weight")
    return inflate(state) if stem is not None and stem.ndim == 4 else state


def _read_published(folder: Path, config: TrainingConfig) -> Start:
    from bedside.models.nninteractive import DEPTHS, WIDTHS, NNInteractive
    from bedside.weights.nninteractive import read_published_folder

    with torch.device("meta"):
        network = NNInteractive(getattr(config.options, "widths", WIDTHS), getattr(config.options, "depths", DEPTHS))
    published = read_published_folder(folder, network)
    _check_interactions(published.checkpoint, published.settings)
    return Start(published.checkpoint, dict(published.tensors), published.licence)


def _check_interactions(path: Path, settings: InteractionSettings) -> None:
    """Refuse weights that know prompts in other channels than those that they would be trained with."""
    known = InteractionSettings()
    for name in ("channels", "previous", "point_radius", "pairs"):
        found, expected = getattr(settings, name), getattr(known, name)
        if found != expected:
            raise WeightsError(f"weights {path.name}: {name} of its prompts", expected=expected, got=found)


def _card_beside(path: Path) -> WeightsCard | None:
    """The card beside a file of weights, None where there is none."""
    try:
        return WeightsCard.load(path.with_suffix(".json"))
    except WeightsError:
        return None


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Every tensor of a safetensors file, read with torch alone, as training machines may hold nothing else.

    Raises:
        WeightsError: The file is damaged, no safetensors file, or holds no floating-point numbers.
    """
    content = path.read_bytes()
    try:
        begin = 8 + int.from_bytes(content[:8], "little")
        header: dict[str, Any] = json.loads(content[8:begin])
        header.pop("__metadata__", None)
        return unpack({name: _tensor(memoryview(content)[begin:], entry) for name, entry in header.items()})
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        got = f"{type(error).__name__}: {error}"
        raise WeightsError(f"weights {path}", expected="a safetensors file", got=got) from error


def _tensor(content: memoryview, entry: dict[str, Any]) -> Tensor:
    kind, shape = TYPES[entry["dtype"]], [int(n) for n in entry["shape"]]
    first, last = (int(n) for n in entry["data_offsets"])
    if not 0 <= first <= last <= len(content) or last - first != math.prod(shape) * kind.itemsize:
        raise ValueError("a tensor lies outside the file or has another size than its shape")
    if first == last:
        return torch.empty(shape, dtype=kind)
    # A copy, because torch warns of memory that cannot be written to.
    return torch.frombuffer(bytearray(content[first:last]), dtype=kind).reshape(shape).clone()
