"""From the frames of a series to its volumes: parts of one direction and size, divided by what differs at a place."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import FormatError
from bedside.core.geometry import DIRECTION_TOLERANCE, Geometry
from bedside.io.dicom.attributes import ONE_VOLUME, TIMES, VALUES
from bedside.io.dicom.frame import Frame
from bedside.io.dicom.headers import natural
from bedside.io.dicom.stack import (
    DRIFT_TOLERANCE,
    SAME_POSITION,
    along,
    axes_of,
    far_apart,
    is_regular,
    listed,
    normal_of,
    rounding_of,
    stack_geometry,
)
from bedside.io.dicom.times import CLOCKS, clock

PLACE_IN_PLANE = "place in the plane"
ORDER = "InstanceNumber"
FINE = 0.02
"""Part of a pixel within which slices lie at the same place, where that is less than ``SAME_POSITION``."""
_LISTED = 5
_BY_STACK = ("StackID", "SliceThickness", "ImageType", "FlipAngle", "ConvolutionKernel", "AcquisitionNumber")
"""Attributes by which stacks that follow each other along the normal are told apart."""


@dataclass(frozen=True, eq=False)
class Volume:
    """One volume or picture of a series.

    Attributes:
        frames: Its slices, in the order of their positions; one for a picture.
        geometry: Its grid; None for a picture without a position, or where there is a problem.
        name: What it has and its neighbours do not: "EchoTime 4.6"; "" where it stands alone.
        problem: Why it cannot be read; None where it can.
    """

    frames: tuple[Frame, ...]
    geometry: Geometry | None = None
    name: str = ""
    problem: FormatError | None = None

    @property
    def is_stack(self) -> bool:
        """Whether it has several slices."""
        return len(self.frames) > 1

    def __str__(self) -> str:
        rows, columns = self.frames[0].shape
        count = len(self.frames)
        kind = f"{_plane(self.frames[0])} {'localizer ' if self.frames[0].localizer else ''}"
        if self.frames[0].position is None:
            size = f"picture of {rows} x {columns} without a position"
        else:
            size = f"{count} {kind}slice{'s' if count != 1 else ''} of {rows} x {columns}"
        spacing = self.geometry.spacing if self.geometry is not None and self.geometry.spacing_known else ()
        parts = [size, " x ".join(f"{s:.4g}" for s in spacing) + " mm" if spacing else "", self.name]
        problem = f" ({self._short_problem()})" if self.problem is not None else ""
        return ", ".join(part for part in parts if part) + problem

    def _short_problem(self) -> str:
        what = self.problem.what if self.problem is not None else ""
        return what.split(": ", 1)[-1]


def volumes_of(path: Path, frames: Sequence[Frame]) -> list[Volume]:
    """Return all volumes of a series: stacks first, then single slices, then pictures without a position.

    Args:
        path: For messages.
        frames: At least one, in no order.
    """
    found: list[Volume] = []
    for part in _parts([f for f in frames if f.position is not None]):
        found += [_volume(path, group, name) for name, group in _split(path, part)]
    stacks = [v for v in found if v.is_stack or v.problem is not None]
    singles = [v for v in found if not (v.is_stack or v.problem is not None)]
    lost = sorted((f for f in frames if f.position is None), key=_natural_order)
    return [*stacks, *singles, *(Volume((frame,), problem=frame.storage.problem) for frame in lost)]


def main_volume(volumes: Sequence[Volume]) -> Volume | None:
    """Return the one that a series is about; None where that is a matter of choice.

    A stack of slices beside a few images that are none (localizers, a screenshot) is what the series is about.
    """
    if len(volumes) == 1:
        return volumes[0]
    stacks = [v for v in volumes if v.is_stack]
    # Three localizers side by side look like a stack.
    stacks = [v for v in stacks if not v.frames[0].localizer] or stacks
    if len(stacks) != 1:
        return None
    others = len(volumes) - 1
    return stacks[0] if len(stacks[0].frames) >= max(3, 2 * others) else None


def listing(volumes: Sequence[Volume]) -> list[str]:
    """Return what there is to choose from, each with its number; runs of like pictures are told as one."""
    lines: list[str] = []
    start = 0
    while start < len(volumes):
        stop = start + 1
        while (
            stop < len(volumes)
            and volumes[stop].frames[0].position is None
            and str(volumes[stop]) == str(volumes[start])
        ):
            stop += 1
        lines.append(f"{start}: {volumes[start]}" if stop == start + 1 else f"{start} to {stop - 1}: {volumes[start]}")
        start = stop
    return lines


def _natural_order(frame: Frame) -> tuple[Any, ...]:
    return (frame.number if frame.number is not None else -1, natural(str(frame.path)), frame.index)


def _volume(path: Path, frames: Sequence[Frame], name: str | FormatError) -> Volume:
    if isinstance(name, FormatError):
        return Volume(tuple(frames), problem=name)
    problem = next((f.storage.problem for f in frames if f.storage.problem is not None), None)
    if problem is not None:
        return Volume(tuple(frames), name=name, problem=problem)
    try:
        ordered, geometry = stack_geometry(path, frames)
    except FormatError as error:
        return Volume(tuple(frames), name=name, problem=error)
    return Volume(tuple(ordered), geometry, name)


def _plane(frame: Frame) -> str:
    """Return the plane of the body that a slice is nearest to."""
    try:
        normal = np.abs(normal_of(frame))
    except FormatError:
        return "unoriented"
    name = ("sagittal", "coronal", "axial")[int(normal.argmax())]
    return name if normal.max() > 0.95 else f"oblique {name}"


# Parts


def _parts(frames: Iterable[Frame]) -> list[list[Frame]]:
    """Return frames alike in size, channels, direction and pixel spacing; localizers apart. The largest part comes
    first.
    """
    parts: list[list[Frame]] = []
    for frame in sorted(frames, key=_natural_order):
        part = next((p for p in parts if _alike(p[0], frame)), None)
        if part is None:
            parts.append([frame])
        else:
            part.append(frame)
    return sorted(parts, key=lambda p: (p[0].localizer, -len(p)))


def _alike(first: Frame, frame: Frame) -> bool:
    if (first.shape, first.colour, first.localizer) != (frame.shape, frame.colour, frame.localizer):
        return False
    if not np.allclose(frame.pixel_spacing or 0.0, first.pixel_spacing or 0.0, rtol=1e-3):
        return False
    if frame.orientation is None or first.orientation is None:
        return frame.orientation is first.orientation
    return bool(np.abs(frame.orientation - first.orientation).max() <= DIRECTION_TOLERANCE)


# Volumes of a part

Groups = list[tuple[tuple[tuple[str, Any], ...], list[int]]]
"""Classes of frames: what they have in common, and which they are."""


@dataclass
class _Places:
    """The frames of a part with the position that each shares with others, and what tells them apart."""

    frames: Sequence[Frame]
    place: NDArray[np.intp]
    in_plane: NDArray[np.intp]
    names: list[str] = field(default_factory=list)

    def value(self, index: int, name: str) -> Hashable:
        return int(self.in_plane[index]) if name == PLACE_IN_PLANE else self.frames[index].attributes.get(name)

    def crowded(self, group: Sequence[int]) -> bool:
        """Return whether two frames of a group lie at one position."""
        return len(set(self.place[group].tolist())) < len(group)


def _split(path: Path, frames: list[Frame]) -> list[tuple[str | FormatError, list[Frame]]]:
    """Return the volumes of a part, each with its name, or with what is wrong."""
    try:
        axes_of(frames[0])
    except FormatError as error:
        return [(error, frames)]
    places = _places(frames)
    groups = _by_attributes(places, [((), list(range(len(frames))))])
    if any(places.crowded(group) for _, group in groups):
        groups = _by_order(places, groups)
    groups = _of_one_kind(places, groups)
    result: list[tuple[str | FormatError, list[Frame]]] = []
    for label, group in sorted(groups, key=lambda g: _rank(places, *g)):
        members = [frames[i] for i in group]
        if places.crowded(group):
            result.append((_duplicated(path, places, group), members))
        else:
            said = [(key, value) for key, value in label if value is not None] or label[:1]
            name = ", ".join(f"{key} {_shown(value, key)}" for key, value in said)
            result += [(part_name, part) for part_name, part in _stacks(name, members)]
    return result


def _places(frames: list[Frame]) -> _Places:
    normal = normal_of(frames[0])
    where = np.array([along(f, normal) for f in frames])
    order = np.argsort(where, kind="stable")
    # Slices of a microscope lie closer than what is the same place in a patient.
    same = min(SAME_POSITION, FINE * min(frames[0].pixel_spacing or (1.0, 1.0)))
    tolerance = max(same, rounding_of(frames, normal))
    gaps = np.diff(where[order])
    apart = gaps[gaps > same]
    # Echoes may be written with different digits, but slices must not run together.
    if len(apart):
        tolerance = min(tolerance, max(same, float(np.median(apart)) / 4))
    place = np.empty(len(frames), dtype=np.intp)
    place[order] = np.concatenate([[0], np.cumsum(gaps > tolerance)])
    return _Places(frames, place, _clusters_beside(frames, normal))


def _clusters_beside(frames: list[Frame], normal: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return number of the place beside the normal at which each frame lies: two knees in one series are two stacks."""
    positions = np.array([f.position for f in frames])
    beside = positions - (positions @ normal)[:, None] * normal
    reach = max(DRIFT_TOLERANCE * min(frames[0].pixel_spacing or (1.0, 1.0)), 1e-3)
    centres: list[NDArray[np.float64]] = []
    numbers = np.empty(len(frames), dtype=np.intp)
    for number, point in enumerate(beside):
        distances = [float(np.linalg.norm(point - centre)) for centre in centres]
        nearest = int(np.argmin(distances)) if distances else -1
        if nearest < 0 or distances[nearest] > reach:
            centres.append(point)
            nearest = len(centres) - 1
        numbers[number] = nearest
    return numbers


