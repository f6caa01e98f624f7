"""What a training comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TrainingResult:
    """How far a run came.

    Attributes:
        step: Steps done, of ``steps``.
        steps: Steps of the recipe.
        seconds: Spent in steps, over all starts.
        held_out: The last validation: "step", and scores on the held-out sets by name; empty where there was none.
        weights: Folder of the exported weights, None where they could not be exported.
    """

    step: int
    steps: int
    seconds: float
    held_out: Mapping[str, float]
    weights: Path | None
