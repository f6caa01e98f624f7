"""Cases of both challenges, and archives that try to run code."""

from __future__ import annotations

import io as streams
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside import io
from bedside.core.errors import FormatError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.prompts import Box, Point
from bedside.io.challenge import modality_of, read_case

VOLUME = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
BOX_2025 = {
    "z_min": 0, "z_max": 2, "z_mid": 1,
    "z_mid_x_min": 1, "z_mid_y_min": 0, "z_mid_x_max": 3, "z_mid_y_max": 2,
}  # fmt: skip


def test_case_of_2024_in_two_dimensions(tmp_path: Path) -> None:
    colours = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    path = tmp_path / "2DBox_X-Ray_0001.npz"
    np.savez_compressed(path, imgs=colours, boxes=np.array([[0, 1, 3, 2], [2, 2, 2, 2]]))
    case = read_case(path)
    np.testing.assert_array_equal(case.image.array, colours)
    assert case.image.is_colour
    assert case.image.modality == "X-Ray"
    # Closed boxes become half-open ones.
    assert case.boxes == (Box((0, 1), (4, 3)), Box((2, 2), (3, 3)))
    assert case.middle_slices == (None, None)
    assert case.objects == 2
    assert case.previous is None
    assert not case.image.geometry.spacing_known


def test_case_of_2024_in_three_dimensions(tmp_path: Path) -> None:
    path = tmp_path / "3DBox_CT_0001.npz"
    np.savez(path, imgs=VOLUME, spacing=[0.5, 0.7, 5.0], boxes=np.array([[0, 1, 0, 3, 2, 1]]), gts=VOLUME % 2)
    case = read_case(path)
    assert case.image.geometry.spacing == (0.5, 0.7, 5.0)
    assert case.image.geometry.array_spacing == (5.0, 0.7, 0.5)
    assert case.boxes == (Box((0, 1, 0), (4, 3, 2)),)
    assert case.ground_truth is not None
    np.testing.assert_array_equal(case.ground_truth, VOLUME % 2)


@pytest.mark.parametrize("as_list", [False, True])
def test_case_of_2025_with_clicks(tmp_path: Path, as_list: bool) -> None:
    clicks: Any = [{"fg": [[2, 1, 0], [0, 0, 4]], "bg": [np.array([1, 3, 2])]}, {"fg": [], "bg": []}]
    boxes: Any = [BOX_2025, {k: np.int64(v) for k, v in BOX_2025.items()}]
    order: Any = [["fg", "bg", "fg"], [None, None, None]]
    if not as_list:
        clicks, boxes = np.array(clicks, dtype=object), np.array(boxes, dtype=object)
    path = tmp_path / "MR_AMOS_1.npz"
    np.savez(
        path, imgs=VOLUME, spacing=(1, 1, 2), boxes=boxes, clicks=clicks, clicks_order=np.array(order, dtype=object),
        prev_pred=VOLUME % 3,
    )  # fmt: skip
    case = read_case(path)
    assert case.boxes == (Box((1, 0, 0), (4, 3, 3)),) * 2
    assert case.middle_slices == (1, 1)
    # Clicks are stored as (z, y, x) and come in the order in which they were made.
    assert case.clicks == ((Point((0, 1, 2)), Point((2, 3, 1), positive=False), Point((4, 0, 0))), ())
    assert case.clicks_order == (("fg", "bg", "fg"), (None, None, None))
    assert case.image.modality == "MR"
    np.testing.assert_array_equal(case.previous, VOLUME % 3)


def test_case_without_boxes(tmp_path: Path) -> None:
    clicks = np.array([{"fg": [[2, 1, 0]], "bg": []}], dtype=object)
    np.savez(tmp_path / "c.npz", imgs=VOLUME, spacing=(1, 1, 2), clicks=clicks)
    case = read_case(tmp_path / "c.npz")
    assert case.boxes == ()
    assert case.clicks == ((Point((0, 1, 2)),),)
    assert case.objects == 1


