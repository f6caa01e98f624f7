"""Scribbles and lassos: on the object, whatever its shape."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.prompts import Scribble
from bedside.imaging.paint import paint_prompts
from bedside.simulate.boxes import jittered_box, tight_box
from bedside.simulate.clicks import first_click, next_click
from bedside.simulate.components import depth
from bedside.simulate.scribbles import (
    centre_scribble,
    contour_scribble,
    lasso_region,
    line_scribble,
    simulate_scribble,
)

Mask = NDArray[np.bool_]
STROKES = [line_scribble, centre_scribble, contour_scribble, simulate_scribble]
seeds = st.integers(0, 2**32 - 1)


@st.composite
def objects(draw: st.DrawFn) -> Mask:
    """Random masks with at least one pixel: scattered pixels, lines, single pixels, full images."""
    shape = draw(st.tuples(st.integers(1, 14), st.integers(1, 14)))
    mask = draw(st.one_of(npst.arrays(np.bool_, shape), st.just(np.ones(shape, bool)), st.just(np.zeros(shape, bool))))
    if not mask.any():
        mask[draw(st.integers(0, shape[0] - 1)), draw(st.integers(0, shape[1] - 1))] = True
    return mask


@st.composite
def ellipses(draw: st.DrawFn) -> Mask:
    """Filled ellipses, turned by any angle, in an image of 64 x 72."""
    radii = draw(st.tuples(st.floats(4, 25), st.floats(4, 25)))
    angle = draw(st.floats(0, np.pi))
    y, x = np.indices((64, 72)) - np.array([31.3, 35.6])[:, None, None]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    inside: Mask = (along / radii[0]) ** 2 + (across / radii[1]) ** 2 <= 1
    return inside


def share_on(mask: Mask, scribble: Scribble) -> float:
    """Share of a one-pixel stroke that lies on the mask or beside it: a line's pixels stand half out of it."""
    thin = Scribble(scribble.points, connected=scribble.connected, thickness=1.0)
    painted = paint_prompts([thin], mask.shape)[2] > 0.4
    near = ndimage.binary_dilation(mask, np.ones((3, 3), bool))
    return float(painted[near].sum() / max(1, painted.sum()))


@pytest.mark.parametrize("stroke", STROKES)
@given(mask=objects(), seed=seeds, positive=st.booleans())
def test_any_object_gets_a_stroke_of_the_sign_asked_for(stroke: object, mask: Mask, seed: int, positive: bool) -> None:
    assert callable(stroke)
    scribble = stroke(mask, np.random.default_rng(seed), positive)
    assert scribble == stroke(mask.copy(), np.random.default_rng(seed), positive)
    assert scribble.positive == positive
    assert scribble.frame == "index"
    x, y = scribble.vertices().T
    assert (x >= 0).all()
    assert (x <= mask.shape[1] - 1).all()
    assert (y >= 0).all()
    assert (y <= mask.shape[0] - 1).all()


@pytest.mark.parametrize("stroke", STROKES)
@given(mask=ellipses(), seed=seeds)
def test_strokes_lie_on_a_convex_object(stroke: object, mask: Mask, seed: int) -> None:
    assert callable(stroke)
    assert share_on(mask, stroke(mask, np.random.default_rng(seed))) > 0.97


@given(mask=ellipses(), seed=seeds)
def test_a_centre_stroke_follows_the_deep_inside(mask: Mask, seed: int) -> None:
    scribble = centre_scribble(mask, np.random.default_rng(seed))
    x, y = scribble.vertices().round().astype(int).T
    distances = depth(mask)
    assert distances[y, x].max() > 0.7 * distances.max()
    assert (distances[y, x] >= 1).all()


def test_a_contour_stroke_keeps_away_from_the_centre_and_goes_round() -> None:
    y, x = np.indices((80, 80))
    mask = (y - 40) ** 2 + (x - 40) ** 2 <= 30**2
    spans = []
    for seed in range(20):
        scribble = contour_scribble(mask, np.random.default_rng(seed))
        radius = np.linalg.norm(scribble.vertices() - 40, axis=1)
        assert (radius > 12).all()
        assert (radius < 30).all()
        spans.append(len(scribble.points))
    assert min(spans) >= 5


def test_a_line_joins_pixels_of_the_largest_part() -> None:
    mask = np.zeros((30, 30), bool)
    mask[2:4, 2:4] = True
    mask[10:25, 10:25] = True
    for seed in range(20):
        line = line_scribble(mask, np.random.default_rng(seed))
        assert len(line.points) == 2
        assert (line.vertices() >= 10).all()


@given(mask=objects(), seed=seeds)
def test_a_lasso_has_no_holes_and_finds_any_object(mask: Mask, seed: int) -> None:
    region = lasso_region(mask, np.random.default_rng(seed))
    assert region.shape == mask.shape
    assert region.dtype == bool
    np.testing.assert_array_equal(region, lasso_region(mask, np.random.default_rng(seed)))


@given(mask=ellipses(), seed=seeds)
def test_a_lasso_lies_around_the_object(mask: Mask, seed: int) -> None:
    region = lasso_region(mask, np.random.default_rng(seed))
    overlap = 2 * (region & mask).sum() / (region.sum() + mask.sum())
    assert overlap > 0.6


def test_a_lasso_around_a_thin_object_holds_most_of_it() -> None:
    mask = np.zeros((9, 200), bool)
    mask[4, 5:195] = True
    shares = [lasso_region(mask, np.random.default_rng(seed))[mask].mean() for seed in range(20)]
    assert min(shares) > 0.5


def test_only_the_generator_that_is_passed_in_is_used() -> None:
    y, x = np.indices((40, 40))
    mask = (y - 20) ** 2 + (x - 18) ** 2 <= 12**2
    before = pickle.dumps(np.random.get_state())  # noqa: NPY002
    generator = np.random.default_rng(0)
    for stroke in (*STROKES, lasso_region):
        stroke(mask, generator)
    first_click(mask, generator)
    next_click(mask, np.zeros_like(mask), generator, 8.0)
    jittered_box(tight_box(mask), generator)
    assert pickle.dumps(np.random.get_state()) == before  # noqa: NPY002
