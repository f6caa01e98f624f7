"""Images in levels: OME-Zarr of both versions and TIFF pyramids, read where they are looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside import io
from bedside.core.errors import ChoiceError, FormatError
from bedside.core.image import Image
from bedside.core.pyramid import Pyramid
from bedside.io import lazy, slides
from bedside.session.stamp import content_hash

zarr = pytest.importorskip("zarr", reason="the extra 'slides' is not installed")


def write_zarr(
    path: Path,
    version: str,
    array: NDArray[Any],
    axes: str,
    scale: tuple[float, ...],
    unit: str | None = "micrometer",
    levels: int = 2,
    channels: list[dict[str, str]] | None = None,
) -> Path:
    group = zarr.open_group(str(path), mode="w", zarr_format=2 if version == "0.4" else 3)
    datasets = []
    for number in range(levels):
        step = 2**number
        level = array[tuple(slice(None, None, step if name in "yx" else 1) for name in axes)]
        stored = group.create_array(
            str(number), shape=level.shape, chunks=tuple(max(1, n // 2) for n in level.shape), dtype=level.dtype
        )
        stored[...] = level
        factors = [s * (step if name in "yx" else 1) for s, name in zip(scale, axes, strict=True)]
        datasets.append({"path": str(number), "coordinateTransformations": [{"type": "scale", "scale": factors}]})
    kinds = {"t": "time", "c": "channel"}
    described = [
        {"name": n, "type": kinds.get(n, "space"), **({"unit": unit} if n in "zyx" and unit else {})} for n in axes
    ]
    multiscales = [{"version": version, "axes": described, "datasets": datasets}]
    content: dict[str, Any] = {"multiscales": multiscales} | ({"omero": {"channels": channels}} if channels else {})
    if version == "0.4":
        group.attrs.update(content)
    else:
        group.attrs["ome"] = {"version": version, **content}
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["yx", "zyx", "czyx", "tczyx", "tyx", "cyx"])
def test_one_time_point_and_channel(tmp_path: Path, version: str, axes: str) -> None:
    sizes = {"t": 2, "c": 2, "z": 4, "y": 6, "x": 10}
    shape = [sizes[a] for a in axes]
    array = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    scale = tuple({"t": 1.0, "c": 1.0, "z": 3.0, "y": 0.5, "x": 0.25}[a] for a in axes)
    path = write_zarr(tmp_path / "i.zarr", version, array, axes, scale)
    spatial = 3 if "z" in axes else 2
    stack = array.reshape(-1, *shape[len(axes) - spatial :])
    if len(stack) > 1:
        with pytest.raises(ChoiceError, match=rf"{len(stack)} volumes .*--volume 0 to {len(stack) - 1}"):
            io.read_image(path)
    for number, expected in enumerate(stack):
        image = io.read_image(path, volume=number)
        np.testing.assert_array_equal(image.array, expected)
        np.testing.assert_allclose(image.geometry.spacing, (2.5e-4, 5e-4, 3e-3)[:spatial])


@pytest.mark.parametrize("unit", [None, "pixel"])
def test_without_a_unit_the_spacing_is_unknown(tmp_path: Path, unit: str | None) -> None:
    path = write_zarr(tmp_path / "i.zarr", "0.5", np.zeros((6, 8), np.uint8), "yx", (2, 2), unit)
    assert not io.read_image(path).geometry.spacing_known


def test_three_channels_of_bytes_are_colours_and_others_have_names(tmp_path: Path) -> None:
    array = np.arange(3 * 6 * 8, dtype=np.uint8).reshape(3, 6, 8)
    path = write_zarr(tmp_path / "c.zarr", "0.4", array, "cyx", (1, 1, 1))
    np.testing.assert_array_equal(io.read_image(path).array, np.moveaxis(array, 0, -1))
    stains = [
        {"label": name, "color": colour} for name, colour in (("DAPI", "0000FF"), ("GFP", "00FF00"), ("Cy5", "FF0000"))
    ]
    path = write_zarr(tmp_path / "s.zarr", "0.4", array, "cyx", (1, 1, 1), channels=stains)
    with pytest.raises(ChoiceError, match=r"0: channel DAPI; 1: channel GFP"):
        io.read_image(path)


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    group = zarr.open_group(str(tmp_path / "p.zarr"), mode="w", zarr_format=2)
    group.create_group("0")
    group.attrs["bioformats2raw.layout"] = 3
    with pytest.raises(FormatError, match=r"got a collection \(it holds 0\); give the folder of one image"):
        io.read_image(tmp_path / "p.zarr")
    zarr.create_array(str(tmp_path / "a.zarr"), shape=(3, 3), dtype="u1")
    with pytest.raises(FormatError, match="a zarr array without a description"):
        io.read_image(tmp_path / "a.zarr")


# Pyramids


class _Counted:
    """A level that counts the samples taken from it."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array, self.taken = array, 0

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> Any:
        return self.array.dtype

    def __getitem__(self, key: Any) -> Any:
        block = self.array[key]
        self.taken += block.size
        return block


