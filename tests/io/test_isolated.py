"""Uploads that are read in a process of their own: equal to what is read here, and errors where that process ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bedside.core.errors import ChoiceError, FormatError
from bedside.io import isolated, read_image
from bedside.io.isolated import read_uploaded
from bedside.io.registry import READERS
from research.fuzz.seeds import Seed, make_seeds


@pytest.fixture(scope="module")
def seeds() -> dict[str, list[Seed]]:
    return make_seeds()


def _put(seed: Seed, folder: Path) -> Path:
    for name, content in seed.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder / seed.entry


@pytest.mark.parametrize("reader", sorted(name for name, _ in READERS.items()))
def test_the_other_process_reads_the_same(tmp_path: Path, seeds: dict[str, list[Seed]], reader: str) -> None:
    path = _put(seeds[reader][0], tmp_path)
    here = read_image(path)
    there = read_uploaded(path)
    np.testing.assert_array_equal(there.array, here.array)
    assert there.array.dtype == here.array.dtype
    assert there.geometry == here.geometry
    assert there.geometry.nifti == here.geometry.nifti
    assert (there.modality, there.source, there.metadata, there.padding) == (
        *(here.modality, here.source, here.metadata, here.padding),
    )


def test_only_formats_read_by_python_alone_are_read_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert {name for name, reader in READERS.items() if not reader.isolate} == {"nifti", "mgh", "npz"}
    monkeypatch.setattr(isolated, "_ask", lambda *_: pytest.fail("a process was started"))
    np.savez(tmp_path / "a.npz", imgs=np.zeros((4, 5), np.uint8))
    assert read_uploaded(tmp_path / "a.npz").shape == (4, 5)


def _a_picture(folder: Path) -> Path:
    from bedside.core.geometry import Geometry
    from bedside.core.image import Image
    from bedside.io import write_image

    write_image(folder / "a.png", Image(np.zeros((4, 5), np.uint8), Geometry.create((4, 5))))
    return folder / "a.png"


@pytest.mark.parametrize(
    ("program", "said"),
    [("import os; os.abort()", "SIGABRT"), ("print('no answer')", "status 0"), ("import sys; sys.exit(7)", "status 7")],
)
def test_a_process_that_ends_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, said: str
) -> None:
    monkeypatch.setattr(isolated, "_PROGRAM", program)
    with pytest.raises(FormatError, match=f"gave up.*{said}"):
        read_uploaded(_a_picture(tmp_path))


def test_a_process_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "_PROGRAM", "import time; time.sleep(600)")
    monkeypatch.setattr(isolated, "LONGEST", 0.5)
    with pytest.raises(FormatError, match="at most"):
        read_uploaded(_a_picture(tmp_path))


def test_errors_come_back_as_they_were(tmp_path: Path) -> None:
    import SimpleITK as sitk  # noqa: N813 - the name that all its users know

    four = sitk.JoinSeries([sitk.GetImageFromArray(np.zeros((3, 4, 5), np.uint8))] * 2)
    sitk.WriteImage(four, str(tmp_path / "a.nrrd"))
    with pytest.raises(ChoiceError) as here:
        read_image(tmp_path / "a.nrrd")
    with pytest.raises(ChoiceError) as there:
        read_uploaded(tmp_path / "a.nrrd")
    assert str(there.value) == str(here.value)
    assert there.value.count == here.value.count == 2
    assert read_uploaded(tmp_path / "a.nrrd", volume=1).shape == (3, 4, 5)
