"""Cases of the CVPR challenges: "MedSAM on Laptop" (2024, boxes) and interactive 3D segmentation (2025)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import FormatError, PromptError
from bedside.core.geometry import Geometry
from bedside.core.image import Image, drop_channels, looks_like_channels
from bedside.core.prompts import Box, Point
from bedside.io.npz import load_members, member_names
from bedside.io.quiet import quiet
from bedside.io.samples import as_labels, native
from bedside.io.translating import translated

IMAGE_KEYS = ("imgs", "spacing")
LABEL_KEYS = ("segs", "gts", "prev_pred")
"""Members that hold a label map, the first that is there counts."""

_TITLE = "a challenge case"
_PROMPT_KEYS = ("boxes", "clicks", "clicks_order", "prev_pred", "gts")
_MODALITIES = {
    **{name.lower(): name for name in ("CT", "MR", "PET", "US", "X-Ray", "OCT", "Dermoscopy", "Endoscopy", "Fundus")},
    **{"xray": "X-Ray", "microscope": "Microscopy", "microscopy": "Microscopy"},
    **{"mammo": "Mammography", "mammography": "Mammography"},
}


@dataclass(frozen=True, eq=False)
class ChallengeCase:
    """A case with its prompts, one entry per object, where the i-th object is labelled i + 1 in the prediction.

    Attributes:
        name: File name without its suffix.
        image: (y, x, 3) or (z, y, x); ``modality`` is taken from the name.
        boxes: Half-open, in the frame ``index``; None for an object without a box. In the 2025 form x and y are
            the extent on the middle slice only, so the object may reach beyond them on other slices.
        middle_slices: The slice z on which a 2025 box was measured; None in the 2024 form.
        clicks: All clicks so far on each object, in the order in which they were made.
        clicks_order: "fg" or "bg" of each round, None for a round in which the object had no error.
        previous: The label map of the round before, uint8 or uint16; None in the first.
        ground_truth: Label map; None where it is withheld.
    """

    name: str
    image: Image
    boxes: tuple[Box | None, ...] = ()
    middle_slices: tuple[int | None, ...] = ()
    clicks: tuple[tuple[Point, ...], ...] = ()
    clicks_order: tuple[tuple[str | None, ...], ...] = ()
    previous: NDArray[Any] | None = None
    ground_truth: NDArray[Any] | None = None

    @property
    def objects(self) -> int:
        """How many objects have prompts."""
        return max(len(self.boxes), len(self.clicks))


def read_case(path: str | Path) -> ChallengeCase:
    """Return a case of either challenge.

    Raises:
        FormatError: The file is missing or damaged, lacks ``imgs``, or holds prompts of an unknown form.
    """
    file = Path(path)
    if not file.is_file():
        raise FormatError(f"{file}", expected="an existing .npz file", got="nothing there")
    with translated(file, _TITLE), quiet():
        members = load_members(file, {*IMAGE_KEYS, *_PROMPT_KEYS})
        image = image_of(file, members)
        return _case(file, image, members)


def read_labels(path: str | Path, key: str) -> Image:
    """Return one label map of an archive with the geometry that its ``spacing`` tells.

    Args:
        path: A .npz file.
        key: Member that holds the labels: "gts" of a truth, "segs" of a prediction.

    Raises:
        FormatError: The file is missing or damaged, or has no such member.
    """
    file = Path(path)
    if not file.is_file():
        raise FormatError(f"{file}", expected="an existing .npz file", got="nothing there")
    with translated(file, _TITLE):
        members = load_members(file, (key, "spacing"))
        if key not in members:
            raise FormatError(f"{file}", expected=f"an array '{key}'", got=", ".join(member_names(file)) or "nothing")
        array = as_labels(np.asarray(members[key]), f"{file}: '{key}'")
        return Image(array, geometry_of(array.shape, members.get("spacing")), modality_of(file.stem), str(file))


def image_of(path: Path, members: Mapping[str, Any]) -> Image:
    """Return the image of a case, given its members ``imgs`` and ``spacing``.

    Raises:
        FormatError: There is no ``imgs``.
    """
    if "imgs" not in members:
        raise FormatError(f"{path}", expected="an array 'imgs'", got=f"{', '.join(member_names(path)) or 'nothing'}")
    spacing = members.get("spacing")
    array = _without_channels(path, native(np.asarray(members["imgs"])), spacing is not None and np.size(spacing) == 3)
    spatial = array.shape[:2] if array.ndim == 2 or array.shape[-1] == 3 else array.shape
    geometry = geometry_of(spatial, spacing)
    return Image(array, geometry, modality=modality_of(path.stem), source=str(path))


def _without_channels(path: Path, array: NDArray[Any], volume: bool) -> NDArray[Any]:
    """Return samples (y, x), (y, x, 3) or (z, y, x) of what was stored with one or four channels.

    Args:
        path: For messages.
        array: As stored.
        volume: The file states three spacings, so that three axes are those of a volume.

    Raises:
        FormatError: Channels that are neither grey nor colour.
    """
    if array.ndim == 4 and array.shape[-1] == 1:
        return array[..., 0]
    if array.ndim == 4:
        raise FormatError(
            f"{path}: imgs of shape {array.shape}", expected="a picture or a grey volume", got="a volume with channels"
        )
    if array.ndim != 3 or volume or not looks_like_channels(array.shape):
        return array
    return drop_channels(array, f"{path}: imgs")


def geometry_of(shape: tuple[int, ...], spacing: Any) -> Geometry:
    """Return the grid of a case; ``spacing`` is in (x, y, z) order although arrays are (z, y, x), or None if
    unknown.
    """
    values = np.ravel(spacing).astype(float)[: len(shape)] if spacing is not None else np.empty(0)
    usable = len(values) == len(shape) and np.all(np.isfinite(values)) and np.all(values > 0)
    return Geometry.create(shape, values.tolist() if usable else None)


def modality_of(name: str) -> str | None:
    """Return the modality that a case's name says, as in ``CT_AbdomenCT1K_1`` or ``2DBox_X-Ray_0001``; None if none."""
    parts = name.lower().split("_")
    return next((_MODALITIES[part] for part in parts[:2] if part in _MODALITIES), None)


