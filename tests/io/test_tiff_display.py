"""What the samples of a TIFF mean: turned, calibrated, several images in a file. Pillow is the second reader."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside import io
from bedside.core.errors import ChoiceError, FormatError


def random(shape: tuple[int, ...], dtype: str = "uint8", seed: int = 0) -> NDArray[Any]:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape).astype(dtype)


@settings(max_examples=40, deadline=None)
@given(
    orientation=st.integers(1, 8),
    rows=st.integers(2, 9),
    columns=st.integers(2, 9),
    kind=st.sampled_from(["uint8", "uint16", "float32", "rgb", "palette", "stack"]),
    code=st.sampled_from([None, "zlib"]),
    labels=st.booleans(),
)
def test_pictures_are_turned_upright(
    orientation: int, rows: int, columns: int, kind: str, code: str | None, labels: bool
) -> None:
    depth = {"rgb": (3,), "stack": ()}.get(kind, ())
    array = random((*((3,) if kind == "stack" else ()), rows, columns, *depth), "uint8")
    if kind in ("uint16", "float32"):
        array = array.astype(kind)
    options: dict[str, Any] = {"photometric": "rgb" if kind == "rgb" else "minisblack"}
    if kind == "palette":
        ramp = np.arange(256, dtype=np.uint16) * 257
        options = {"photometric": "palette", "colormap": np.stack([ramp, ramp[::-1], 0 * ramp])}
    labels = labels and kind not in ("rgb", "float32")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "turned.tif"
        tags = [(274, "H", 1, orientation, True)]
        tifffile.imwrite(path, array, compression=code, extratags=tags, metadata=None, **options)
        found = io.read_mask(path) if labels else io.read_image(path)
    # Pillow turns by EXIF, whose numbers are TIFF's; its own reading of TIFF is not asked, as it scrambles some.
    shown = array
    if kind == "palette" and not labels:
        shown = np.stack([array, 255 - array, 0 * array], axis=-1)
    pages = shown if kind == "stack" else shown[None]
    expected = np.stack([turned_by_pillow(page, orientation) for page in pages])
    np.testing.assert_array_equal(found.array, expected if kind == "stack" else expected[0])


def turned_by_pillow(page: NDArray[Any], orientation: int) -> NDArray[Any]:
    way = {
        2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
        3: PIL.Image.Transpose.ROTATE_180,
        4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
        5: PIL.Image.Transpose.TRANSPOSE,
        6: PIL.Image.Transpose.ROTATE_270,
        7: PIL.Image.Transpose.TRANSVERSE,
        8: PIL.Image.Transpose.ROTATE_90,
    }.get(orientation)
    picture = PIL.Image.fromarray(page)
    return np.asarray(picture if way is None else picture.transpose(way))


def test_sizes_of_pixels_turn_with_the_picture(tmp_path: Path) -> None:
    tags = [(274, "H", 1, 6, True)]
    metadata = {"axes": "YX", "unit": "mm"}
    tifffile.imwrite(
        tmp_path / "a.tif", random((4, 7)), imagej=True, resolution=(4.0, 2.0), metadata=metadata, extratags=tags
    )
    # ImageJ's "spacing" is missing, which two axes do not need.
    assert io.read_image(tmp_path / "a.tif").geometry.spacing == (0.5, 0.25)


@settings(max_examples=25, deadline=None)
@given(
    depth=st.sampled_from(["uint8", "uint16"]),
    line=st.sampled_from([(-32768.0, 1.0), (-1024.0, 1.0), (0.0, 0.5), (100.0, -2.0), (0.25, 1.0)]),
    slices=st.integers(1, 3),
)
def test_grey_values_of_imagej_are_calibrated(depth: str, line: tuple[float, float], slices: int) -> None:
    """ImageJ stores 16 bits with a sign as ``stored = value + 32768`` and says so; CT opened there is such a file."""
    array = random((slices, 6, 7), depth)
    metadata = {"axes": "ZYX", "cf": 0, "c0": line[0], "c1": line[1]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.tif"
        tifffile.imwrite(path, array, imagej=True, metadata=metadata)
        found = io.read_image(path).array
    np.testing.assert_allclose(np.squeeze(found), np.squeeze(line[0] + line[1] * array.astype(np.float64)))
    if line == (-32768.0, 1.0) and depth == "uint16":
        assert found.dtype == np.int16


def test_other_functions_of_imagej_and_32_bits_are_left_as_they_are(tmp_path: Path) -> None:
    array = random((6, 7), "uint16")
    tifffile.imwrite(tmp_path / "a.tif", array, imagej=True, metadata={"cf": 20})
    np.testing.assert_array_equal(io.read_image(tmp_path / "a.tif").array, array)
    tifffile.imwrite(
        tmp_path / "a.tif", array.astype(np.float32), imagej=True, metadata={"cf": 0, "c0": -5.0, "c1": 2.0}
    )
    np.testing.assert_array_equal(io.read_image(tmp_path / "a.tif").array, array)


@pytest.mark.parametrize("ome", [False, True])
def test_images_of_several_sizes_are_a_choice(tmp_path: Path, ome: bool) -> None:
    first, second = random((3, 8, 9), "uint16", 1), random((2, 5, 6), "uint8", 2)
    path = tmp_path / ("a.ome.tif" if ome else "a.tif")
    with tifffile.TiffWriter(path, ome=ome) as writer:
        for array, step in ((first, 1.0), (second, 0.25)):
            metadata = {"axes": "ZYX"} | {f"PhysicalSize{a}": step for a in "XYZ"} if ome else None
            writer.write(array, metadata=metadata, photometric="minisblack")
    with pytest.raises(ChoiceError, match=r"0: 3 x 8 x 9 uint16.*1: 2 x 5 x 6 uint8"):
        io.read_image(path)
    for number, (array, step) in enumerate(((first, 0.001), (second, 0.00025))):
        image = io.read_image(path, volume=number)
        np.testing.assert_array_equal(image.array, array)
        assert image.geometry.spacing == ((step,) * 3 if ome else (1.0,) * 3)


def test_a_thumbnail_is_no_image(tmp_path: Path) -> None:
    array = random((20, 30))
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(array[::4, ::4], subfiletype=1, metadata=None)
        writer.write(array, metadata=None)
    np.testing.assert_array_equal(io.read_image(tmp_path / "a.tif").array, array)


def test_an_array_with_one_channel_is_a_picture(tmp_path: Path) -> None:
    array = random((20, 30))
    tifffile.imwrite(tmp_path / "a.tif", array[..., None])
    np.testing.assert_array_equal(io.read_image(tmp_path / "a.tif").array, array)


def test_palettes_of_bytes(tmp_path: Path) -> None:
    array, ramp = random((20, 30)), np.arange(256, dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="palette", colormap=np.stack([ramp, ramp[::-1], 0 * ramp]))
    expected = np.stack([array, 255 - array, 0 * array], axis=-1)
    np.testing.assert_array_equal(io.read_image(tmp_path / "a.tif").array, expected)


@pytest.mark.parametrize("photometric", ["cielab", "separated", "icclab"])
def test_other_colours_are_rejected_by_name(tmp_path: Path, photometric: str) -> None:
    channels = 4 if photometric == "separated" else 3
    tifffile.imwrite(tmp_path / "a.tif", random((20, 30, channels)), photometric=photometric)
    with pytest.raises(FormatError, match=f"grey, RGB or RGBA, got {photometric.upper()}.*convert it to RGB first"):
        io.read_image(tmp_path / "a.tif")


def test_brightness_and_colour_differences_become_rgb(tmp_path: Path) -> None:
    rgb = random((20, 30, 3)) // 2 + 60
    stored = np.asarray(PIL.Image.fromarray(rgb).convert("YCbCr"))
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="ycbcr", extratags=[(530, "H", 2, (1, 1), True)])
    found = io.read_image(tmp_path / "a.tif").array
    assert np.abs(found.astype(int) - rgb).max() <= 3
