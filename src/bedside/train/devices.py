"""Where to train."""

from __future__ import annotations

import torch

from bedside.core.errors import InputError

DEVICES = ("auto", "cpu", "cuda")


def resolve_device(name: str) -> torch.device:
    """Return the device called ``name``.

    Raises:
        InputError: There is no such device.
    """
    if name not in DEVICES:
        raise InputError("device", expected=f"one of {', '.join(DEVICES)}", got=f"'{name}'")
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise InputError("device cuda", expected="a GPU that torch can use", got="none", fix="use --device cpu")
    return torch.device("cuda" if available and name != "cpu" else "cpu")
