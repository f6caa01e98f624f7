"""What holds for every reader: one clear line for whatever is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bedside import io
from bedside.core.errors import FormatError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.io.registry import READERS, WRITERS

SUFFIXES = [suffix for _, reader in READERS.items() for suffix in reader.suffixes]
WRITTEN = [suffix for _, writer in WRITERS.items() for suffix in writer.suffixes]
NOISE = np.random.default_rng(0).integers(0, 255, (40, 50)).astype(np.uint8)


def _fails(path: Path, capfd: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(FormatError) as caught:
        io.read_image(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert capfd.readouterr() == ("", "")
    return message


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_missing_file(tmp_path: Path, capfd: pytest.CaptureFixture[str], suffix: str) -> None:
    assert "nothing there" in _fails(tmp_path / f"none{suffix}", capfd)


@pytest.mark.parametrize("content", [b"", b"just some text\nand more\n", bytes(5000)], ids=["empty", "text", "zeros"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_file_that_is_not_what_its_name_says(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], suffix: str, content: bytes
) -> None:
    path = tmp_path / f"wrong{suffix}"
    path.write_bytes(content)
    _fails(path, capfd)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("suffix", WRITTEN)
def test_truncated_file(tmp_path: Path, capfd: pytest.CaptureFixture[str], suffix: str, part: float) -> None:
    path = tmp_path / f"cut{suffix}"
    io.write_mask(path, NOISE, Geometry.create(NOISE.shape, (1, 1)))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    _fails(path, capfd)


def test_unknown_suffix_lists_the_known(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.xyz"
    path.write_text("hello")
    assert ".nii.gz" in _fails(path, capfd)


def test_dicom_is_known_by_its_content(tmp_path: Path, dicom_files: Path) -> None:
    (tmp_path / "1.2.840.99").write_bytes((dicom_files / "CT_small.dcm").read_bytes())
    assert io.read_image(tmp_path / "1.2.840.99").array.shape == (1, 128, 128)


@pytest.mark.parametrize("suffix", WRITTEN)
def test_volume_beyond_the_only_one(tmp_path: Path, capfd: pytest.CaptureFixture[str], suffix: str) -> None:
    path = tmp_path / f"one{suffix}"
    io.write_mask(path, NOISE, Geometry.create(NOISE.shape, (1, 1)))
    with pytest.raises(FormatError, match=r"--volume.*the only one, got 3"):
        io.read_mask(path, volume=3)
    np.testing.assert_array_equal(io.read_mask(path, volume=0).array, NOISE)


def test_masks_of_fractions_or_negative_values_are_rejected(tmp_path: Path) -> None:
    geometry = Geometry.create((2, 2, 2), (1, 1, 1))
    for values, message in ((0.5, "fractions"), (-1.0, "-1 to 0"), (70000.0, "0 to 70000"), (np.nan, "fractions")):
        array = np.zeros((2, 2, 2), np.float32)
        array[0, 0, 0] = values
        io.write_image(tmp_path / "m.nii", Image(array, geometry))
        with pytest.raises(FormatError, match=message):
            io.read_mask(tmp_path / "m.nii")


def test_formats_are_listed() -> None:
    assert io.readers()["nifti"][:2] == (".nii", ".nii.gz")
    assert "png" in io.writers()
    assert "jpeg" not in io.writers()


def test_importing_and_listing_loads_no_library() -> None:
    code = (
        "import sys, bedside.io as io; io.readers(); io.writers();"
        "print([m for m in ('nibabel','SimpleITK','pydicom','PIL','tifffile','torch','openvino') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("read", ["read_image", "read_mask"])
def test_an_empty_name_is_not_the_working_directory(read: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    io.write_image(tmp_path / "a.png", Image.from_array(np.zeros((4, 5), np.uint8)))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FormatError, match="expected a path, got an empty name"):
        getattr(io, read)("")
