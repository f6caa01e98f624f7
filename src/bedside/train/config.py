"""The settings of a training run: one frozen dataclass behind the YAML file, the command line and Python."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bedside.core.errors import InputError
from bedside.train.sampling import SamplingConfig
from bedside.train.task_table import task_module, task_name

WINDOW = "window"
FIXED_SAMPLING = ("sampling.grid",)
"""Settings of the samples that hold for a whole run."""
RETIRED = ("sampling.on_device",)
"""Settings that chose between two ways to make the same samples, of which one is left: recipes, cards and checkpoints
that have them are read, and the values do nothing."""
WINDOW_SETTINGS = (
    "architecture",
    "coarse_share",
    "fine_every",
    "late_share",
    "late",
    "round_probabilities",
    "dice_weight",
    "bce_weight",
    "slice_teacher_weight",
    "accumulate",
    "sampling",
)
"""Settings of the task "window"; other tasks have theirs in ``options``."""


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of a run.

    Attributes:
        model: Name in the model registry.
        task: Kind of training, of ``task_table.TASKS``; "" for the default of the model's family.
        steps: Optimiser steps.
        batch: Samples a step, of all processes together.
        accumulate: Parts in which a process takes its samples of a step, one after the other, to need less memory; 1
            for all at once. Samples and loss do not depend on it.
        learning_rate: Highest learning rate of AdamW.
        weight_decay: Weight decay of AdamW, on weights of convolutions only.
        warmup_steps: Steps over which the learning rate rises from 0.
        cooldown: Last share of the steps, over which the learning rate falls to 0 on a cosine.
        coarse_share: First share of the steps, which see samples of half the grid and twice as many at a time. Like
            all of ``WINDOW_SETTINGS``, of the task "window" alone.
        fine_every: Every so many steps after the coarse ones one sees samples of twice the grid, a quarter as many, so
            that the network serves both; 0 for none. Of images only.
        late_share: Last share of the steps, for which ``late`` holds.
        late: Settings of ``sampling``, by dotted name, and ``round_probabilities`` that replace the others then; None
            for none.
        gradient_clip: Largest norm of the gradient, 0 for any.
        ema_decay: Decay of the moving average of the weights, which is what is kept in the end; 0 keeps the last ones.
        round_probabilities: Probability of 0, 1, 2, ... correction rounds without gradient before the one with it.
        dice_weight: Weight of the soft Dice loss.
        bce_weight: Weight of the binary cross-entropy.
        slice_teacher_weight: Of volumes only: weight of the cross-entropy to what bedside-2d predictions on one slice
        of
            each sample, from the box around the object there; see ``slice_teacher``.
        precision: "bf16" for autocast, "fp32" for none, "auto" for what is faster where the run begins, measured for
            passes with and without gradient apart and kept when the run goes on.
        round_precision: Round precision of passes without gradient: "bf16", "fp32", or "same"; "auto" sets it, too.
        seed: Seed of everything random.
        workers: Processes that draw samples.
        held_out: Datasets that are never trained on and by which the run is followed.
        log_every: Steps between lines of the log.
        validate_every: Steps between validations and checkpoints.
        validation_samples: Samples of a validation.
        sampling: How samples are drawn.
        stream_gb: Space on the disk, in billions of bytes, that a sharded store may take unpacked; a larger one is
            streamed. It decides which samples a run sees, as the seed does.
        stream_reuse: How often a case of a streamed store is drawn while its shard is unpacked, on average.
        initial: Starting weights where the command names none, see ``initial.initial_path``.
        architecture: Arguments of the model's ``build`` that replace what its card describes, for experiments; None for
            none. The weights then serve through their graph alone, and the runtime "torch" rejects them.
        options: Settings of the task, an instance of its ``Options``; None where it has none.
    """

    model: str
    task: str = ""
    steps: int = 20_000
    batch: int = 16
    accumulate: int = 1
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup_steps: int = 200
    cooldown: float = 0.5
    coarse_share: float = 0.0
    fine_every: int = 0
    late_share: float = 0.0
    late: Any = None
    gradient_clip: float = 1.0
    ema_decay: float = 0.999
    round_probabilities: tuple[float, ...] = (0.4, 0.25, 0.2, 0.15)
    dice_weight: float = 1.0
    bce_weight: float = 1.0
    slice_teacher_weight: float = 0.0
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    round_precision: Literal["same", "bf16", "fp32"] = "same"
    seed: int = 0
    workers: int = 1
    held_out: tuple[str, ...] = ()
    log_every: int = 50
    validate_every: int = 1000
    validation_samples: int = 200
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    stream_gb: float = 20.0
    stream_reuse: float = 4.0
    initial: str = "none"
    architecture: Any = None
    options: Any = None

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "accumulate", "log_every", "validate_every", "validation_samples"):
            _check(self, name, getattr(self, name) >= 1, "at least 1")
        if self.batch % self.accumulate:
            raise InputError(
                "training setting batch", expected=f"a multiple of accumulate ({self.accumulate})", got=self.batch
            )
        free = ("seed", "workers", "fine_every", "warmup_steps", "weight_decay", "gradient_clip")
        for name in (*free, "dice_weight", "bce_weight", "slice_teacher_weight"):
            _check(self, name, 0 <= getattr(self, name) < math.inf, "0 or more")
        _check(self, "learning_rate", 0 < self.learning_rate < math.inf, "more than 0")
        for name in ("stream_gb", "stream_reuse"):
            _check(self, name, 0 < getattr(self, name) < math.inf, "more than 0")
        _check(self, "cooldown", 0 <= self.cooldown <= 1, "between 0 and 1")
        _check(self, "coarse_share", 0 <= self.coarse_share < 1, "from 0 to below 1")
        if self.coarse_share and self.sampling.grid % 64:
            raise InputError(
                "sampling.grid",
                expected="a multiple of 64, to be halved",
                got=self.sampling.grid,
                fix="or set coarse_share to 0",
            )
        _check(self, "ema_decay", 0 <= self.ema_decay < 1, "at least 0 and below 1")
        chances = self.round_probabilities
        sound = bool(chances) and min(chances) >= 0 and abs(sum(chances) - 1) <= 1e-6
        _check(self, "round_probabilities", sound, "probabilities that add up to 1")
        _check(self, "late_share", 0 <= self.late_share <= 1 - self.coarse_share, "from 0, the coarse steps left out")
        self._check_late()
        changes = self.architecture
        _check(self, "architecture", changes is None or isinstance(changes, Mapping), "names with values")
        _check(self, "precision", self.precision in ("auto", "bf16", "fp32"), "auto, bf16 or fp32")
        _check(self, "round_precision", self.round_precision in ("same", "bf16", "fp32"), "same, bf16 or fp32")

    def _check_late(self) -> None:
        late = self.late
        _check(self, "late", late is None or isinstance(late, Mapping), "names with values")
        _check(self, "late", bool(late) == (self.late_share > 0), "settings for a late_share above 0, and none for 0")
        for name in late or ():
            free = name == "round_probabilities" or (name.startswith("sampling.") and name not in FIXED_SAMPLING)
            _check(self, "late", free, "settings of sampling but its grid, and round_probabilities")
        self.late_config()

    def late_config(self) -> TrainingConfig:
        """Return the settings that hold for the last steps.

        Raises:
            InputError: ``late`` has an unknown name or a value of the wrong type.
        """
        if not self.late:
            return self
        values = {**self.to_dict(), "late": None, "late_share": 0.0}
        for name, value in self.late.items():
            outer, _, inner = name.partition(".")
            if inner:
                values[outer] = {**values[outer], inner: value}
            else:
                values[outer] = value
        config: TrainingConfig = _build(TrainingConfig, {**values, "options": None}, "")
        return config

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TrainingConfig:
        """Return settings from plain values, as in a YAML file; unknown names are rejected.

        Raises:
            InputError: A name is unknown or a value has the wrong type.
        """
        config: TrainingConfig = _build(cls, data, "")
        task = _task_of(config)
        if task == WINDOW:
            if config.options:
                raise InputError("training setting options", expected=f"none for the task {task}", got=config.options)
            return config
        _reject_window_settings(config, task)
        options = _convert(config.options or {}, task_module(task).Options, "options")
        return dataclasses.replace(config, options=options)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON and YAML."""
        return dataclasses.asdict(self)

    def with_overrides(self, overrides: Mapping[str, Any]) -> TrainingConfig:
        """Return a copy with settings replaced; names of nested settings are dotted ("sampling.grid").

        Raises:
            InputError: A name is unknown or a value has the wrong type.
        """
        values = self.to_dict()
        for name, value in overrides.items():
            outer, dot, inner = name.partition(".")
            if not dot:
                values[outer] = value
            elif isinstance(values.get(outer), dict):
                values[outer][inner] = value
            else:
                raise InputError("unknown training setting", expected=_names(type(self)), got=name)
        return TrainingConfig.from_dict(values)


def _task_of(config: TrainingConfig) -> str:
    try:
        return task_name(config.task, config.model)
    except InputError:
        # Of a model that does not exist or has no default the trainer tells, which needs one.
        if config.task:
            raise
        return WINDOW


def _reject_window_settings(config: TrainingConfig, task: str) -> None:
    """Reject what would be ignored."""
    for entry in dataclasses.fields(config):
        if entry.name not in WINDOW_SETTINGS:
            continue
        default = entry.default if entry.default is not dataclasses.MISSING else SamplingConfig()
        if getattr(config, entry.name) != default:
            raise InputError(
                f"training setting {entry.name}",
                expected=f"none for the task {task}",
                fix=f"settings of {task} are given under options",
            )


def _check(config: TrainingConfig, name: str, sound: bool, expected: str) -> None:
    if not sound:
        raise InputError(f"training setting {name}", expected=expected, got=getattr(config, name))


def _names(kind: Any) -> str:
    return f"one of {', '.join(sorted(typing.get_type_hints(kind)))}"


def settings_from_dict(kind: Any, values: Any, prefix: str = "") -> Any:
    """Return an instance of the dataclass ``kind`` from plain values; ``prefix`` goes before names in errors.

    Raises:
        InputError: A name is unknown or a value has the wrong type.
    """
    return _build(kind, values, prefix)


def _build(kind: Any, values: Any, prefix: str) -> Any:
    """Return an instance of a dataclass from plain values, as ``_convert`` takes them."""
    if not isinstance(values, Mapping):
        raise InputError(
            f"training setting {prefix.rstrip('.')}".rstrip(), expected="names with values", got=repr(values)
        )
    hints = typing.get_type_hints(kind)
    values = {name: value for name, value in values.items() if f"{prefix}{name}" not in RETIRED}
    unknown = [name for name in values if name not in hints]
    if unknown:
        raise InputError("unknown training setting", expected=_names(kind), got=f"{prefix}{unknown[0]}")
    for entry in dataclasses.fields(kind):
        required = entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING
        if required and entry.name not in values:
            raise InputError(f"training setting {prefix}{entry.name}", expected="a value", got="none")
    return kind(**{name: _convert(value, hints[name], f"{prefix}{name}") for name, value in values.items()})


def _convert(value: Any, hint: Any, name: str) -> Any:
    """Return a plain value as its type says: whole numbers and text like "1e-3" become floats, lists become tuples.

    Raises:
        InputError: The value is of another type.
    """
    if dataclasses.is_dataclass(hint):
        return value if isinstance(value, typing.cast("type[Any]", hint)) else _build(hint, value, f"{name}.")
    if typing.get_origin(hint) is tuple:
        return _convert_tuple(value, typing.get_args(hint), name)
    if hint is float and isinstance(value, int | str) and not isinstance(value, bool):
        # YAML takes 1e-3, without a point, for text.
        with contextlib.suppress(ValueError):
            return float(value)
    if hint in (int, float, bool, str) and type(value) is not hint:
        raise InputError(f"training setting {name}", expected=hint.__name__, got=repr(value))
    return value


def _convert_tuple(value: Any, hints: tuple[Any, ...], name: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise InputError(f"training setting {name}", expected="a list", got=repr(value))
    if hints[-1] is Ellipsis:
        hints = (hints[0],) * len(value)
    if len(value) != len(hints):
        raise InputError(f"training setting {name}", expected=f"{len(hints)} values", got=repr(value))
    return tuple(_convert(v, hint, name) for v, hint in zip(value, hints, strict=True))
