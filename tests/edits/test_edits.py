"""Classical tools on masks: against arithmetic and SimpleITK, wherever the mask lies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.errors import InputError
from bedside.core.image import Image
from bedside.core.mask import PackedMask
from bedside.core.region import Region
from bedside.edits import EDITS, Edit, Value, edit_mask

SHAPE = (14, 20, 24)
SPACING = (2.0, 1.0, 0.5)


def packed(mask: NDArray[Any]) -> PackedMask:
    return PackedMask.of_patch(mask, Region.whole(mask.shape))


def whole(mask: PackedMask, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    result = np.zeros(shape, np.bool_)
    if not mask.region.is_empty:
        result[mask.region.slices] = mask.patch() > 0
    return result


def edit(
    name: str,
    mask: NDArray[Any],
    value: float | None = None,
    other: NDArray[Any] | None = None,
    image: Image | None = None,
) -> NDArray[np.bool_]:
    second = None if other is None else packed(other)
    # An image in which the mask is bright, for those that look at one.
    seen = image or Image.from_array(mask.astype(np.int16) * 100, SPACING[::-1][: mask.ndim])
    found = edit_mask(name, packed(mask), mask.shape, SPACING[-mask.ndim :], value, second, seen)
    return whole(found, mask.shape)


@st.composite
def masks(draw: st.DrawFn) -> NDArray[np.bool_]:
    """A few blocks and single voxels, some of them at the image's border."""
    shape = SHAPE if draw(st.booleans()) else SHAPE[1:]
    mask = np.zeros(shape, np.bool_)
    for _ in range(draw(st.integers(1, 4))):
        corner = [draw(st.integers(0, n - 1)) for n in shape]
        sides = [draw(st.integers(1, 9)) for _ in shape]
        mask[tuple(slice(c, c + s) for c, s in zip(corner, sides, strict=True))] = True
    for _ in range(draw(st.integers(0, 3))):
        mask[tuple(draw(st.integers(0, n - 1)) for n in shape)] = False
    return mask


def distances(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Distance in mm from each voxel's middle to the nearest voxel of the mask, one by one."""
    spacing = np.array(SPACING[-mask.ndim :])
    places = np.argwhere(mask) * spacing
    cells = np.indices(mask.shape).reshape(mask.ndim, -1).T * spacing
    return np.array([np.sqrt(((places - c) ** 2).sum(axis=1)).min() for c in cells]).reshape(mask.shape)


@settings(max_examples=25, deadline=None)
@given(masks(), st.sampled_from([0.5, 1.0, 1.7, 3.0]))
def test_growing_reaches_as_far_as_it_says(mask: NDArray[np.bool_], distance: float) -> None:
    if mask.any():
        np.testing.assert_array_equal(edit("grow", mask, distance), distances(mask) <= distance)


@settings(max_examples=25, deadline=None)
@given(masks(), st.sampled_from([0.6, 1.3, 2.9]))
def test_shrinking_undoes_growing_inside_and_a_shell_is_what_it_takes(mask: NDArray[np.bool_], distance: float) -> None:
    small = edit("shrink", mask, distance)
    assert (small <= mask).all()
    if (~mask).any() and mask.any():
        expected = mask & (distances(~mask) > distance)
        # Beyond the image the mask is taken to go on.
        np.testing.assert_array_equal(small, expected)
    np.testing.assert_array_equal(edit("hollow", mask, distance), mask & ~small)


@settings(max_examples=40, deadline=None)
@given(masks())
def test_holes_as_simpleitk_fills_them(mask: NDArray[np.bool_]) -> None:
    theirs = sitk.GetArrayFromImage(sitk.BinaryFillhole(sitk.GetImageFromArray(mask.astype(np.uint8))))
    np.testing.assert_array_equal(edit("fill-holes", mask), theirs > 0)


@settings(max_examples=40, deadline=None)
@given(masks(), st.integers(1, 3), st.integers(2, 40))
def test_parts_as_simpleitk_counts_them(mask: NDArray[np.bool_], count: int, smallest: int) -> None:
    image = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8)), True)
    parts = sitk.GetArrayFromImage(image)
    sizes = np.bincount(parts.ravel())[1:]
    kept = edit("keep-largest", mask, count)
    assert kept.sum() == np.sort(sizes)[::-1][:count].sum()
    large = np.isin(parts, np.flatnonzero(sizes >= smallest) + 1)
    np.testing.assert_array_equal(edit("remove-specks", mask, smallest), large)


