"""A 2D network on volumes: which slices are asked, and what becomes of the others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from bedside.core.errors import PromptError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.prompts import Box, InitialMask, Lasso, Point, Prompt, Scribble
from bedside.core.region import Region, mask_region
from bedside.engines.planes import PlaneSegmenter, flatten_prompt, slice_image
from bedside.engines.protocol import Prediction

Make = Callable[..., PlaneSegmenter]
Mask = NDArray[np.uint8]
SHAPE = (9, 50, 60)
BOX = Box((20.0, 15.0, 3.0), (36.0, 31.0, 7.0))


def box_mask(box: Box, shape: tuple[int, ...] = SHAPE) -> Mask:
    """The voxels of a box with whole corners."""
    mask = np.zeros(shape, np.uint8)
    mask[tuple(slice(int(a), int(b)) for a, b in zip(box.low[::-1], box.high[::-1], strict=True))] = 1
    return mask


def volume(spacing: tuple[float, ...] | None = None, shape: tuple[int, ...] = SHAPE) -> Image:
    """A volume of noise."""
    array = np.random.default_rng(0).integers(0, 99, shape).astype(np.int16)
    return Image(array, Geometry.create(shape, spacing))


def whole(prediction: Prediction, previous: Mask | None = None, shape: tuple[int, ...] = SHAPE) -> Mask:
    """The object's mask of the whole volume."""
    mask = np.zeros(shape, np.uint8) if previous is None else previous.copy()
    prediction.paste(mask)
    return mask


def test_a_box_is_answered_on_every_slice_it_holds(plane_segmenter: Make) -> None:
    segmenter = plane_segmenter("boxed")
    segmenter.set_image(volume())
    prediction = segmenter.predict([BOX])
    np.testing.assert_array_equal(whole(prediction), box_mask(BOX))
    assert prediction.passes == 4
    assert prediction.changed == mask_region(box_mask(BOX))
    assert (prediction.region.start[0], prediction.region.stop[0]) == (3, 7)
    assert prediction.mask.shape == prediction.region.shape
    assert len(prediction.window) == 3


def test_a_box_that_reaches_beyond_the_volume_is_cut(plane_segmenter: Make) -> None:
    segmenter = plane_segmenter("boxed")
    segmenter.set_image(volume())
    prediction = segmenter.predict([Box((20.0, 15.0, 6.0), (36.0, 31.0, 40.0))])
    np.testing.assert_array_equal(whole(prediction), box_mask(Box((20.0, 15.0, 6.0), (36.0, 31.0, 9.0))))


def test_a_click_corrects_its_slice_and_no_other(plane_segmenter: Make) -> None:
    segmenter = plane_segmenter("corrected", refine_limit=0)
    segmenter.set_image(volume())
    before = whole(segmenter.predict([BOX]))
    click = Point((24.0, 20.0, 5.0), positive=False)
    prediction = segmenter.predict([BOX, click], before)
    after = whole(prediction, before)
    assert prediction.passes == 1
    assert prediction.region.start[0] == 5
    assert prediction.region.stop[0] == 6
    assert (before[5, 20, 24], after[5, 20, 24]) == (1, 0)
    np.testing.assert_array_equal(np.delete(after, 5, axis=0), np.delete(before, 5, axis=0))
    assert prediction.changed == mask_region(before != after)


def test_a_negative_click_alone_corrects_a_slice_that_has_a_mask(plane_segmenter: Make) -> None:
    segmenter = plane_segmenter("corrected", refine_limit=0)
    segmenter.set_image(volume())
    before = box_mask(BOX)
    prompts: list[Prompt] = [Point((28.0, 22.0, 3.0)), Point((24.0, 20.0, 5.0), positive=False)]
    after = whole(segmenter.predict(prompts, before), before)
    assert after[5, 20, 24] == 0
    assert after[5].sum() > 150
    np.testing.assert_array_equal(np.delete(after, 5, axis=0), np.delete(before, 5, axis=0))


def test_a_click_on_an_empty_slice_begins_there(plane_segmenter: Make) -> None:
    segmenter = plane_segmenter("corrected", refine_limit=0)
    segmenter.set_image(volume())
    before = box_mask(BOX)
    after = whole(segmenter.predict([BOX, Point((28.0, 22.0, 8.0))], before), before)
    assert after[8, 22, 28] == 1
    np.testing.assert_array_equal(after[:8], before[:8])


