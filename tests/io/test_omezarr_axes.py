"""OME-Zarr whose axes stand in any order, at any place: held against zarr itself and arithmetic."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside import io
from bedside.core.errors import ChoiceError, FormatError
from bedside.io.lazy import StoredLevel

zarr = pytest.importorskip("zarr", reason="the extra 'slides' is not installed")

SIZES = {"t": 2, "c": 2, "z": 4, "y": 4, "x": 4}
"""Alike in space, so that no shape tells a wrong order."""
STEPS = {"z": 4.0, "y": 3.0, "x": 2.0}


def written(path: Path, axes: str, transforms: list[Any], whole: list[Any], version: str = "0.5") -> Any:
    """An image of random samples; returns them in the order of ``axes``."""
    array = np.random.default_rng(0).integers(0, 999, [SIZES[a] for a in axes]).astype(np.uint16)
    group = zarr.open_group(str(path), mode="w", zarr_format=2 if version == "0.4" else 3)
    group.create_array("0", shape=array.shape, dtype=array.dtype, chunks=(2,) * array.ndim)[...] = array
    described = [{"name": a, "type": "space", "unit": "micrometer"} if a in "zyx" else {"name": a} for a in axes]
    image = {"axes": described, "datasets": [{"path": "0", "coordinateTransformations": transforms}]}
    image["coordinateTransformations"] = whole
    group.attrs.update({"multiscales": [image]} if version == "0.4" else {"ome": {"multiscales": [image]}})
    return array


@settings(max_examples=60, deadline=None)
@given(
    axes=st.sampled_from(["zyx", "tzyx", "czyx", "tczyx", "yx", "cyx"]).flatmap(lambda s: st.permutations(list(s))),
    shift=st.lists(st.floats(-50, 50), min_size=3, max_size=3),
    further=st.floats(0.5, 3),
    version=st.sampled_from(["0.4", "0.5"]),
)
def test_axes_in_any_order_lie_where_they_say(
    axes: list[str], shift: list[float], further: float, version: str
) -> None:
    names = "".join(axes)
    scale = [STEPS.get(a, 1.0) for a in names]
    place = [dict(zip("xyz", shift, strict=True)).get(a, 0.0) for a in names]
    transforms = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": place}]
    whole = [{"type": "scale", "scale": [further] * len(names)}]
    others = [a for a in names if a not in "zyx"]
    with tempfile.TemporaryDirectory() as folder:
        array = written(Path(folder) / "a.zarr", names, transforms, whole, version)
        image = io.read_image(Path(folder) / "a.zarr", volume=1 if others else None)
    # Volumes are counted with the last of the other axes the fastest.
    chosen = dict.fromkeys(others, 0)
    if others:
        chosen[others[-1]] = 1
    volume = array[tuple(chosen.get(a, slice(None)) for a in names)]
    order = [[a for a in names if a in "zyx"].index(a) for a in ("zyx" if "z" in names else "yx")]
    np.testing.assert_array_equal(image.array, volume.transpose(order))
    spatial = "xyz" if "z" in names else "xy"
    np.testing.assert_allclose(image.geometry.spacing, [STEPS[a] * further / 1e3 for a in spatial])
    np.testing.assert_allclose(image.geometry.origin, [v * further / 1e3 for v in shift[: len(spatial)]])


@settings(max_examples=40, deadline=None)
@given(order=st.permutations([0, 1, 2]), colour=st.booleans(), seed=st.integers(0, 5))
def test_blocks_of_a_level_are_those_of_the_turned_array(order: list[int], colour: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    array = rng.integers(0, 9, (3, 4, 5, *((3,) if colour else ())))
    level = StoredLevel(zarr.array(array), [None] * array.ndim, 3 if colour else None, order)
    whole = array.transpose(*order, *((3,) if colour else ()))
    key = tuple(slice(int(a), int(a) + 2) for a in rng.integers(0, 3, 3))
    assert level.shape == whole.shape
    np.testing.assert_array_equal(level[key], whole[key])


@pytest.mark.parametrize(
    ("transforms", "words"),
    [
        ([{"type": "scale", "path": "elsewhere"}], "scale or translation of 3 numbers, got scale with path"),
        ([{"type": "scale", "scale": [1.0, 1.0]}], "scale or translation of 3 numbers"),
        ([{"type": "affine", "affine": []}], "scale or translation of 3 numbers, got affine"),
    ],
)
def test_transforms_that_are_not_read_are_named(tmp_path: Path, transforms: list[Any], words: str) -> None:
    written(tmp_path / "a.zarr", "zyx", transforms, [])
    with pytest.raises(FormatError, match=words):
        io.read_image(tmp_path / "a.zarr")


def test_a_later_version_is_named(tmp_path: Path) -> None:
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=3)
    image = {"coordinateSystems": [{"name": "physical"}], "datasets": [{"path": "0"}]}
    group.attrs.update({"ome": {"version": "0.6", "multiscales": [image]}})
    with pytest.raises(FormatError, match=r"version 0\.4 or 0\.5, got a later one"):
        io.read_image(tmp_path / "a.zarr")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("first", ["zyx", "czyx"])
def test_a_group_of_several_images_lets_them_be_chosen(tmp_path: Path, version: str, first: str) -> None:
    """By the specification the first counts where none is chosen; none is hidden."""
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2 if version == "0.4" else 3)
    images, arrays = [], []
    for number, axes in enumerate((first, "yx")):
        array = np.random.default_rng(number).integers(0, 999, [SIZES[a] for a in axes]).astype(np.uint16)
        group.create_array(str(number), data=array)
        described = [{"name": a, "type": "space", "unit": "micrometer"} if a in "zyx" else {"name": a} for a in axes]
        step = {"type": "scale", "scale": [1.0 + number] * len(axes)}
        datasets = [{"path": str(number), "coordinateTransformations": [step]}]
        images.append({"name": ("raw", "projection")[number], "axes": described, "datasets": datasets})
        arrays += [array] if first == "zyx" or number else list(array)
    group.attrs.update({"multiscales": images} if version == "0.4" else {"ome": {"multiscales": images}})
    for number, array in enumerate(arrays):
        image = io.read_image(tmp_path / "a.zarr", volume=number)
        np.testing.assert_array_equal(image.array, array)
        assert image.geometry.spacing[0] == pytest.approx(0.002 if number == len(arrays) - 1 else 0.001)
    if first == "zyx":
        image = io.read_image(tmp_path / "a.zarr")
        np.testing.assert_array_equal(image.array, arrays[0])
        assert "holds 2 images, of which the first is read" in image.metadata["notes"][0]
    else:
        with pytest.raises(ChoiceError, match="0: raw, channel 0; 1: raw, channel 1; 2: projection"):
            io.read_image(tmp_path / "a.zarr")