slices = st.tuples(st.integers(0, 30), st.integers(31, 64), st.integers(1, 9)).map(lambda s: slice(*s))


@settings(deadline=None)
@given(rows=slices, columns=slices, colour=st.booleans())
def test_blocks_are_those_of_the_array(rows: slice, columns: slice, colour: bool) -> None:
    """Levels of nearest samples give exactly what the array would, up to the grid of the level that was read."""
    y, x = np.mgrid[:64, :64]
    finest = np.stack([y, x, y + x], axis=-1) if colour else y * 64 + x
    levels = [_Counted(finest[:: 2**k, :: 2**k]) for k in range(4)]
    pyramid = Pyramid(levels, 2)
    block, expected = pyramid[rows, columns], finest[rows, columns]
    assert block.shape == expected.shape
    step = min(rows.step, columns.step)
    used = next(k for k in range(3, -1, -1) if 2**k <= step)
    assert levels[used].taken == sum(level.taken for level in levels)
    # A sample of a level stands for all that it covers.
    reach = 2**used - 1
    apart = np.abs(block.astype(int) - expected)
    assert apart.max() <= (reach * 65 if not colour else 2 * reach)
    if step == 1:
        np.testing.assert_array_equal(block, expected)
    np.testing.assert_array_equal(np.asarray(pyramid), finest)
    np.testing.assert_array_equal(pyramid[5], finest[5])
    np.testing.assert_array_equal(
        pyramid[..., 3], finest[..., 3] if not colour else finest[..., 3 - 3 : 1][..., 0]
    ) if not colour else None


def test_a_pyramid_is_an_image_with_a_stamp(tmp_path: Path) -> None:
    finest = np.random.default_rng(0).integers(0, 255, (64, 48)).astype(np.uint8)
    pyramid = Pyramid([finest, finest[::2, ::2]], 2)  # type: ignore[list-item]
    image = Image.from_array(finest)
    from dataclasses import replace

    lazy_image = replace(image, array=pyramid)  # type: ignore[arg-type]
    assert lazy_image.shape == (64, 48)
    assert lazy_image.no_data == ()
    assert content_hash(pyramid) == content_hash(Pyramid([finest, finest[::2, ::2]], 2))  # type: ignore[arg-type, list-item]


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("axes", ["tiff", "zarr"])
def test_large_images_stay_on_disk_and_give_their_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, axes: str, colour: bool
) -> None:
    for module in (lazy, slides):
        monkeypatch.setattr(module, "AT_ONCE", 1000)
    array = np.random.default_rng(0).integers(0, 255, (96, 128, 3) if colour else (96, 128)).astype(np.uint8)
    if axes == "tiff":
        path = tmp_path / "s.svs"
        with tifffile.TiffWriter(path) as writer:
            options: dict[str, Any] = {
                "tile": (32, 32),
                "compression": "zlib",
                "photometric": "rgb" if colour else "minisblack",
            }
            writer.write(array, subifds=2, **options)
            writer.write(array[::2, ::2], subfiletype=1, **options)
            writer.write(array[::4, ::4], subfiletype=1, **options)
    else:
        stored = np.moveaxis(array, -1, 0) if colour else array
        path = write_zarr(tmp_path / "s.zarr", "0.5", stored, "cyx" if colour else "yx", (1,) * stored.ndim, levels=3)
    image = io.read_image(path)
    assert isinstance(image.array, Pyramid)
    assert image.is_colour == colour
    np.testing.assert_array_equal(np.asarray(image.array), array)
    np.testing.assert_array_equal(image.array[10:50, 20:60], array[10:50, 20:60])
    np.testing.assert_array_equal(image.array[::4, ::4], array[::4, ::4])