def _by_attributes(places: _Places, groups: Groups) -> Groups:
    """Return groups refined by one attribute after the other until every position holds one slice of each."""
    dimensions = sorted({k for f in places.frames for k in f.attributes if k.startswith("dimension ")})
    for name in (PLACE_IN_PLANE, *dimensions, *VALUES):
        if not any(places.crowded(group) for _, group in groups):
            break
        refined: Groups = []
        for label, group in groups:
            refined += _refined(places, label, group, name) if places.crowded(group) else [(label, group)]
        groups = refined
    return [piece for label, group in groups for piece in _in_time(places, label, group)]


def _refined(places: _Places, label: tuple[tuple[str, Any], ...], group: list[int], name: str) -> Groups:
    """Return a group divided by an attribute, if that tells apart frames at one position; else the group itself."""
    classes: dict[Hashable, list[int]] = {}
    for index in group:
        classes.setdefault(places.value(index, name), []).append(index)
    kept: Groups = [(label, group)]
    if len(classes) < 2:
        return kept
    positions = len(set(places.place[group].tolist()))
    distinct = sum(len(set(places.place[part].tolist())) for part in classes.values())
    # Every position would be counted once if the classes lay side by side.
    if distinct <= positions:
        return kept
    # Values that differ from slice to slice, as times do, make no volumes.
    if positions > 1 and len(group) / len(classes) < max(2.0, 0.5 * positions):
        return kept
    return [((*label, (name, value)), part) for value, part in classes.items()]