def test_a_negative_click_on_an_empty_slice_changes_nothing(plane_segmenter: Make) -> None:
    segmenter = plane_segmenter("corrected")
    segmenter.set_image(volume())
    before = box_mask(BOX)
    prediction = segmenter.predict([BOX, Point((28.0, 22.0, 8.0), positive=False)], before)
    np.testing.assert_array_equal(whole(prediction, before), before)
    assert prediction.passes == 0
    assert prediction.changed.is_empty


@pytest.mark.parametrize(
    ("spacing", "axis"), [((1.0, 1.0, 5.0), 0), ((1.0, 5.0, 1.0), 1), ((5.0, 1.0, 1.0), 2), ((1.0, 1.0, 1.0), 0)]
)
def test_slices_are_cut_across_the_thickest_axis(plane_segmenter: Make, spacing: tuple[float, ...], axis: int) -> None:
    shape = (40, 44, 48)
    segmenter = plane_segmenter("boxed")
    segmenter.set_image(volume(spacing, shape))
    box = Box((20.0, 22.0, 18.0), (26.0, 27.0, 22.0))
    prediction = segmenter.predict([box])
    assert prediction.passes == (4, 5, 6)[axis]
    np.testing.assert_array_equal(whole(prediction, shape=shape), box_mask(box, shape))
    assert prediction.window[axis][1] - prediction.window[axis][0] == 1


def test_a_lasso_fills_its_slice(plane_segmenter: Make) -> None:
    segmenter = plane_segmenter("boxed")
    segmenter.set_image(volume())
    lasso = Lasso(((19.5, 14.5, 4.0), (35.5, 14.5, 4.0), (35.5, 30.5, 4.0), (19.5, 30.5, 4.0)))
    mask = whole(segmenter.predict([lasso]))
    assert mask[4, 17:29, 22:34].all()
    assert mask[4].sum() == pytest.approx(256, abs=40)
    assert not np.delete(mask, 4, axis=0).any()


def test_an_image_is_taken_as_it_is(plane_segmenter: Make) -> None:
    segmenter = plane_segmenter("boxed")
    segmenter.set_image(Image.from_array(np.zeros((50, 60, 3), np.uint8)))
    prediction = segmenter.predict([Box((20.0, 15.0), (36.0, 31.0))])
    assert prediction.region.shape == prediction.mask.shape
    assert int(prediction.mask.sum()) == 256


def test_an_image_after_a_volume_and_back(plane_segmenter: Make) -> None:
    segmenter = plane_segmenter("boxed")
    segmenter.set_image(volume((1.0, 1.0, 4.0)))
    first = whole(segmenter.predict([BOX]))
    segmenter.set_image(Image.from_array(np.zeros((50, 60), np.uint8)))
    assert segmenter.predict([Box((20.0, 15.0), (36.0, 31.0))]).mask.ndim == 2
    segmenter.set_image(volume((1.0, 1.0, 4.0)))
    np.testing.assert_array_equal(whole(segmenter.predict([BOX])), first)


@pytest.mark.parametrize(
    "prompts",
    [
        [],
        [Point((5.0, 5.0, 20.0))],
        [Point((5.0, 5.0))],
        [Box((5.0, 5.0, 9.0), (9.0, 9.0, 12.0))],
        [Point((5.0, 5.0, 5.0), positive=False)],
        [InitialMask(np.ones((9, 50, 61), bool))],
    ],
)
def test_unusable_prompts_are_rejected(plane_segmenter: Make, prompts: list[Prompt]) -> None:
    segmenter = plane_segmenter("boxed")
    segmenter.set_image(volume())
    with pytest.raises(PromptError) as error:
        segmenter.predict(prompts)
    assert "\n" not in str(error.value)


def test_the_same_prompts_give_the_same_answer(plane_segmenter: Make) -> None:
    segmenter = plane_segmenter("bright")
    segmenter.set_image(volume())
    prompts: list[Prompt] = [BOX, Point((28.0, 22.0, 4.0))]
    first = segmenter.predict(prompts)
    segmenter.predict([Point((3.0, 3.0, 1.0))])
    again = segmenter.predict(prompts)
    np.testing.assert_array_equal(first.mask, again.mask)
    assert (first.region, first.changed, first.window) == (again.region, again.changed, again.window)


