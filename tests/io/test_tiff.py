"""TIFF: pages, palettes, depth, codes."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import SimpleITK as sitk  # noqa: N813
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside import io
from bedside.core.errors import ChoiceError, FormatError
from bedside.core.geometry import Geometry
from bedside.core.image import Image

GREY = np.arange(20, dtype=np.uint8).reshape(4, 5) * 12
VOLUME = np.arange(60, dtype=np.uint16).reshape(3, 4, 5) * 1000


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 5), (1, 4, 5), (4, 5, 3), (3, 4, 3)], ids=str)
def test_image_survives_and_others_see_it(tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    colour = shape == (4, 5, 3)
    io.write_image(tmp_path / "i.tif", Image(array, Geometry.create(shape[:2] if colour else shape)))
    again = io.read_image(tmp_path / "i.tif")
    np.testing.assert_array_equal(again.array, array)
    assert again.array.dtype == np.dtype(dtype)
    assert not again.geometry.spacing_known
    np.testing.assert_array_equal(
        np.squeeze(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "i.tif")))), np.squeeze(array)
    )


def test_mask_volume_is_seen_by_another_library(tmp_path: Path) -> None:
    io.write_mask(tmp_path / "m.tiff", VOLUME, Geometry.create(VOLUME.shape, (1, 1, 3)))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "m.tiff"))), VOLUME)
    np.testing.assert_array_equal(io.read_mask(tmp_path / "m.tiff").array, VOLUME)


@pytest.mark.parametrize("code", ["tiff_lzw", "packbits", "tiff_deflate", None])
@pytest.mark.parametrize("array", [GREY, GREY.astype(np.uint16) * 100], ids=["8", "16"])
def test_codes(tmp_path: Path, code: str | None, array: np.ndarray) -> None:
    PIL.Image.fromarray(array).save(tmp_path / "c.tif", compression=code)
    np.testing.assert_array_equal(io.read_image(tmp_path / "c.tif").array, array)


@pytest.mark.parametrize("code", ["tiff_lzw", "tiff_deflate"])
def test_pages_make_a_volume(tmp_path: Path, code: str) -> None:
    pages = [PIL.Image.fromarray(p) for p in VOLUME]
    pages[0].save(tmp_path / "p.tif", save_all=True, append_images=pages[1:], compression=code)
    np.testing.assert_array_equal(io.read_image(tmp_path / "p.tif").array, VOLUME)


def test_deep_colour_in_lzw(tmp_path: Path) -> None:
    deep = np.arange(60, dtype=np.uint16).reshape(4, 5, 3) * 1000
    writer = sitk.ImageFileWriter()
    writer.SetFileName(str(tmp_path / "d.tif"))
    writer.SetUseCompression(True)
    writer.SetCompressor("LZW")
    writer.Execute(sitk.GetImageFromArray(deep, isVector=True))
    image = io.read_image(tmp_path / "d.tif")
    np.testing.assert_array_equal(image.array, deep)
    assert not image.geometry.spacing_known


def test_planar_colour(tmp_path: Path) -> None:
    colours = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    tifffile.imwrite(tmp_path / "p.tif", colours, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(io.read_image(tmp_path / "p.tif").array, np.moveaxis(colours, 0, -1))


def test_palette(tmp_path: Path) -> None:
    indices = GREY // 12 % 3
    table = np.zeros((3, 256), np.uint16)
    table[0, 1], table[1, 2] = 65535, 32768
    tifffile.imwrite(tmp_path / "p.tif", indices, photometric="palette", colormap=table)
    image = io.read_image(tmp_path / "p.tif")
    np.testing.assert_array_equal(image.array, np.array([[0, 0, 0], [255, 0, 0], [0, 128, 0]], np.uint8)[indices])
    np.testing.assert_array_equal(io.read_mask(tmp_path / "p.tif").array, indices)


def test_white_is_zero(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "w.tif", GREY, photometric="miniswhite")
    np.testing.assert_array_equal(io.read_image(tmp_path / "w.tif").array, 255 - GREY)
    np.testing.assert_array_equal(io.read_mask(tmp_path / "w.tif").array, GREY)


def test_channels_and_times_need_a_choice(tmp_path: Path) -> None:
    stack = np.stack([VOLUME, VOLUME + 1], axis=1)
    tifffile.imwrite(tmp_path / "s.tif", stack, imagej=True, metadata={"axes": "ZCYX"})
    with pytest.raises(FormatError, match=r"2 images.*--volume 0 to 1"):
        io.read_image(tmp_path / "s.tif")
    np.testing.assert_array_equal(io.read_image(tmp_path / "s.tif", volume=1).array, VOLUME + 1)


def test_a_strip_of_more_bytes_than_the_file_has_is_rejected_before_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY, compression="zlib")
    with tifffile.TiffFile(path, mode="r+b") as opened:
        count = opened.pages.first.tags["StripByteCounts"]
        count.overwrite(path.stat().st_size + 1)
    with pytest.raises(FormatError, match="bytes of a tile or strip: expected at most the file's"):
        io.read_image(path)


@settings(max_examples=20, deadline=None)
@given(channels=st.sampled_from([2, 4, 5]), planar=st.booleans(), pages=st.integers(1, 3), chosen=st.integers(0, 1))
def test_samples_of_a_pixel_that_are_no_colours_are_channels(
    channels: int, planar: bool, pages: int, chosen: int
) -> None:
    """Stains of a microscope: none is taken for a colour, and none is lost."""
    array = np.random.default_rng(channels).integers(0, 60_000, (pages, channels, 12, 17)).astype(np.uint16)
    stored = array if planar else np.moveaxis(array, 1, -1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.tif"
        with tifffile.TiffWriter(path) as writer:
            for page in stored:
                config = "separate" if planar else "contig"
                writer.write(page, photometric="minisblack", planarconfig=config, metadata=None, contiguous=False)
        with pytest.raises(ChoiceError, match=f"{channels} images"):
            io.read_image(path)
        image = io.read_image(path, volume=chosen)
    np.testing.assert_array_equal(image.array, array[0, chosen] if pages == 1 else array[:, chosen])


@pytest.mark.parametrize("kind", ["assocalpha", "unassalpha"])
def test_grey_with_opacity_is_one_channel(tmp_path: Path, kind: str) -> None:
    grey = np.arange(12 * 17, dtype=np.uint8).reshape(12, 17)
    stored = np.dstack([grey, np.full_like(grey, 255)])
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="minisblack", planarconfig="contig", extrasamples=[kind])
    np.testing.assert_array_equal(io.read_image(tmp_path / "a.tif").array, grey)
