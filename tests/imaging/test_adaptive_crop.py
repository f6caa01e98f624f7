from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from bedside.imaging.adaptive_crop import adaptive_window

GRID = (192,) * 3
extents = st.tuples(*[st.tuples(st.integers(-50, 500), st.integers(1, 600))] * 3)


@given(extents=extents)
def test_the_window_is_the_specified_one(extents: tuple[tuple[int, int], ...]) -> None:
    low, side = zip(*extents, strict=True)
    high = [a + s for a, s in extents]
    window = adaptive_window(low, high, GRID)
    expected = math.ceil(round(192 * max(1.0, *((s + 64) / 192 for s in side)), 6))
    assert window.sides == (float(expected),) * 3
    assert window.grid == GRID
    for start, stop, a, b in zip(window.start, window.stop, low, high, strict=True):
        assert start == int(start)
        # No voxel of the extent is lost, and it lies in the middle.
        assert start <= a
        assert b <= stop
        assert abs((start + stop) / 2 - (a + b) / 2) <= 1


def test_small_extents_are_seen_at_full_resolution() -> None:
    assert adaptive_window((300,) * 3, (428,) * 3, GRID).scale == (1.0,) * 3
    assert adaptive_window((300,) * 3, (429,) * 3, GRID).sides == (193.0,) * 3
    assert adaptive_window((0,) * 3, (1,) * 3, (64,) * 3).sides == (64.0,) * 3
