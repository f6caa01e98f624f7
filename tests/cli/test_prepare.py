from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.prompts import Box
from bedside.io import write_image, write_mask
from bedside.io.challenge import read_case, read_labels


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two scans with labels 3 and 12, of 10 x 20 x 20 voxels each."""
    geometry = Geometry.create((14, 40, 50), (0.7, 0.8, 2.5))
    labels = np.zeros(geometry.shape, np.uint8)
    labels[2:12, 5:25, 5:25] = 12
    labels[2:12, 5:25, 28:48] = 3
    array = np.where(labels > 0, 90, -90).astype(np.int16)
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for name in ("p1", "p2"):
        write_image(tmp_path / f"images/{name}.nii.gz", Image(array, geometry))
        write_mask(tmp_path / f"labels/{name}.nii.gz", labels, geometry)
    return tmp_path


def test_cases_of_2024(cli: Callable[..., Any], study: Path) -> None:
    status, out, err = cli(
        "prepare", "box2024", study / "images", study / "labels", study / "out", "--modality", "CT", "--data-set", "S"
    )
    assert (status, out, err) == (0, f"2 cases in {study / 'out'}\n", "")
    assert sorted(p.name for p in (study / "out").iterdir()) == ["3DBox_CT_S_p1.npz", "3DBox_CT_S_p2.npz"]
    case = read_case(study / "out/3DBox_CT_S_p1.npz")
    assert case.boxes == (Box((28, 5, 0), (48, 25, 10)), Box((5, 5, 0), (25, 25, 10)))
    assert case.image.geometry.spacing == pytest.approx((0.7, 0.8, 2.5))
    assert case.image.array.dtype == np.uint8


def test_options_of_2024(cli: Callable[..., Any], study: Path) -> None:
    arguments = ("--modality", "CT", "--drop", 12, "--no-boxes", "--all-slices", "--window-level", 0,
                 "--window-width", 360, "--cleaning", "2025")  # fmt: skip
    status, _, err = cli("prepare", "box2024", study / "images", study / "labels", study / "out", *arguments)
    assert (status, err) == (0, "")
    case = read_case(study / "out/CT_data_p1.npz")
    assert case.boxes == ()
    assert case.image.shape == (14, 40, 50)
    assert case.ground_truth is not None
    assert np.unique(case.ground_truth).tolist() == [0, 3]


def test_cases_of_2025_are_the_same_every_time(cli: Callable[..., Any], study: Path) -> None:
    for folder in ("one", "two"):
        status, _, err = cli(
            "prepare", "interactive2025", study / "images", study / "labels", study / folder, "--modality", "CT",
            "--truth", study / f"{folder}_truth", "--seed", 7,
        )  # fmt: skip
        assert (status, err) == (0, "")
    one, two = (read_case(study / f / "CT_data_p1.npz") for f in ("one", "two"))
    assert one.boxes == two.boxes
    assert one.middle_slices == (5, 5)
    assert one.ground_truth is None
    truth = read_labels(study / "one_truth/CT_data_p1.npz", "gts")
    assert np.unique(truth.array).tolist() == [0, 1, 2]


def test_a_picture(cli: Callable[..., Any], tmp_path: Path) -> None:
    labels = np.zeros((30, 40), np.uint8)
    labels[4:9, 6:16] = 1
    Picture.fromarray(labels * 90).save(tmp_path / "a.png")
    Picture.fromarray(labels).save(tmp_path / "a_gt.png")
    status, _, err = cli(
        "prepare", "box2024", tmp_path / "a.png", tmp_path / "a_gt.png", tmp_path / "o", "--modality", "US"
    )
    assert (status, err) == (0, "")
    case = read_case(tmp_path / "o/2DBox_US_data_a.npz")
    assert case.boxes == (Box((6, 4), (16, 9)),)
    assert case.image.array.shape == (30, 40, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--modality", "CT", "--window", "foot"), "one of abdomen, lung, brain, mediastinum"),
        (("--modality", "CT", "--cleaning", "2026"), "one of 2024, 2025, none"),
        (("--modality", "CT", "--window-width", "-4"), "window width"),
        (("--modality", "CT", "--drop", "3", "--drop", "12"), "none left after cleaning"),
        ((), "--modality"),
    ],
)
def test_bad_input_is_one_line(cli: Callable[..., Any], study: Path, options: tuple[str, ...], message: str) -> None:
    status, out, err = cli("prepare", "box2024", study / "images", study / "labels", study / "out", *options)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not list(study.glob("out/*"))
