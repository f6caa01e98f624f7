"""What holds for every writer: nothing half-written, and one clear line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside import io
from bedside.core.errors import FormatError
from bedside.core.geometry import Geometry
from bedside.io.registry import WRITERS

SUFFIXES = [suffix for _, writer in WRITERS.items() for suffix in writer.suffixes]
MASK = np.arange(20, dtype=np.uint8).reshape(4, 5)
GEOMETRY = Geometry.create((4, 5), (1, 1))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_mask_survives_and_leaves_nothing_else(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"scan.v1{suffix}"
    io.write_mask(path, MASK, GEOMETRY)
    np.testing.assert_array_equal(io.read_mask(path).array, MASK)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_same_mask_gives_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    for name in ("a", "b"):
        io.write_mask(tmp_path / f"{name}{suffix}", MASK, GEOMETRY)
    if suffix != ".npz":  # An archive holds the time of day.
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError("no space left on device")])
def test_interrupted_write_leaves_the_old_file(
    tmp_path: Path, suffix: str, interruption: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"m{suffix}"
    io.write_mask(path, MASK, GEOMETRY)
    before = path.read_bytes()

    def interrupted(descriptor: int) -> None:
        raise interruption

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt if interruption is KeyboardInterrupt else FormatError):
        io.write_mask(path, MASK + 1, GEOMETRY)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_missing_folder(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(FormatError, match="existing folder"):
        io.write_mask(tmp_path / "none" / f"m{suffix}", MASK, GEOMETRY)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(FormatError, match="may write"):
        io.write_mask(tmp_path / "m.png", MASK, GEOMETRY)


def test_target_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "m.png").mkdir()
    with pytest.raises(FormatError, match="a folder"):
        io.write_mask(tmp_path / "m.png", MASK, GEOMETRY)


@pytest.mark.parametrize("name", ["m.jpg", "m.mhd", "m.dcm", "m", "m.gz"])
def test_format_that_is_not_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(FormatError, match=r"expected one of .*\.nii\.gz"):
        io.write_mask(tmp_path / name, MASK, GEOMETRY)


def test_mask_of_another_shape(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="shape of its geometry"):
        io.write_mask(tmp_path / "m.nii", MASK[:2], GEOMETRY)


def test_library_errors_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any) -> None:
        raise RuntimeError("Exception thrown:\n/src/file.cxx:12:\nsitk::ERROR: it will not do")

    writer = WRITERS.get("nifti")
    monkeypatch.setitem(WRITERS._entries, "nifti", type(writer)(writer.title, writer.suffixes, broken))
    with pytest.raises(FormatError, match="cannot be written as NIfTI: got it will not do") as caught:
        io.write_mask(tmp_path / "m.nii", MASK, GEOMETRY)
    assert "\n" not in str(caught.value)
