"""A recipe of the SAM family: a model, its teacher, and the settings of every stage."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from bedside.core.errors import InputError
from bedside.engines.sam.framing import Framing, SliceKernel
from bedside.engines.sam.training.settings import StageSettings
from bedside.train.config import TrainingConfig, settings_from_dict

RANDOM = "random"
"""Weights that a teacher has where none is at hand and a run is made to see whether everything works."""
COMMON = "every_stage"
"""Entry of a recipe's file whose settings each stage begins with."""


@dataclass(frozen=True)
class TeacherSettings:
    """Whose embeddings are learnt.

    Attributes:
        model: In the registry.
        weights: Imported weights by the model's name ("" for those), a safetensors file, or "random".
        side: Side of its input. Other than the model's own only with random weights.
        framing: How slices are put on its input; the student's distillation must agree with it.
        kernel: By which they are brought to that size.
    """

    model: str = "medsam"
    weights: str = ""
    side: int = 1024
    framing: Framing = "stretch"
    kernel: SliceKernel = "cubic"


@dataclass(frozen=True)
class SamRecipe:
    """Settings of a whole training.

    Attributes:
        model: In the registry.
        plan: Order of the stages, of ``plan.PLANS``.
        stages: Settings of each stage by its name.
        seed: Seed of everything random.
        precision: "bf16" for autocast, "fp32" for none.
        teacher: Whose embeddings are learnt.
        pretrained: safetensors file of an image encoder to begin with; "" for initial weights.
        clip: Published folder of the frozen CLIP that MCP-MedSAM needs; "" for a stand-in, which knows nothing.
        held_out: Datasets that are never trained on and by which the run is followed.
        workers: Processes that draw samples.
        log_every: Steps between lines of the log.
        validate_every: Steps between validations and checkpoints; 0 for an epoch.
        validation_samples: Samples of a validation.
        spread: Largest difference of a repetition's held-out DSC that counts as the same result.
    """

    model: str
    plan: str
    stages: Mapping[str, StageSettings] = field(default_factory=dict)
    seed: int = 0
    precision: Literal["bf16", "fp32"] = "bf16"
    teacher: TeacherSettings = field(default_factory=TeacherSettings)
    pretrained: str = ""
    clip: str = ""
    held_out: tuple[str, ...] = ()
    workers: int = 1
    log_every: int = 50
    validate_every: int = 0
    validation_samples: int = 200
    spread: float = 0.02

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SamRecipe:
        """Return a recipe from plain values, as in a YAML file; unknown names are rejected.

        Raises:
            InputError: A name is unknown or a value has the wrong type.
        """
        values = dict(data)
        common, stages = values.pop(COMMON, {}), values.pop("stages", {})
        for name, entry in (("stages", stages), (COMMON, common)):
            if not isinstance(entry, Mapping):
                raise InputError(f"training setting {name}", expected="names with values", got=repr(entry))
        recipe = cast(SamRecipe, settings_from_dict(cls, values))
        made = {
            name: settings_from_dict(StageSettings, _merged(common, stage), f"{name}.")
            for name, stage in stages.items()
        }
        return dataclasses.replace(recipe, stages=made)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON and YAML."""
        return dataclasses.asdict(self)

    def with_overrides(self, overrides: Mapping[str, Any]) -> SamRecipe:
        """Return a copy with settings replaced.

        A name may be one of the recipe ("seed", "teacher.side"), of one stage ("distil.steps", "distil.sampling.side"),
        or of every stage ("steps", "sampling.side").

        Raises:
            InputError: A name is unknown or a value has the wrong type.
        """
        values = self.to_dict()
        for name, value in overrides.items():
            outer = name.partition(".")[0]
            if outer in values["stages"] and "." in name:
                _set(values["stages"][outer], name.partition(".")[2], value, name)
            elif outer in {entry.name for entry in dataclasses.fields(StageSettings)}:
                for stage in values["stages"].values():
                    _set(stage, name, value, name)
            else:
                _set(values, name, value, name)
        return SamRecipe.from_dict(values)

    @property
    def engine(self) -> str:
        """Name of the engine that trains by it."""
        return "sam"

    def starting_from(self, weights: Path) -> SamRecipe:
        """Return the recipe, beginning with the image encoder in a safetensors file."""
        return self.with_overrides({"pretrained": str(weights)})

    def training(self, stage: str, draws: int) -> TrainingConfig:
        """Return the settings of the loop for one stage.

        Args:
            stage: Its name.
            draws: Slices or cases that there are to draw from.
        """
        settings = self.stages[stage]
        steps = settings.total_steps(draws)
        return TrainingConfig(
            model=self.model,
            task="sam",
            steps=steps,
            batch=settings.batch,
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            warmup_steps=0,
            cooldown=0.0,
            gradient_clip=settings.gradient_clip,
            ema_decay=0.0,
            precision=self.precision,
            # Each stage has a stream of samples of its own.
            seed=self.seed + list(self.stages).index(stage),
            workers=self.workers,
            held_out=self.held_out,
            log_every=self.log_every,
            validate_every=self.validate_every or epoch_steps(settings, steps),
            validation_samples=self.validation_samples,
            options=settings,
        )


def epoch_steps(settings: StageSettings, steps: int) -> int:
    """Return steps of an epoch; a run that was shortened has as many epochs, each shorter."""
    return max(1, round(steps / settings.epochs))


def _merged(common: Mapping[str, Any], own: Any) -> Any:
    if not isinstance(own, Mapping):
        return own
    merged = dict(common)
    for name, value in own.items():
        inner = merged.get(name)
        merged[name] = {**inner, **value} if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return merged


def _set(values: dict[str, Any], path: str, value: Any, name: str) -> None:
    """Replace a value whose place is dotted."""
    outer, dot, inner = path.partition(".")
    if not dot:
        values[outer] = value
    elif isinstance(values.get(outer), dict):
        _set(values[outer], inner, value, name)
    else:
        raise InputError("unknown training setting", expected="a setting of the recipe or of a stage", got=name)
