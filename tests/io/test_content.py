"""Content decides what a file is, and a message names the cause."""

from __future__ import annotations

import bz2
import gzip
import io as streams
import lzma
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import PIL.Image
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside import io
from bedside.core.errors import FormatError

VOLUME = np.arange(6 * 7 * 8, dtype=np.int16).reshape(6, 7, 8)
PICTURE = (np.arange(300) % 251).astype(np.uint8).reshape(15, 20)
NAMES = (
    "x",
    "x.nii",
    "x.nii.gz",
    "x.tif",
    "x.png",
    "x.dcm",
    "x.nrrd",
    "x.mha",
    "x.npz",
    "x.jpg",
    "scan.download",
    "1.2.3",
)

Maker = Callable[[Path], NDArray[Any]]


def _nifti(path: Path) -> NDArray[Any]:
    path.write_bytes(nib.Nifti1Image(VOLUME.T, np.diag([1.0, 1, 2, 1])).to_bytes())
    return VOLUME


def _nifti2(path: Path) -> NDArray[Any]:
    path.write_bytes(nib.Nifti2Image(VOLUME.T, np.eye(4)).to_bytes())
    return VOLUME


def _itk(suffix: str) -> Maker:
    def make(path: Path) -> NDArray[Any]:
        named = path.with_name(f"made{suffix}")
        sitk.WriteImage(sitk.GetImageFromArray(VOLUME), str(named))
        named.rename(path)
        return VOLUME

    return make


def _pillow(kind: str) -> Maker:
    def make(path: Path) -> NDArray[Any]:
        PIL.Image.fromarray(PICTURE).save(path, format=kind)
        return PICTURE

    return make


def _tiff(path: Path) -> NDArray[Any]:
    with path.open("wb") as file:
        tifffile.imwrite(file, PICTURE)
    return PICTURE


def _npz(path: Path) -> NDArray[Any]:
    with path.open("wb") as file:
        np.savez(file, imgs=VOLUME)
    return VOLUME


def _mgh(path: Path) -> NDArray[Any]:
    path.write_bytes(nib.MGHImage(VOLUME.T, np.eye(4)).to_bytes())
    return VOLUME


MAKERS: dict[str, Maker] = {
    "nifti": _nifti,
    "nifti2": _nifti2,
    "nrrd": _itk(".nrrd"),
    "mha": _itk(".mha"),
    "png": _pillow("PNG"),
    "bmp": _pillow("BMP"),
    "tiff": _tiff,
    "npz": _npz,
    "mgh": _mgh,
}
PACKERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    maker=st.sampled_from(sorted(MAKERS)),
    name=st.sampled_from(NAMES),
    packing=st.sampled_from([None, *PACKERS]),
)
def test_a_file_is_read_whatever_its_name(
    tmp_path_factory: pytest.TempPathFactory, maker: str, name: str, packing: str | None
) -> None:
    path = tmp_path_factory.mktemp("content") / name
    expected = MAKERS[maker](path)
    if packing is not None:
        path.write_bytes(PACKERS[packing](path.read_bytes()))
    np.testing.assert_array_equal(io.read_image(path).array, expected)


def test_jpeg_called_png(tmp_path: Path) -> None:
    PIL.Image.fromarray(PICTURE).save(tmp_path / "p.jpg", quality=95)
    shutil.copy(tmp_path / "p.jpg", tmp_path / "p.png")
    np.testing.assert_array_equal(
        io.read_image(tmp_path / "p.png").array, np.asarray(PIL.Image.open(tmp_path / "p.jpg"))
    )


@pytest.mark.parametrize("name", ["slice.nii", "slice", "slice.png"])
def test_dicom_whatever_its_name(tmp_path: Path, write_series: Any, name: str) -> None:
    (path,) = write_series(tmp_path / "s", [(0, 0, 0)])
    shutil.copy(path, tmp_path / name)
    assert io.read_image(tmp_path / name).shape == (1, 4, 5)


@pytest.mark.parametrize("implicit", [False, True])
def test_dicom_without_preamble_and_suffix(tmp_path: Path, write_series: Any, implicit: bool) -> None:
    for number, path in enumerate(write_series(tmp_path / "s", [(0, 0, 2.0 * k) for k in range(4)])):
        dataset = pydicom.dcmread(path)
        if implicit:
            # As from before Part 10: no meta information either.
            with (tmp_path / f"I{number}").open("wb") as file:
                pydicom.dcmwrite(file, pydicom.Dataset(dataset), implicit_vr=True, little_endian=True)
        else:
            (tmp_path / f"I{number}").write_bytes(path.read_bytes()[132:])
    shutil.rmtree(tmp_path / "s")
    np.testing.assert_array_equal(io.read_image(tmp_path).array[:, 0, 0], 100 * np.arange(4))


def test_a_zip_that_is_no_archive_of_arrays_is_not_known(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w") as archive:
        archive.writestr("notes.txt", "hello")
    with pytest.raises(FormatError, match="unknown format"):
        io.read_image(tmp_path / "a")


# Causes


def test_the_missing_file_of_samples_is_named(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(VOLUME), str(tmp_path / "s.mhd"))
    (tmp_path / "s.raw").rename(tmp_path / "kept")
    with pytest.raises(FormatError, match=r"s\.mhd: the file with its samples is missing: expected s\.raw"):
        io.read_image(tmp_path / "s.mhd")
    sitk.WriteImage(sitk.GetImageFromArray(VOLUME), str(tmp_path / "n.nhdr"))
    detached = next(p for p in tmp_path.iterdir() if p.name.startswith("n.raw"))
    detached.rename(tmp_path / "kept too")
    with pytest.raises(FormatError, match=rf"n\.nhdr: the file with its samples is missing: expected {detached.name}"):
        io.read_image(tmp_path / "n.nhdr")


@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize("name", ["bzip2", "bz2"])
def test_bzip2_nrrd(tmp_path: Path, name: str, detached: bool) -> None:
    data = "data file: s.bz2\n" if detached else ""
    header = f"NRRD0005\ntype: int16\nendian: little\nencoding: {name}\n{data}"
    header += "dimension: 3\nsizes: 8 7 6\nspacings: 1 2 3\n\n"
    packed = bz2.compress(VOLUME.tobytes())
    (tmp_path / "s.bz2").write_bytes(packed)
    (tmp_path / "b.nrrd").write_bytes(header.encode() + (b"" if detached else packed))
    image = io.read_image(tmp_path / "b.nrrd")
    np.testing.assert_array_equal(image.array, VOLUME)
    assert image.geometry.spacing == (1, 2, 3)


def test_choices_are_named_for_the_command_line_and_for_python(tmp_path: Path) -> None:
    stream = streams.BytesIO()
    nib.Nifti1Image(np.stack([VOLUME, VOLUME], -1), np.eye(4)).to_stream(stream)
    (tmp_path / "t.nii").write_bytes(stream.getvalue())
    with pytest.raises(FormatError, match=r"choose with --volume 0 to 1 \(volume= in Python\)"):
        io.read_image(tmp_path / "t.nii")
