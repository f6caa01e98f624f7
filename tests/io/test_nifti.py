"""What is NIfTI's own: scale factors, 4D, two affines, units."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from bedside import io
from bedside.core.errors import FormatError
from bedside.core.geometry import Geometry
from bedside.core.image import Image

DATA = np.arange(60, dtype=np.int16).reshape(5, 4, 3, order="F")


def _save(path: Path, file: nib.Nifti1Image) -> Path:
    nib.save(file, path)
    return path


def _scaled(path: Path, slope: float, inter: float) -> Path:
    file = nib.Nifti1Image(DATA, np.eye(4))
    nib.save(file, path)
    # The library chooses factors by itself, so they are written into the header behind its back.
    raw = bytearray(path.read_bytes())
    raw[112:120] = np.array([slope, inter], "<f4").tobytes()
    path.write_bytes(raw)
    return path


def test_scale_factors_are_applied(tmp_path: Path) -> None:
    image = io.read_image(_scaled(tmp_path / "s.nii", 0.5, 10))
    assert image.array.dtype == np.float32
    np.testing.assert_allclose(image.array, DATA.T * 0.5 + 10)


def test_whole_intercept_keeps_integers(tmp_path: Path) -> None:
    image = io.read_image(_scaled(tmp_path / "s.nii", 1, -1024))
    assert image.array.dtype == np.int16
    np.testing.assert_array_equal(image.array, DATA.T - 1024)


def test_slope_of_zero_means_none(tmp_path: Path) -> None:
    image = io.read_image(_scaled(tmp_path / "s.nii", 0, 5))
    np.testing.assert_array_equal(image.array, DATA.T)


def test_bundled_4d_file() -> None:
    path = Path(nib.__file__).parent / "tests" / "data" / "example4d.nii.gz"
    with pytest.raises(FormatError, match=r"2 volumes \(4D.*--volume 0 to 1"):
        io.read_image(path)
    with pytest.raises(FormatError, match=r"0 to 1, got 2"):
        io.read_image(path, volume=2)
    image = io.read_image(path, volume=1)
    assert image.array.shape == (24, 96, 128)
    assert image.array.dtype == np.int16
    np.testing.assert_array_equal(image.array, np.asarray(nib.load(path).dataobj)[..., 1].T)
    np.testing.assert_allclose(image.geometry.spacing, (2, 2, 2.2), rtol=1e-6)


def test_trailing_axis_of_one_is_no_choice(tmp_path: Path) -> None:
    path = _save(tmp_path / "t.nii", nib.Nifti1Image(DATA[..., None], np.eye(4)))
    np.testing.assert_array_equal(io.read_image(path).array, DATA.T)


def test_sheared_affine_is_rejected_by_name(tmp_path: Path) -> None:
    affine = np.eye(4)
    affine[0, 2] = 0.2
    file = nib.Nifti1Image(DATA, affine)
    file.set_sform(affine, 2)
    file.set_qform(None, 0)
    with pytest.raises(FormatError, match=r"sheared axes: .*11\.\d+ degrees off"):
        io.read_image(_save(tmp_path / "s.nii", file))


def test_sound_qform_stands_in_for_a_sheared_sform(tmp_path: Path) -> None:
    sheared, sound = np.eye(4), np.diag([2.0, 2, 2, 1])
    sheared[0, 2] = 0.2
    file = nib.Nifti1Image(DATA, sound)
    file.set_sform(sheared, 2)
    file.set_qform(sound, 1)
    image = io.read_image(_save(tmp_path / "s.nii", file))
    assert image.metadata["orientation"] == "qform"
    assert image.geometry.spacing == (2.0, 2.0, 2.0)


def test_file_without_orientation_lies_as_itk_lays_it(tmp_path: Path) -> None:
    file = nib.Nifti1Image(DATA, None)
    file.header.set_zooms((2, 3, 4))
    path = _save(tmp_path / "n.nii", file)
    geometry, itk = io.read_image(path).geometry, sitk.ReadImage(str(path))
    np.testing.assert_allclose(geometry.index_to_world([1, 2, 1]), itk.TransformIndexToPhysicalPoint((1, 2, 1)))
    assert geometry.spacing_known


def test_unknown_spacing_stays_unknown(tmp_path: Path) -> None:
    io.write_image(tmp_path / "u.nii", Image(DATA.T, Geometry.create((3, 4, 5))))
    assert not io.read_image(tmp_path / "u.nii").geometry.spacing_known


def test_micrometres_become_millimetres(tmp_path: Path) -> None:
    file = nib.Nifti1Image(DATA, np.diag([500.0, 500, 250, 1]))
    file.header.set_xyzt_units("micron")
    geometry = io.read_image(_save(tmp_path / "m.nii", file)).geometry
    np.testing.assert_allclose(geometry.spacing, (0.5, 0.5, 0.25))


def test_big_endian_and_nifti2(tmp_path: Path) -> None:
    big = nib.Nifti1Image(DATA.astype(">i2"), np.eye(4), nib.Nifti1Header(endianness=">"))
    big.set_data_dtype(">i2")
    for name, file in (("b.nii", big), ("two.nii.gz", nib.Nifti2Image(DATA, np.eye(4)))):
        image = io.read_image(_save(tmp_path / name, file))
        assert image.array.dtype == np.dtype("=i2")
        np.testing.assert_array_equal(image.array, DATA.T)


def test_sagittal_plane_keeps_its_place_as_a_volume_of_one_slice(tmp_path: Path) -> None:
    affine = np.array([[0, 0, 1.0, 7], [1, 0, 0, 8], [0, 1, 0, 9], [0, 0, 0, 1]])
    image = io.read_image(_save(tmp_path / "p.nii", nib.Nifti1Image(DATA[..., 0], affine)))
    assert image.array.shape == (1, 4, 5)
    np.testing.assert_allclose(image.geometry.index_to_world([1, 2, 0]), [-7, -9, 11])


def test_colour_is_rejected_by_name(tmp_path: Path) -> None:
    rgb = np.zeros((5, 4, 3), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    with pytest.raises(FormatError, match="colour"):
        io.read_image(_save(tmp_path / "c.nii", nib.Nifti1Image(rgb, np.eye(4))))
    with pytest.raises(FormatError, match="colour"):
        io.write_image(tmp_path / "o.nii", Image.from_array(np.zeros((4, 5, 3), np.uint8)))


def test_integers_are_not_copied_on_their_way(tmp_path: Path) -> None:
    image = io.read_image(_save(tmp_path / "i.nii", nib.Nifti1Image(DATA, np.eye(4))))
    assert image.array.flags.c_contiguous
    assert image.array.dtype == np.int16
