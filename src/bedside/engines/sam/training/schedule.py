"""Learning rates and limits of gradients that the teams used. Their state goes into the checkpoint."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import nn

Schedule = Literal["constant", "plateau", "exponential", "cosine"]
THRESHOLD = 1e-4
"""Share by which a loss must fall to count as better."""
PERCENTILE = 0.9
"""Of the norms so far, above which a gradient is cut."""


@dataclass
class Plateau:
    """A factor that falls when the loss of an epoch has not improved for more than ``patience`` epochs.

    Attributes:
        decay: By which the factor is multiplied.
        patience: Epochs without improvement that are borne.
        factor: Factor of the learning rate.
        best: Lowest mean loss of an epoch so far.
        waited: Epochs since then.
        total: Sum of the losses of the epoch under way.
        steps: Steps of the epoch under way.
    """

    decay: float
    patience: int
    factor: float = 1.0
    best: float = math.inf
    waited: int = 0
    total: float = 0.0
    steps: int = 0

    def step(self, loss: float, *, ends_epoch: bool) -> None:
        """Take note of a step's loss; losses that are not finite do not count."""
        if math.isfinite(loss):
            self.total += loss
            self.steps += 1
        if not ends_epoch or not self.steps:
            return
        mean = self.total / self.steps
        self.total, self.steps = 0.0, 0
        if mean < self.best * (1 - THRESHOLD):
            self.best, self.waited = mean, 0
            return
        self.waited += 1
        if self.waited > self.patience:
            self.factor, self.waited = self.factor * self.decay, 0

    def state_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from plain values; ``decay`` and ``patience`` stay as they are set."""
        for name in ("factor", "best", "waited", "total", "steps"):
            setattr(self, name, state[name])


@dataclass
class RunningClip:
    """Gradients are cut at the 90th percentile of all norms so far, the new one included (AutoClip, Seetharaman 2020).

    Attributes:
        norms: So far, in order.
    """

    norms: list[float] = field(default_factory=list)

    def clip(self, parameters: list[nn.Parameter]) -> float:
        """Cut the gradients in place; their norm before."""
        norm = float(nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None]))
        if math.isfinite(norm):
            self.norms.append(norm)
            limit = float(torch.quantile(torch.tensor(self.norms, dtype=torch.float64), PERCENTILE))
            nn.utils.clip_grads_with_norm_(parameters, limit, torch.tensor(norm))
        return norm


def scale(schedule: Schedule, step: int, steps: int, epoch_steps: int, decay: float) -> float:
    """Return what a schedule that depends on the step alone multiplies the learning rate by.

    Args:
        schedule: "exponential" falls by ``decay`` from epoch to epoch, "cosine" to 0 over ``steps`` and then back up.
        step: From 0.
        steps: Steps of the stage, or of the cosine's fall.
        epoch_steps: Epoch steps of an epoch.
        decay: Decay of "exponential".
    """
    if schedule == "exponential":
        return float(decay ** (step // epoch_steps))
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * step / steps))
    return 1.0
