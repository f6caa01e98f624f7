"""Round trips of the formats that keep a geometry, checked by libraries and parsers other than the writer."""

from __future__ import annotations

import re
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
from bedside.core.image import Image

FORMATS = (".nii", ".nii.gz", ".nrrd", ".mha")
SHAPE = (3, 4, 5)
MASK = np.arange(60, dtype=np.uint8).reshape(SHAPE)
INDEX = np.argwhere(np.ones(SHAPE))[:, ::-1]


def _geometry(
    direction: NDArray[Any], spacing: Any = (0.7, 1.3, 6.0), origin: Any = (-101.5, 33.25, 800.125)
) -> Geometry:
    return Geometry.create(SHAPE, spacing, origin, direction)


def _seen_by_nibabel(path: Path) -> dict[int, NDArray[Any]]:
    """World position (LPS) of every label, as nibabel sees the file."""
    file = nib.load(path)
    data = np.asarray(file.dataobj)
    index = np.argwhere(np.ones(data.shape))
    world = nib.affines.apply_affine(file.affine, index) * [-1, -1, 1]
    return {int(data[tuple(i)]): w for i, w in zip(index, world, strict=True)}


def _seen_by_itk(path: Path) -> dict[int, NDArray[Any]]:
    file = sitk.ReadImage(str(path))
    index = np.ndindex(*file.GetSize())
    return {int(file[i]): np.array(file.TransformIndexToPhysicalPoint(i)) for i in index}


def _seen_in_header(path: Path) -> dict[int, NDArray[Any]]:
    """World position of every label from the text of an NRRD or MHA header; the samples are in raster order."""
    text = path.read_bytes()[:2000].decode("latin-1")
    if path.suffix == ".nrrd":
        assert "space: left-posterior-superior" in text
        vectors = re.search(r"space directions: (.*)", text)[1]  # type: ignore[index]
        columns = np.array([float(v) for v in re.findall(r"[-\d.e]+", vectors)]).reshape(3, 3)
        origin = re.search(r"space origin: \((.*)\)", text)[1].split(",")  # type: ignore[index]
    else:
        fields = dict(re.findall(r"^(\w+) = (.*)$", text, re.MULTILINE))
        spacing = np.array(fields["ElementSpacing"].split(), float)
        columns = np.array(fields["TransformMatrix"].split(), float).reshape(3, 3) * spacing[:, None]
        origin = fields["Offset"].split()
    return {int(MASK[tuple(i[::-1])]): i @ columns + np.array(origin, float) for i in INDEX}


def _assert_world(seen: dict[int, NDArray[Any]], geometry: Geometry) -> None:
    expected = geometry.index_to_world(INDEX)
    assert len(seen) == len(INDEX)
    for i, world in zip(INDEX, expected, strict=True):
        np.testing.assert_allclose(seen[int(MASK[tuple(i[::-1])])], world, atol=2e-3 * min(geometry.spacing), rtol=1e-6)


def _check_round_trip(path: Path, geometry: Geometry) -> None:
    io.write_mask(path, MASK, geometry)
    again = io.read_mask(path)
    np.testing.assert_array_equal(again.array, MASK)
    assert again.array.dtype == np.uint8
    np.testing.assert_allclose(
        again.geometry.index_to_world(INDEX),
        geometry.index_to_world(INDEX),
        atol=1e-3 * min(geometry.spacing),
        rtol=1e-6,
    )
    assert again.geometry.spacing_known
    _assert_world(_seen_by_itk(path), geometry)
    _assert_world(_seen_by_nibabel(path) if ".nii" in path.name else _seen_in_header(path), geometry)


@pytest.mark.parametrize("suffix", FORMATS)
def test_mask_survives_each_of_the_48_axis_orientations(
    tmp_path: Path, suffix: str, orientation48: NDArray[Any]
) -> None:
    _check_round_trip(tmp_path / f"mask{suffix}", _geometry(orientation48))


rotations = st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1)


def _rotation(quaternion: tuple[float, ...]) -> NDArray[np.float64]:
    w, x, y, z = np.array(quaternion) / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


