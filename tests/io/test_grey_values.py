"""Grey values are told from labels: by what real label maps and images have in common, made here with arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.errors import FormatError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.io import write_image, write_mask
from bedside.io.grey_values import PLENTY, reject_grey_values
from bedside.io.segmentations import read_segments

RANDOM = np.random.default_rng(7)


def smooth(shape: tuple[int, ...], levels: int) -> NDArray[Any]:
    """An image without any noise of the sensor: the hardest to tell."""
    field = ndimage.gaussian_filter(RANDOM.normal(size=shape), 2.5)
    levelled = np.rint((field - field.min()) / np.ptp(field) * levels)
    return np.asarray(levelled, dtype=np.uint16 if levels > 255 else np.uint8)


def cells(shape: tuple[int, ...], side: int) -> NDArray[Any]:
    """Blocks that touch each other, each with a label of its own."""
    blocks = [np.arange(n) // side for n in shape]
    grid = np.ravel_multi_index(np.meshgrid(*blocks, indexing="ij"), [int(b[-1]) + 1 for b in blocks])
    return (grid + 1).astype(np.uint16)


IMAGES = {
    "noise": RANDOM.integers(0, 256, (60, 80)).astype(np.uint8),
    "smooth": smooth((96, 96), 200),
    "deep": smooth((96, 96), 4000),
    "volume": smooth((12, 64, 64), 200),
    "dark ground": np.where(smooth((96, 96), 200) > 90, smooth((96, 96), 160), 0).astype(np.uint8),
}
LABELS = {
    "cells": cells((90, 120), 10),
    "cells of a volume": cells((12, 60, 60), 6),
    "few": (cells((90, 120), 30) % 5).astype(np.uint8),
    "few and scattered": RANDOM.integers(0, PLENTY + 1, (60, 80)).astype(np.uint8),
    "markers": np.where(np.indices((60, 80)).sum(0) % 7 == 0, cells((60, 80), 5), 0).astype(np.uint16),
    "one": np.full((30, 30), 255, np.uint8),
    "none": np.zeros((30, 30), np.uint8),
}


@pytest.mark.parametrize("name", IMAGES)
def test_images_are_rejected(name: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"the grey values of an image .* of neighbours differ.*'bedside segment'"):
        reject_grey_values(IMAGES[name], "x")
    path = tmp_path / "a.nii.gz"
    write_image(path, Image(IMAGES[name], Geometry.create(IMAGES[name].shape)))
    with pytest.raises(FormatError, match=r"a\.nii\.gz: labels: expected areas that have one value each"):
        read_segments(path)


@pytest.mark.parametrize("name", LABELS)
def test_label_maps_are_taken(name: str, tmp_path: Path) -> None:
    reject_grey_values(LABELS[name], "x")
    path = tmp_path / "a.nii.gz"
    write_mask(path, LABELS[name], Geometry.create(LABELS[name].shape))
    found = read_segments(path)
    assert [s.label for s in found.segments] == [int(v) for v in np.unique(LABELS[name]) if v]


@pytest.mark.parametrize(
    "change",
    [lambda a: a.astype(np.float32) / 7, lambda a: a.astype(np.int16) - 100, lambda a: a.astype(np.int32) + 70_000],
)
def test_values_that_no_label_has_are_rejected_with_a_fix(
    change: Callable[[NDArray[Any]], NDArray[Any]], tmp_path: Path
) -> None:
    array = change(IMAGES["smooth"])
    write_image(tmp_path / "a.nrrd", Image(array, Geometry.create(array.shape)))
    with pytest.raises(FormatError, match=r"labels: expected .*got .*; give a mask and not an image"):
        read_segments(tmp_path / "a.nrrd")
