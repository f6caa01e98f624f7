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

from bedside.core.engines import engine_spec, resolve
from bedside.core.errors import InputError, WeightsError
from bedside.train.config import TrainingConfig
from bedside.weights.card import WeightsCard
from bedside.weights.models import model_card, model_cards
from bedside.weights.packed import unpack
from bedside.weights.store import BUNDLED, WeightsFiles, find_weights

NONE, BUNDLED_WEIGHTS = "none", "bundled"
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
    """Return file or folder of the weights that ``choice`` means for ``model``.

    Args:
        choice: "none", "bundled" for the model's own, a name that its engine knows ("efficientnet-lite0" for an encoder
            alone), the name of a model whose weights are installed, a safetensors file, or the folder in which weights
            are published, where the engine reads one.
        model: Name in the model registry.

    Raises:
        InputError: There is no such file.
        WeightsError: No weights of the model are bundled or installed.
        DependencyError: The package with the encoder's weights is not installed.
    """
    if choice == NONE:
        return None
    spec = engine_spec(model_card(model).family)
    if choice in spec.pretrained:
        found: Path = resolve(spec.pretrained[choice])()
        return found
    if choice == BUNDLED_WEIGHTS:
        files = WeightsFiles.in_folder(model, BUNDLED)
        if not files.tensors.is_file():
            raise WeightsError(f"bundled weights of '{model}'", got="none", fix="use --initial none or a file")
        return files.tensors
    path = Path(choice)
    if path.is_file() or (spec.start_folder and (path / spec.start_folder).is_file()):
        return path
    if choice in {card.name for card in model_cards()}:
        return find_weights(choice).tensors
    kinds = ", or ".join(("bundled, none or a safetensors file", "a model's name", *spec.pretrained))
    raise InputError("starting weights", expected=kinds, got=f"'{choice}'")


def read_start(path: Path, config: TrainingConfig) -> Start:
    """Return the weights of a file or folder as a start for a run, as the engine of its model takes them.

    Raises:
        WeightsError: A file is damaged or not what it says, or was made for prompts in other channels.
    """
    read = engine_spec(model_card(config.model).family).start_weights
    start: Start = resolve(read)(path, config) if read else read_file(path)
    return start


def read_file(path: Path) -> Start:
    """Return the tensors of a safetensors file, with what the card beside it says, where there is one.

    Raises:
        WeightsError: The file is damaged or no safetensors file.
    """
    state = read_tensors(path)
    try:
        card = WeightsCard.load(path.with_suffix(".json"))
    except WeightsError:
        return Start(path, state, None)
    return Start(path, state, card.licence, card.training)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return every tensor of a safetensors file, read with torch alone, as training machines may hold nothing else.

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
