"""Headers with fields that the format's own library puts right: held against SimpleITK, which reads with it."""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside import io
from bedside.core.errors import FormatError

SAMPLES = np.random.default_rng(0).integers(-500, 500, (5, 6, 7)).astype(np.int16)
DIM, TYPE, OFFSET, SLOPE, UNITS, CODES, QUATERNION = 40, 70, 108, 112, 123, 252, 256


def written(path: Path, fields: dict[int, tuple[str, tuple[Any, ...]]], array: NDArray[Any] = SAMPLES) -> Path:
    """A NIfTI-1 with fields overwritten: the place of each in the header, how it is packed, and what with."""
    file = nib.Nifti1Image(array, np.diag([-2.0, 3, 4, 1]), dtype=array.dtype)
    file.header.set_xyzt_units("mm")
    nib.save(file, path)
    raw = bytearray(path.read_bytes())
    for place, (form, values) in fields.items():
        struct.pack_into(f"<{form}", raw, place, *values)
    path.write_bytes(raw)
    return path


def assert_as_itk_reads(path: Path) -> None:
    image, theirs = io.read_image(path), sitk.ReadImage(str(path), imageIO="NiftiImageIO")
    np.testing.assert_allclose(image.array, sitk.GetArrayFromImage(theirs), rtol=1e-6)
    np.testing.assert_allclose(image.geometry.spacing, theirs.GetSpacing(), rtol=1e-5)
    np.testing.assert_allclose(image.geometry.origin, theirs.GetOrigin(), atol=1e-4)
    np.testing.assert_allclose(np.ravel(image.geometry.direction), theirs.GetDirection(), atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(
    axis=st.lists(st.floats(-1, 1), min_size=3, max_size=3).filter(lambda v: np.linalg.norm(v) > 0.1),
    excess=st.sampled_from([0.0, 1e-7, 1e-6, 1e-5, 1e-3, 0.01]),
    with_sform=st.booleans(),
)
def test_quaternions_longer_than_one_are_shortened(axis: list[float], excess: float, with_sform: bool) -> None:
    """Rounded ones: half a turn around an axis, whose length is 1 and a little more."""
    quaternion = np.array(axis) / np.linalg.norm(axis) * (1 + excess)
    fields = {CODES: ("hh", (1, int(with_sform))), QUATERNION: ("fff", tuple(quaternion))}
    with tempfile.TemporaryDirectory() as folder:
        assert_as_itk_reads(written(Path(folder) / "a.nii", fields))


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.sampled_from([(3, 5, 6, 7, 0, 0, 0, 0), (4, 5, 6, 7, 0, 1, 1, 1), (5, 5, 6, 7, 0, 0, 1, 1)]),
    units=st.integers(0, 255).filter(lambda u: u & 7 not in (1, 3)),
    slope=st.sampled_from([(2.0, float("nan")), (0.5, float("inf"))]),
)
def test_fields_that_say_nothing(sizes: tuple[int, ...], units: int, slope: tuple[float, float]) -> None:
    fields = {DIM: ("8h", sizes), UNITS: ("B", (units,)), SLOPE: ("ff", slope)}
    with tempfile.TemporaryDirectory() as folder:
        assert_as_itk_reads(written(Path(folder) / "a.nii", fields))


def test_samples_whose_place_is_not_told_follow_the_header(tmp_path: Path) -> None:
    """nibabel takes 0 for the beginning of the file, and gives the header for samples."""
    path = written(tmp_path / "a.nii", {OFFSET: ("f", (0.0,))})
    np.testing.assert_array_equal(io.read_image(path).array, SAMPLES.T)


@pytest.mark.parametrize(("code", "bits", "what"), [(1, 1, "bits"), (1536, 128, "128-bit floats"), (77, 16, "77")])
def test_types_that_are_not_read_are_named(tmp_path: Path, code: int, bits: int, what: str) -> None:
    path = written(tmp_path / "a.nii", {TYPE: ("hh", (code, bits))})
    with pytest.raises(FormatError, match=f"samples of .*{what}.*up to 64 bits"):
        io.read_image(path)


def test_one_axis_is_rejected_by_name(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="expected 2 or more axes, got 1"):
        io.read_image(written(tmp_path / "a.nii", {}, SAMPLES.ravel()))


@pytest.mark.parametrize("count", [0, 8, -1, 256])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_number_of_axes_that_cannot_be_is_named(tmp_path: Path, count: int, kind: Any, order: str) -> None:
    """Not as another order of bytes, which nibabel guesses from it."""
    file = kind(SAMPLES, np.eye(4), header=kind.header_class(endianness=order))
    nib.save(file, tmp_path / "a.nii")
    raw = bytearray((tmp_path / "a.nii").read_bytes())
    wide = kind is nib.Nifti2Image
    struct.pack_into(f"{order}{'q' if wide else 'h'}", raw, 16 if wide else 40, count)
    (tmp_path / "a.nii").write_bytes(raw)
    with pytest.raises(FormatError, match=rf"dim\[0\]: expected 1 to 7 axes, got {count}$"):
        io.read_image(tmp_path / "a.nii")


@pytest.mark.parametrize("shape", [(3, 4, 5), (40, 50, 60)])
@pytest.mark.parametrize("tail", [b"\0" * 99, b"x", b"\x1f\x8b", b"what is no gzip" * 99])
def test_what_follows_a_gzip_file_is_left_aside(tmp_path: Path, shape: tuple[int, ...], tail: bytes) -> None:
    samples = np.random.default_rng(1).integers(0, 99, shape).astype(np.int16)
    nib.save(nib.Nifti1Image(samples, np.eye(4)), tmp_path / "a.nii.gz")
    with (tmp_path / "a.nii.gz").open("ab") as file:
        file.write(tail)
    assert_as_itk_reads(tmp_path / "a.nii.gz")
