"""The prompts that requests of MONAI Label's clients state: clicks, boxes, and scribbles painted in a label map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bedside.core.errors import PromptError
from bedside.core.prompts import Box, Point, Prompt
from bedside.serve.drawn import painted_scribble

if TYPE_CHECKING:
    from bedside.io.dicom.segments import Segment

_FAR = 1e9
_SEGMENTS = (("foreground_scribbles", True, 3), ("background_scribbles", False, 2))
"""The segments that clients paint in, and the values that they have where a request does not say."""


def _numbers(value: object, counts: tuple[int, ...], what: str) -> list[float]:
    numbers = value if isinstance(value, list) else []
    fine = all(isinstance(n, int | float) and not isinstance(n, bool) and abs(n) < _FAR for n in numbers)
    if not fine or len(numbers) not in counts:
        raise PromptError(what, expected=f"{' or '.join(map(str, counts))} numbers", got=repr(value)[:80])
    return numbers


def _box_in(params: Mapping[str, Any], axes: int) -> list[Prompt]:
    if not params.get("roi"):
        return []
    ends = _numbers(params["roi"], (6,) if axes == 3 else (4, 6), "roi")
    pairs = [ends[0::2], ends[1::2]] if len(ends) == 4 else [ends[0:2], ends[2:4], ends[4:6]]
    low, high = zip(*[(min(pair), max(pair) + 1) for pair in pairs[:axes]], strict=True)
    return [Box(low, high)]


def clicks_in(params: Mapping[str, Any], axes: int) -> list[Prompt]:
    """Return the prompts that a request states: the box, then clicks on the object, then those on the background.

    Args:
        params: Of the request. ``roi`` is (x0, x1, y0, y1, z0, z1) in volumes and (x0, y0, x1, y1) in pictures, both
            ends part of the box and in any order; clients of volumes show pictures as volumes of one slice.
        axes: Of the image.

    Raises:
        PromptError: They are none, or not of this form.
    """
    found: list[Prompt] = _box_in(params, axes)
    for field, positive in (("foreground", True), ("background", False)):
        clicks = params.get(field) or []
        if not isinstance(clicks, list):
            raise PromptError(field, expected="a list of points", got=repr(clicks)[:80])
        places = [_numbers(click, (3,) if axes == 3 else (2, 3), field) for click in clicks]
        found += [Point(tuple(place[:axes]), positive) for place in places]
    if not found:
        raise PromptError("request", expected="points in 'foreground', or a box in 'roi'", got="none")
    return found


def scribbles_in(params: Mapping[str, Any], segments: Sequence[Segment], axes: int) -> list[Prompt]:
    """Return the prompts that a request with a label map states: the box, then scribbles on the object and not on it.

    Args:
        params: Of the request. ``label_info`` lists the segments of the label map by "name" and "id", ``roi`` is as in
            ``clicks_in``.
        segments: Of the label map; those of other names are not looked at.
        axes: Of the image.

    Raises:
        PromptError: They are none, or not of this form.
    """
    listed = params.get("label_info") or []
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise PromptError("label_info", expected="a list of segments", got=repr(listed)[:80])
    values = {str(one.get("name")): one.get("id") for one in listed}
    found: list[Prompt] = _box_in(params, axes)
    for name, positive, usual in _SEGMENTS:
        value = values.get(name, usual)
        found += [painted_scribble(s.patch, s.region.start, positive) for s in segments if s.label == value]
    if not found:
        raise PromptError("label", expected="voxels painted in the segment foreground_scribbles", got="none")
    return found