def _in_time(places: _Places, label: tuple[tuple[str, Any], ...], group: list[int]) -> Groups:
    """Return a group divided by the order of a time at each position, where every position was taken equally often."""
    if not places.crowded(group):
        return [(label, group)]
    counts = np.unique(places.place[group], return_counts=True)[1]
    if counts.min() != counts.max():
        return [(label, group)]
    for name in TIMES:
        values = [places.value(i, name) for i in group]
        if any(v is None for v in values) or len({type(v) for v in values}) > 1:
            continue
        ranked = _ranks(places, group, values)
        if ranked is not None:
            moments: Groups = []
            for number in range(int(counts[0])):
                moments.append(
                    (
                        (*label, (name, f"{number + 1} of {counts[0]}")),
                        [i for i, r in zip(group, ranked, strict=True) if r == number],
                    )
                )
            return moments
    return [(label, group)]


def _ranks(places: _Places, group: list[int], values: Sequence[Any]) -> list[int] | None:
    """Place of each frame's value among those at its position; None where two are equal."""
    at: dict[int, list[Any]] = {}
    for index, value in zip(group, values, strict=True):
        at.setdefault(int(places.place[index]), []).append(value)
    if any(len(set(found)) < len(found) for found in at.values()):
        return None
    ordered = {place: sorted(found) for place, found in at.items()}
    return [ordered[int(places.place[i])].index(v) for i, v in zip(group, values, strict=True)]


def _by_order(places: _Places, groups: Groups) -> Groups:
    """Return groups that no attribute divides, divided by InstanceNumber where its order leaves no doubt."""
    result: Groups = []
    for label, group in groups:
        numbers = [places.frames[i].number for i in group]
        counts = np.unique(places.place[group], return_counts=True)[1]
        known = [n for n in numbers if n is not None]
        clear = len(set(known)) == len(group) and counts.min() == counts.max() and counts[0] > 1
        ranked = _ranks(places, group, known) if clear else None
        if ranked is None or not _consistent(places, group, known, ranked):
            result.append((label, group))
            continue
        for number in range(int(counts[0])):
            part = [i for i, r in zip(group, ranked, strict=True) if r == number]
            result.append(((*label, (ORDER, f"{number + 1} of {counts[0]}")), part))
    return result


