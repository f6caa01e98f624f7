"""``bedside surface`` from a label map to files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside.core.geometry import Geometry
from bedside.io import write_mask


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    labels = np.zeros((12, 14, 16), np.uint8)
    labels[2:6, 2:8, 2:9] = 1
    labels[8:11, 3:9, 3:9] = 7
    path = tmp_path / "mask.nrrd"
    write_mask(path, labels, Geometry.create(labels.shape, (1.0, 1.0, 2.0)), {1: "left lung", 7: "a/b"})
    return path


def triangles(path: Path) -> int:
    return (path.stat().st_size - 84) // 50


def test_all_labels_go_into_one_file(cli: Callable[..., Any], mask: Path, tmp_path: Path) -> None:
    status, out, _ = cli("surface", mask, "-o", tmp_path / "both.stl")
    assert (status, "ml" in out) == (0, True)
    for number in (1, 7):
        assert cli("surface", mask, "-o", tmp_path / f"{number}.stl", "--label", number).status == 0
    parts = [triangles(tmp_path / f"{number}.stl") for number in (1, 7)]
    assert triangles(tmp_path / "both.stl") == sum(parts)


def test_a_folder_gets_a_file_for_each_label(cli: Callable[..., Any], mask: Path, tmp_path: Path) -> None:
    assert cli("surface", mask, "-o", tmp_path / "out", "--format", "ply", "--smooth", "0.5").status == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1-left_lung.ply", "7-a_b.ply"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-o", "s.obj"), "expected a name that ends in .stl or .ply"),
        (("-o", "s.stl", "--label", "3"), "--label: expected labels of the mask (1, 7), got 3"),
        (("-o", "s.stl", "--format", "ply"), "--format: expected that of s.stl"),
        (("-o", "s3://bucket/out"), "--output: expected a path on this machine, got s3://bucket/out"),
        (("-o", "s.stl", "--smooth", "-1"), "from 0 to 100 mm"),
        (("-o", "s.stl", "--smooth", "50"), "less than the object is thick"),
        (("-o", "none/s.stl"), "no folder"),
        (("-o", "mask.nrrd"), "another file than the input"),
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(
    cli: Callable[..., Any], mask: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(mask.parent)
    before = sorted(mask.parent.iterdir())
    status, _, err = cli("surface", mask.name, *arguments)
    assert status == 2
    assert said in err
    assert err.count("\n") == 1
    assert sorted(mask.parent.iterdir()) == before


def test_a_picture_has_no_surface(cli: Callable[..., Any], tmp_path: Path) -> None:
    write_mask(tmp_path / "m.png", np.ones((5, 6), np.uint8), Geometry.create((5, 6), None))
    status, _, err = cli("surface", tmp_path / "m.png", "-o", tmp_path / "s.stl")
    assert status == 2
    assert "expected a mask with three axes" in err
