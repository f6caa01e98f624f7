"""Parts of an error, drawn by size."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from scipy import ndimage

from bedside.simulate.error_parts import draw_error, draw_part

Mask = NDArray[np.bool_]
seeds = st.integers(0, 2**32 - 1)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Mask, Mask]:
    shape = draw(st.integers(2, 3).flatmap(lambda n: st.tuples(*[st.integers(1, 8)] * n)))
    return draw(npst.arrays(np.bool_, shape)), draw(npst.arrays(np.bool_, shape))


@given(pairs(), seeds)
def test_a_part_is_one_component_of_one_sign(pair: tuple[Mask, Mask], seed: int) -> None:
    truth, prediction = pair
    part = draw_error(truth, prediction, np.random.default_rng(seed))
    if np.array_equal(truth, prediction):
        assert part is None
        return
    assert part is not None
    whole = np.zeros(truth.shape, bool)
    whole[part.region.slices] = part.mask
    error = truth & ~prediction if part.positive else prediction & ~truth
    labels, _ = ndimage.label(error, np.ones((3,) * truth.ndim))
    (label,) = np.unique(labels[whole])
    np.testing.assert_array_equal(labels == label, whole)
    assert label > 0
    for axis in range(truth.ndim):
        others = tuple(a for a in range(truth.ndim) if a != axis)
        assert np.asarray(part.mask.any(axis=others))[[0, -1]].all()


def test_parts_are_drawn_by_their_size() -> None:
    truth, prediction = np.zeros((2, 40, 40), bool)
    truth[2:12, 2:12] = True
    prediction[2:4, 2:12] = True
    prediction[30:34, 30:35] = True
    generator = np.random.default_rng(0)
    drawn = [draw_error(truth, prediction, generator) for _ in range(1000)]
    missed = sum(part is not None and part.positive for part in drawn)
    assert 760 < missed < 840


def test_parts_of_an_object() -> None:
    mask = np.zeros((10, 10), np.uint8)
    mask[1:3, 1:3] = 5
    mask[6:9, 6:9] = 5
    sizes = {int(p.mask.sum()) for s in range(20) if (p := draw_part(mask, np.random.default_rng(s))) is not None}
    assert sizes == {4, 9}
    assert draw_part(np.zeros((3, 3), bool), np.random.default_rng(0)) is None
