"""A run's stages; those of the window family see coarse windows first: four of them cost as much as one fine window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bedside.train.config import TrainingConfig

FINE_PARTS = 4
"""Samples of a grid that take as long as one of twice the grid, in two dimensions."""


@dataclass(frozen=True)
class Stage:
    """Consecutive steps with samples of one kind.

    Attributes:
        first_step: First step of the stage.
        last_step: One past its last step.
        grid: Cells along each side of the samples.
        batch: Samples of a batch.
        first_sample: Number of the sample that its first step begins with.
        accumulate: Batches of a step, whose losses are averaged.
        name: By which a task tells its stages apart.
        fine_every: Every so many steps one has samples of twice the grid, a quarter as many; 0 for none. Such a step
            uses the first of the numbers that are its own, so that the numbers of a step do not depend on it.
    """

    first_step: int
    last_step: int
    grid: int
    batch: int
    first_sample: int
    accumulate: int = 1
    name: str = ""
    fine_every: int = 0

    @property
    def samples(self) -> int:
        """Samples of a step."""
        return self.batch * self.accumulate

    def samples_from(self, step: int) -> range:
        """Return numbers of the samples from ``step`` (not before the stage) to the stage's end."""
        begin = max(step, self.first_step) - self.first_step
        end = self.last_step - self.first_step
        return range(self.first_sample + begin * self.samples, self.first_sample + end * self.samples)

    def is_fine(self, step: int) -> bool:
        """Return whether a step of the stage has samples of twice the grid."""
        return bool(self.fine_every) and (step - self.first_step) % self.fine_every == self.fine_every - 1

    def step_of(self, sample: int) -> int:
        """Return the step that a number of ``samples_from`` belongs to."""
        return self.first_step + (sample - self.first_sample) // self.samples

    def batch_of(self, step: int) -> int:
        """Return samples of each batch of a step."""
        return max(1, self.batch // FINE_PARTS) if self.is_fine(step) else self.batch

    def batches_from(self, step: int) -> Iterator[list[int]]:
        """Yield numbers of the samples of every batch from ``step`` to the stage's end."""
        numbers = self.samples_from(step)
        for first in range(numbers.start, numbers.stop, self.batch):
            yield list(range(first, min(first + self.batch_of(self.step_of(first)), numbers.stop)))


LATE = "late"
"""Name of the stage for which ``TrainingConfig.late`` holds."""


def plan_stages(config: TrainingConfig) -> list[Stage]:
    """Return the stages of a run: ``coarse_share`` of the steps at half the grid with twice the batch, the rest, late
    ones.
    """
    coarse_steps = round(config.steps * config.coarse_share)
    late_step = max(coarse_steps, config.steps - round(config.steps * config.late_share))
    grid, batch = config.sampling.grid, config.batch
    plan = [
        Stage(0, coarse_steps, grid // 2, 2 * batch, 0),
        Stage(coarse_steps, late_step, grid, batch, 0, fine_every=config.fine_every),
        Stage(late_step, config.steps, grid, batch, 0, name=LATE, fine_every=config.fine_every),
    ]
    stages: list[Stage] = []
    for stage in plan:
        if stage.first_step < stage.last_step:
            first_sample = stages[-1].samples_from(0).stop if stages else 0
            stages.append(replace(stage, first_sample=first_sample))
    return stages


def count_samples(stages: Sequence[Stage], steps: int) -> int:
    """Return samples that the first ``steps`` steps of a run see."""
    return sum(_stage_samples(stage, max(0, min(steps, stage.last_step) - stage.first_step)) for stage in stages)


def _stage_samples(stage: Stage, steps: int) -> int:
    fine = steps // stage.fine_every if stage.fine_every else 0
    return stage.accumulate * (stage.batch * (steps - fine) + max(1, stage.batch // FINE_PARTS) * fine)