def test_the_previous_mask_is_not_written_to(plane_segmenter: Make) -> None:
    segmenter = plane_segmenter("corrected")
    segmenter.set_image(volume())
    before = box_mask(BOX)
    prediction = segmenter.predict([BOX, Point((24.0, 20.0, 5.0), positive=False)], before)
    # Something did change, in a mask of the prediction's own.
    assert (whole(prediction, before) != before).any()
    np.testing.assert_array_equal(before, box_mask(BOX))
    assert not np.shares_memory(prediction.mask, before)
    before.flags.writeable = False
    again = segmenter.predict([BOX, Point((24.0, 20.0, 5.0), positive=False)], before)
    np.testing.assert_array_equal(again.mask, prediction.mask)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slice_keeps_the_spacing_of_its_own_axes(axis: int) -> None:
    image = volume((0.5, 0.7, 3.0))
    plane = slice_image(image, axis, 4)
    np.testing.assert_array_equal(plane.array, np.take(image.array, 4, axis=axis))
    assert plane.geometry.array_spacing == tuple(s for a, s in enumerate((3.0, 0.7, 0.5)) if a != axis)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_prompts_are_flattened_onto_the_slices_they_touch(axis: int) -> None:
    drop = 2 - axis
    ends = (11.0, 12.0, 13.0)
    prompts: list[Prompt] = [
        Point((7.0, 7.0, 7.0), positive=False),
        Box((7.0, 7.0, 7.0), ends),
        Scribble(((7.0, 7.0, 7.0), (8.0, 7.0, 7.0), (7.0, 8.0, 7.0), (7.0, 7.0, 8.0)), positive=False),
    ]
    for prompt in prompts:
        flat = flatten_prompt(prompt, axis, 7)
        assert flat is not None
        assert (flat.kind, flat.positive, flat.ndim) == (prompt.kind, prompt.positive, 2)
        assert flatten_prompt(prompt, axis, 6) is None
    assert flatten_prompt(prompts[1], axis, int(ends[drop]) - 1) is not None
    assert flatten_prompt(prompts[1], axis, int(ends[drop])) is None
    assert flatten_prompt(prompts[0], axis, 7) == Point((7.0, 7.0), positive=False)


def test_an_empty_prediction_pastes_nothing() -> None:
    mask = np.ones((4, 5, 6), np.uint8)
    empty = Prediction(
        np.zeros((0, 0, 0), np.uint8), Region.empty(3), np.zeros((0, 0), np.float32), (), Region.empty(3)
    )
    empty.paste(mask)
    assert mask.all()


def test_a_box_thinner_than_a_slice_is_not_lost(plane_segmenter: Make) -> None:
    segmenter = plane_segmenter("boxed")
    segmenter.set_image(volume())
    assert whole(segmenter.predict([Box((20.0, 15.0, 3.2), (36.0, 31.0, 3.9))]))[3].any()


def test_a_box_with_fractional_faces_holds_the_slices_whose_centres_it_holds(plane_segmenter: Make) -> None:
    segmenter = plane_segmenter("boxed")
    segmenter.set_image(volume())
    mask = whole(segmenter.predict([Box((20.0, 15.0, 2.2), (36.0, 31.0, 5.8))]))
    np.testing.assert_array_equal(np.flatnonzero(mask.any(axis=(1, 2))), [2, 3, 4, 5])


def test_a_stroke_through_slices_is_answered_on_each(plane_segmenter: Make) -> None:
    segmenter = plane_segmenter("corrected")
    segmenter.set_image(volume())
    mask = whole(segmenter.predict([Scribble(((28.0, 22.0, 2.0), (28.0, 22.0, 6.0)), thickness=5.0)]))
    np.testing.assert_array_equal(np.flatnonzero(mask.any(axis=(1, 2))), [2, 3, 4, 5, 6])


def test_a_negative_box_takes_away_from_the_mask(plane_segmenter: Make) -> None:
    segmenter = plane_segmenter("corrected", refine_limit=0)
    segmenter.set_image(volume())
    before = box_mask(BOX)
    negative = Box((20.0, 15.0, 4.0), (26.0, 31.0, 6.0), positive=False)
    after = whole(segmenter.predict([BOX, negative], before), before)
    assert not after[4:6, 17:29, 21:25].any()
    np.testing.assert_array_equal(after[3], before[3])


def test_a_correction_costs_one_slice(plane_segmenter: Make) -> None:
    segmenter = plane_segmenter("corrected")
    segmenter.set_image(volume())
    before = box_mask(BOX)
    clicks = [Point((24.0, 20.0, z), positive=False) for z in (4.0, 5.0, 6.0)]
    assert segmenter.predict([BOX, *clicks], before).passes == 1


def test_an_initial_mask_alone_is_answered(plane_segmenter: Make) -> None:
    segmenter = plane_segmenter("corrected")
    segmenter.set_image(volume())
    np.testing.assert_array_equal(whole(segmenter.predict([InitialMask(box_mask(BOX) == 1)])), box_mask(BOX))
