"""A run's stages; those of the window family see coarse windows first: four of them cost as much as one fine window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bedside.train.config import TrainingConfig


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
    """

    first_step: int
    last_step: int
    grid: int
    batch: int
    first_sample: int
    accumulate: int = 1
    name: str = ""

    @property
    def samples(self) -> int:
        """Samples of a step."""
        return self.batch * self.accumulate

    def samples_from(self, step: int) -> range:
        """Numbers of the samples from ``step`` (not before the stage) to the stage's end."""
        begin = max(step, self.first_step) - self.first_step
        end = self.last_step - self.first_step
        return range(self.first_sample + begin * self.samples, self.first_sample + end * self.samples)


def plan_stages(config: TrainingConfig) -> list[Stage]:
    """The stages of a run: ``coarse_share`` of the steps at half the grid with twice the batch, then the rest."""
    coarse_steps = round(config.steps * config.coarse_share)
    stages = []
    if coarse_steps:
        stages.append(Stage(0, coarse_steps, config.sampling.grid // 2, 2 * config.batch, 0))
    if coarse_steps < config.steps:
        first_sample = coarse_steps * 2 * config.batch
        stages.append(Stage(coarse_steps, config.steps, config.sampling.grid, config.batch, first_sample))
    return stages


def count_samples(stages: Sequence[Stage], steps: int) -> int:
    """Samples that the first ``steps`` steps of a run see."""
    return sum(stage.samples * max(0, min(steps, stage.last_step) - stage.first_step) for stage in stages)
