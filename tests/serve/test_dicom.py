"""Series as they lie on disks: in folders, several in one, zipped, and dropped as many files."""

from __future__ import annotations

import importlib.util
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Start = Callable[..., Any]
POSITIONS = [(0.0, 0.0, 2.0 * i) for i in range(3)]


@pytest.fixture
def write_series() -> Any:
    path = Path(__file__).parents[1] / "io" / "conftest.py"
    name = "_bedside_tests_io_conftest"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]._write_series


def listed(server: Any) -> Any:
    for _ in range(1000):
        found = server.ok("GET", "/api/worklist")
        if not found["scanning"]:
            return found["items"]
        time.sleep(0.01)
    raise AssertionError("the folder is still looked through")


def test_a_folder_of_one_series_is_one_image(start: Start, tmp_path: Path, write_series: Any) -> None:
    write_series(tmp_path / "study", POSITIONS)
    server = start(tmp_path / "study")
    (item,) = listed(server)
    assert item["name"] == "study"
    found = server.ok("POST", f"/api/worklist/{item['item']}/open")
    assert (found["shape"], found["modality"], found["modality_guessed"]) == ([3, 4, 5], "CT", False)
    assert found["spacing"] == [0.25, 0.5, 2.0]


def test_each_series_of_a_folder_is_an_image(start: Start, tmp_path: Path, write_series: Any) -> None:
    write_series(tmp_path / "study", POSITIONS, number=1, description="thin", prefix="A")
    write_series(tmp_path / "study", POSITIONS[:2], number=2, description="thick", prefix="B")
    server = start(tmp_path / "study")
    items = listed(server)
    assert [i["name"] for i in items] == ["study: thin", "study: thick"]
    shapes = [server.ok("POST", f"/api/worklist/{i['item']}/open")["shape"] for i in items]
    assert shapes == [[3, 4, 5], [2, 4, 5]]
    problem = server.rejected("POST", "/api/images", 400, {"path": str(tmp_path / "study")})
    assert "holds 2 series" in problem["message"]
    one = server.ok("POST", "/api/images", {"path": str(tmp_path / "study"), "series": "2"})
    assert one["shape"] == [2, 4, 5]


def test_series_in_folders_below(start: Start, tmp_path: Path, write_series: Any) -> None:
    for name in ("scan 2", "scan 10"):
        write_series(tmp_path / "patient" / name, POSITIONS)
    assert [i["name"] for i in listed(start(tmp_path / "patient"))] == ["scan 2", "scan 10"]


def test_many_files_and_zips_are_the_same_image(start: Start, tmp_path: Path, write_series: Any) -> None:
    files = write_series(tmp_path / "study", POSITIONS)
    server = start()
    image = server.open(tmp_path / "study")["image"]
    sent = [("files", (f"study/{path.name}", path.read_bytes())) for path in files]
    dropped = server.client.post("/api/upload", files=sent).json()
    assert (dropped["image"], dropped["shape"]) == (image, [3, 4, 5])
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        for path in files:
            archive.write(path, f"DICOM/{path.name}")
    assert server.open(tmp_path / "study.zip")["image"] == image
    zipped = {"files": ("study.zip", (tmp_path / "study.zip").read_bytes())}
    assert server.client.post("/api/upload", files=zipped).json()["image"] == image


def test_a_click_lands_where_it_was_made(start: Start, tmp_path: Path, write_series: Any) -> None:
    pixels = np.zeros((3, 4, 5), np.int16)
    pixels[1, 1:3, 2:4] = 500
    write_series(tmp_path / "study", POSITIONS, pixels=pixels)
    server = start()
    image = server.open(tmp_path / "study")["image"]
    # World coordinates in mm: x 2 * 0.25, y 1 * 0.5, z 2.
    change = server.click(image, 0.5, 0.5, 2.0, frame="world")
    assert change["objects"][0]["box"] == {"start": [1, 1, 2], "stop": [2, 3, 4]}


def test_the_volumes_of_a_series_are_put_on_the_worklist_to_choose_from(
    start: Start, tmp_path: Path, write_series: Any
) -> None:
    for echo, time_ in enumerate((4.6, 9.2)):
        pixels = np.full((3, 4, 5), 100 * (echo + 1), np.int16)
        write_series(
            tmp_path / "study", POSITIONS, series_uid="1.2.3", EchoTime=time_, pixels=pixels, prefix=f"E{echo}"
        )
    assert [i["name"] for i in listed(start(tmp_path / "study"))] == ["study: EchoTime 4.6", "study: EchoTime 9.2"]
    server = start()
    problem = server.rejected("POST", "/api/images", 400, {"path": str(tmp_path / "study")})
    assert problem["kind"] == "ChoiceError"
    assert "POST /api/worklist/ITEM/open" in problem["fix"]
    assert "--" not in problem["message"]
    items = listed(server)
    assert ["EchoTime 4.6" in i["name"] for i in items] == [True, False]
    ranges = [server.ok("POST", f"/api/worklist/{i['item']}/open")["range"] for i in items]
    assert ranges == [[100, 100], [200, 200]]


def test_moments_of_a_nifti_are_put_on_the_worklist(start: Start, tmp_path: Path) -> None:
    import nibabel as nib

    moments = np.stack([np.full((5, 4, 3), v, np.int16) for v in (1, 2, 3)], axis=-1)
    nib.save(nib.Nifti1Image(moments, np.eye(4)), tmp_path / "t.nii")
    server = start()
    problem = server.rejected("POST", "/api/images", 400, {"path": str(tmp_path / "t.nii")})
    assert "holds 3 volumes" in problem["message"]
    items = listed(server)
    assert [i["volume"] for i in items] == [0, 1, 2]
    assert server.ok("POST", f"/api/worklist/{items[2]['item']}/open")["range"] == [3, 3]


def test_what_was_left_aside_is_told(start: Start, tmp_path: Path, write_series: Any) -> None:
    write_series(tmp_path / "study", POSITIONS, series_uid="1.2.3")
    write_series(tmp_path / "study", [(0, 5, 30)], series_uid="1.2.3", prefix="L", orientation=(1, 0, 0, 0, 0, -1))
    server = start()
    (note,) = server.open(tmp_path / "study")["notes"]
    assert "left aside: 1 coronal slice" in note
