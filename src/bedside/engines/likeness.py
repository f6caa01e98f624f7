"""Finding what is like a few accepted objects: a small classifier fitted on the spot says where, the network draws.

Pixels of the examples are told from those around them by their grey values or colours, averaged and differentiated over
distances that follow the examples' size. Where a place of that size is likely, it is a candidate. The network is asked
there with a box of the examples' size, and its mask counts by how well it fills what is likely and by its size. Where
contrast alone cuts the examples out, it cuts out others, too, and these count in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.image import Image
from bedside.core.mask import PackedMask
from bedside.core.prompts import Box, Point, Prompt
from bedside.core.region import Region
from bedside.engines.contrast_parts import parts_like, usual_radius
from bedside.engines.protocol import Segmenter

RADIUS = 5.0
"""Radius of the examples, in cells of the grid on which candidates are looked for: larger objects are made smaller."""
SCALES = (0.2, 0.4, 0.8)
"""Standard deviations of what pixels are told by, as parts of the examples' radius."""
REACH = 0.7
"""How far around an example pixels count as what it is told from, in radii: beyond may lie another one."""
APART = 0.7
"""Least distance of two candidates, in radii."""
SAME = 0.3
"""Part of the smaller of two masks that the other shares, above which they are one object."""
LEAST_SHARE = 0.3
"""Size of a box around what is likely, by that of the examples' boxes, below which it is not asked, and its inverse."""
SURE = 0.55
"""How alike a mask has to be for nothing else to be asked at its place, and for it to count as an example."""
FEW, MORE = 3, 4
"""Below so many examples those are used, too, at most so many for each."""
RIDGE = 1e-2
SEED = 7
MOST_CELLS = 2**22
"""Cells of the grid at most: of small objects in a large volume they are larger than that."""
_MOST_PIXELS = 4000
_CHUNK = 2**18


@dataclass(frozen=True, eq=False)
class Likeness:
    """An object like the examples.

    Attributes:
        mask: Its voxels; none belongs to another one or to an object that was there.
        score: How alike it is, 0 to 1.
        prompt: What the network was asked, or the middle of what contrast cut out.
    """

    mask: PackedMask
    score: float
    prompt: Prompt


