"""Several processes that train one network: which samples are this one's own, and sums over all of them.

``torchrun`` starts them, on one machine or on many. Each has the whole network and takes its part of every batch; their
gradients are added before every step, so that the weights stay the same in all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bedside.core.errors import InputError, WorkerError
from bedside.train.stages import Stage

T = TypeVar("T")
Rows = TypeVar("Rows", list[int], Tensor)
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Processes:
    """The processes of a training, as one of them sees them.

    What is not said otherwise must be called by all of them, and returns when all have called it.

    Attributes:
        rank: Number of this process, from 0.
        count: How many there are.
        repeated: Whether they were started again, after one of them had ended.
    """

    rank: int = 0
    count: int = 1
    repeated: bool = False

    @property
    def writes(self) -> bool:
        """Whether this is the one that writes log, checkpoint and weights, and validates; not a call of all."""
        return self.rank == 0

    def own(self, values: Rows) -> Rows:
        """Return this process's part of the rows of a whole batch, of ``count`` equal parts in a row; not a call of
        all.

        Args:
            values: Whose length is a multiple of ``count``.
        """
        size = len(values) // self.count
        return values[self.rank * size : (self.rank + 1) * size]

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of a tensor that all have in the same shape; without gradient where there are several."""
        if self.count == 1:
            return values
        total = values.detach().clone()
        with loss_of_processes_told():
            dist.all_reduce(total)
        return total

    def any(self, *flags: bool) -> list[bool]:
        """Return for each flag whether it is set in one of them."""
        return [bool(n) for n in self.sum(torch.tensor(flags, dtype=torch.int32)).tolist()]

    def wait(self) -> None:
        """Return when all are here."""
        self.any(False)

    def from_first(self, value: T) -> T:
        """Return the value that process 0 has: what ``pickle`` takes, and no tensor of a GPU."""
        if self.count == 1:
            return value
        values = [value]
        with loss_of_processes_told():
            dist.broadcast_object_list(values, src=0, device=CPU)
        return values[0]

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """Let process 0 go through a block before the others, which find done what it leaves."""
        if not self.writes:
            self.wait()
        yield
        if self.writes:
            self.wait()

    def sum_gradients(self, network: nn.Module, loss: float) -> float:
        """Replace every gradient by its sum, and return the sum of the losses.

        A parameter that has a gradient in none keeps none. All goes in one piece: a sum costs mostly its beginning.
        """
        if self.count == 1:
            return loss
        learning = [p for p in network.parameters() if p.requires_grad]
        present = [float(p.grad is not None) for p in learning]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in learning]
        rest = torch.tensor([loss, *present], device=learning[0].device)
        total = self.sum(torch.cat([*[g.float().reshape(-1) for g in gradients], rest]))
        summed, rest = total[: -len(rest)], total[-len(rest) :]
        parts = torch.split(summed, [p.numel() for p in learning])
        whole, *present = rest.tolist()
        for parameter, gradient, part, somewhere in zip(learning, gradients, parts, present, strict=True):
            parameter.grad = gradient.copy_(part.view_as(gradient)) if somewhere else None
        return float(whole)

    @torch.no_grad()
    def average_statistics(self, network: nn.Module) -> None:
        """Replace the running statistics of batch normalisation, which each takes of its own samples, by their mean."""
        if self.count == 1:
            return
        norms = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.training and m.track_running_stats]
        values = [v for norm in norms for v in (norm.running_mean, norm.running_var) if v is not None]
        if not values:
            return
        means = self.sum(torch.cat(values)) / self.count
        for value, mean in zip(values, torch.split(means, [len(v) for v in values]), strict=True):
            value.copy_(mean)

    def check_batches(self, stages: Sequence[Stage]) -> None:
        """Reject batches that cannot be divided into equal parts; not a call of all.

        Raises:
            InputError: One cannot.
        """
        for stage in stages:
            for batch in {stage.batch_of(stage.first_step + n) for n in range(max(1, stage.fine_every))}:
                if batch % self.count:
                    kind = " of the fine steps (fine_every)" if batch != stage.batch else ""
                    raise InputError(
                        f"batch{kind}",
                        expected=f"a multiple of {self.count}, the number of processes",
                        got=batch,
                        fix="take another batch, or as many processes as divide it",
                    )


ALONE = Processes()
_CURRENT: ContextVar[Processes | None] = ContextVar("processes", default=None)


def current_processes() -> Processes:
    """Return the processes that train together with this one; this one alone where none were joined."""
    if (current := _CURRENT.get()) is not None:
        return current
    if dist.is_available() and dist.is_initialized():
        return Processes(dist.get_rank(), dist.get_world_size())
    return ALONE


@contextmanager
def acting_as(processes: Processes) -> Iterator[None]:
    """Let ``current_processes`` be others in a block: ``ALONE`` in what not all go through, as a validation."""
    token = _CURRENT.set(processes)
    try:
        yield
    finally:
        _CURRENT.reset(token)


@contextmanager
def loss_of_processes_told() -> Iterator[None]:
    """Say in one line that another process is gone, which torch notices in whatever is done together.

    Raises:
        WorkerError: One is.
    """
    try:
        yield
    except RuntimeError as error:
        raise WorkerError(
            "another process of the training ended",
            # Without the place in the source of torch before it, and what torch advises after it.
            got=re.sub(r"^\[[^]]*\] *", "", str(error)).partition("\n")[0].partition(". ")[0],
            fix="the same command goes on from the checkpoint",
        ) from error
