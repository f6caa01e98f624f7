from __future__ import annotations

import numpy as np
import pytest

from bedside.core.errors import FormatError, InputError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.data.pairs import case_name, find_pairs
from bedside.io import write_image, write_mask

ARRAY = np.zeros((4, 5, 6), np.int16)
GRID = Geometry.create(ARRAY.shape, (1, 1, 2), (5, 5, 5))


def test_pairs_by_name(tmp_path):
    (tmp_path / "images").mkdir()
    for name in ("b", "a"):
        write_image(tmp_path / f"images/{name}_0000.nii.gz", Image(ARRAY, GRID))
    (tmp_path / "labels").mkdir()
    for name in ("b", "a"):
        write_mask(tmp_path / f"labels/{name}.nrrd", ARRAY.astype(np.uint8), GRID)
    pairs = find_pairs(tmp_path / "images", tmp_path / "labels")
    assert [p.name for p in pairs] == ["a", "b"]
    image, labels = pairs[0].load()
    assert image.geometry.spacing == (1, 1, 2)
    assert labels.dtype == np.uint16
    (tmp_path / "images/a_0000.nii.gz").unlink()
    with pytest.raises(InputError, match="got a"):
        find_pairs(tmp_path / "images", tmp_path / "labels")


def test_images_and_labels_in_one_folder(tmp_path):
    write_image(tmp_path / "x.image.nii.gz", Image(ARRAY, GRID))
    write_mask(tmp_path / "x.labels.nii.gz", ARRAY.astype(np.uint8), GRID)
    (pair,) = find_pairs(tmp_path, tmp_path)
    assert (pair.name, pair.image.name, pair.labels.name) == ("x", "x.image.nii.gz", "x.labels.nii.gz")
    (single,) = find_pairs(pair.image, pair.labels)
    assert single == pair


def test_labels_of_another_place_are_rejected(tmp_path):
    write_image(tmp_path / "x.nii.gz", Image(ARRAY, GRID))
    moved = Geometry.create(ARRAY.shape, (1, 1, 2), (5, 5, 8))
    write_mask(tmp_path / "moved.nii.gz", ARRAY.astype(np.uint8), moved)
    write_mask(tmp_path / "small.nii.gz", ARRAY[1:].astype(np.uint8), Geometry.create((3, 5, 6), (1, 1, 2)))
    for name, message in (("moved", "the grid of"), ("small", "shape")):
        (pair,) = find_pairs(tmp_path / "x.nii.gz", tmp_path / f"{name}.nii.gz")
        with pytest.raises(FormatError, match=message):
            pair.load()


def test_what_cannot_be_paired_is_rejected(tmp_path):
    (tmp_path / "labels").mkdir()
    write_image(tmp_path / "x.nii.gz", Image(ARRAY, GRID))
    with pytest.raises(InputError, match="nothing there"):
        find_pairs(tmp_path / "none", tmp_path / "labels")
    with pytest.raises(InputError, match="label file of"):
        find_pairs(tmp_path / "x.nii.gz", tmp_path / "labels")
    with pytest.raises(InputError, match="got none"):
        find_pairs(tmp_path, tmp_path / "labels")


def test_names(tmp_path):
    for name in ("c.1_0000.nii.gz", "c.1.labels.png", "c.1_seg.mha"):
        (tmp_path / name).touch()
        assert case_name(tmp_path / name) == "c.1"
