"""Recipes that go through stages: what a run asks of them, whichever engine they are of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

    from bedside.data.store import Store
    from bedside.train.packing import SetSummary

DONE = "done.json"
"""File in a stage's folder that says how it ended; without it the stage goes on from its checkpoint."""


@dataclass(frozen=True, eq=False)
class StagedRun:
    """Everything that a run through stages gets beside its recipe; see ``EngineSpec.staged_run``.

    Attributes:
        name: Name of the recipe.
        store: Training store.
        sets: What the store holds, one entry a dataset.
        out: Folder of the run.
        device: Where to train.
        minutes: Time after which to stop with a checkpoint; None for no limit.
        memory_gb: Memory that a step may take; None for no limit.
        report: Called with each line of the log.
        advance: Called after each step with the steps done and their total.
    """

    name: str
    store: Store
    sets: Sequence[SetSummary]
    out: Path
    device: torch.device
    minutes: float | None
    memory_gb: float | None
    report: Callable[[str], None]
    advance: Callable[[int, int], None]


@runtime_checkable
class StagedRecipe(Protocol):
    """Settings of a training that goes through stages; an engine names its class as ``EngineSpec.staged_recipe``."""

    @property
    def engine(self) -> str:
        """Name of the engine that trains by it."""
        ...

    @property
    def model(self) -> str:
        """Name in the model registry."""
        ...

    @property
    def held_out(self) -> tuple[str, ...]:
        """Datasets that are never trained on."""
        ...

    def with_overrides(self, overrides: Mapping[str, Any]) -> Self:
        """Return the recipe with other settings, by dotted name."""
        ...

    def starting_from(self, weights: Path) -> Self:
        """Return the recipe, beginning with the weights in a file or folder."""
        ...
