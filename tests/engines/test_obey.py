"""Prompts take effect where they are put, whatever the network says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.core.image import Image
from bedside.core.prompts import Box, InitialMask, Lasso, Point, Prompt, Scribble
from bedside.core.region import Region
from bedside.engines.obey import MARGIN, bend_logits, keep_given, prompts_in_force, stamp_prompts
from tests.engines.conftest import make_plane, make_window

SHAPES = {2: (70, 90), 3: (20, 50, 44)}
SPACINGS = {2: (1.0, 1.0), 3: (0.5, 0.5, 6.0)}
"""(x, y[, z]); volumes come in thick slices."""


def answer(engine: Any, shape: tuple[int, ...], prompts: list[Prompt], previous: Any = None) -> np.ndarray:
    image = Image.from_array(np.random.default_rng(0).integers(0, 99, shape).astype(np.uint8), SPACINGS[len(shape)])
    engine.set_image(image)
    mask = np.zeros(shape, np.uint8) if previous is None else previous.copy()
    prediction = engine.predict(prompts, previous)
    before = mask.copy()
    prediction.paste(mask)
    inside = np.zeros(shape, bool)
    inside[prediction.changed.slices] = True
    assert not ((mask != before) & ~inside).any()
    return mask


def coordinates(dimensions: int) -> Any:
    return st.tuples(*(st.integers(0, n - 1) for n in SHAPES[dimensions][::-1]))


def whole_box(shape: tuple[int, ...]) -> Box:
    return Box((0.0,) * len(shape), tuple(map(float, shape[::-1])))


@pytest.mark.parametrize("dimensions", [2, 3])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_no_network_overrules_a_click(dimensions: int, data: Any) -> None:
    shape = SHAPES[dimensions]
    clicks = data.draw(st.lists(st.tuples(coordinates(dimensions), st.booleans()), min_size=1, max_size=4))
    stubborn = data.draw(st.sampled_from(["everything", "nothing", "bright"]))
    prompts = [whole_box(shape), *(Point(tuple(map(float, p)), positive) for p, positive in clicks)]
    mask = answer(make_window(stubborn, dimensions), shape, prompts)
    said = dict(clicks)
    for position, positive in said.items():
        assert mask[position[::-1]] == positive


@pytest.mark.parametrize("dimensions", [2, 3])
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_no_network_overrules_a_stroke(dimensions: int, data: Any) -> None:
    shape = SHAPES[dimensions]
    ends = data.draw(st.lists(coordinates(dimensions), min_size=2, max_size=3))
    if dimensions == 3:
        ends = [(*end[:2], ends[0][2]) for end in ends]
    positive = data.draw(st.booleans())
    stroke = Scribble(tuple(tuple(map(float, p)) for p in ends), positive)
    mask = answer(make_window("nothing" if positive else "everything", dimensions), shape, [whole_box(shape), stroke])
    for end in ends:
        assert mask[end[::-1]] == positive
    middle = tuple(round((a + b) / 2) for a, b in zip(ends[0], ends[1], strict=True))
    assert mask[middle[::-1]] == positive


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("kind", ["box", "lasso"])
def test_negative_areas_are_emptied_and_nothing_else(dimensions: int, kind: str) -> None:
    shape = SHAPES[dimensions]
    if kind == "box":
        low, high = ((20, 30), (41, 50)) if dimensions == 2 else ((20, 10, 5), (31, 30, 8))
        area: Prompt = Box(tuple(map(float, low)), tuple(map(float, high)), positive=False)
        expected = np.zeros(shape, bool)
        expected[tuple(slice(a, b) for a, b in zip(low[::-1], high[::-1], strict=True))] = True
    else:
        corners = ((19.5, 29.5), (40.5, 29.5), (40.5, 45.5), (19.5, 45.5))
        deep = dimensions == 3
        area = Lasso(tuple((*c, 7.0) if deep else c for c in corners), positive=False)
        expected = np.zeros(shape, bool)
        expected[(7, slice(30, 46), slice(20, 41)) if deep else (slice(30, 46), slice(20, 41))] = True
    mask = answer(make_window("everything", dimensions, grid=32), shape, [whole_box(shape), area])
    assert not mask[expected].any()
    lost = (mask == 0) & ~expected
    # A cell of the grid spans a few voxels, and on the border of the area it goes one way or the other.
    assert np.count_nonzero(lost) < np.count_nonzero(expected)
    assert mask[~expected].mean() > 0.9


def test_a_negative_click_in_thick_slices_leaves_the_other_slices_alone() -> None:
    shape = SHAPES[3]
    click = Point((22.0, 25.0, 9.0), positive=False)
    mask = answer(make_window("everything", 3), shape, [whole_box(shape), click])
    assert mask[9, 25, 22] == 0
    gone = np.argwhere(mask == 0)
    assert set(gone[:, 0]) == {9}
    # The brush is a few cells wide, and a cell here as long as a quarter of a slice is thick.
    assert np.abs(gone[:, 1:] - (25, 22)).max() <= 16


def test_neighbours_of_a_click_come_along_as_far_as_the_network_is_unsure() -> None:
    logits = np.full((32, 32), 0.4, np.float32)
    bent = bend_logits(logits, [Point((16.0, 16.0), positive=False)])
    assert bent[16, 16] == pytest.approx(-MARGIN)
    assert 9 <= np.count_nonzero(bent < 0) <= 49
    sure = bend_logits(np.full((32, 32), 20, np.float32), [Point((16.0, 16.0), positive=False)])
    assert np.count_nonzero(sure < 0) == 1


def test_a_network_that_obeys_is_left_as_it_is() -> None:
    logits = np.full((32, 32), -5, np.float32)
    assert bend_logits(logits, [Point((16.0, 16.0), positive=False), Point((99.0, 3.0))]) is logits


def test_later_prompts_overrule_earlier_ones_and_a_given_mask_all_before_it() -> None:
    mask = np.ones((9, 9), np.uint8)
    prompts: list[Prompt] = [Point((4.0, 4.0), False), Point((4.0, 4.0)), Box((0.0, 0.0), (3.0, 9.0), False)]
    stamp_prompts(mask, Region.whole(mask.shape), prompts)
    assert mask[4, 4] == 1
    assert not mask[:, :3].any()
    assert mask[:, 3:].all()
    given_mask = InitialMask(mask)
    later = Point((8.0, 8.0), False)
    assert prompts_in_force([*prompts, given_mask, Box((0.0, 0.0), (9.0, 9.0)), later]) == [later]


@pytest.mark.parametrize("engine", ["window", "plane"])
def test_what_a_brush_painted_is_not_taken_back_by_an_older_click(engine: str) -> None:
    shape = (6, 40, 40)
    painted = np.zeros(shape, np.uint8)
    painted[3, 10:30, 10:30] = 1
    prompts = [Point((20.0, 20.0, 3.0), False), InitialMask(painted), Point((12.0, 12.0, 3.0), False)]
    made = make_window("everything", 3) if engine == "window" else make_plane("everything")
    mask = answer(made, shape, prompts, painted)
    assert mask[3, 20, 20] == 1
    assert mask[3, 12, 12] == 0


def test_prompts_beyond_the_region_do_no_harm() -> None:
    mask = np.ones((5, 5), np.uint8)
    far: list[Prompt] = [Point((50.0, 2.0), False), Box((40.0, 40.0), (50.0, 50.0), False)]
    stamp_prompts(mask, Region((10, 10), (15, 15)), far)
    assert mask.all()


def tree() -> NDArray[np.uint8]:
    """Ten bars of one voxel, as a coarse grid cannot draw them."""
    mask = np.zeros((40, 60), np.uint8)
    mask[2:38:4, 5:55] = 1
    return mask


REGION = Region((100, 200), (140, 260))
GIVEN = InitialMask(np.ones((1, 1), bool))


def keep(mask: NDArray[np.uint8], *prompts: Prompt, fresh: int = 1) -> NDArray[np.uint8]:
    return keep_given(mask, tree(), REGION, prompts, fresh)


def test_of_a_given_mask_that_the_network_cannot_draw_only_what_a_click_touches_changes() -> None:
    blob = np.zeros((40, 60), np.uint8)
    blob[10:30, 10:40] = 1
    click = Point((205.0, 102.0), positive=False)
    drawn = blob.copy()
    drawn[2] = 0
    found = keep(drawn, GIVEN, click)
    expected = tree()
    expected[2, 5:8] = 0
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(keep(drawn, GIVEN, Point((259.0, 139.0))), tree())


def test_a_click_changes_a_part_and_not_its_neighbours() -> None:
    y, x = np.indices((64, 64))
    balls = (np.hypot(y % 16 - 8, x % 16 - 8) < 4).astype(np.uint8)
    before = balls.copy()
    before[16:32, 16:32] = 0
    blob = np.ones((64, 64), np.uint8)
    region = Region((0, 0), (64, 64))
    added = keep_given(blob, before, region, (GIVEN, Point((24.0, 24.0))), 1)
    inner = np.hypot(y - 24, x - 24) < 4
    assert added[inner].all()
    changed = added != before
    assert (np.hypot(y - 24, x - 24)[changed] <= 8).all()
    taken = keep_given(np.zeros_like(blob), balls, region, (GIVEN, Point((40.0, 24.0), positive=False)), 1)
    assert not taken[16:32, 32:48].any()
    np.testing.assert_array_equal(np.delete(taken, np.s_[32:48], axis=1), np.delete(balls, np.s_[32:48], axis=1))


@pytest.mark.parametrize(
    ("prompts", "fresh"),
    [
        # Not given, or given just now; a stroke; nothing but the mask.
        ((Point((205.0, 102.0)),), 1),
        ((Point((205.0, 102.0)), GIVEN), 2),
        ((GIVEN, Scribble(((205.0, 102.0),))), 1),
        ((GIVEN, Point((205.0, 102.0)), Scribble(((205.0, 102.0),))), 2),
        ((GIVEN,), 0),
    ],
)
def test_everything_else_is_left_to_the_network(prompts: tuple[Prompt, ...], fresh: int) -> None:
    blob = np.zeros((40, 60), np.uint8)
    blob[10:30, 10:40] = 1
    assert keep(blob, *prompts, fresh=fresh) is blob


def test_a_mask_that_the_network_knows_again_is_left_to_it() -> None:
    near = tree()
    near[:, 5:20] = 0
    assert keep(near, GIVEN, Point((205.0, 102.0))) is near
    empty = np.zeros((40, 60), np.uint8)
    assert keep_given(near, empty, REGION, (GIVEN, Point((205.0, 102.0))), 1) is near


@pytest.mark.parametrize("dimensions", [2, 3])
@given(data=st.data())
def test_prompts_together_are_prompts_one_after_the_other(dimensions: int, data: Any) -> None:
    shape = (9, 8, 7)[:dimensions]
    place = st.tuples(*[st.floats(-4, 12)] * dimensions)
    clicks = st.builds(Point, place, st.booleans())
    strokes = st.builds(Scribble, st.lists(place, min_size=1, max_size=3).map(tuple), st.booleans())
    prompts = data.draw(st.lists(st.one_of(clicks, clicks, clicks, strokes), min_size=1, max_size=9))
    noise = np.random.default_rng(data.draw(st.integers(0, 99)))
    logits = noise.normal(0, 2, shape).astype(np.float32)
    one_by_one = logits.copy()
    for prompt in prompts:
        one_by_one = bend_logits(one_by_one, [prompt])
    before = logits.copy()
    np.testing.assert_array_equal(bend_logits(logits, prompts), one_by_one)
    np.testing.assert_array_equal(logits, before)
    region = Region((2,) * dimensions, tuple(2 + n for n in shape))
    mask = noise.integers(0, 2, shape).astype(np.uint8)
    stamped = mask.copy()
    for prompt in prompts:
        stamp_prompts(stamped, region, [prompt])
    stamp_prompts(mask, region, prompts)
    np.testing.assert_array_equal(mask, stamped)