def _case(path: Path, image: Image, members: Mapping[str, Any]) -> ChallengeCase:
    boxes = [_box(b) for b in _entries(members.get("boxes"))]
    orders = [
        tuple(None if kind is None else str(kind) for kind in _entries(order))
        for order in _entries(members.get("clicks_order"))
    ]
    clicks = _entries(members.get("clicks"))
    padded = [*orders, *[()] * (len(clicks) - len(orders))]
    labels = {
        key: _one_channel(as_labels(np.asarray(members[key]), f"{path}: '{key}'"), image) if key in members else None
        for key in ("prev_pred", "gts")
    }
    for key, array in labels.items():
        if array is not None and array.shape != image.shape:
            raise FormatError(f"{path}: '{key}'", expected=f"the image's shape {image.shape}", got=array.shape)
    return ChallengeCase(
        name=path.stem,
        image=image,
        boxes=tuple(box for box, _ in boxes),
        middle_slices=tuple(middle for _, middle in boxes),
        clicks=tuple(_in_order(c, order) for c, order in zip(clicks, padded, strict=False)),
        clicks_order=tuple(orders),
        previous=labels["prev_pred"],
        ground_truth=labels["gts"],
    )


def _one_channel(labels: NDArray[Any], image: Image) -> NDArray[Any]:
    """Return labels of a picture whose channel was kept, without it."""
    return labels[..., 0] if labels.shape == (*image.shape, 1) else labels


def _entries(value: Any) -> list[Any]:
    """Return one entry per object of a member that is a list, an object array, or an array of rows."""
    if value is None:
        return []
    return list(value) if isinstance(value, Sequence | np.ndarray) else [value]


def _box(entry: Any) -> tuple[Box | None, int | None]:
    """Return a closed box in either form as a half-open one, and its middle slice."""
    # Published cases mark a class without a box in either way.
    if entry is None or (isinstance(entry, Mapping) and not entry):
        return None, None
    if isinstance(entry, Mapping):
        try:
            low = [int(entry[k]) for k in ("z_mid_x_min", "z_mid_y_min", "z_min")]
            high = [int(entry[k]) for k in ("z_mid_x_max", "z_mid_y_max", "z_max")]
        except KeyError as error:
            raise PromptError("box", expected=f"the field {error}", got=f"{', '.join(map(str, entry))}") from error
        return _half_open(low, high), int(entry["z_mid"]) if "z_mid" in entry else None
    corners = [float(v) for v in np.ravel(entry)]
    if len(corners) not in (4, 6):
        raise PromptError("box", expected="4 or 6 numbers", got=len(corners))
    return _half_open(corners[: len(corners) // 2], corners[len(corners) // 2 :]), None


def _half_open(low: Sequence[float], high: Sequence[float]) -> Box:
    return Box(tuple(low), tuple(v + 1 for v in high))


def _in_order(clicks: Any, order: Iterable[str | None]) -> tuple[Point, ...]:
    """Return the clicks on one object in the order of its rounds; those that the order does not name come last."""
    waiting = {kind: [_point(c, kind == "fg") for c in _entries((clicks or {}).get(kind))] for kind in ("fg", "bg")}
    made = [waiting[kind].pop(0) for kind in order if kind is not None and waiting.get(kind)]
    return (*made, *waiting["fg"], *waiting["bg"])


def _point(index: Sequence[float], positive: bool) -> Point:
    """Return a click that is stored in array order, (z, y, x) or (y, x)."""
    return Point(tuple(float(v) for v in index)[::-1], positive)
