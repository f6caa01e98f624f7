"""A run's stages; those of the window family see coarse windows first: four of them cost as much as one fine window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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
        """Numbers of the samples from ``step`` (not before the stage) to the stage's end."""
        begin = max(step, self.first_step) - self.first_step
        end = self.last_step - self.first_step
        return range(self.first_sample + begin * self.samples, self.first_sample + end * self.samples)

    def is_fine(self, step: int) -> bool:
        """Whether a step of the stage has samples of twice the grid."""
        return bool(self.fine_every) and (step - self.first_step) % self.fine_every == self.fine_every - 1

    def step_of(self, sample: int) -> int:
        """The step that a number of ``samples_from`` belongs to."""
        return self.first_step + (sample - self.first_sample) // self.samples

    def batch_of(self, step: int) -> int:
        """Samples of each batch of a step."""
        return max(1, self.batch // FINE_PARTS) if self.is_fine(step) else self.batch

    def batches_from(self, step: int) -> Iterator[list[int]]:
        """Numbers of the samples of every batch from ``step`` to the stage's end."""
        numbers = self.samples_from(step)
        for first in range(numbers.start, numbers.stop, self.batch):
            yield list(range(first, min(first + self.batch_of(self.step_of(first)), numbers.stop)))


def plan_stages(config: TrainingConfig) -> list[Stage]:
    """The stages of a run: ``coarse_share`` of the steps at half the grid with twice the batch, then the rest."""
    coarse_steps = round(config.steps * config.coarse_share)
    stages = []
    if coarse_steps:
        stages.append(Stage(0, coarse_steps, config.sampling.grid // 2, 2 * config.batch, 0))
    if coarse_steps < config.steps:
        first_sample = coarse_steps * 2 * config.batch
        limits = (coarse_steps, config.steps)
        stages.append(Stage(*limits, config.sampling.grid, config.batch, first_sample, fine_every=config.fine_every))
    return stages


def count_samples(stages: Sequence[Stage], steps: int) -> int:
    """Samples that the first ``steps`` steps of a run see."""
    return sum(_stage_samples(stage, max(0, min(steps, stage.last_step) - stage.first_step)) for stage in stages)


def _stage_samples(stage: Stage, steps: int) -> int:
    fine = steps // stage.fine_every if stage.fine_every else 0
    return stage.accumulate * (stage.batch * (steps - fine) + max(1, stage.batch // FINE_PARTS) * fine)
