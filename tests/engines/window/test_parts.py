"""Several boxes of one object: which of them mean one part, and that their order does not matter."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.prompts import Box, InitialMask, Lasso, Point, Prompt
from bedside.core.region import Region
from bedside.engines.planes import PlaneSegmenter
from bedside.engines.window.parts import Part, divide_parts, territory
from bedside.engines.window.segmenter import WindowSegmenter

Make = Callable[..., WindowSegmenter]
Mask = NDArray[np.uint8]

LEFT, RIGHT = Box((10.0, 20.0), (30.0, 60.0)), Box((60.0, 25.0), (85.0, 65.0))
SHAPE = (90, 100)


def block(box: Box, shape: tuple[int, ...] = SHAPE) -> Mask:
    mask = np.zeros(shape, np.uint8)
    mask[tuple(slice(int(a), int(b)) for a, b in zip(box.low[::-1], box.high[::-1], strict=True))] = 1
    return mask


def one_by_one(segmenter: WindowSegmenter | PlaneSegmenter, prompts: list[Prompt], shape: tuple[int, ...]) -> Mask:
    mask = np.zeros(shape, np.uint8)
    for count in range(1, len(prompts) + 1):
        segmenter.predict(prompts[:count], mask if count > 1 else None).paste(mask)
    return mask


def at_once(segmenter: WindowSegmenter, prompts: list[Prompt], shape: tuple[int, ...]) -> Mask:
    mask = np.zeros(shape, np.uint8)
    segmenter.predict(prompts).paste(mask)
    return mask


@pytest.mark.parametrize(
    ("second", "parts"),
    [
        (Box((60.0, 25.0), (85.0, 65.0)), 2),
        (Box((30.0, 20.0), (50.0, 60.0)), 2),  # it touches the first
        (Box((28.0, 20.0), (50.0, 60.0)), 2),  # a tenth is common
        (Box((20.0, 20.0), (40.0, 60.0)), 1),  # half is common
        (Box((12.0, 30.0), (20.0, 40.0)), 1),  # it lies inside
        (Box((60.0, 25.0), (85.0, 65.0), positive=False), 0),
        (Point((70.0, 30.0)), 0),
    ],
)
def test_boxes_that_share_much_mean_one_part(second: Prompt, parts: int) -> None:
    assert len(divide_parts([LEFT, second], 1, (1.0, 1.0))) == parts
    assert len(divide_parts([second, LEFT], 1, (1.0, 1.0))) == parts


def test_a_third_box_joins_two() -> None:
    bridge = Box((12.0, 25.0), (80.0, 58.0))
    assert len(divide_parts([LEFT, RIGHT, bridge], 1, (1.0, 1.0))) == 1


def test_flat_boxes_on_slices_of_one_thing_are_one_part() -> None:
    low, high = Box((10.0, 10.0, 5.0), (30.0, 30.0, 6.0)), Box((12.0, 12.0, 20.0), (32.0, 32.0, 21.0))
    beside = Box((50.0, 10.0, 20.0), (70.0, 30.0, 21.0))
    upright = Box((20.0, 12.0, 2.0), (21.0, 28.0, 24.0))
    apart = Box((60.0, 12.0, 2.0), (61.0, 28.0, 24.0))
    spacing = (3.0, 1.0, 1.0)
    assert len(divide_parts([low, high], 1, spacing)) == 1
    assert len(divide_parts([low, upright], 1, spacing)) == 1
    assert len(divide_parts([low, beside], 1, spacing)) == 2
    assert len(divide_parts([low, apart], 1, spacing)) == 2


def test_other_prompts_go_to_the_part_that_they_touch_or_to_the_nearest() -> None:
    inside, near_right, everywhere = Point((15.0, 30.0)), Point((50.0, 30.0)), Box((5.0, 40.0), (90.0, 45.0), False)
    left, right = divide_parts([LEFT, inside, RIGHT, near_right, everywhere], 2, (1.0, 1.0))
    assert left.prompts == [LEFT, inside, everywhere]
    assert right.prompts == [RIGHT, near_right, everywhere]
    assert (left.fresh, right.fresh) == (1, 2)


def test_distance_counts_in_millimetres() -> None:
    below = Box((10.0, 70.0), (30.0, 80.0))
    click = Point((45.0, 65.0))  # 15 pixels right of one, 5 above and 15 right of the other
    tall = divide_parts([LEFT, below, click], 1, (10.0, 1.0))
    assert [click in part.prompts for part in tall] == [False, True]
    higher = Point((45.0, 61.0))
    upper, lower = divide_parts([LEFT, below, higher], 1, (10.0, 1.0))
    assert higher in upper.prompts
    assert higher not in lower.prompts


def test_what_a_given_mask_overrules_makes_no_part() -> None:
    given_mask = InitialMask(block(RIGHT) > 0)
    assert divide_parts([LEFT, RIGHT, given_mask, LEFT], 1, (1.0, 1.0)) == []
    parts = divide_parts([LEFT, given_mask, LEFT, RIGHT], 1, (1.0, 1.0))
    assert [part.prompts for part in parts] == [[LEFT], [RIGHT]]


@given(st.lists(st.tuples(*[st.integers(0, 40)] * 2, *[st.integers(1, 20)] * 2), min_size=2, max_size=6))
def test_territories_share_all_voxels_out(corners: list[tuple[int, int, int, int]]) -> None:
    boxes: list[Prompt] = [Box((float(x), float(y)), (float(x + w), float(y + h))) for x, y, w, h in corners]
    parts = divide_parts(boxes, 1, (2.0, 1.0))
    region = Region((0, 0), (60, 60))
    if len(parts) < 2:
        return
    held = [territory(part, parts, region, (2.0, 1.0)) for part in parts]
    assert np.any(held, axis=0).all()
    for part, own in zip(parts, held, strict=True):
        for box in part.prompts:
            assert isinstance(box, Box)
            inside = block(box, region.shape) > 0
            others = [p for p in parts if p is not part]
            assert (own | np.any([_within(p, region.shape) for p in others], axis=0))[inside].all()


def _within(part: Part, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    mask = np.zeros(shape, np.bool_)
    mask[tuple(slice(int(a), int(b)) for a, b in zip(*part.bounds, strict=True))] = True
    return mask


def test_each_part_is_seen_in_a_window_of_its_own(window_segmenter: Make) -> None:
    segmenter = window_segmenter("boxed")
    segmenter.set_image(Image.from_array(np.zeros(SHAPE, np.uint8)))
    prediction = segmenter.predict([LEFT, RIGHT])
    mask = np.zeros(SHAPE, np.uint8)
    prediction.paste(mask)
    together = window_segmenter("boxed")
    together.set_image(Image.from_array(np.zeros(SHAPE, np.uint8)))
    apart = [together.predict([box]) for box in (LEFT, RIGHT)]
    expected = np.zeros(SHAPE, np.uint8)
    for one in apart:
        expected[one.region.slices] |= one.mask
    np.testing.assert_array_equal(mask, expected)
    assert prediction.passes == sum(one.passes for one in apart)
    assert prediction.window == apart[1].window


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 70)] * 2, *[st.integers(4, 20)] * 2), min_size=2, max_size=4))
def test_the_order_of_boxes_does_not_matter(window_segmenter: Make, corners: list[tuple[int, int, int, int]]) -> None:
    shape = (92, 92)
    boxes: list[Prompt] = [Box((float(x), float(y)), (float(x + w), float(y + h))) for x, y, w, h in corners]
    if len(divide_parts(boxes, 1, (1.0, 1.0))) < len(boxes):
        return
    segmenter = window_segmenter("bright")
    generator = np.random.default_rng(len(corners))
    segmenter.set_image(Image.from_array(generator.integers(0, 255, shape).astype(np.uint8)))
    expected = at_once(segmenter, boxes, shape)
    for order in permutations(boxes):
        np.testing.assert_array_equal(one_by_one(segmenter, list(order), shape), expected)


def test_a_click_asks_its_own_part_again_and_leaves_the_others(window_segmenter: Make) -> None:
    segmenter = window_segmenter("boxed")
    segmenter.set_image(Image.from_array(np.zeros(SHAPE, np.uint8)))
    before = at_once(segmenter, [LEFT, RIGHT], SHAPE)
    before[21, 11], before[26, 61] = 0, 0  # what a network would mend if it was asked
    after = before.copy()
    prediction = segmenter.predict([LEFT, RIGHT, Point((70.0, 40.0))], before)
    prediction.paste(after)
    assert prediction.passes == segmenter.predict([RIGHT, Point((70.0, 40.0))], before * block(RIGHT)).passes
    assert not after[21, 11]
    assert after[26, 61]


def test_a_volume_of_two_parts(window_segmenter: Make) -> None:
    shape = (20, 40, 60)
    boxes: list[Prompt] = [Box((5.0, 5.0, 3.0), (15.0, 15.0, 9.0)), Box((40.0, 20.0, 8.0), (50.0, 32.0, 16.0))]
    segmenter = window_segmenter("boxed", dimensions=3, grid=16, object_zoom=1.6)
    segmenter.set_image(Image(np.zeros(shape, np.int16), Geometry.create(shape, None)))
    expected = np.zeros(shape, np.uint8)
    for box in boxes:
        segmenter.predict([box]).paste(part := np.zeros(shape, np.uint8))
        expected |= part
    np.testing.assert_array_equal(at_once(segmenter, boxes, shape), expected)
    np.testing.assert_array_equal(one_by_one(segmenter, boxes[::-1], shape), expected)


def test_slice_by_slice_the_order_does_not_matter_either(window_segmenter: Make) -> None:
    shape = (6, 90, 100)
    boxes: list[Prompt] = [Box((*b.low, 2.0), (*b.high, 4.0)) for b in (LEFT, RIGHT)]
    plane = window_segmenter("boxed")
    segmenter = PlaneSegmenter(plane, plane.capabilities)
    segmenter.set_image(Image(np.zeros(shape, np.int16), Geometry.create(shape, (1.0, 1.0, 5.0))))
    first, second = one_by_one(segmenter, boxes, shape), one_by_one(segmenter, boxes[::-1], shape)
    assert first.any(axis=(1, 2)).tolist() == [False, False, True, True, False, False]
    np.testing.assert_array_equal(first, second)


def test_lassos_are_parts_too(window_segmenter: Make) -> None:
    segmenter = window_segmenter("boxed")
    segmenter.set_image(Image.from_array(np.zeros(SHAPE, np.uint8)))
    lasso = Lasso(((60.0, 25.0), (85.0, 25.0), (85.0, 65.0), (60.0, 65.0)))
    assert segmenter.predict([LEFT, lasso]).window == segmenter.predict([lasso]).window
