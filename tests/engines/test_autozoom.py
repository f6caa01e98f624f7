"""AutoZoom's windows, by the numbers of nnInteractive's prediction loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.prompts import Box, InitialMask, Lasso, Point, Prompt, Scribble
from bedside.core.region import Region
from bedside.engines.autozoom import AutoZoom, prompt_extent
from bedside.engines.strategy import Scene
from bedside.imaging.window import Window

GRID = (192,) * 3


def scene(*prompts: Prompt, shape: tuple[int, ...] = (900, 900, 900), grid: tuple[int, ...] = GRID) -> Scene:
    return Scene(shape, grid, prompts, None)


def flat_box(extent: float, z: float = 100.0) -> Box:
    return Box((300.0, 300.0, z), (300.0 + extent, 340.0, z + 1))


def test_a_click_is_seen_at_full_resolution() -> None:
    window = AutoZoom().first(scene(Point((50.4, 60.6, 70.0))))
    assert window == Window((-26.0, -35.0, -46.0), (166.0, 157.0, 146.0), GRID)


@pytest.mark.parametrize(
    ("extent", "side"), [(20, 192), (128, 192), (129, 193), (224, 288), (600, 664), (704, 768), (900, 768)]
)
def test_a_prompt_of_known_extent_gets_sixty_four_voxels_more(extent: int, side: int) -> None:
    window = AutoZoom().first(scene(flat_box(extent)))
    assert window.sides == (side,) * 3
    centre = (100, 320, 300 + extent // 2)
    assert window.start == tuple(float(c - side // 2) for c in centre)


@pytest.mark.parametrize(("low", "high", "centre"), [(3, 8, 6), (4, 9, 6), (5, 10, 8), (7, 8, 8), (8, 9, 8)])
def test_a_half_goes_to_the_even_voxel_but_for_clicks(low: int, high: int, centre: int) -> None:
    box = Box((float(low), 10.0, 20.0), (float(high), 11.0, 24.0))
    assert AutoZoom().first(scene(box)).start[2] == centre - 96
    for at in (7, 8):
        assert AutoZoom().first(scene(Point((float(at), 10.0, 20.0)))).start[2] == at - 96


def test_only_the_last_prompt_counts_whatever_its_sign() -> None:
    first, last = flat_box(700), Point((10.0, 20.0, 30.0), positive=False)
    assert AutoZoom().first(scene(first, last)) == AutoZoom().first(scene(last))


@pytest.mark.parametrize(
    ("prompt", "start", "stop"),
    [
        (Point((3.4, 2.6, 5.0)), (5, 3, 3), (6, 4, 4)),
        (Box((3.0, 2.0, 5.0), (9.0, 4.0, 6.0)), (5, 2, 3), (6, 4, 9)),
        (Scribble(((3.0, 2.0, 5.0), (9.0, 2.0, 5.0)), thickness=1.0), (5, 2, 3), (6, 3, 10)),
        (Scribble(((3.0, 2.0, 5.0), (9.0, 2.0, 5.0)), thickness=3.0), (4, 1, 2), (7, 4, 11)),
        (Lasso(((3.0, 2.0, 5.0), (9.0, 2.0, 5.0), (5.0, 8.0, 5.0))), (5, 2, 3), (6, 9, 10)),
        (InitialMask(np.pad(np.ones((2, 3, 4), bool), 5)), (5, 5, 5), (7, 8, 9)),
    ],
)
def test_extents(prompt: Prompt, start: tuple[int, ...], stop: tuple[int, ...]) -> None:
    low, high = prompt_extent(prompt)
    assert (low.tolist(), high.tolist()) == (list(start), list(stop))


def everywhere(value: bool) -> NDArray[np.bool_]:
    return np.full(GRID, value)


def all_windows(prompt: Prompt) -> list[Window]:
    """Every window where each answer asks for a wider one."""
    windows: list[Window] = []
    window: Window | None = AutoZoom().first(scene(prompt))
    while window is not None:
        windows.append(window)
        window = AutoZoom().following(windows, everywhere(True), everywhere(False))
    return windows


def test_the_zooms_are_those_published_and_end_at_four() -> None:
    windows = all_windows(Point((50.0, 60.0, 70.0)))
    assert [max(window.scale) for window in windows] == [1.0, 1.5, 2.25, 3.375, 4.0]
    centres = {tuple(int(a + s // 2) for a, s in zip(w.start, w.sides, strict=True)) for w in windows}
    assert centres == {(70, 60, 50)}


def test_rounding_to_whole_voxels_does_not_add_up() -> None:
    # Zooms (235 / 192) * 1.5 ** n: 352.5, 528.75 and 793.1 voxels, of which the last is cut to the limit.
    assert [w.sides[0] for w in all_windows(flat_box(171))] == [235, 352, 529, 768]


def face(cells: int, start: int = 0) -> NDArray[np.bool_]:
    """A thin mask with so many cells on the first face of its first axis, and none on the others."""
    mask = np.zeros((4, 192, 192), bool)
    inner = np.zeros((190, 190), bool)
    inner.ravel()[start : start + cells] = True
    mask[0, 1:-1, 1:-1] = inner
    return mask


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("end", [0, -1])
@pytest.mark.parametrize(
    ("then", "now", "wider"),
    [
        # More than 1,500 cells changed, whatever the share.
        (face(20_000), face(20_000, start=800), True),
        (face(20_000), face(20_000, start=750), False),
        # Between 101 and 1,500 it is the share of what was there that counts, and that must be more than a fifth.
        (face(500), face(601), True),
        (face(505), face(606), False),
        (face(600), face(500), False),
        (face(606), face(505), False),
        (face(0), face(101), True),
        (face(0), face(100), False),
        (face(101), face(0), True),
    ],
)
def test_faces(axis: int, end: int, then: NDArray[np.bool_], now: NDArray[np.bool_], wider: bool) -> None:
    place = [np.moveaxis(m if end == 0 else m[::-1], 0, axis) for m in (now, then)]
    assert AutoZoom().runs_out(*place) == wider


def test_a_change_within_the_window_asks_for_nothing() -> None:
    mask = everywhere(False)
    mask[1:-1, 1:-1, 1:-1] = True
    window = Window((0.0,) * 3, (192.0,) * 3, GRID)
    assert AutoZoom().following([window], mask, everywhere(False)) is None
    assert AutoZoom().following([window], everywhere(True), everywhere(False)) is not None
    # What was there already is no change.
    assert AutoZoom().following([window], everywhere(True), everywhere(True)) is None


def test_numbers_of_cells_scale_with_the_face() -> None:
    # A ninth of 1,500 is 166.7; the ratio is put out of reach.
    for cells, wider in ((166, False), (167, True)):
        after = np.zeros((64,) * 3, bool)
        after[0].ravel()[:cells] = True
        assert AutoZoom(ratio=1e12).runs_out(after, np.zeros_like(after)) == wider


def test_full_resolution_needs_no_refinement() -> None:
    window = Window((0.0,) * 3, (192.0,) * 3, GRID)
    mask = np.ones((192,) * 3, np.uint8)
    region = Region((0,) * 3, (192,) * 3)
    assert not list(AutoZoom().refinements(mask, np.zeros_like(mask), region, window, scene(Point((5.0, 5.0, 5.0)))))


def test_what_changed_is_looked_at_again() -> None:
    grid = (32,) * 3
    window = Window((10.0,) * 3, (106.0,) * 3, grid)
    region = Region((10,) * 3, (106,) * 3)
    mask = np.zeros((96,) * 3, np.uint8)
    mask[20:60, 30:50, 40:55] = 1
    mask[2, 2, 2] = 1
    place = scene(Point((12.0, 12.0, 12.0)), grid=grid)
    boxes = list(AutoZoom().refinements(mask, np.zeros_like(mask), region, window, place))
    held = np.zeros_like(mask)
    for box in boxes:
        assert box.sides == (32.0,) * 3
        # All but an eighth of the side at each face.
        held[tuple(slice(max(0, int(a) - 10 + 4), max(0, int(a) - 10 + 28)) for a in box.start)] = 1
    assert held[20:60, 30:50, 40:55].all()
    # The speck is no change.
    assert not held[2, 2, 2]


def test_without_a_change_the_last_prompt_is_looked_at_again() -> None:
    window = Window((0.0,) * 3, (384.0,) * 3, GRID)
    mask = np.zeros((384,) * 3, np.uint8)
    region = Region((0,) * 3, (384,) * 3)
    last = Point((30.0, 50.0, 70.0))
    (box,) = AutoZoom().refinements(mask, mask, region, window, scene(Point((0.0, 0.0, 0.0)), last))
    assert box == AutoZoom().first(scene(last))


@given(
    low=st.tuples(*[st.integers(0, 500)] * 3),
    extent=st.tuples(*[st.integers(1, 700)] * 3),
    flat=st.integers(0, 2),
)
def test_a_window_holds_its_prompt(low: tuple[int, ...], extent: tuple[int, ...], flat: int) -> None:
    high = [a + (1 if axis == flat else e) for axis, (a, e) in enumerate(zip(low, extent, strict=True))]
    window = AutoZoom().first(scene(Box(tuple(map(float, low)), tuple(map(float, high)))))
    for start, stop, a, b in zip(window.start, window.stop, low[::-1], high[::-1], strict=True):
        assert start <= a
        assert b <= stop


@pytest.mark.parametrize("numbers", [{"zoom_limit": 0.5}, {"zoom_factor": 1.0}])
def test_impossible_numbers_are_rejected(numbers: dict[str, float]) -> None:
    with pytest.raises(InputError, match="autozoom"):
        AutoZoom(**numbers)
