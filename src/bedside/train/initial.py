"""Weights that a training starts from."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bedside.core.errors import InputError, WeightsError
from bedside.weights.store import BUNDLED, WeightsFiles

NONE, BUNDLED_WEIGHTS = "none", "bundled"
TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def initial_path(choice: str, model: str) -> Path | None:
    """File of the weights that ``choice`` means for ``model``: "none", "bundled", or a safetensors file.

    Raises:
        InputError: The file does not exist.
        WeightsError: No weights of the model are bundled.
    """
    if choice == NONE:
        return None
    if choice == BUNDLED_WEIGHTS:
        files = WeightsFiles.in_folder(model, BUNDLED)
        if not files.tensors.is_file():
            raise WeightsError(f"bundled weights of '{model}'", got="none", fix="use --initial none or a file")
        return files.tensors
    path = Path(choice)
    if not path.is_file():
        raise InputError("starting weights", expected="bundled, none or a safetensors file", got=f"'{choice}'")
    return path


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
        return {name: _tensor(memoryview(content)[begin:], entry) for name, entry in header.items()}
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
