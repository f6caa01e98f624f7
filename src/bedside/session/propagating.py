"""A slice's mask carried along slices or time frames, as one event that undo takes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bedside.core.errors import InputError
from bedside.core.image import Image
from bedside.core.mask import PackedMask
from bedside.core.prompts import InitialMask, Prompt
from bedside.core.region import Region
from bedside.core.stopping import take_change
from bedside.session.objects import ObjectState
from bedside.session.opening import open_segmenter
from bedside.session.stopping import Stopping
from bedside.weights.defaults import IMAGES

if TYPE_CHECKING:
    from bedside.engines.propagation import Reason
    from bedside.engines.protocol import Segmenter


@dataclass(frozen=True)
class Propagation:
    """What became of a mask that was carried along.

    Attributes:
        region: In which the object's mask changed.
        axis: Across which the slices lie, in array order.
        start: The slice that it began with.
        first: The first slice that has a mask of it now.
        last: The last one.
        low: Why it stopped there: "end" of what was asked for, "empty", "quality" or "overlap".
        high: Why it stopped at the last.
    """

    region: Region
    axis: int
    start: int
    first: int
    last: int
    low: Reason
    high: Reason


class Propagating(Stopping):
    """Carrying masks along; a part of ``Session``."""

    image: Image
    _device: str

    def _state(self, object_id: int | None) -> ObjectState:
        raise NotImplementedError

    def add(self, prompt: Prompt, *, predict: bool = True, object_id: int | None = None) -> Region | None:
        """Add a prompt; see ``Session.add``."""
        raise NotImplementedError

    def propagate(
        self,
        start: int | None = None,
        *,
        axis: int | None = None,
        first: int | None = None,
        last: int | None = None,
        quality: float | None = None,
        overlap: float | None = None,
        object_id: int | None = None,
        segmenter: Segmenter | None = None,
        report: Callable[[int], None] = lambda _: None,
    ) -> Propagation:
        """Carry an object's mask on one slice to the slices, or the frames of a film, on both sides of it.

        The mask of each slice is the prompt of the next. What was taken on a slice replaces the object's mask there;
        other slices stay. It is one event of the journal, a mask, so that ``undo`` takes all of it back.

        Args:
            start: The slice to begin with; by default the one on which most of the object lies.
            axis: Across which the slices lie, 0 to 2 in array order (z, y, x); by default the one along which the mask
                is one voxel thick, else that of the largest spacing.
            first: Go no further down than this slice.
            last: Go no further up than this one.
            quality: Estimated DSC of a slice's mask below which it is not taken and nothing follows.
            overlap: Intersection over union with the slice before below which it is not taken and nothing follows.
            object_id: The object; the current one by default.
            segmenter: Predicts the slices; by default the bundled model for images.
            report: Called with the number of each slice that was asked.

        Raises:
            InputError: A picture, an empty slice, or a number out of range.
            StoppedError: ``cancel`` was called; nothing has changed.

        Example:
            >>> session.set_mask(drawn_on_one_slice)
            >>> session.propagate(last=40).high
            'overlap'
        """
        from bedside.engines.propagation import Limits, carry

        state = self._state(object_id)
        if self.image.ndim != 3:
            raise InputError("propagation", expected="a volume or a film", got="a picture")
        if state.mask.region.is_empty:
            raise InputError("propagation", expected="a mask on at least one slice", got="an empty object")
        along = self._axis(state.mask, axis)
        depth = self.image.shape[along]
        begin = _fullest(state.mask, along) if start is None else _checked("start", start, 0, depth - 1)
        low = _checked("first", 0 if first is None else first, 0, begin)
        high = _checked("last", depth - 1 if last is None else last, begin, depth - 1)
        usual = Limits()
        limits = Limits(
            _share("quality", usual.quality if quality is None else quality),
            _share("overlap", usual.overlap if overlap is None else overlap),
        )
        mask = np.zeros(self.image.shape, dtype=np.uint8)
        mask[state.mask.region.slices] = state.mask.patch()
        planes = np.moveaxis(mask, along, 0)
        if not planes[begin].any():
            raise InputError("propagation", expected="a slice with a mask", got=f"slice {begin} without")
        plane = segmenter or open_segmenter(IMAGES, self._device)
        with self._may_stop():
            carried = carry(
                plane, self.image, np.ascontiguousarray(planes[begin]), begin,
                axis=along, first=low, last=high, limits=limits, report=report,
            )  # fmt: skip
        for index, found in carried.masks.items():
            planes[index] = found
        changed = Region.empty(3)
        whole = PackedMask.of_patch(mask, Region.whole(mask.shape))
        if whole != state.mask:
            given = InitialMask.of_patch(whole.patch(), whole.region, mask.shape)
            changed = self.add(given, object_id=state.journal.id) or changed
        take_change()
        taken = [begin, *carried.masks]
        return Propagation(changed, along, begin, min(taken), max(taken), carried.low, carried.high)

    def _axis(self, mask: PackedMask, axis: int | None) -> int:
        if axis is not None:
            return _checked("axis", axis, 0, 2)
        thin = [a for a, n in enumerate(mask.region.shape) if n == 1]
        if len(thin) == 1:
            return thin[0]
        return int(np.argmax(self.image.geometry.array_spacing))


def _fullest(mask: PackedMask, axis: int) -> int:
    sizes = mask.patch().sum(axis=tuple(a for a in range(3) if a != axis), dtype=np.int64)
    return int(sizes.argmax()) + mask.region.start[axis]


def _checked(what: str, value: int, least: int, most: int) -> int:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or not least <= value <= most:
        raise InputError(
            f"propagation: {what}", expected=f"a whole number from {least} to {most}", got=repr(value)[:40]
        )
    return int(value)


def _share(what: str, value: float) -> float:
    if not isinstance(value, int | float | np.number) or isinstance(value, bool) or not 0 <= value <= 1:
        raise InputError(f"propagation: {what}", expected="a number from 0 to 1", got=repr(value)[:40])
    return float(value)
