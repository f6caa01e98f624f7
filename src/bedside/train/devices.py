"""Where to train."""

from __future__ import annotations

import os
from collections.abc import Mapping

import torch

from bedside.core.errors import InputError

DEVICES = ("auto", "cpu", "cuda")


def resolve_device(name: str, environment: Mapping[str, str] = os.environ) -> torch.device:
    """Return the device called ``name``.

    Args:
        name: One of ``DEVICES``.
        environment: Of processes that ``torchrun`` has started, each of which takes the GPU with the number LOCAL_RANK.

    Raises:
        InputError: There is no such device, or a machine has more processes than GPUs.
    """
    if name not in DEVICES:
        raise InputError("device", expected=f"one of {', '.join(DEVICES)}", got=f"'{name}'")
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise InputError("device cuda", expected="a GPU that torch can use", got="none", fix="use --device cpu")
    if not available or name == "cpu":
        return torch.device("cpu")
    if (number := environment.get("LOCAL_RANK")) is None:
        return torch.device("cuda")
    if int(number) >= (gpus := torch.cuda.device_count()):
        raise InputError(
            "processes of a machine",
            expected=f"at most {gpus}, one a GPU",
            got=environment.get("LOCAL_WORLD_SIZE", int(number) + 1),
            fix="start fewer (--nproc-per-node), or use --device cpu",
        )
    device = torch.device("cuda", int(number))
    torch.cuda.set_device(device)
    return device
