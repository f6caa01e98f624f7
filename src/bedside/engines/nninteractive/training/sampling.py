"""Training samples as the dynamic-prompt method draws them: an object of a volume in its adaptive crop.

arXiv 2510.03189; what its published code does otherwise than it says is done here as it says: the box holds its last
voxel on every axis, and nothing is drawn from a global generator.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.region import Region, mask_region
from bedside.data.store import Item, Store, Visible
from bedside.engines.nninteractive.channels import box_region
from bedside.engines.nninteractive.cube import sample_image, sample_nearest
from bedside.engines.nninteractive.nonzero import nonzero_statistics
from bedside.engines.nninteractive.settings import Painting
from bedside.engines.nninteractive.solid import short_profiles
from bedside.engines.nninteractive.stamps import box_profiles
from bedside.imaging.adaptive_crop import adaptive_window
from bedside.imaging.window import Window
from bedside.simulate.challenge_boxes import middle_slice_box
from bedside.simulate.clicks import first_click
from bedside.train.sampling import MAXIMUM_TRIES

NO_CLICK = -1


@dataclass(frozen=True, eq=False)
class CropSample:
    """One sample on the grid.

    Attributes:
        image: float32 (grid, grid, grid), mean 0 and deviation 1 over the volume's samples other than zero.
        truth: uint8 0/1 of the same shape.
        box: float32 (3, grid), the prompt's box as one profile an axis, whose product is its channel; 0 for no box.
        click: int64 (3,), the voxel of a first click where there is no box, else ``NO_CLICK``; counted as ``window``.
        window: int64 (4,), where the window begins, (z, y, x), and its side, in voxels of the volume's box of samples
            other than zero.
        inside: int64 (3, 2), the first cell and one past the last that lie within that box, on each axis.
    """

    image: NDArray[np.float32]
    truth: NDArray[np.uint8]
    box: NDArray[np.float32]
    click: NDArray[np.int64]
    window: NDArray[np.int64]
    inside: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Crop:
    """A volume within the box of its samples other than zero.

    Attributes:
        image: (z, y, x), a view.
        labels: Labels of the same shape.
        statistics: Mean and deviation.
        values: Labels with an object.
    """

    image: NDArray[np.generic]
    labels: NDArray[np.uint16]
    statistics: tuple[float, float]
    values: NDArray[np.int64]


class CropSampler:
    """Draws samples from the volumes of a store, each dataset as often as any other, each label of a volume likewise.

    Sample ``index`` depends on the seed and the index alone.

    Args:
        store: With at least one labelled volume.
        grid: Cells along each side of the network's input.
        seed: Seed of everything random.
        click_share: Share that starts from a click instead of a box.
        painting: "solid" draws boxes as the public code does, and each file as often as any other.
        share: Share of the volumes, chosen by a checksum of their names, that take part.

    Raises:
        InputError: The store has no volume to train on.
    """

    def __init__(
        self,
        store: Store,
        grid: int,
        seed: int,
        click_share: float = 0.0,
        painting: Painting = "fading",
        share: float = 1.0,
    ) -> None:
        self._grid, self._seed, self._click_share = grid, seed, click_share
        self._solid = painting == "solid"
        self._share = share
        self._crops: dict[str, Crop] = {}
        self._visible = Visible(store, self._volumes_of)

    def sample(self, index: int) -> CropSample:
        """Return the sample with number ``index``.

        Raises:
            InputError: No object was large enough to be seen on the grid.
        """
        generator = np.random.default_rng((self._seed, index))
        for _ in range(MAXIMUM_TRIES):
            sample = self._try(self._visible.at(index), generator)
            if sample is not None and sample.truth.any():
                return sample
        raise InputError("training store", expected="objects large enough to sample", got=f"{MAXIMUM_TRIES} misses")

    def _volumes_of(self, items: Sequence[Item]) -> dict[str, list[Item]]:
        """Return the labelled volumes by set; what was measured of others is forgotten."""
        volumes: dict[str, list[Item]] = {}
        for item in items:
            # Map 0 holds whole labels, which is what the competition asks for.
            usable = item.axes == 3 and item.info.variant == "image" and (item.objects[:, 0] == 0).any()
            if usable and name_share(item.info.name) < self._share:
                volumes.setdefault("" if self._solid else item.info.set_name, []).append(item)
        if not volumes:
            raise InputError("training store", expected="at least one volume with an object", got="none")
        kept = {item.info.name for own in volumes.values() for item in own}
        self._crops = {name: crop for name, crop in self._crops.items() if name in kept}
        return volumes

    def _try(self, volumes: Mapping[str, Sequence[Item]], generator: np.random.Generator) -> CropSample | None:
        items = volumes[sorted(volumes)[int(generator.integers(len(volumes)))]]
        crop = self._crop(items[int(generator.integers(len(items)))])
        if not len(crop.values):
            return None
        truth = crop.labels == crop.values[generator.integers(len(crop.values))]
        click = np.full(3, NO_CLICK, dtype=np.int64)
        if self._click_share and generator.random() < self._click_share:
            click[:] = [int(c) for c in first_click(truth, generator).position[::-1]]
            window = adaptive_window(click.tolist(), (click + 1).tolist(), (self._grid,) * 3)
            profiles = np.zeros((3, self._grid), dtype=np.float32)
        else:
            region = box_region(middle_slice_box(truth, generator)[0])
            window = adaptive_window(region.start, region.stop, (self._grid,) * 3)
            profiles = short_profiles(region, window) if self._solid else box_profiles(region, window)
        return CropSample(
            image=sample_image(crop.image, window, crop.statistics),
            truth=sample_nearest(truth, window).astype(np.uint8),
            box=profiles,
            click=click,
            window=window_numbers(window),
            inside=inside_cells(window, crop.image.shape),
        )

    def _crop(self, item: Item) -> Crop:
        """Return the volume's crop, measured once in each process."""
        if item.info.name not in self._crops:
            array = item.image
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                array = np.nan_to_num(array, nan=0.0, posinf=0.0, neginf=0.0)
            region = mask_region(array)
            # A volume of zeros has nothing to be cropped to, and its labels cannot be seen.
            region = Region.whole(array.shape) if region.is_empty else region
            labels = item.maps[0][region.slices]
            rows = item.objects[item.objects[:, 0] == 0]
            values = rows[np.isin(rows[:, 1], labels), 1].astype(np.int64)
            statistics = nonzero_statistics(array) if array.any() else (0.0, 1.0)
            self._crops[item.info.name] = Crop(array[region.slices], labels, statistics, values)
        return self._crops[item.info.name]


def name_share(name: str) -> float:
    """Return a number from 0 to 1 that is a name's own, spread evenly over names: how the public code parts its files.

    It takes the path, so that its choice of files is another on every machine.
    """
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32


def window_numbers(window: Window) -> NDArray[np.int64]:
    """Start and side of a cubic window of whole voxels, int64 (4,)."""
    return np.array([*window.start, window.sides[0]], dtype=np.int64)


def window_of_numbers(numbers: NDArray[np.int64], grid: int) -> Window:
    """Return the inverse of ``window_numbers``."""
    start = tuple(float(n) for n in numbers[:3])
    return Window(start, tuple(a + float(numbers[3]) for a in start), (grid,) * 3)


def inside_cells(window: Window, shape: Sequence[int]) -> NDArray[np.int64]:
    """Return the cells whose middle lies within an image of ``shape``: first and one past the last, int64 (axes, 2)."""
    ranges = []
    for start, scale, cells, size in zip(window.start, window.scale, window.grid, shape, strict=True):
        middle = start + (np.arange(cells) + 0.5) * scale
        held = np.flatnonzero((middle >= 0) & (middle < size))
        ranges.append((held[0], held[-1] + 1) if len(held) else (0, 0))
    return np.array(ranges, dtype=np.int64)
