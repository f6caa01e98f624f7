"""A run's stages: coarse windows first, because four of them cost as much as one fine window."""

from __future__ import annotations

from dataclasses import dataclass

from bedside.train.config import TrainingConfig


@dataclass(frozen=True)
class Stage:
    """Consecutive steps on one grid.

    Attributes:
        first_step: First step of the stage.
        last_step: One past its last step.
        grid: Cells along each side of the samples.
        batch: Samples a step.
        first_sample: Number of the sample that its first step begins with.
    """

    first_step: int
    last_step: int
    grid: int
    batch: int
    first_sample: int

    def samples_from(self, step: int) -> range:
        """Numbers of the samples from ``step`` (not before the stage) to the stage's end."""
        begin = max(step, self.first_step) - self.first_step
        end = self.last_step - self.first_step
        return range(self.first_sample + begin * self.batch, self.first_sample + end * self.batch)


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


def count_samples(config: TrainingConfig, steps: int) -> int:
    """Samples that the first ``steps`` steps of a run see."""
    return sum(stage.batch * max(0, min(steps, stage.last_step) - stage.first_step) for stage in plan_stages(config))
