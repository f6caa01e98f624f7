"""Content-aware cropping, and what the published code does otherwise (arXiv 2510.03189)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.prompts import Box, Lasso, Point, Prompt, Scribble
from bedside.engines.adaptive_crop import AdaptiveCrop
from bedside.engines.nninteractive.channels import box_region
from bedside.engines.strategy import Scene
from bedside.imaging.window import Window
from bedside.simulate.challenge_boxes import middle_slice_box

GRID = (192,) * 3


def first(*prompts: Prompt, shape: tuple[int, ...] = (600, 600, 600), previous: object = None) -> Window:
    return AdaptiveCrop().first(Scene(shape, GRID, prompts, previous))  # type: ignore[arg-type]


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    low = [draw(st.integers(0, 500)) for _ in range(3)]
    return Box(tuple(map(float, low)), tuple(float(a + draw(st.integers(1, 600))) for a in low))


@given(box=boxes())
def test_the_window_is_the_specified_one(box: Box) -> None:
    window = first(box)
    sides = [b - a for a, b in zip(box.low, box.high, strict=True)]
    zoom = max(1.0, *((s + 64) / 192 for s in sides))
    side = math.ceil(round(192 * zoom, 6))
    assert window.sides == (float(side),) * 3
    assert window.grid == GRID
    for start, low, high in zip(window.start[::-1], box.low, box.high, strict=True):
        assert abs(start + side // 2 - (low + high) / 2) <= 0.5


@given(box=boxes())
def test_no_voxel_of_the_box_is_lost(box: Box) -> None:
    window, region = first(box), box_region(box)
    for start, stop, a, b in zip(window.start, window.stop, region.start, region.stop, strict=True):
        assert start <= a
        assert b <= stop


def test_small_objects_are_seen_at_full_resolution() -> None:
    assert first(Box((300.0,) * 3, (428.0,) * 3)).scale == (1.0,) * 3
    assert first(Box((300.0,) * 3, (429.0,) * 3)).sides == (193.0,) * 3


def published_position(window: Window, shape: tuple[int, ...]) -> tuple[float, ...]:
    """Where the published code says a window begins: at 0 where the window needs no padding."""
    padded = any(a < 0 or b > n for a, b, n in zip(window.start, window.stop, shape, strict=True))
    return window.start if padded else (0.0,) * len(shape)


def test_a_window_inside_the_volume_is_where_it_is() -> None:
    box = Box((300.0, 310.0, 320.0), (340.0, 350.0, 360.0))
    window = first(box)
    centre = [(a + b) / 2 for a, b in zip(box.low, box.high, strict=True)][::-1]
    middle = [a + 96 for a in window.start]
    assert middle == centre
    published = [a + 96 for a in published_position(window, (600,) * 3)]
    assert published != centre
    # Near a border both agree, which is why it was not seen.
    low = first(Box((10.0,) * 3, (50.0,) * 3))
    assert published_position(low, (600,) * 3) == low.start


def published_box(truth: NDArray[np.bool_]) -> tuple[slice, ...]:
    """The published box channel: inclusive ends taken for exclusive ones."""
    inside = np.argwhere(truth)
    return tuple(slice(int(a), int(b)) for a, b in zip(inside.min(axis=0), inside.max(axis=0), strict=True))


@pytest.mark.parametrize("thickness", [1, 2, 7])
def test_a_box_holds_its_last_voxel_and_one_slice_is_not_empty(thickness: int) -> None:
    truth = np.zeros((20, 30, 40), bool)
    truth[5 : 5 + thickness, 6:16, 7:19] = True

    class NoEnlargement:
        def integers(self, _: int) -> int:
            return 0

    box, _ = middle_slice_box(truth, NoEnlargement())  # type: ignore[arg-type]
    held = np.zeros_like(truth)
    held[box_region(box).slices] = True
    np.testing.assert_array_equal(held, truth)
    published = np.zeros_like(truth)
    published[published_box(truth)] = True
    assert published.sum() == (thickness - 1) * 9 * 11
    assert published.sum() < truth.sum()


def published_no_box(shape: tuple[int, ...]) -> tuple[float, ...]:
    """The published centre without a box: that of the image's middle third."""
    return tuple(n / 2 for n in shape)


def test_without_a_box_the_first_click_takes_its_place() -> None:
    shape = (600, 600, 600)
    clicks = (Point((40.0, 50.0, 60.0), positive=False), Point((120.0, 130.0, 140.0)), Point((500.0, 500.0, 500.0)))
    window = first(*clicks, shape=shape)
    assert [a + 96 for a in window.start] == [140, 130, 120]
    assert window.scale == (1.0,) * 3
    # The published window around the middle does not even hold the click.
    centre = published_no_box(shape)
    assert all(c - 96 > p for c, p in zip(centre, (140, 130, 120), strict=True))


def test_clicks_do_not_move_the_window_of_a_box() -> None:
    box = Box((100.0,) * 3, (150.0,) * 3)
    assert first(box) == first(box, Point((140.0,) * 3), Point((400.0,) * 3, positive=False))
    assert first(Point((400.0,) * 3), box) == first(box)


def test_other_starts() -> None:
    lasso = Lasso(((100.0, 100.0, 50.0), (150.0, 100.0, 50.0), (120.0, 160.0, 50.0)))
    assert [a + 96 for a in first(lasso).start] == [50, 130, 125]
    stroke = Scribble(((100.0, 100.0, 50.0), (150.0, 100.0, 50.0)))
    assert [a + 96 for a in first(stroke).start] == [50, 100, 125]
    mask = np.zeros((200, 200, 200), np.uint8)
    mask[100:120, 90:130, 80:140] = 1
    window = first(Point((5.0,) * 3, positive=False), previous=mask)
    assert [a + 96 for a in window.start] == [110, 110, 110]


def test_there_is_one_window_and_no_refinement() -> None:
    crop = AdaptiveCrop()
    window = first(Box((0.0,) * 3, (500.0,) * 3))
    full = np.ones((8, 8, 8), bool)
    assert crop.following([window], full, ~full) is None
    scene = Scene((600,) * 3, GRID, (Point((1.0,) * 3),), None)
    assert not list(crop.refinements(full, ~full, None, window, scene))  # type: ignore[arg-type]


def test_room_is_needed() -> None:
    with pytest.raises(InputError, match="adaptive crop"):
        AdaptiveCrop(room=0.0)
