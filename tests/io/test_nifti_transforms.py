"""Both transforms of a NIfTI travel with everything that is written on its grid, whichever a program takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside import io
from bedside.core.errors import FormatError
from bedside.core.geometry import Geometry

SHAPE = (5, 4, 3)
DATA = np.arange(60, dtype=np.int16).reshape(SHAPE)
CORNERS = [(x, y, z) for x in (0, 4) for y in (0, 3) for z in (0, 2)]

codes = st.tuples(st.integers(0, 4), st.integers(0, 4))
turns = st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 0.2)
spacings = st.tuples(*[st.floats(0.3, 6)] * 3)
offsets = st.tuples(*[st.floats(-200, 200)] * 3)


def rotation(quaternion: tuple[float, ...]) -> NDArray[np.float64]:
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_quat(quaternion).as_matrix())


def affine(turn: Any, spacing: Any, offset: Any) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(turn) * spacing
    matrix[:3, 3] = offset
    return matrix


def seen_by_itk(path: Path) -> NDArray[np.float64]:
    image = sitk.ReadImage(str(path))
    return np.array([image.TransformIndexToPhysicalPoint(c) for c in CORNERS])


def seen_by_nibabel(path: Path) -> NDArray[np.float64]:
    return np.asarray(nib.affines.apply_affine(nib.load(path).affine, CORNERS))


def write(
    path: Path, qform: Any, sform: Any, both: tuple[int, int], unit: str = "mm", kind: Any = nib.Nifti1Image
) -> None:
    file = kind(DATA, None)
    file.header.set_zooms(tuple(np.linalg.norm(qform[:3, :3], axis=0)))
    file.set_qform(qform, both[0])
    file.set_sform(sform, both[1])
    file.header.set_xyzt_units(unit)
    nib.save(file, path)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    both=codes,
    first=turns,
    second=turns,
    spacing=spacings,
    offset=offsets,
    unit=st.sampled_from(["mm", "micron", "meter", "unknown"]),
)
def test_a_mask_lies_on_its_image_in_every_program(
    tmp_path: Path, both: tuple[int, int], first: Any, second: Any, spacing: Any, offset: Any, unit: str
) -> None:
    path, mask = tmp_path / "i.nii.gz", tmp_path / "m.nii.gz"
    write(path, affine(first, spacing, offset), affine(second, spacing, (0, 0, 0)), both, unit)
    image = io.read_image(path)
    io.write_mask(mask, (image.array % 3).astype(np.uint8), image.geometry)
    np.testing.assert_array_equal(seen_by_itk(mask), seen_by_itk(path))
    np.testing.assert_array_equal(seen_by_nibabel(mask), seen_by_nibabel(path))
    a, b = nib.load(path).header, nib.load(mask).header
    for field in ("qform_code", "sform_code", "xyzt_units", "srow_x", "quatern_b", "qoffset_x"):
        np.testing.assert_array_equal(a[field], b[field])
    np.testing.assert_array_equal(np.asarray(nib.load(mask).dataobj), DATA % 3)
    assert io.read_mask(mask).geometry.matches(image.geometry)


@pytest.mark.parametrize("both", [(q, s) for q in range(5) for s in range(5)], ids=str)
def test_where_programs_put_a_file_is_known(tmp_path: Path, both: tuple[int, int]) -> None:
    write(
        tmp_path / "i.nii",
        affine((0, 0, 0.1, 1), (1, 1, 3), (4, 5, 6)),
        affine((0, 0, 0, 1), (1, 1, 3), (-20, -18, 15)),
        both,
    )
    nifti = io.read_image(tmp_path / "i.nii").geometry.nifti
    assert nifti is not None
    points = np.column_stack([CORNERS, np.ones(len(CORNERS))])
    np.testing.assert_allclose((points @ nifti.for_itk().T)[:, :3], seen_by_itk(tmp_path / "i.nii"), atol=1e-3)
    in_ras = (points @ nifti.for_nibabel().T)[:, :3] * (-1, -1, 1)
    np.testing.assert_allclose(in_ras, seen_by_nibabel(tmp_path / "i.nii"), atol=1e-4)


@pytest.mark.parametrize("both", [(1, 4), (1, 2), (2, 4), (0, 0), (1, 1), (0, 2), (3, 0)], ids=str)
def test_masks_drawn_in_either_family_of_programs_are_taken(tmp_path: Path, both: tuple[int, int]) -> None:
    write(
        tmp_path / "i.nii",
        affine((0, 0, 0.1, 1), (1, 1, 3), (4, 5, 6)),
        affine((0, 0, 0, 1), (1, 1, 3), (-20, -18, 15)),
        both,
    )
    geometry = io.read_image(tmp_path / "i.nii").geometry
    itk = sitk.ReadImage(str(tmp_path / "i.nii")) > 20
    for name in ("itk.nii.gz", "itk.nrrd", "itk.mha"):
        sitk.WriteImage(itk, str(tmp_path / name))
        assert io.read_mask(tmp_path / name).geometry.matches(geometry), name
    file = nib.load(tmp_path / "i.nii")
    nib.save(nib.Nifti1Image((DATA > 20).astype(np.uint8), file.affine), tmp_path / "nibabel.nii")
    assert io.read_mask(tmp_path / "nibabel.nii").geometry.matches(geometry)
    elsewhere = Geometry.create(geometry.shape, (1, 1, 3), (90, 0, 0))
    io.write_mask(tmp_path / "elsewhere.nii", np.zeros(geometry.shape, np.uint8), elsewhere)
    assert not io.read_mask(tmp_path / "elsewhere.nii").geometry.matches(geometry)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_a_mask_for_itks_programs_lies_where_they_see_the_image(tmp_path: Path, suffix: str) -> None:
    write(
        tmp_path / "i.nii",
        affine((0, 0, 0.1, 1), (1, 1, 3), (4, 5, 6)),
        affine((0, 0, 0, 1), (1, 1, 3), (-20, -18, 15)),
        (1, 4),
    )
    image = io.read_image(tmp_path / "i.nii")
    io.write_mask(tmp_path / f"m{suffix}", np.zeros(image.shape, np.uint8), image.geometry)
    np.testing.assert_allclose(seen_by_itk(tmp_path / f"m{suffix}"), seen_by_itk(tmp_path / "i.nii"), atol=1e-3)
    assert io.read_mask(tmp_path / f"m{suffix}").geometry.matches(image.geometry)


def test_orientations_that_differ_are_said_once(tmp_path: Path) -> None:
    qform = affine((0, 0, 0, 1), (1, 1, 3), (0, 0, 0))
    write(tmp_path / "same.nii", qform, qform, (1, 4))
    assert "notes" not in io.read_image(tmp_path / "same.nii").metadata
    write(tmp_path / "differ.nii", qform, affine((0, 0, 0, 1), (1, 1, 3), (5, 0, 0)), (1, 4))
    (note,) = io.read_image(tmp_path / "differ.nii").metadata["notes"]
    assert "qform, code 1; sform, code 4" in note
    assert "5.0 mm" in note


def test_transforms_do_not_follow_another_grid(tmp_path: Path) -> None:
    """What no longer describes the grid is not written."""
    from dataclasses import replace

    qform = affine((0, 0, 0, 1), (1, 1, 3), (0, 0, 0))
    write(tmp_path / "i.nii", qform, affine((0, 0, 0.1, 1), (1, 1, 3), (9, 9, 9)), (1, 4))
    geometry = io.read_image(tmp_path / "i.nii").geometry
    moved = replace(geometry, origin=(100.0, 0.0, 0.0))
    io.write_mask(tmp_path / "m.nii", np.zeros(moved.shape, np.uint8), moved)
    np.testing.assert_allclose(seen_by_itk(tmp_path / "m.nii")[0], (100, 0, 0), atol=1e-4)
    smaller = replace(geometry, shape=(2, 4, 5))
    io.write_mask(tmp_path / "s.nii", np.zeros(smaller.shape, np.uint8), smaller)
    assert sitk.ReadImage(str(tmp_path / "s.nii")).GetSize() == (5, 4, 2)


# Other forms


@pytest.mark.parametrize("kind", [nib.Nifti1Pair, nib.Nifti2Pair, nib.Spm2AnalyzeImage, nib.AnalyzeImage])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_pairs_are_read_by_either_name(tmp_path: Path, kind: Any, dtype: str) -> None:
    samples = DATA.astype(dtype)
    nib.save(kind(samples, np.diag([2.0, 3, 4, 1])), tmp_path / "p.img")
    for name in ("p.img", "p.hdr"):
        image = io.read_image(tmp_path / name)
        np.testing.assert_array_equal(image.array, samples.T)
        np.testing.assert_allclose(image.geometry.spacing, (2, 3, 4))
    if kind is not nib.Nifti2Pair:  # Of which ITK reads single files only.
        itk = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "p.img")))
        np.testing.assert_array_equal(itk, samples.T)


def test_half_a_pair_is_named(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Pair(DATA, np.eye(4)), tmp_path / "p.img")
    (tmp_path / "p.img").rename(tmp_path / "kept")
    with pytest.raises(FormatError, match=r"samples is missing: expected p\.img"):
        io.read_image(tmp_path / "p.hdr")


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32"])
@pytest.mark.parametrize("suffix", [".mgz", ".mgh"])
def test_freesurfers_volumes_lie_where_nibabel_lays_them(tmp_path: Path, suffix: str, dtype: str) -> None:
    file = nib.MGHImage(DATA.astype(dtype), affine((0.1, 0.2, 0.3, 1), (1, 2, 3), (4, 5, 6)))
    nib.save(file, tmp_path / f"m{suffix}")
    image = io.read_image(tmp_path / f"m{suffix}")
    np.testing.assert_array_equal(image.array, DATA.T)
    assert image.array.dtype == np.dtype(dtype)
    expected = nib.affines.apply_affine(file.affine, CORNERS) * (-1, -1, 1)
    np.testing.assert_allclose(image.geometry.index_to_world(CORNERS), expected, atol=1e-3)


@pytest.mark.parametrize("channels", ["RGB", "RGBA"])
def test_colour_of_one_slice_is_a_picture(tmp_path: Path, channels: str) -> None:
    samples = np.zeros((6, 5, 1), dtype=[(c, "u1") for c in channels])
    for place, c in enumerate(channels):
        samples[c][..., 0] = np.arange(30).reshape(6, 5) + 50 * place
    if channels == "RGBA":
        samples["A"] = 255
    nib.save(nib.Nifti1Image(samples, np.diag([0.5, 0.25, 1, 1])), tmp_path / "c.nii.gz")
    image = io.read_image(tmp_path / "c.nii.gz")
    assert image.is_colour
    itk = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "c.nii.gz")))[0][..., :3]
    np.testing.assert_array_equal(image.array, itk)
    assert image.geometry.spacing == (0.5, 0.25)
    io.write_mask(tmp_path / "m.nii.gz", np.ones(image.shape, np.uint8), image.geometry)
    assert nib.load(tmp_path / "m.nii.gz").shape == (6, 5, 1)


def test_wide_masks_are_nifti_2(tmp_path: Path) -> None:
    mask = np.zeros((3, 40_000), np.uint8)
    mask[:, 39_990:] = 1
    io.write_mask(tmp_path / "m.nii.gz", mask, Geometry.create(mask.shape, (0.1, 0.1)))
    assert isinstance(nib.load(tmp_path / "m.nii.gz"), nib.Nifti2Image)
    np.testing.assert_array_equal(io.read_mask(tmp_path / "m.nii.gz").array, mask)