class Detector:
    """Tells where an image looks like the examples.

    Args:
        image: The image or volume.
        examples: Masks of the examples, each with at least one voxel.
    """

    def __init__(self, image: Image, examples: Sequence[PackedMask]) -> None:
        self._spacing = np.array(image.geometry.array_spacing)
        self._image_shape = image.shape
        sides = np.array([m.region.shape for m in examples], dtype=np.float64)
        self.sides = np.exp(np.log(sides).mean(axis=0))
        self.sizes = np.array([m.voxels for m in examples], dtype=np.float64)
        self._radius = usual_radius(float(np.exp(np.log(self.sizes).mean())), self._spacing)
        # Cells of equal millimetres, none smaller than the finest voxel.
        self._cell = max(self._radius / RADIUS, float(self._spacing.min()))
        self.shape = self._grid(image.shape)
        while math.prod(self.shape) > MOST_CELLS:
            self._cell *= 1.1
            self.shape = self._grid(image.shape)
        self._steps = np.array(image.shape) / np.array(self.shape)
        features = self._features(image)
        inside, around = self._labels(image.shape, examples)
        self.likely = self._fit(features, inside, around)

    def _grid(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        zoom = np.minimum(1.0, self._spacing / self._cell)
        return tuple(max(1, round(n * z)) for n, z in zip(shape, zoom, strict=True))

    def _places(self, cells: Region, shape: Sequence[int]) -> list[NDArray[np.int64]]:
        """Return the voxels in which the middles of cells lie, along each axis."""
        return [
            np.minimum(((np.arange(a, b) + 0.5) * s).astype(np.int64), n - 1)
            for a, b, s, n in zip(cells.start, cells.stop, self._steps, shape, strict=True)
        ]

    def _on_grid(self, array: NDArray[np.float32], cells: Region, start: Sequence[int]) -> NDArray[np.float32]:
        """Return the values of cells, from an array that begins at the voxel ``start`` and holds all of them."""
        blurred = ndimage.gaussian_filter(array, np.where(self._steps > 1, self._steps / 2.5, 0))
        stops = [a + n for a, n in zip(start, array.shape, strict=True)]
        places = [p - a for p, a in zip(self._places(cells, stops), start, strict=True)]
        return np.asarray(blurred[np.ix_(*places)])

    def _features(self, image: Image) -> NDArray[np.float32]:
        """Return what cells are told by, (feature, ...)."""
        planes = np.moveaxis(image.array, -1, 0) if image.is_colour else image.array[None]
        cells = np.maximum(self._spacing, self._cell)
        found = []
        for plane in planes:
            grey = np.nan_to_num(self._on_grid(plane.astype(np.float32), Region.whole(self.shape), [0] * plane.ndim))
            low, high = np.percentile(grey, (1, 99))
            grey = np.clip((grey - low) / max(float(high - low), 1e-6), -0.2, 1.2).astype(np.float32)
            found.append(grey)
            for scale in SCALES:
                sigma = scale * self._radius / cells
                mean = ndimage.gaussian_filter(grey, sigma)
                found += [mean, ndimage.gaussian_gradient_magnitude(grey, sigma) * sigma.max()]
                found.append(np.sqrt(np.maximum(ndimage.gaussian_filter(grey**2, sigma) - mean**2, 0)))
                found.append(mean - ndimage.gaussian_filter(grey, 1.6 * sigma))
        return np.stack(found)

    def _labels(
        self, shape: tuple[int, ...], examples: Sequence[PackedMask]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return cells of the examples, and those around them."""
        inside, around = np.zeros(self.shape, np.bool_), np.zeros(self.shape, np.bool_)
        sides = np.maximum(self._spacing, self._cell)
        reach = np.ceil(REACH * self._radius / sides).astype(int) + 1
        for mask in examples:
            cells = Region(
                tuple(int(a / s) - r for a, s, r in zip(mask.region.start, self._steps, reach, strict=True)),
                tuple(math.ceil(b / s) + r for b, s, r in zip(mask.region.stop, self._steps, reach, strict=True)),
            ).clip(self.shape)
            room = Region(
                tuple(int(a * s - 3 * s) for a, s in zip(cells.start, self._steps, strict=True)),
                tuple(math.ceil(b * s + 3 * s) for b, s in zip(cells.stop, self._steps, strict=True)),
            ).clip(shape)
            own = self._on_grid(mask.patch(room.union(mask.region)).astype(np.float32), cells, room.start) > 0.5
            if not own.any():
                middle = [(a + b) / 2 for a, b in zip(mask.region.start, mask.region.stop, strict=True)]
                own[tuple(int(m / s) - a for m, s, a in zip(middle, self._steps, cells.start, strict=True))] = True
            inside[cells.slices] |= own
            distance = ndimage.distance_transform_edt(~own, sampling=sides)
            around[cells.slices] |= (distance > 0.15 * self._radius) & (distance <= REACH * self._radius)
        return inside, around & ~inside

    def _fit(
        self, features: NDArray[np.float32], inside: NDArray[np.bool_], around: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        """Return how likely each cell belongs to such an object, by logistic regression with squares."""
        rng = np.random.default_rng(SEED)
        flat = features.reshape(len(features), -1)
        mean, deviation = flat.mean(axis=1, keepdims=True), flat.std(axis=1, keepdims=True) + 1e-6

        def rows(chosen: Any) -> NDArray[np.float64]:
            values = ((flat[:, chosen] - mean) / deviation).T.astype(np.float64)
            return np.concatenate([values, np.minimum(values**2, 9.0), np.ones((len(values), 1))], axis=1)

        yes, no = (np.flatnonzero(part.ravel()) for part in (inside, around))
        if not len(no):
            no = np.flatnonzero(~inside.ravel())
        yes, no = (rng.choice(p, min(len(p), _MOST_PIXELS), replace=False) for p in (yes, no))
        truth = np.concatenate([np.ones(len(yes)), np.zeros(len(no))])
        weight = np.concatenate([np.full(len(yes), 0.5 / len(yes)), np.full(len(no), 0.5 / max(1, len(no)))])
        beta = _logistic(np.concatenate([rows(yes), rows(no)]), truth, weight)
        likely = np.empty(flat.shape[1], dtype=np.float32)
        for begin in range(0, len(likely), _CHUNK):
            part = slice(begin, begin + _CHUNK)
            likely[part] = 1 / (1 + np.exp(-np.clip(rows(part) @ beta, -30, 30)))
        return likely.reshape(self.shape)

    def candidates(self, most: int) -> list[NDArray[np.float64]]:
        """Return middles of candidates in voxels, array order, the likeliest first."""
        cells = np.maximum(self._spacing, self._cell)
        sigma = 0.6 * self._radius / cells
        # What is likely in the middle and not around it: such places are as large as the examples.
        score = ndimage.gaussian_filter(self.likely, sigma) - 0.5 * ndimage.gaussian_filter(self.likely, 2 * sigma)
        apart = [max(1, round(2 * APART * self._radius / c)) | 1 for c in cells]
        peaks = (score == ndimage.maximum_filter(score, size=apart)) & (score > 0.05)
        places = np.argwhere(peaks)
        order = np.argsort(-score[peaks], kind="stable")[:most]
        return [(places[i] + 0.5) * self._steps for i in order]

    def box_at(self, middle: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Return low and high, in voxels, of what is likely around a place; None where that is no object's size.

        It reaches no farther from the place than the longest side of the examples, whichever way they lie.
        """
        reach = np.ceil(self.sides.max() * np.ones(len(self.sides)) / self._steps).astype(int)
        cell = np.minimum((middle / self._steps).astype(int), np.array(self.shape) - 1)
        low = np.maximum(cell - reach, 0)
        window = self.likely[tuple(slice(a, c + r + 1) for a, c, r in zip(low, cell, reach, strict=True))]
        labels, _ = ndimage.label(window > 0.5)
        number = labels[tuple(cell - low)]
        if not number:
            return None
        found = ndimage.find_objects((labels == number).astype(np.uint8))[0]
        start = np.array([s.start for s in found]) + low
        stop = np.array([s.stop for s in found]) + low
        share = float(((stop - start) * self._steps).prod() / self.sides.prod())
        return (start * self._steps, stop * self._steps) if LEAST_SHARE <= share <= 1 / LEAST_SHARE else None

    def rate(self, mask: PackedMask) -> float:
        """Return how alike a mask is to the examples, 0 to 1."""
        start = [int(a / s) for a, s in zip(mask.region.start, self._steps, strict=True)]
        stop = [math.ceil(b / s) for b, s in zip(mask.region.stop, self._steps, strict=True)]
        region = Region(tuple(a - 4 for a in start), tuple(b + 4 for b in stop)).clip(self.shape)
        places = self._places(region, self._image_shape)
        whole = mask.region.union(Region(tuple(int(p[0]) for p in places), tuple(int(p[-1]) + 1 for p in places)))
        own = (mask.patch(whole) > 0)[np.ix_(*[p - a for p, a in zip(places, whole.start, strict=True)])]
        likely = self.likely[region.slices]
        if not own.any():
            return 0.0
        near = ndimage.binary_dilation(own, iterations=2) & ~own
        filled = float(likely[own].mean())
        beyond = float(likely[near].mean()) if near.any() else 0.0
        ratio = np.log(mask.voxels / self.sizes)
        size = float(np.exp(-0.5 * (np.abs(ratio).min() / 0.9) ** 2))
        return filled * (1 - 0.5 * beyond) * size


def _logistic(
    rows: NDArray[np.float64], truth: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return coefficients of a ridge logistic regression, by Newton's method."""
    beta = np.zeros(rows.shape[1])
    penalty = np.full(rows.shape[1], RIDGE)
    penalty[-1] = 1e-6
    for _ in range(12):
        likely = 1 / (1 + np.exp(-np.clip(rows @ beta, -30, 30)))
        gradient = rows.T @ (weight * (likely - truth)) + penalty * beta
        curvature = (rows * (weight * likely * (1 - likely))[:, None]).T @ rows + np.diag(penalty + 1e-9)
        step = np.linalg.solve(curvature, gradient)
        beta -= step
        if np.abs(step).max() < 1e-4:
            break
    return beta


def find_like(
    segmenter: Segmenter,
    image: Image,
    examples: Sequence[PackedMask],
    *,
    others: Sequence[PackedMask] = (),
    threshold: float = 0.5,
    most: int = 300,
    report: Callable[[int, int], None] = lambda _done, _all: None,
) -> list[Likeness]:
    """Return objects like the examples, the most alike first; they share no voxel with each other, nor with any given.

    Args:
        segmenter: Holds the image already.
        image: The image.
        examples: Masks of the examples, each with at least one voxel.
        others: Masks of objects that are there, too, and are not to be found again.
        threshold: How alike they have to be, 0 to 1.
        most: Places that the network is asked at, at most.
        report: Called after each place with how many are done and how many there are.
    """
    known = np.zeros(image.shape, dtype=np.bool_)
    for mask in (*examples, *others):
        known[mask.region.slices] |= mask.patch() > 0
    asking = _Asking(segmenter, image, known, most, report)
    detector = Detector(image, examples)
    asking.ask(detector)
    asking.cut(examples)
    if len(examples) < FEW:
        # What is surely of the kind tells more of it than one or two examples do.
        sure = [f.mask for f in _apart(asking.rated(detector, SURE), known)]
        if sure:
            detector = Detector(image, [*examples, *sure[: MORE * len(examples)]])
            asking.ask(detector)
    return _apart(asking.rated(detector, threshold), known)


class _Asking:
    """The network's masks at the places that detectors named, each asked once."""

    def __init__(
        self,
        segmenter: Segmenter,
        image: Image,
        known: NDArray[np.bool_],
        most: int,
        report: Callable[[int, int], None],
    ) -> None:
        self._segmenter, self._image, self._known = segmenter, image, known
        self._most, self._report = most, report
        self._places: list[NDArray[np.float64]] = []
        self._masks: list[tuple[PackedMask, float, Prompt]] = []

    def ask(self, detector: Detector) -> None:
        """Ask at the places of a detector that are new, in no known object."""
        close = detector.sides / 4
        left = self._most - len(self._places)
        places = [
            middle
            for middle in detector.candidates(self._most)
            if not self._known[tuple(int(v) for v in middle)]
            and not any((np.abs(middle - p) <= close).all() for p in self._places)
        ][: max(0, left)]
        for number, middle in enumerate(places, start=1):
            for prompt in self._prompts(middle, detector):
                prediction = self._segmenter.predict([prompt], None, 1)
                mask = PackedMask.of_patch(prediction.mask, prediction.region)
                if mask.region.is_empty:
                    continue
                quality = 1.0 if prediction.quality is None else prediction.quality
                self._masks.append((mask, quality, prompt))
                # A click costs several passes, and is for what a box of the usual size did not get.
                if _score(detector, mask, quality) >= SURE:
                    break
            self._places.append(middle)
            self._report(number, len(places))

    def cut(self, examples: Sequence[PackedMask]) -> None:
        """Add what contrast alone cuts out as it does the examples."""
        fit, parts = parts_like(self._image, examples)
        for mask in parts:
            middle = [(a + b - 1) / 2 for a, b in zip(mask.region.start, mask.region.stop, strict=True)]
            self._masks.append((mask, fit, Point(tuple(middle[::-1]))))

    def rated(self, detector: Detector, threshold: float) -> list[Likeness]:
        """Return the masks that are alike enough."""
        found = [Likeness(mask, _score(detector, mask, quality), prompt) for mask, quality, prompt in self._masks]
        return [item for item in found if item.score >= threshold]

    def _prompts(self, middle: NDArray[np.float64], detector: Detector) -> list[Prompt]:
        """Return what the network is asked at a place, as far as it takes it: a box of the examples' size, one around
        what is likely there, a click.
        """
        shape = np.array(self._image.shape)
        boxes: list[Prompt] = []
        around = detector.box_at(middle)
        for low, high in (
            (middle - detector.sides / 2, middle + detector.sides / 2),
            *([around] if around is not None else []),
        ):
            start = np.clip(low, 0, shape - 1)
            stop = np.clip(high, start + 1, shape)
            boxes.append(Box(tuple(float(v) for v in start[::-1]), tuple(float(v) for v in stop[::-1])))
        click = Point(tuple(float(int(v)) for v in middle[::-1]))
        kinds = self._segmenter.capabilities.starts_from
        return [prompt for prompt in (*boxes, click) if prompt.kind in kinds]


def _score(detector: Detector, mask: PackedMask, quality: float) -> float:
    """Return how alike a mask is, the less the worse the network thinks of it."""
    return detector.rate(mask) * (0.5 + 0.5 * quality)


def _apart(found: list[Likeness], known: NDArray[np.bool_]) -> list[Likeness]:
    """Return the most alike of those that are one object, without the voxels that another has."""
    kept: list[Likeness] = []
    taken = known.copy()
    for item in sorted(found, key=lambda f: -f.score):
        patch = item.mask.patch() > 0
        shared = patch & taken[item.mask.region.slices]
        if np.count_nonzero(shared) > SAME * np.count_nonzero(patch):
            continue
        own = patch & ~shared
        labels, count = ndimage.label(own)
        if count > 1:
            own = labels == np.bincount(labels.ravel())[1:].argmax() + 1
        taken[item.mask.region.slices] |= own
        kept.append(Likeness(PackedMask.of_patch(own, item.mask.region), item.score, item.prompt))
    return kept
