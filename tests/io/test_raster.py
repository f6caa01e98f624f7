"""PNG, JPEG and BMP: modes, palettes, transparency, bit depth and orientation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import SimpleITK as sitk  # noqa: N813

from bedside import io
from bedside.core.errors import FormatError
from bedside.core.geometry import Geometry
from bedside.core.image import Image

GREY = np.arange(20, dtype=np.uint8).reshape(4, 5) * 12
RGB = np.stack([GREY, GREY[::-1], 255 - GREY], axis=-1)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".PNG"])
@pytest.mark.parametrize("array", [GREY, RGB], ids=["grey", "colour"])
def test_eight_bits(tmp_path: Path, suffix: str, array: np.ndarray) -> None:
    PIL.Image.fromarray(array).save(tmp_path / f"i{suffix}")
    image = io.read_image(tmp_path / f"i{suffix}")
    np.testing.assert_array_equal(image.array, array)
    assert image.array.dtype == np.uint8
    assert not image.geometry.spacing_known


def test_sixteen_bit_grey(tmp_path: Path) -> None:
    deep = GREY.astype(np.uint16) * 257 + 1
    io.write_image(tmp_path / "d.png", Image.from_array(deep))
    np.testing.assert_array_equal(io.read_image(tmp_path / "d.png").array, deep)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "d.png"))), deep)


def test_sixteen_bit_colour_keeps_its_depth(tmp_path: Path) -> None:
    deep = RGB.astype(np.uint16) * 200 + 7
    sitk.WriteImage(sitk.GetImageFromArray(deep, isVector=True), str(tmp_path / "d.png"))
    image = io.read_image(tmp_path / "d.png")
    np.testing.assert_array_equal(image.array, deep)


def test_sixteen_bit_transparency_is_laid_on_black(tmp_path: Path) -> None:
    opacity = np.full((4, 5, 1), 65535, np.uint16)
    opacity[0] = 0
    deep = np.concatenate([RGB.astype(np.uint16) * 200 + 7, opacity], axis=-1)
    sitk.WriteImage(sitk.GetImageFromArray(deep, isVector=True), str(tmp_path / "d.png"))
    array = io.read_image(tmp_path / "d.png").array
    assert array[0].max() == 0
    np.testing.assert_array_equal(array[1:], deep[1:, :, :3])


def test_opaque_alpha_is_dropped_and_transparency_laid_on_black(tmp_path: Path) -> None:
    opacity = np.full((4, 5, 1), 255, np.uint8)
    PIL.Image.fromarray(np.concatenate([RGB, opacity], axis=-1)).save(tmp_path / "o.png")
    np.testing.assert_array_equal(io.read_image(tmp_path / "o.png").array, RGB)
    opacity[:2] = 51
    PIL.Image.fromarray(np.concatenate([RGB, opacity], axis=-1)).save(tmp_path / "t.png")
    array = io.read_image(tmp_path / "t.png").array
    np.testing.assert_array_equal(array[2:], RGB[2:])
    np.testing.assert_array_equal(array[:2], np.rint(RGB[:2] / 5).astype(np.uint8))


def test_grey_with_alpha_stays_grey(tmp_path: Path) -> None:
    PIL.Image.fromarray(np.stack([GREY, np.full_like(GREY, 255)], axis=-1), mode=None).save(tmp_path / "la.png")
    np.testing.assert_array_equal(io.read_image(tmp_path / "la.png").array, GREY)


def test_palette_gives_colours_to_images_and_indices_to_masks(tmp_path: Path) -> None:
    indices = np.arange(20, dtype=np.uint8).reshape(4, 5) % 3
    picture = PIL.Image.fromarray(indices)
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 128, 0])
    picture.save(tmp_path / "p.png")
    image = io.read_image(tmp_path / "p.png")
    np.testing.assert_array_equal(image.array, np.array([[0, 0, 0], [255, 0, 0], [0, 128, 0]], np.uint8)[indices])
    np.testing.assert_array_equal(io.read_mask(tmp_path / "p.png").array, indices)


def test_bilevel(tmp_path: Path) -> None:
    PIL.Image.fromarray(GREY > 100).save(tmp_path / "b.png")
    np.testing.assert_array_equal(io.read_image(tmp_path / "b.png").array, np.where(GREY > 100, 255, 0))
    np.testing.assert_array_equal(io.read_mask(tmp_path / "b.png").array, GREY > 100)


def test_mask_of_equal_channels_is_one_channel_and_colours_are_rejected(tmp_path: Path) -> None:
    PIL.Image.fromarray(np.repeat(GREY[..., None], 3, axis=-1)).save(tmp_path / "e.png")
    np.testing.assert_array_equal(io.read_mask(tmp_path / "e.png").array, GREY)
    PIL.Image.fromarray(RGB).save(tmp_path / "c.png")
    with pytest.raises(FormatError, match="one channel"):
        io.read_mask(tmp_path / "c.png")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    upright = np.zeros((16, 24), np.uint8)
    upright[:8, :8] = 200
    turned = PIL.Image.fromarray(upright)
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # transposes that put the picture the way the tag says
    if orientation in undo:
        turned = turned.transpose(PIL.Image.Transpose(undo[orientation]))
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    turned.save(tmp_path / "e.jpg", exif=exif, quality=100)
    array = io.read_image(tmp_path / "e.jpg").array
    assert array.shape == upright.shape
    assert np.abs(array.astype(int) - upright).max() < 20


def test_labels_of_one_and_two_bytes(tmp_path: Path) -> None:
    geometry = Geometry.create((4, 5))
    for labels in (GREY, GREY.astype(np.uint16) * 100, GREY > 50, GREY.astype(np.int64) + 300):
        io.write_mask(tmp_path / "m.png", labels, geometry)
        again = io.read_mask(tmp_path / "m.png").array
        np.testing.assert_array_equal(again, labels)
        assert again.dtype == (np.uint16 if labels.max() > 255 else np.uint8)


def test_png_rejects_what_it_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"PNG cannot hold 3 axes; use one of .*\.nii\.gz"):
        io.write_mask(tmp_path / "m.png", np.zeros((2, 4, 5), np.uint8), Geometry.create((2, 4, 5)))
    with pytest.raises(FormatError, match="float32"):
        io.write_image(tmp_path / "m.png", Image.from_array(np.zeros((4, 5), np.float32)))
    assert list(tmp_path.iterdir()) == []


def test_jpeg_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="cannot write this format"):
        io.write_mask(tmp_path / "m.jpg", GREY, Geometry.create((4, 5)))


def test_real_pictures(shared_data: Path) -> None:
    files = sorted(shared_data.glob("val/2d/*/*.image.png"))[::15]
    if not files:
        pytest.skip("no pictures in the shared data")
    for path in files:
        image, mask = io.read_image(path), io.read_mask(str(path).replace(".image.", ".labels."))
        np.testing.assert_array_equal(image.array, np.asarray(PIL.Image.open(path)))
        assert mask.array.shape == image.shape
