"""Lassos: outlines that close around what they are drawn for."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from scipy import ndimage

from bedside.imaging.paint import fill_polygon
from bedside.simulate.lassos import outline, simulate_lasso

Mask = NDArray[np.bool_]
seeds = st.integers(0, 2**32 - 1)


@st.composite
def masks(draw: st.DrawFn) -> Mask:
    mask = draw(npst.arrays(np.bool_, st.tuples(st.integers(1, 14), st.integers(1, 14))))
    mask[draw(st.integers(0, mask.shape[0] - 1)), draw(st.integers(0, mask.shape[1] - 1))] = True
    return mask


def ellipse(radii: tuple[float, float], centre: tuple[float, float] = (31.3, 35.6)) -> Mask:
    y, x = np.indices((64, 72)) - np.array(centre)[:, None, None]
    inside: Mask = (y / radii[0]) ** 2 + (x / radii[1]) ** 2 <= 1
    return inside


@given(masks())
def test_an_outline_filled_again_is_the_largest_part_without_holes(mask: Mask) -> None:
    labels, count = ndimage.label(mask)
    sizes = [np.count_nonzero(labels == k) for k in range(1, count + 1)]
    filled = fill_polygon(outline(mask), mask.shape) > 0
    assert np.count_nonzero(filled & mask) == max(sizes)
    part = labels[filled & mask]
    assert len(np.unique(part)) == 1
    np.testing.assert_array_equal(filled, ndimage.binary_fill_holes(labels == part[0]))


def test_an_outline_has_corners_only_where_it_turns() -> None:
    mask = np.zeros((9, 9), bool)
    mask[2:6, 3:8] = True
    corners = sorted(map(tuple, outline(mask).tolist()))
    assert corners == [(1.5, 2.5), (1.5, 7.5), (5.5, 2.5), (5.5, 7.5)]


@given(masks(), seeds, st.booleans())
def test_any_object_gets_a_lasso_of_the_sign_asked_for(mask: Mask, seed: int, positive: bool) -> None:
    lasso = simulate_lasso(mask, np.random.default_rng(seed), positive)
    assert lasso == simulate_lasso(mask.copy(), np.random.default_rng(seed), positive)
    assert (lasso.positive, lasso.frame, lasso.ndim) == (positive, "index", 2)
    x, y = lasso.vertices().T
    assert ((x >= -0.5) & (x <= mask.shape[1] - 0.5)).all()
    assert ((y >= -0.5) & (y <= mask.shape[0] - 0.5)).all()


@given(st.floats(3, 25), st.floats(3, 25), seeds)
def test_a_lasso_lies_around_its_object(height: float, width: float, seed: int) -> None:
    mask = ellipse((height, width))
    lasso = simulate_lasso(mask, np.random.default_rng(seed))
    drawn = fill_polygon(lasso.vertices()[:, ::-1], mask.shape) > 0
    assert 2 * (drawn & mask).sum() / (drawn.sum() + mask.sum()) > 0.55
    centre = ndimage.center_of_mass(mask)
    assert drawn[round(centre[0]), round(centre[1])]


def test_seeds_draw_differently() -> None:
    drawn = {simulate_lasso(ellipse((12, 18)), np.random.default_rng(seed)) for seed in range(8)}
    assert len(drawn) == 8


def test_an_object_at_the_border_is_held_up_to_it() -> None:
    mask = ellipse((14, 14), (0.0, 0.0))
    held = [
        fill_polygon(simulate_lasso(mask, np.random.default_rng(seed)).vertices()[:, ::-1], mask.shape)[0, 0]
        for seed in range(10)
    ]
    assert all(held)