@pytest.mark.parametrize("suffix", FORMATS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    quaternion=rotations,
    flip=st.booleans(),
    spacing=st.tuples(*[st.floats(0.05, 20)] * 3),
    origin=st.tuples(*[st.floats(-500, 500)] * 3),
)
def test_mask_survives_oblique_left_handed_and_anisotropic_grids(
    tmp_path: Path, suffix: str, quaternion: Any, flip: bool, spacing: Any, origin: Any
) -> None:
    direction = _rotation(quaternion) * ([1, 1, -1] if flip else [1, 1, 1])
    _check_round_trip(tmp_path / f"mask{suffix}", _geometry(direction, spacing, origin))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(quaternion=rotations, flip=st.booleans(), spacing=st.tuples(*[st.floats(0.1, 10)] * 3))
def test_files_of_other_libraries_are_read_where_they_lie(
    tmp_path: Path, quaternion: Any, flip: bool, spacing: Any
) -> None:
    geometry = _geometry(_rotation(quaternion) * ([-1, 1, 1] if flip else [1, 1, 1]), spacing)
    affine = np.diag([-1, -1, 1, 1]) @ geometry.index_to_world_matrix
    nib.save(nib.Nifti1Image(MASK.T, affine), tmp_path / "nibabel.nii")
    file = sitk.GetImageFromArray(MASK)
    file.SetSpacing(geometry.spacing)
    file.SetOrigin(geometry.origin)
    file.SetDirection(np.ravel(geometry.direction).tolist())
    names = ("nibabel.nii", "itk.nii.gz", "itk.nrrd", "itk.mha", "itk.mhd")
    for name in names[1:]:
        sitk.WriteImage(file, str(tmp_path / name))
    for name in names:
        image = io.read_image(tmp_path / name)
        np.testing.assert_array_equal(image.array, MASK, err_msg=name)
        assert image.geometry.matches(geometry, tolerance=2e-3), name


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_image_keeps_its_dtype(tmp_path: Path, suffix: str, dtype: str) -> None:
    image = Image(np.arange(60).reshape(SHAPE).astype(dtype), _geometry(np.eye(3)), source="here")
    io.write_image(tmp_path / f"i{suffix}", image)
    again = io.read_image(tmp_path / f"i{suffix}")
    assert again.array.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(again.array, image.array)
    assert again.source == str(tmp_path / f"i{suffix}")


@pytest.mark.parametrize("suffix", FORMATS)
def test_two_dimensional_mask_survives(tmp_path: Path, suffix: str) -> None:
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    geometry = Geometry.create((4, 5), (0.3, 0.6), (10, -20), turn)
    io.write_mask(tmp_path / f"m{suffix}", MASK[0], geometry)
    again = io.read_mask(tmp_path / f"m{suffix}")
    np.testing.assert_array_equal(again.array, MASK[0])
    assert again.geometry.matches(geometry)


@pytest.mark.parametrize("suffix", FORMATS)
def test_volume_of_one_slice_stays_a_volume(tmp_path: Path, suffix: str) -> None:
    geometry = Geometry.create((1, 4, 5), (1, 1, 5), (0, 0, 7))
    io.write_mask(tmp_path / f"m{suffix}", MASK[:1], geometry)
    again = io.read_mask(tmp_path / f"m{suffix}")
    assert again.array.shape == (1, 4, 5)
    assert again.geometry.matches(geometry)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_colour_image_survives(tmp_path: Path, suffix: str) -> None:
    colours = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    io.write_image(tmp_path / f"c{suffix}", Image.from_array(colours, (0.5, 0.5)))
    again = io.read_image(tmp_path / f"c{suffix}")
    assert again.is_colour
    np.testing.assert_array_equal(again.array, colours)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_four_dimensions_need_a_choice(tmp_path: Path, suffix: str) -> None:
    stack = np.stack([MASK, MASK + 100])
    sitk.WriteImage(sitk.GetImageFromArray(stack, isVector=False), str(tmp_path / f"t{suffix}"))
    with pytest.raises(FormatError, match=r"2 volumes .*--volume 0 to 1"):
        io.read_image(tmp_path / f"t{suffix}")
    np.testing.assert_array_equal(io.read_image(tmp_path / f"t{suffix}", volume=1).array, stack[1])


