"""The size of voxels and its unit, as formats state them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside import io
from bedside.core.errors import FormatError
from bedside.core.geometry import Geometry
from bedside.core.image import Image

STACK = np.arange(8 * 16 * 20, dtype=np.uint16).reshape(8, 16, 20)
UNITS = {"nm": 1e-6, "um": 1e-3, "µm": 1e-3, "micron": 1e-3, "mm": 1.0, "cm": 10.0, "inch": 25.4}
SIZES = st.tuples(*[st.floats(0.01, 50)] * 3)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=SIZES, unit=st.sampled_from(sorted(UNITS)), flat=st.booleans())
def test_imagej(tmp_path: Path, sizes: tuple[float, ...], unit: str, flat: bool) -> None:
    x, y, z = sizes
    metadata = {"unit": unit.replace("µ", "\\u00B5")} | ({} if flat else {"axes": "ZYX", "spacing": z})
    tifffile.imwrite(
        tmp_path / "i.tif", STACK[0] if flat else STACK, imagej=True, resolution=(1 / x, 1 / y), metadata=metadata
    )
    geometry = io.read_image(tmp_path / "i.tif").geometry
    assert geometry.spacing_known
    np.testing.assert_allclose(geometry.spacing, np.array(sizes)[: geometry.ndim] * UNITS[unit], rtol=1e-3)


def test_imagej_takes_a_distance_of_slices_that_is_missing_for_one(tmp_path: Path) -> None:
    """As it leaves it out where it is one."""
    metadata = {"axes": "ZYX", "unit": "mm"}
    tifffile.imwrite(tmp_path / "i.tif", STACK, imagej=True, resolution=(2, 4), metadata=metadata)
    assert io.read_image(tmp_path / "i.tif").geometry.spacing == (0.5, 0.25, 1.0)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=SIZES, unit=st.sampled_from(["nm", "µm", "mm", "cm", None]))
def test_ome(tmp_path: Path, sizes: tuple[float, ...], unit: str | None) -> None:
    fields: dict[str, Any] = {f"PhysicalSize{a}": s for a, s in zip("XYZ", sizes, strict=True)}
    if unit is not None:
        fields |= {f"PhysicalSize{a}Unit": unit for a in "XYZ"}
    tifffile.imwrite(tmp_path / "o.ome.tif", STACK, ome=True, metadata={"axes": "ZYX", **fields})
    geometry = io.read_image(tmp_path / "o.ome.tif").geometry
    np.testing.assert_allclose(geometry.spacing, np.array(sizes) * UNITS[unit or "um"], rtol=1e-6)


@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 5), (1, 4, 5), (4, 5, 3)], ids=str)
def test_tiff_carries_the_grid_it_is_written_on(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    image = Image(
        array,
        Geometry.create(shape[:2] if shape[-1] == 3 else shape, (0.25, 0.5, 2)[: 2 if shape[-1] == 3 else len(shape)]),
    )
    io.write_image(tmp_path / "t.tif", image)
    again = io.read_image(tmp_path / "t.tif")
    np.testing.assert_array_equal(again.array, array)
    assert again.geometry == image.geometry
    with tifffile.TiffFile(tmp_path / "t.tif") as file:
        assert 'PhysicalSizeX="0.25"' in file.ome_metadata
        np.testing.assert_array_equal(np.squeeze(file.asarray()), np.squeeze(array))


@pytest.mark.parametrize("metadata", [{}, {"unit": "pixel"}, {"unit": "sec", "spacing": 2.0}])
def test_a_resolution_of_printing_is_no_size(tmp_path: Path, metadata: dict[str, Any]) -> None:
    tifffile.imwrite(
        tmp_path / "p.tif", STACK[0], imagej=bool(metadata), resolution=(72, 72), metadata=metadata or None
    )
    assert not io.read_image(tmp_path / "p.tif").geometry.spacing_known


def _nrrd(path: Path, fields: str) -> Geometry:
    head = f"NRRD0005\ntype: uint16\nendian: little\nencoding: raw\ndimension: 3\nsizes: 20 16 8\n{fields}\n\n"
    path.write_bytes(head.encode() + STACK.tobytes())
    return io.read_image(path).geometry


@pytest.mark.parametrize("unit", ["um", "mm", "cm", "m", "nm", "micron"])
def test_nrrd_in_space(tmp_path: Path, unit: str) -> None:
    scale = {**UNITS, "m": 1000.0}[unit]
    geometry = _nrrd(
        tmp_path / "s.nrrd",
        "space: left-posterior-superior\nspace directions: (0,2,0) (-3,0,0) (0,0,4)\n"
        f'space units: "{unit}" "{unit}" "{unit}"\nspace origin: (10,20,30)',
    )
    np.testing.assert_allclose(geometry.spacing, np.array([2, 3, 4]) * scale)
    np.testing.assert_allclose(geometry.index_to_world([1, 1, 1]), np.array([7, 22, 34]) * scale)


@pytest.mark.parametrize(
    ("fields", "spacing"),
    [
        ('spacings: 500 500 2000\nunits: "um" "um" "um"', (0.5, 0.5, 2)),
        ("spacings: 1 2 3", (1, 2, 3)),
        ("spacings: nan nan nan", None),
        ("spacings: 1 1 nan", None),
        ('spacings: 1 1 1\nunits: "pixel" "pixel" "pixel"', None),
        ("# nothing", None),
    ],
)
def test_nrrd_without_a_space(tmp_path: Path, fields: str, spacing: Any) -> None:
    geometry = _nrrd(tmp_path / "n.nrrd", fields)
    assert geometry.spacing_known == (spacing is not None)
    if spacing is not None:
        np.testing.assert_allclose(geometry.spacing, spacing)


@pytest.mark.parametrize(("unit", "scale"), [("um", 1e-3), ("cm", 10.0), ("?", 1.0)])
def test_metaimage_units(tmp_path: Path, unit: str, scale: float) -> None:
    head = (
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nDimSize = 20 16 8\n"
        f"ElementSpacing = 1 2 3\nDistanceUnits = {unit}\nElementType = MET_USHORT\nElementDataFile = LOCAL\n"
    )
    (tmp_path / "m.mha").write_bytes(head.encode() + STACK.tobytes())
    np.testing.assert_allclose(io.read_image(tmp_path / "m.mha").geometry.spacing, np.array([1, 2, 3]) * scale)


# Channels of arrays


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels_of_archives(tmp_path: Path, channels: int) -> None:
    picture = np.full((64, 72, channels), 255, np.uint8)
    picture[..., 0] = np.arange(72)
    np.savez(tmp_path / "Microscopy_a.npz", imgs=picture, gts=np.zeros((64, 72), np.uint8))
    image = io.read_image(tmp_path / "Microscopy_a.npz")
    np.testing.assert_array_equal(image.array, picture[..., 0] if channels == 1 else picture[..., :3])
    assert Image.from_array(picture).array.shape == image.array.shape


@pytest.mark.parametrize("channels", [2, 4])
def test_channels_that_are_neither_grey_nor_colour_are_named(tmp_path: Path, channels: int) -> None:
    picture = np.zeros((64, 72, channels), np.uint8)
    np.savez(tmp_path / "a.npz", imgs=picture)
    with pytest.raises(FormatError, match=f"got {channels} channels"):
        io.read_image(tmp_path / "a.npz")
    with pytest.raises(FormatError, match=f"got {channels} channels"):
        Image.from_array(picture)
    np.savez(tmp_path / "CT_a.npz", imgs=picture, spacing=np.array([1.0, 1, 1]))
    assert io.read_image(tmp_path / "CT_a.npz").shape == (64, 72, channels)


def test_labels_with_a_channel_are_those_of_the_picture(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", segs=np.ones((64, 72, 1), np.uint8))
    assert io.read_mask(tmp_path / "a.npz").shape == (64, 72)