class _Malicious:
    def __reduce__(self) -> Any:
        return os.system, ("exit 1",)


def test_code_in_an_archive_is_rejected(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", imgs=VOLUME, boxes=np.array([_Malicious()], dtype=object))
    with pytest.raises(FormatError, match="rejected for safety"):
        read_case(tmp_path / "m.npz")


def test_objects_pickled_under_old_names_are_read(tmp_path: Path) -> None:
    header = streams.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": (1,)})
    old = pickle.dumps(np.array([BOX_2025], dtype=object), protocol=3).replace(b"numpy._core", b"numpy.core")
    np.savez(tmp_path / "o.npz", imgs=VOLUME)
    with zipfile.ZipFile(tmp_path / "o.npz", "a") as archive:
        archive.writestr("boxes.npy", header.getvalue() + old)
    assert read_case(tmp_path / "o.npz").boxes == (Box((1, 0, 0), (4, 3, 3)),)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"other": VOLUME}, "array 'imgs', got other"),
        ({"imgs": VOLUME, "boxes": np.array([[1, 2, 3]])}, "4 or 6 numbers"),
        ({"imgs": VOLUME, "boxes": np.array([{"z_min": 1}], dtype=object)}, "field 'z_mid_x_min'"),
        ({"imgs": VOLUME, "boxes": np.array([[3, 3, 3, 1, 4, 4]])}, "larger than its start"),
        ({"imgs": VOLUME, "gts": VOLUME[:2]}, "'gts': expected the image's shape"),
    ],
)
def test_unusable_cases_are_rejected_by_name(tmp_path: Path, members: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "c.npz", **members)
    with pytest.raises(FormatError, match=message):
        read_case(tmp_path / "c.npz")


def test_missing_and_damaged_cases(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="nothing there"):
        read_case(tmp_path / "none.npz")
    np.savez(tmp_path / "c.npz", imgs=VOLUME)
    (tmp_path / "t.npz").write_bytes((tmp_path / "c.npz").read_bytes()[:100])
    with pytest.raises(FormatError, match=r"t\.npz"):
        read_case(tmp_path / "t.npz")


def test_read_image_and_masks_of_archives(tmp_path: Path) -> None:
    geometry = Geometry.create(VOLUME.shape, (0.5, 0.7, 5.0))
    io.write_image(tmp_path / "CT_1.npz", Image(VOLUME, geometry))
    image = io.read_image(tmp_path / "CT_1.npz")
    assert image.geometry.spacing == (0.5, 0.7, 5.0)
    assert image.modality == "CT"
    with pytest.raises(FormatError, match="segs, gts, prev_pred"):
        io.read_mask(tmp_path / "CT_1.npz")
    io.write_mask(tmp_path / "s.npz", VOLUME.astype(np.uint16) * 500, geometry)
    with np.load(tmp_path / "s.npz") as answer:
        assert list(answer) == ["segs"]
        assert answer["segs"].dtype == np.uint16
    np.testing.assert_array_equal(io.read_mask(tmp_path / "s.npz").array, VOLUME.astype(int) * 500)


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        ("CT_AbdomenCT1K_1", "CT"),
        ("2DBox_Mammography_demo", "Mammography"),
        ("Microscope_x", "Microscopy"),
        ("a_b", None),
    ],
)
def test_modality_from_the_name(name: str, modality: str | None) -> None:
    assert modality_of(name) == modality


@pytest.mark.parametrize("dtype", [">i2", "<i2", ">f4", ">u2"])
def test_samples_of_archives_are_in_this_machines_order(tmp_path: Path, dtype: str) -> None:
    array = np.arange(9 * 10 * 11).reshape(9, 10, 11).astype(dtype)
    np.savez(tmp_path / "CT_a.npz", imgs=array, spacing=[1, 1, 2])
    image = io.read_image(tmp_path / "CT_a.npz")
    assert image.array.dtype.isnative
    np.testing.assert_array_equal(image.array, array)