def test_slices_are_filled_one_by_one_across_the_longest_voxels() -> None:
    mask = np.zeros(SHAPE, np.bool_)
    mask[3:9, 4:14, 4:14] = True
    mask[:, 7:10, 7:10] = False  # A tunnel along z, open at both ends.
    filled = mask.copy()
    filled[3:9, 7:10, 7:10] = True
    np.testing.assert_array_equal(edit("fill-slices", mask), filled)
    np.testing.assert_array_equal(edit("fill-holes", mask), mask)
    np.testing.assert_array_equal(edit("fill-slices", mask[5]), filled[5])


def test_between_slices_a_disc_changes_its_size_evenly() -> None:
    y, x = np.indices((60, 60))
    mask = np.zeros((11, 60, 60), np.bool_)
    for z, radius in ((0, 8), (10, 24)):
        mask[z] = np.hypot(y - 30, x - 30) <= radius
    filled = whole(edit_mask("interpolate", packed(mask), mask.shape, (3.0, 1.0, 1.0)), mask.shape)
    np.testing.assert_array_equal(filled[[0, 10]], mask[[0, 10]])
    radii = np.sqrt(filled.sum(axis=(1, 2)) / np.pi)
    np.testing.assert_allclose(radii, np.linspace(8, 24, 11), atol=0.6)


def test_smoothing_keeps_a_flat_border_and_the_image_border_and_drops_what_is_thin() -> None:
    mask = np.zeros((40, 40), np.bool_)
    mask[:20] = True
    mask[20:36, 20] = True
    smooth = edit("smooth", mask, 1.0)
    np.testing.assert_array_equal(smooth[:, :10], mask[:, :10])
    assert not smooth[26:, :].any()
    assert smooth[0].all()


@settings(max_examples=30, deadline=None)
@given(st.tuples(masks(), masks()))
def test_two_masks_are_combined_as_sets_are(pair: tuple[NDArray[np.bool_], NDArray[np.bool_]]) -> None:
    a, b = pair
    if a.shape != b.shape:
        return
    np.testing.assert_array_equal(edit("union", a, other=b), a | b)
    np.testing.assert_array_equal(edit("subtract", a, other=b), a & ~b)
    np.testing.assert_array_equal(edit("intersect", a, other=b), a & b)


@pytest.mark.parametrize("name", [name for name, _ in EDITS.items()])
@settings(max_examples=15, deadline=None)
@given(mask=masks(), move=st.integers(0, 40))
def test_what_is_done_does_not_depend_on_where_the_mask_lies(name: str, mask: NDArray[np.bool_], move: int) -> None:
    spec = EDITS.get(name)
    assume(mask.ndim == 3 or not spec.sliced)
    room = 12  # More than any default number reaches, so that no border plays a part.
    held = np.pad(mask, room)
    far = np.pad(held, [(move, 0)] * mask.ndim)
    other = held if spec.combines else None
    near_result = edit(name, held, other=other)
    far_result = edit(name, far, other=None if other is None else far)
    np.testing.assert_array_equal(far_result[(slice(move, None),) * mask.ndim], near_result)


@pytest.mark.parametrize("name", [name for name, _ in EDITS.items()])
def test_every_edit_has_words_and_takes_nothing_of_an_empty_mask(name: str) -> None:
    spec = EDITS.get(name)
    assert spec.title
    assert spec.help.endswith(".")
    empty = np.zeros(SHAPE, np.bool_)
    assert not edit(name, empty, other=empty if spec.combines else None).any()
    one_voxel = np.zeros((5, 5, 5) if spec.sliced else (5, 5), np.bool_)
    one_voxel[..., 0, 4] = True
    edit(name, one_voxel, other=one_voxel if spec.combines else None)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("grow", -1.0, "a number of mm from 0.01 to 200, got -1"),
        ("grow", float("nan"), "a number of mm"),
        ("keep-largest", 1.5, "a whole number of parts"),
        ("fill-holes", 2.0, "no number, got 2"),
        ("union", None, "another mask, got none"),
        ("groww", None, "did you mean 'grow'"),
    ],
)
def test_what_cannot_be_is_named(name: str, value: float | None, said: str) -> None:
    with pytest.raises(InputError, match=said):
        edit(name, np.ones((4, 4), np.bool_), value)
    with pytest.raises(InputError, match="no other mask, got one"):
        edit("grow", np.ones((4, 4), np.bool_), 1.0, np.ones((4, 4), np.bool_))


