"""Which precision is faster on the processor at hand.

Autocast to bfloat16 takes a tenth of the time of float32 on some processors and eleven times as long on others, and
what holds for a pass with gradient need not hold for one without.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

Precision = Literal["bf16", "fp32"]
CHOICES: tuple[Precision, ...] = ("fp32", "bf16")
GAIN = 0.9
"""bfloat16 must take less than this part of the time of float32 to be chosen, since it is less exact."""
REPEATS = 3
Work = Callable[[nn.Module, Tensor, Precision], None]


LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
"""Memory format of a network's input by its axes: channels last takes a CPU a fifth (2D) to a half (3D) less time."""


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """Return autocast to bfloat16, or nothing for "fp32"; "auto" is for tasks that do not measure: bfloat16 on a GPU
    alone.
    """
    if precision == "fp32" or (precision == "auto" and device.type == "cpu"):
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


@dataclass(frozen=True)
class PrecisionChoice:
    """Precisions of a run.

    Attributes:
        gradient: Gradient of passes with gradient.
        rounds: Rounds of passes without.
    """

    gradient: Precision
    rounds: Precision

    @classmethod
    def fixed(cls, precision: Precision) -> PrecisionChoice:
        """Return one precision for all."""
        return cls(precision, precision)


def measure_precision(network: nn.Module, inputs: Tensor) -> tuple[PrecisionChoice, str]:
    """Return the faster precision of passes with and without gradient, and a line that says so.

    The network keeps its weights; its gradients are cleared.

    Args:
        network: To be trained, on its device.
        inputs: What a step gives it, (batch, channels, *grid).
    """
    seconds = {p: tuple(_seconds(work, network, inputs, p) for work in (_step, _pass)) for p in CHOICES}
    chosen = [_faster(*(seconds[p][n] for p in CHOICES)) for n in range(2)]
    measured = ", ".join(f"{p} {seconds[p][0]:.2f} and {seconds[p][1]:.2f} s" for p in CHOICES)
    line = f"precision: {chosen[0]} with gradient, {chosen[1]} without (a batch takes {measured})"
    return PrecisionChoice(chosen[0], chosen[1]), line


def _faster(fp32: float, bf16: float) -> Precision:
    return "bf16" if bf16 < GAIN * fp32 else "fp32"


def _step(network: nn.Module, inputs: Tensor, precision: Precision) -> None:
    with autocast(inputs.device, precision):
        prediction: Tensor = network(inputs)
    prediction.float().mean().backward()  # type: ignore[no-untyped-call]
    network.zero_grad(set_to_none=True)


@torch.no_grad()
def _pass(network: nn.Module, inputs: Tensor, precision: Precision) -> None:
    with autocast(inputs.device, precision):
        network(inputs)


def _seconds(work: Work, network: nn.Module, inputs: Tensor, precision: Precision) -> float:
    """Return the least time of a few repeats; the first also pays for choosing kernels."""
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work(network, inputs, precision)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return min(times)