def _consistent(places: _Places, group: list[int], numbers: list[int], ranked: list[int]) -> bool:
    """Return whether volumes follow each other in number, or the slices of one position do, all in one direction."""
    order = np.argsort(numbers)
    ranks, position = np.array(ranked)[order], places.place[group][order]
    count = int(ranks.max()) + 1
    slices = len(ranks) // count
    one_after_the_other = bool(np.all(np.diff(ranks) >= 0))
    if one_after_the_other:
        passes = position.reshape(count, slices)
        return bool(np.all(passes == passes[0])) or slices == 1
    side_by_side = bool(np.all(ranks.reshape(slices, count) == np.arange(count)))
    return side_by_side and bool(np.all(position.reshape(slices, count) == position.reshape(slices, count)[:, :1]))


def _of_one_kind(places: _Places, groups: Groups) -> Groups:
    """Groups divided by what a volume cannot have two of, even where no position holds two slices."""
    for name in ONE_VOLUME:
        refined: Groups = []
        for label, group in groups:
            classes: dict[Hashable, list[int]] = {}
            for index in group:
                classes.setdefault(_nearly(places.value(index, name), classes), []).append(index)
            # Careless anonymisation gives each slice a frame of reference of its own.
            careless = name == "FrameOfReferenceUID" and 2 * len(classes) > len(group)
            if len(classes) > 1 and not careless:
                refined += [((*label, (name, value)), part) for value, part in classes.items()]
            else:
                refined.append((label, group))
        groups = refined
    return groups


def _nearly(value: Hashable, known: Iterable[Hashable]) -> Hashable:
    """Return a value that was seen already and differs by less than one percent, or the value."""
    if not isinstance(value, float):
        return value
    return next((k for k in known if isinstance(k, float) and abs(k - value) <= 0.01 * max(abs(k), abs(value))), value)


def _stacks(name: str, frames: list[Frame]) -> list[tuple[str, list[Frame]]]:
    """Return frames at different positions as one stack; as several where only these are regular, each with its own
    value.
    """
    if len(frames) < 4 or is_regular(frames):
        return [(name, frames)]
    for attribute in _BY_STACK:
        classes: dict[Hashable, list[Frame]] = {}
        for frame in frames:
            classes.setdefault(frame.attributes.get(attribute), []).append(frame)
        if not 1 < len(classes) <= len(frames) // 2 or any(len(c) < 2 or not is_regular(c) for c in classes.values()):
            continue
        if attribute != "AcquisitionNumber" or far_apart(list(classes.values())):
            return [
                (", ".join(filter(None, (name, f"{attribute} {_shown(value, attribute)}"))), part)
                for value, part in sorted(classes.items(), key=lambda item: str(item[0]))
            ]
    return [(name, frames)]


def _duplicated(path: Path, places: _Places, group: list[int]) -> FormatError:
    """Return the error of several slices at one place that nothing tells apart."""
    normal = normal_of(places.frames[0])
    at: dict[int, list[Frame]] = {}
    for index in group:
        at.setdefault(int(places.place[index]), []).append(places.frames[index])
    doubled = [sorted(at[p], key=_natural_order) for p in sorted(at) if len(at[p]) > 1]
    named = [f"{along(g[0], normal):.2f} mm ({', '.join(f.name for f in g[:3])})" for g in doubled[:_LISTED]]
    uids = {f.uid for g in doubled for f in g}
    same = ", all of one SOPInstanceUID" if len(uids) == 1 and len(doubled[0]) > 1 else ""
    counts = {len(g) for g in at.values()}
    if len(counts) == 1:
        what = f"{counts.pop()} volumes of {len(at)} slices at the same positions, which no attribute tells apart"
    else:
        what = f"duplicated slices at {listed(named, len(doubled))}{same}, which no attribute tells apart"
    return FormatError(f"{path}: {what}", fix="take the slices that belong to one volume into a folder of their own")


def _rank(places: _Places, label: tuple[tuple[str, Any], ...], group: list[int]) -> tuple[Any, ...]:
    """Return order of volumes: by their values where these are numbers, else by their first number."""
    first = min((n for n in (places.frames[i].number for i in group) if n is not None), default=0)
    values = tuple((0, value) if isinstance(value, float | int) else (1, first) for _, value in label)
    return (values, first, tuple(str(value) for _, value in label))


def _shown(value: object, name: str = "") -> str:
    if isinstance(value, float) and name in CLOCKS:
        return clock(value)
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return "\\".join(_shown(part) for part in value)
    return "missing" if value is None else str(value)
