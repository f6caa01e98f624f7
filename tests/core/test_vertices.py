"""Vertices kept as an array read as the tuples that they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.core.vertices import Vertices

number = st.floats(-1e6, 1e6)
lines = st.integers(2, 3).flatmap(lambda axes: st.lists(st.tuples(*[number] * axes), min_size=3, max_size=9))


@given(points=lines, at=st.integers(-3, 2), cut=st.slices(9))
def test_they_read_as_a_tuple_of_tuples(points: list[tuple[float, ...]], at: int, cut: slice) -> None:
    plain, held = tuple(points), Vertices(np.array(points))
    assert held == plain
    assert plain == held
    assert hash(held) == hash(plain)
    assert repr(held) == repr(plain)
    assert held[at] == plain[at]
    assert held[cut] == plain[cut]
    assert list(held) == list(plain)
    assert len(held) == len(plain)
    assert held != plain[:-1]
    assert held != list(plain)
    np.testing.assert_array_equal(np.array(held), np.array(plain))
    assert held.nbytes == np.array(plain).nbytes


def test_nobody_changes_them() -> None:
    positions = np.zeros((2, 2))
    held = Vertices(positions)
    positions[:] = 1
    assert held == ((0.0, 0.0), (0.0, 0.0))
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(held)[0] = 1
    np.array(held, copy=True)[0] = 1
