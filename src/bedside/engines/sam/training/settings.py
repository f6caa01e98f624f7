"""The settings of one stage of a training of the SAM family."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from bedside.core.errors import InputError
from bedside.engines.sam.training.losses import LossWeights
from bedside.engines.sam.training.networks import PARTS
from bedside.engines.sam.training.sampling import SamSampling
from bedside.engines.sam.training.schedule import Schedule

Kind = Literal["distil", "fine-tune"]
Clip = Literal["norm", "percentile"]


@dataclass(frozen=True)
class StageSettings:
    """What a stage does.

    Attributes:
        kind: "distil" learns the teacher's embeddings, "fine-tune" predicts boxes.
        epochs: Passes over the data, or over ``epoch_samples``.
        epoch_samples: Samples of an epoch; 0 for as many as there are slices, or cases where those are drawn.
        steps: Optimiser steps, instead of those that the epochs come to; 0 for those.
        batch: Samples of a batch.
        accumulate: Batches of a step.
        learning_rate: Highest learning rate of AdamW.
        weight_decay: Weight decay of AdamW, on all weights.
        schedule: How the learning rate goes on: see ``schedule``.
        decay: By which it falls, on a plateau or from epoch to epoch.
        patience: Epochs without a better loss before a plateau.
        period: Steps over which "cosine" falls to 0, after which it rises again; 0 for the stage's own. A run whose
            ``steps`` are given falls over those.
        last_epoch_rate: Learning rate of the last epoch; 0 for that of the schedule.
        clip: "norm" limits gradients to ``gradient_clip``, "percentile" to that of the norms so far.
        gradient_clip: Largest norm of the gradient, 0 for any.
        early_stop: Validations without a better loss after which the stage ends and takes back its best weights; 0
            never ends it early.
        train: Parts of the network that learn; by default the image encoder in distillation, and all in fine-tuning.
        modalities: To which the data are restricted; none for all.
        slices: Different slices that are used, drawn once; 0 for all.
        validation_share: Share of the cases of every dataset that is kept for validation, beside whole sets held out.
        split_seed: Split seed of that choice.
        loss: What is minimised.
        sampling: How samples are drawn.
    """

    kind: Kind
    epochs: float = 1.0
    epoch_samples: int = 0
    steps: int = 0
    batch: int = 16
    accumulate: int = 1
    learning_rate: float = 1e-4
    weight_decay: float = 0.01
    schedule: Schedule = "constant"
    decay: float = 0.9
    patience: int = 5
    period: int = 0
    last_epoch_rate: float = 0.0
    clip: Clip = "norm"
    gradient_clip: float = 0.0
    early_stop: int = 0
    train: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    slices: int = 0
    validation_share: float = 0.0
    split_seed: int = 2024
    loss: LossWeights = field(default_factory=LossWeights)
    sampling: SamSampling = field(default_factory=SamSampling)

    def __post_init__(self) -> None:
        for name, kind in (("kind", Kind), ("schedule", Schedule), ("clip", Clip)):
            if getattr(self, name) not in get_args(kind):
                raise InputError(name, expected=f"one of {', '.join(get_args(kind))}", got=f"'{getattr(self, name)}'")
        for name in ("batch", "accumulate"):
            if getattr(self, name) < 1:
                raise InputError(name, expected="at least 1", got=getattr(self, name))
        for name in ("epochs", "learning_rate", "decay"):
            if not getattr(self, name) > 0:
                raise InputError(name, expected="more than 0", got=getattr(self, name))
        for name in (
            "epoch_samples",
            "steps",
            "weight_decay",
            "patience",
            "period",
            "last_epoch_rate",
            "gradient_clip",
            "slices",
        ):
            if getattr(self, name) < 0:
                raise InputError(name, expected="0 or more", got=getattr(self, name))
        if not 0 <= self.validation_share < 1:
            raise InputError("validation_share", expected="at least 0 and below 1", got=self.validation_share)
        if not set(self.train) <= set(PARTS):
            raise InputError("train", expected=f"parts of {', '.join(PARTS)}", got=", ".join(self.train))

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that learn."""
        return self.train or (PARTS[:1] if self.kind == "distil" else PARTS)

    def total_steps(self, draws: int) -> int:
        """Return optimiser steps of the stage.

        Args:
            draws: Slices or cases that there are.
        """
        each = self.batch * self.accumulate
        return self.steps or max(1, round(self.epochs * -(-(self.epoch_samples or draws) // each)))
