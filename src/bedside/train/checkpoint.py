"""The checkpoint of a run, and weights that must fit a network."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bedside.core.errors import WeightsError
from bedside.core.files import atomic_path

CHECKPOINT = "checkpoint.pt"
"""File of the checkpoint in a run's folder."""
FORMAT = "bedside-checkpoint"


def write_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write the state of a run: tensors and plain values."""
    with atomic_path(path) as temporary:
        torch.save({"format": FORMAT, **state}, temporary)


def read_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """Return the state that ``write_checkpoint`` wrote.

    Raises:
        WeightsError: The file is damaged or holds something else.
    """
    with path.open("rb") as file:
        try:
            state = torch.load(file, map_location=device, weights_only=True)
        # Of a file that was cut short, torch says "invalid argument", as the system would.
        except (RuntimeError, ValueError, OSError, EOFError, pickle.UnpicklingError) as error:
            message = str(error).partition("\n")[0]
            raise WeightsError(
                str(path), expected="a checkpoint", got=message, fix="start over with --restart"
            ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise WeightsError(str(path), expected="a checkpoint", got="something else", fix="start over with --restart")
    return state


def changed_settings(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return settings whose value differs, as "name: old to new"; settings that one of the two lacks are left out."""
    lines: list[str] = []
    for name in before.keys() & after.keys():
        old, new = before[name], after[name]
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            lines += changed_settings(old, new, f"{prefix}{name}.")
        elif old != new:
            lines.append(f"{prefix}{name}: {old} to {new}")
    return sorted(lines)


def load_weights(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load a state dict whose names and shapes must all match; values become float32.

    Of a tensor that the network holds under several names the first is enough.

    Raises:
        WeightsError: A name or a shape differs.
    """
    wanted = network.state_dict(keep_vars=True)
    first: dict[int, str] = {}
    # By identity and not by address, which parameters on the meta device and empty ones share.
    names = {name: first.setdefault(id(tensor), name) for name, tensor in wanted.items()}
    full = {name: state.get(name, state.get(origin)) for name, origin in names.items()}
    odd = sorted({name for name, value in full.items() if value is None} | (set(state) - set(wanted)))
    if odd:
        raise WeightsError("weights", expected=f"{len(wanted)} tensors", got=f"{len(state)}, differing in '{odd[0]}'")
    values = {name: value for name, value in full.items() if value is not None}
    for name, tensor in wanted.items():
        if values[name].shape != tensor.shape:
            raise WeightsError(f"weights '{name}'", expected=tuple(tensor.shape), got=tuple(values[name].shape))
    network.load_state_dict({name: value.float() for name, value in values.items()})
