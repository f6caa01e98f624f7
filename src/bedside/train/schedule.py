"""The learning rate over a run."""

from __future__ import annotations

import math

from bedside.train.config import TrainingConfig


def learning_rate(config: TrainingConfig, step: int) -> float:
    """Return linear warm-up, then constant, then a cosine to zero over the last ``cooldown`` of the steps."""
    rate = config.learning_rate * min(1.0, (step + 1) / max(1, config.warmup_steps))
    begin = config.steps * (1 - config.cooldown)
    if step > begin:
        rate *= 0.5 * (1 + math.cos(math.pi * min(1.0, (step - begin) / max(1.0, config.steps - begin))))
    return rate
