"""A second volume on the grid of a first: where its voxels come to lie, and what is rejected by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.imaging.linked import link_images
from tests.support.moved_patient import Patient, grid_around, motion_of, picture, points_of

FRAME = "frame_of_reference_uid"


def ramp(grid: Geometry) -> NDArray[np.float32]:
    """A linear function of the world, which linear interpolation reproduces."""
    return (points_of(grid) @ np.array([1.0, -2.0, 0.5]) + 7).astype(np.float32)


grids = st.builds(
    grid_around,
    st.tuples(*[st.integers(4, 9)] * 3),
    st.tuples(*[st.floats(0.8, 3)] * 3),
    st.floats(0, 40),
    st.booleans(),
)


@settings(max_examples=40, deadline=None)
@given(first=grids, second=grids, axis=st.integers(0, 2), data=st.data())
def test_a_slice_shows_each_place_of_the_world_where_it_is(
    first: Geometry, second: Geometry, axis: int, data: st.DataObject
) -> None:
    linked = link_images(Image(np.zeros(first.shape, np.float32), first), Image(ramp(second), second))
    index = data.draw(st.integers(0, first.shape[axis] - 1))
    found = linked.slice(axis, index)
    truth = np.take(ramp(first), index, axis)
    places = second.world_to_index(np.take(points_of(first), index, axis))
    # Between the centres of the outer voxels; in the half voxel beyond them the outer value stays.
    within = np.all((places >= 0) & (places <= np.array(second.shape[::-1]) - 1), axis=-1)
    assert np.allclose(found[within], truth[within], atol=1e-3)
    beyond = np.any((places < -0.501) | (places > np.array(second.shape[::-1]) - 0.499), axis=-1)
    assert np.isnan(found[beyond]).all()


def test_slices_agree_with_itk_and_with_the_whole() -> None:
    rng = np.random.default_rng(2)
    first, grid = grid_around((7, 12, 10), (2.0, 1.5, 3.0), 15), grid_around((9, 8, 11), (1.7, 2.1, 2.4), 30, True)
    values = rng.normal(size=grid.shape).astype(np.float32)
    linked = link_images(Image(np.zeros(first.shape, np.int16), first), Image(values, grid))
    moving = SimpleITK.GetImageFromArray(values)
    fixed = SimpleITK.GetImageFromArray(np.zeros(first.shape, np.float32))
    for image, its in ((moving, grid), (fixed, first)):
        image.SetSpacing(its.spacing)
        image.SetOrigin(its.origin)
        image.SetDirection(np.ravel(its.direction).tolist())
    oracle = SimpleITK.GetArrayFromImage(
        SimpleITK.Resample(moving, fixed, SimpleITK.Transform(), SimpleITK.sitkLinear, float("nan"))
    )
    for axis in range(3):
        for index in range(first.shape[axis]):
            assert np.allclose(linked.slice(axis, index), np.take(oracle, index, axis), atol=1e-4, equal_nan=True)
    whole = linked.onto_grid()
    assert whole.geometry == first
    assert np.allclose(whole.array, np.where(np.isnan(oracle), values.min(), oracle), atol=1e-4)


@pytest.mark.parametrize("dtype", ["int16", ">i2", "uint8", "float64", "bool"])
def test_any_dtype_comes_onto_the_grid(dtype: str) -> None:
    grid = grid_around((5, 6, 7), (1.0, 1.0, 1.0))
    values = (np.arange(210).reshape(grid.shape) % 2).astype(dtype)
    linked = link_images(Image(np.zeros(grid.shape, np.uint8), grid), Image(values, grid))
    assert np.array_equal(linked.onto_grid().array, values)
    assert np.array_equal(linked.slice(0, 3), values[3])
    assert linked.overlap == 1


def test_a_registered_image_lies_on_the_anatomy() -> None:
    patient = Patient.draw(3, 3)
    truth = motion_of(3, 6, 12, 3)
    now, _ = picture(patient, grid_around((30, 44, 44), (3.0, 3.0, 4.0)), np.eye(4), 1)
    before, _ = picture(patient, grid_around((44, 44, 44), (2.8, 2.8, 2.8)), truth, 2)
    same, _ = picture(patient, now.geometry, np.eye(4), 5)
    apart = []
    for register in (False, True):
        linked = link_images(now, before, register=register)
        shown = linked.slice(0, 15)
        apart.append(np.nanmean(np.abs(shown - same.array[15])))
    assert apart[1] < 0.35 * apart[0]
    assert linked.motion is not None
    assert "moved by" in linked.notes[0]


def volume(shape: tuple[int, ...] = (6, 7, 8), **changed: Any) -> Image:
    grid = Geometry.create(shape, (1.0,) * len(shape), changed.pop("origin", None))
    return replace(Image(np.arange(np.prod(shape), dtype=np.int16).reshape(shape), grid), **changed)


def test_what_cannot_be_linked_is_rejected_by_name() -> None:
    unknown = replace(volume(), geometry=Geometry.create((6, 7, 8)))
    with pytest.raises(InputError, match=r"the second image.*a volume.*a picture"):
        link_images(volume(), volume((7, 8)))
    with pytest.raises(InputError, match=r"the first image.*a volume.*a picture"):
        link_images(volume((7, 8)), volume())
    with pytest.raises(InputError, match=r"the second image.*size of its voxels"):
        link_images(volume(), unknown)
    with pytest.raises(InputError, match=r"another frame of reference.*registration"):
        link_images(volume(metadata={FRAME: "1.2"}), volume(metadata={FRAME: "1.3"}))
    with pytest.raises(InputError, match=r"nowhere overlaps.*registration"):
        link_images(volume(), volume(origin=(500, 0, 0)))


def test_what_is_to_be_known_is_noted() -> None:
    one = {"metadata": {FRAME: "1.2"}}
    assert link_images(volume(**one), volume(**one)).notes == ()
    assert "do not say" in link_images(volume(**one), volume()).notes[0]
    small = link_images(volume((60, 70, 80), **one), volume((2, 2, 2), origin=(40, 30, 30), **one))
    assert small.notes == ("the second image covers less than 1% of the first one alone",)
    assert 0 < small.overlap < 1e-3


@pytest.mark.parametrize(("axis", "index"), [(3, 0), (-1, 0), (0, 6), (2, -1), (0, 1.5)])
def test_a_slice_that_is_none_is_rejected(axis: int, index: Any) -> None:
    with pytest.raises(InputError, match=r"axis of a slice|number of a slice"):
        link_images(volume(), volume()).slice(axis, index)
