"""The table of readers against objects: what it compares, and that it can tell right from wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
from bedside import io
from bedside.io.dicom.seg_reading import read_seg
from research import dicom_readers
from research.dicom_objects import make_series


def test_the_volume_has_an_overlap_a_hole_an_island_and_voxels_alone() -> None:
    first, second = dicom_readers.masks()
    assert (first & second).any()
    assert first[0, 4, 4] == 0
    assert first[0, 6, 7] == 1
    assert second[0].sum() == 1


def test_differences_are_counted() -> None:
    masks = dicom_readers.masks()
    assert dicom_readers.differing(masks, masks) == "exact"
    assert dicom_readers.differing(masks[:, ::-1], masks).endswith(f"of {masks.sum()} voxels differ")


def test_each_object_is_written(tmp_path: Path) -> None:
    make_series(tmp_path, np.zeros(dicom_readers.SHAPE, np.uint8))
    image = io.read_image(tmp_path / "ct")
    paths = dicom_readers.write_objects(tmp_path, image)
    assert tuple(paths) == dicom_readers.OBJECTS
    assert dicom_readers._of(read_seg(paths["SEG binary"], image)) == "exact"
    assert dicom_readers._of(read_seg(paths["SEG labelmap"], image)) != "exact"