@pytest.mark.parametrize("value", ["3", True, [1]])
def test_what_is_no_number_is_named(value: Any) -> None:
    with pytest.raises(InputError, match="a number of mm"):
        edit("grow", np.ones((4, 4), np.bool_), value)


def test_a_number_left_out_is_the_default() -> None:
    spec = Edit("t", "h.", lambda mask, spacing, value: mask, Value("mm", 2.5, 1.0, 3.0))
    assert (spec.check("x", None), spec.check("x", 3)) == (2.5, 3.0)


def test_thresholds_keep_a_range_and_both_ends_of_it() -> None:
    grey = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    image = Image.from_array(grey, (1.0, 1.0, 2.0))
    whole_image = np.ones(grey.shape, np.bool_)
    some = edit("keep-below", edit("keep-above", whole_image, 7.0, image=image), 31.0, image=image)
    np.testing.assert_array_equal(some, (grey >= 7) & (grey <= 31))
    gone = grey.astype(np.float32)
    gone[0, 0, 0] = np.nan
    kept = edit("keep-above", whole_image, -5.0, image=Image.from_array(gone, (1.0, 1.0, 2.0)))
    np.testing.assert_array_equal(kept, np.isfinite(gone))


@pytest.mark.parametrize("width", [2.0, 2.5, 3.0])
def test_a_region_grows_as_simpleitk_grows_it(width: float) -> None:
    rng = np.random.default_rng(3)
    grey = rng.normal(0, 1, (20, 30, 40))
    grey[4:16, 5:25, 8:30] += 9
    grey[4:16, 5:25, 33:38] += 9  # As bright, and not connected.
    image = Image.from_array(grey.astype(np.float32), (1.0, 1.0, 1.0))
    mask = np.zeros(grey.shape, np.bool_)
    mask[10, 15, 15] = True
    # ITK takes mean and deviation of the seeds' neighbourhoods at first.
    block = ndimage.binary_dilation(mask, np.ones((3, 3, 3)))
    theirs = sitk.ConfidenceConnected(
        sitk.GetImageFromArray(grey.astype(np.float32)),
        seedList=[tuple(int(v) for v in index[::-1]) for index in np.argwhere(mask)],
        numberOfIterations=4,
        multiplier=width,
        initialNeighborhoodRadius=1,
        replaceValue=1,
    )
    ours = edit("grow-region", block, width, image=image)
    expected = sitk.GetArrayFromImage(theirs) > 0
    assert expected.sum() > 1000
    # ITK floods from the middle alone, ours from all 27 voxels, so that single voxels at their corners may be more.
    assert np.count_nonzero(ours ^ (expected | block)) <= 0.01 * expected.sum()
    assert not ours[..., 33:].any()


def test_a_region_reaches_no_farther_than_it_says() -> None:
    mask = np.zeros((9, 300), np.bool_)
    mask[4, 5] = True
    ours = edit_mask(
        "grow-region", packed(mask), mask.shape, (1.0, 1.0), None, None, Image.from_array(np.ones((9, 300)))
    )
    assert ours.region.stop[1] == 5 + 60 + 1 + 1


@pytest.mark.parametrize(("count", "first", "last"), [(2, 4, 7), (-3, 1, 5), (50, 4, 13), (-50, 0, 5), (0, 4, 5)])
def test_slices_are_copied_onward_across_the_largest_spacing(count: int, first: int, last: int) -> None:
    mask = np.zeros(SHAPE, np.bool_)
    mask[4, 3:9, 2:5] = True
    mask[5, 4:8, 2:9] = True
    expected = mask.copy()
    expected[6 : last + 1] = mask[5]
    expected[first:4] = mask[4]
    np.testing.assert_array_equal(edit("copy-slice", mask, count), expected)


@pytest.mark.parametrize("name", ["copy-slice", "interpolate"])
def test_a_picture_has_no_slices_to_go_on_to(name: str) -> None:
    with pytest.raises(InputError, match=f"edit '{name}': expected a volume or a film, got a picture"):
        edit_mask(name, packed(np.ones((4, 4))), (4, 4), (1.0, 1.0))


def test_an_image_is_asked_for_and_has_to_be_grey() -> None:
    mask = packed(np.ones((4, 4)))
    colours = Image.from_array(np.zeros((4, 4, 3), np.uint8))
    for image, said in ((None, "no image"), (colours, "a picture in colour")):
        with pytest.raises(InputError, match=said):
            edit_mask("keep-above", mask, (4, 4), (1.0, 1.0), 1.0, None, image)
