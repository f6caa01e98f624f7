"""Which precision is faster on the processor at hand.

Autocast to bfloat16 takes a tenth of the time of float32 on some processors and eleven times as long on others, and
what holds for a pass with gradient need not hold for one without.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

Precision = Literal["bf16", "fp32"]
HOPELESS = 4.0
"""Times float32's time from which a first try settles that bfloat16 is slow: it may take eleven times as long."""
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
    exact = [_seconds(work, network, inputs, "fp32", math.inf) for work in WORK]
    rounded = [_seconds(work, network, inputs, "bf16", limit) for work, limit in zip(WORK, exact, strict=True)]
    chosen = [_faster(*seconds) for seconds in zip(exact, rounded, strict=True)]
    measured = f"fp32 {exact[0]:.2f} and {exact[1]:.2f} s, bf16 {rounded[0]:.2f} and {rounded[1]:.2f} s"
    line = f"precision: {chosen[0]} with gradient, {chosen[1]} without ({len(inputs)} samples take {measured})"
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


WORK: tuple[Work, ...] = (_step, _pass)


def _seconds(work: Work, network: nn.Module, inputs: Tensor, precision: Precision, limit: float) -> float:
    """Return the least time of a few repeats, of which the first also pays for choosing kernels.

    One that takes far longer than ``limit`` is enough.
    """
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work(network, inputs, precision)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
        if times[0] > HOPELESS * limit:
            break
    return min(times)
