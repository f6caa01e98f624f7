"""How a checkpoint of nnInteractive wants prompts: read from the small JSON file that lies beside its weights.

There are two such files: ``inference_info.json``, and the older ``inference_session_class.json``, which holds an
object with fewer fields or, older still, a bare string.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from bedside.core.errors import WeightsError

Painting = Literal["fading", "solid"]
Decay = Literal["all", "pair"]
"""Which older prompts a new one makes fainter: all, or those of the two channels that it is painted into."""

DECAY = 0.98
OLD_DECAY = 0.9
"""Of version 1, and of checkpoints whose file is a bare string."""
SESSION_CLASS = "nnInteractiveInferenceSession"
INFO_FILE, OLD_INFO_FILE = "inference_info.json", "inference_session_class.json"
INFO_FILES = (INFO_FILE, OLD_INFO_FILE)
"""Names of the file, the newer first, which wins where both are there."""
KINDS = ("scribble", "lasso", "points", "bbox2d", "bbox3d")
PREVIOUS = "prev_seg"


def _supported() -> dict[str, bool]:
    return {kind: kind != "bbox3d" for kind in KINDS}


def _channels() -> dict[str, tuple[int, int]]:
    return {"bbox2d": (1, 2), "bbox3d": (1, 2), "lasso": (1, 2), "points": (3, 4), "scribble": (5, 6)}


@dataclass(frozen=True)
class InteractionSettings:
    """What a checkpoint says of its prompts; the defaults are those of the public weights in version 2.

    Attributes:
        point_radius: Radius of a painted click in voxels.
        scribble_thickness: Thickness of strokes in voxels, as the network likes it, for each axis.
        decay: Factor by which each new prompt multiplies the values of older ones.
        decay_of: Which older prompts it multiplies.
        channels: Number of channels beside the image.
        previous: Channel of the previous mask.
        pairs: Channels of each kind of prompt, positive and negative.
        supported: Whether the network was trained with each kind.
        takes_mask: Whether it starts from a mask.
        refines_mask: Whether it corrects a mask without a prompt.
        padding: What lies beyond the image's border.
        painting: "fading" is nnInteractive's own; "solid" that of the public code of the dynamic-prompt method, see
            ``solid``.
    """

    point_radius: int = 4
    scribble_thickness: tuple[float, ...] = (2.0, 2.0, 2.0)
    decay: float = DECAY
    decay_of: Decay = "all"
    channels: int = 7
    previous: int = 0
    pairs: Mapping[str, tuple[int, int]] = field(default_factory=_channels)
    supported: Mapping[str, bool] = field(default_factory=_supported)
    takes_mask: bool = True
    refines_mask: bool = True
    padding: str = "constant"
    painting: Painting = "fading"

    @classmethod
    def version_1(cls) -> InteractionSettings:
        """As version 1 of nnInteractive does by default: a decay of 0.9 within the channels being painted."""
        return cls(decay=OLD_DECAY, decay_of="pair")

    @classmethod
    def from_metadata(cls, metadata: object) -> InteractionSettings:
        """Return the settings that a checkpoint's file asks for.

        Args:
            metadata: The parsed JSON of the file: an object, or a string from the oldest checkpoints.

        Raises:
            WeightsError: A field has a value that it cannot have, or the checkpoint is for another program.
        """
        if isinstance(metadata, str):
            _check_class(metadata)
            return cls(decay=OLD_DECAY)
        if not isinstance(metadata, Mapping):
            raise WeightsError("checkpoint's prompt settings", expected="an object or a text", got=_short(metadata))
        _check_class(metadata.get("inference_class", SESSION_CLASS))
        mapping = _known(metadata.get("channel_mapping", {}), (*KINDS, PREVIOUS), "channel_mapping")
        raw_pairs: dict[str, Any] = {**_channels(), **{k: v for k, v in mapping.items() if k != PREVIOUS}}
        pairs = {kind: _pair(kind, value) for kind, value in raw_pairs.items()}
        previous = _integer(mapping.get(PREVIOUS, 0), "channel of the previous mask", -64, 63)
        channels = _channel_count(metadata, [previous, *(c for pair in pairs.values() for c in pair)])
        supported = _known(metadata.get("supported_interactions", {}), KINDS, "supported_interactions")
        default = cls()
        return cls(
            point_radius=_integer(metadata.get("point_radius", default.point_radius), "point_radius", 1, 64),
            scribble_thickness=_thickness(metadata.get("preferred_scribble_thickness", default.scribble_thickness)),
            decay=_decay(metadata.get("interaction_decay", default.decay)),
            channels=channels,
            previous=_counted(previous, channels),
            pairs={kind: (_counted(a, channels), _counted(b, channels)) for kind, (a, b) in pairs.items()},
            supported={**_supported(), **{kind: _flag(value, kind) for kind, value in supported.items()}},
            takes_mask=_flag(metadata.get("supports_initial_label", True), "supports_initial_label"),
            refines_mask=_flag(
                metadata.get("supports_zero_shot_label_refinement", True), "supports_zero_shot_label_refinement"
            ),
            padding=str(metadata.get("pad_mode_image", default.padding)),
            painting=_painting(metadata.get("painting", default.painting)),
        )


def _painting(value: object) -> Painting:
    if value == "fading" or value == "solid":  # noqa: PLR1714, a type checker follows these
        return value
    raise WeightsError("checkpoint's painting", expected=f"one of {', '.join(get_args(Painting))}", got=_short(value))


def _check_class(name: object) -> None:
    if name != SESSION_CLASS:
        raise WeightsError("checkpoint's inference class", expected=SESSION_CLASS, got=_short(name))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _known(value: object, names: tuple[str, ...], what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not set(value) <= set(names):
        raise WeightsError(
            f"checkpoint's {what}", expected=f"an object with {', '.join(names)} at most", got=_short(value)
        )
    return value


def _number(value: object, what: str) -> float:
    # bool is an int in Python, but no length and no factor.
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise WeightsError(f"checkpoint's {what}", expected="a number", got=_short(value))
    return float(value)


def _integer(value: object, what: str, low: int, high: int) -> int:
    number = _number(value, what)
    if number != int(number) or not low <= number <= high:
        raise WeightsError(f"checkpoint's {what}", expected=f"a whole number, {low} to {high}", got=_short(value))
    return int(number)


def _flag(value: object, what: str) -> bool:
    if not isinstance(value, bool):
        raise WeightsError(f"checkpoint's {what}", expected="true or false", got=_short(value))
    return value


def _decay(value: object) -> float:
    number = _number(value, "interaction_decay")
    if not 0 < number <= 1:
        raise WeightsError("checkpoint's interaction_decay", expected="above 0, 1 at most", got=_short(value))
    return number


def _thickness(value: object) -> tuple[float, ...]:
    # One number stands for all axes.
    axes = list(value) if isinstance(value, list | tuple) else [value] * 3
    numbers = tuple(_number(v, "preferred_scribble_thickness") for v in axes)
    if len(numbers) != 3 or min(numbers) <= 0:
        raise WeightsError(
            "checkpoint's preferred_scribble_thickness", expected="1 or 3 numbers above 0", got=_short(value)
        )
    return numbers


def _pair(kind: str, value: object) -> tuple[int, int]:
    what = f"channels of '{kind}'"
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise WeightsError(f"checkpoint's {what}", expected="two numbers, positive and negative", got=_short(value))
    return _integer(value[0], what, -64, 63), _integer(value[1], what, -64, 63)


def _channel_count(metadata: Mapping[str, Any], used: list[int]) -> int:
    """Return channels beside the image. The file counts those of prompts alone, without the previous mask."""
    if "interaction_channels" in metadata:
        count = _integer(metadata["interaction_channels"], "interaction_channels", 1, 63) + 1
    else:
        count = max(max(used) + 1, -min(used))
    if any(not -count <= c < count for c in used):
        raise WeightsError("checkpoint's channel_mapping", expected=f"channels below {count}", got=sorted(used))
    return count


def _counted(channel: int, channels: int) -> int:
    """Channels may be counted from the last one, as negative numbers."""
    return channel % channels
