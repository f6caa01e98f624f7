"""The labelled slices of a store: what networks of the SAM family are trained on, one 2D image or slice at a time."""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.modality import modality_in
from bedside.data.store import Item, Store
from bedside.engines.sam.grey import ByteScale, byte_scale

By = Literal["slice", "case", "modality"]
"""What is drawn with equal chances: slices; cases, then a slice; or modalities, then a case, then a slice."""


class GreyScale:
    """How the samples of an item become bytes, found when it is first needed: it takes the whole volume's percentiles.

    Args:
        item: The image or volume.
        modality: As the challenge names it.
    """

    def __init__(self, item: Item, modality: str | None) -> None:
        self._item = item
        self._modality = modality

    @functools.cached_property
    def scale(self) -> ByteScale | None:
        """None where the samples are bytes."""
        return byte_scale(Image(self._item.image, Geometry.create(self._item.maps.shape[1:]), self._modality))


@dataclass(frozen=True, eq=False)
class LabelledSlice:
    """A 2D image, or the slice of a volume across its first axis, with at least one object.

    Attributes:
        item: Where it lies.
        index: Index of the slice; 0 of an image.
        modality: As the challenge names it, None where it has no name for it.
        grey: How samples become bytes; shared by the slices of a volume.
    """

    item: Item
    index: int
    modality: str | None
    grey: GreyScale

    @property
    def key(self) -> str:
        """Unique within a store."""
        return f"{self.item.info.name}:{self.index}"

    def colours(self) -> NDArray[np.uint8]:
        """Return the slice as bytes (y, x, 3), grey repeated."""
        samples = self.item.image if self.item.axes == 2 else self.item.image[self.index]
        if self.grey.scale is not None:
            samples = self.grey.scale(samples)
        grey: NDArray[np.uint8] = samples if samples.ndim == 3 else np.repeat(samples[..., None], 3, axis=2)
        return grey

    def objects(self) -> list[tuple[int, int]]:
        """Map and value of every object whose extent holds the slice."""
        rows = self.item.objects
        if self.item.axes == 3:
            rows = rows[(rows[:, 3] <= self.index) & (self.index < rows[:, 6])]
        return [(int(row[0]), int(row[1])) for row in rows]

    def draw_object(self, generator: np.random.Generator) -> tuple[int, int]:
        """Return one of ``objects``: each map with equal chances, then each object of it."""
        objects = self.objects()
        present = sorted({number for number, _ in objects})
        chosen = present[generator.integers(len(present))]
        of_map = [entry for entry in objects if entry[0] == chosen]
        return of_map[generator.integers(len(of_map))]

    def mask(self, number: int, value: int) -> NDArray[np.bool_]:
        """Return an object on the slice, bool (y, x); empty where its extent holds the slice but it is not on it."""
        values = self.item.maps[number] if self.item.axes == 2 else self.item.maps[number][self.index]
        same: NDArray[np.bool_] = values == value
        return same


class SliceTable:
    """Every labelled slice of a store, drawn by slice, case or modality.

    Args:
        store: Training store; reduced copies that carry superpixels are left out.
        modalities: Modalities of the challenge, to which the table is restricted; none for all.
        limit: Keep that many slices, drawn once; 0 for all.
        seed: Seed of that draw.

    Raises:
        InputError: No slice is left.
    """

    def __init__(self, store: Store, modalities: Collection[str] = (), limit: int = 0, seed: int = 0) -> None:
        found = [part for item in store.items for part in _slices_of(item, modalities)]
        if not found:
            wanted = f"labelled slices of {', '.join(sorted(modalities))}" if modalities else "labelled slices"
            raise InputError("training store", expected=wanted, got="none")
        if limit and limit < len(found):
            kept = np.sort(np.random.default_rng(seed).choice(len(found), size=limit, replace=False))
            found = [found[int(n)] for n in kept]
        self.slices: Sequence[LabelledSlice] = found
        self._cases = _group(found, lambda number: found[number].item.info.name)
        self._modalities = {
            name: [case for case in self._cases.values() if (found[case[0]].modality or "") == name]
            for name in sorted({part.modality or "" for part in found})
        }

    def __len__(self) -> int:
        return len(self.slices)

    def count(self, by: By) -> int:
        """Draw that make up one pass: the slices, or the cases."""
        return len(self.slices) if by == "slice" else len(self._cases)

    def draw(self, by: By, generator: np.random.Generator) -> int:
        """Return number of a slice.

        Raises:
            InputError: ``by`` is unknown.
        """
        if by == "slice":
            return int(generator.integers(len(self.slices)))
        if by == "case":
            cases = list(self._cases.values())
        elif by == "modality":
            groups = list(self._modalities.values())
            cases = groups[generator.integers(len(groups))]
        else:
            raise InputError("sampling.by", expected=f"one of {', '.join(get_args(By))}", got=f"'{by}'")
        case = cases[generator.integers(len(cases))]
        return case[generator.integers(len(case))]


def _slices_of(item: Item, modalities: Collection[str]) -> list[LabelledSlice]:
    if item.info.variant != "image" or not len(item.objects):
        return []
    modality = modality_in(item.info.modality)
    if modalities and modality not in modalities:
        return []
    if item.axes == 2:
        indices = [0]
    else:
        covered = np.zeros(item.image.shape[0], dtype=np.bool_)
        for row in item.objects:
            covered[row[3] : row[6]] = True
        indices = [int(n) for n in np.flatnonzero(covered)]
    grey = GreyScale(item, modality)
    return [LabelledSlice(item, index, modality, grey) for index in indices]


def _group(found: Sequence[LabelledSlice], name: Any) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for number in range(len(found)):
        groups.setdefault(name(number), []).append(number)
    return groups