def test_vectors_need_a_choice(tmp_path: Path) -> None:
    stack = np.stack([MASK, MASK + 100, MASK + 50, MASK], axis=-1)
    sitk.WriteImage(sitk.GetImageFromArray(stack, isVector=True), str(tmp_path / "v.nrrd"))
    with pytest.raises(FormatError, match="4 components"):
        io.read_image(tmp_path / "v.nrrd")
    np.testing.assert_array_equal(io.read_image(tmp_path / "v.nrrd", volume=2).array, MASK + 50)


def test_nrrd_without_spacing_is_of_unknown_spacing(tmp_path: Path) -> None:
    header = b"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 5 4 3\nencoding: raw\n\n"
    (tmp_path / "n.nrrd").write_bytes(header + MASK.tobytes())
    image = io.read_image(tmp_path / "n.nrrd")
    np.testing.assert_array_equal(image.array, MASK)
    assert not image.geometry.spacing_known


def test_nrrd_in_ras_is_turned_to_lps(tmp_path: Path) -> None:
    header = (
        b"NRRD0004\ntype: uint8\ndimension: 3\nspace: right-anterior-superior\nsizes: 5 4 3\n"
        b"space directions: (2,0,0) (0,3,0) (0,0,4)\nspace origin: (10,20,30)\nencoding: raw\n\n"
    )
    (tmp_path / "n.nrrd").write_bytes(header + MASK.tobytes())
    geometry = io.read_image(tmp_path / "n.nrrd").geometry
    np.testing.assert_allclose(geometry.index_to_world([1, 1, 1]), [-12, -23, 34])


def test_sheared_nrrd_is_rejected_by_name(tmp_path: Path) -> None:
    header = (
        b"NRRD0004\ntype: uint8\ndimension: 3\nspace: left-posterior-superior\nsizes: 5 4 3\n"
        b"space directions: (1,0,0) (0.2,1,0) (0,0,1)\nspace origin: (0,0,0)\nencoding: raw\n\n"
    )
    (tmp_path / "s.nrrd").write_bytes(header + MASK.tobytes())
    with pytest.raises(FormatError, match="sheared") as caught:
        io.read_image(tmp_path / "s.nrrd")
    assert "s.nrrd" in str(caught.value)


def test_itk_samples_outlive_the_file_object(tmp_path: Path) -> None:
    big = np.random.default_rng(0).integers(0, 255, (40, 100, 100)).astype(np.uint8)
    io.write_mask(tmp_path / "b.mha", big, Geometry.create(big.shape, (1, 1, 1)))
    images = [io.read_image(tmp_path / "b.mha") for _ in range(5)]
    for image in images:
        np.testing.assert_array_equal(image.array, big)


def test_real_volumes_agree_with_nibabel(shared_data: Path) -> None:
    files = sorted(shared_data.glob("val/3d/*/*.nii.gz"))
    if not files:
        pytest.skip("no volumes in the shared data")
    for path in files[:: max(1, len(files) // 12)]:
        image, file = io.read_image(path), nib.load(path)
        np.testing.assert_allclose(image.array, np.asarray(file.dataobj).T, rtol=1e-6, atol=1e-4)
        corner = np.array(file.shape) - 1
        world = nib.affines.apply_affine(file.affine, corner) * [-1, -1, 1]
        np.testing.assert_allclose(image.geometry.index_to_world(corner), world, atol=1e-3)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_what_programs_add_to_headers_does_not_matter(tmp_path: Path, suffix: str) -> None:
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((0.5, 0.75, 2.0))
    for key, value in (
        *(("0008|0060", "CT"), ("dim[0]", "3"), ("a b", "c = d: e"), ("note", "two\nlines"), ("empty", "")),
        *((f"Segment{n}_Name", "x" * 300) for n in range(500)),
    ):
        image.SetMetaData(key, value)
    sitk.WriteImage(image, str(tmp_path / f"a{suffix}"))
    found = io.read_image(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(found.array, array)
    assert found.geometry.spacing == (0.5, 0.75, 2.0)
