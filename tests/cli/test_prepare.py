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
from bedside.data.store_manifest import read_manifest
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


def test_a_training_store(cli: Callable[..., Any], study: Path) -> None:
    options = ("--labels", study / "labels", "--data-set", "S", "--modality", "CT", "--licence", "CC0",
               "--structure", "3=spleen", "--structure", "12=liver")  # fmt: skip
    command = ("prepare", "store", study / "images", *options, "-o", study / "store")
    status, out, err = cli(*command)
    assert (status, err) == (0, "")
    assert out.startswith(f"2 cases in 1 shards in {study / 'store'} (")
    (stored,) = read_manifest(study / "store").sets
    assert (stored.name, stored.licence, stored.modalities, stored.cases) == ("S", "CC0", ("CT",), 2)
    assert stored.structures == {"3": "spleen", "12": "liver"}
    assert stored.spacing == pytest.approx((0.7, 2.5))
    # Two labels in each of two scans, and supervoxels.
    assert stored.objects == 4
    assert stored.superpixels > 4
    before = (study / "store" / "manifest.json").read_bytes()
    assert cli(*command).out == out
    assert (study / "store" / "manifest.json").read_bytes() == before


def test_a_training_store_without_what_cannot_be_read(cli: Callable[..., Any], study: Path) -> None:
    (study / "images" / "p2.nii.gz").write_bytes(b"no image")
    command = ("prepare", "store", study / "images", "--labels", study / "labels", "-o", study / "store")
    status, out, err = cli(*command, "--no-superpixels")
    assert status == 1
    assert out.startswith("1 cases in ")
    assert err.startswith("images/p2: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--jobs", 0), "--jobs: expected at least 1"),
        (("--shard-mb", 0), "--shard-mb: expected more than 0"),
        (("--structure", "1=a"), "expected --labels with them"),
        (("--labels", "labels", "--structure", "a"), "--structure: expected a label and its name"),
        (("-o", "images/p1.nii.gz"), "expected a folder to write to, got a file"),
    ],
)
def test_wrong_options_of_a_training_store(
    cli: Callable[..., Any], study: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[Any, ...], message: str
) -> None:
    monkeypatch.chdir(study)
    status, _, err = cli("prepare", "store", "images", "-o", "out", *arguments)
    assert status == 2
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("output", ["images", "images/store", "labels", "."])
def test_a_training_store_lies_beside_its_sources(cli: Callable[..., Any], study: Path, output: str) -> None:
    before = sorted(study.rglob("*"))
    command = ("prepare", "store", study / "images", "--labels", study / "labels", "-o", study / output)
    status, _, err = cli(*command)
    assert status == 2
    assert "expected a folder beside the sources" in err
    assert sorted(study.rglob("*")) == before
