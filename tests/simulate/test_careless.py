"""Clicks of users who do not look closely lie where they are meant to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.core.prompts import Point
from bedside.simulate.careless import careless_click, far_click, useless_click

shapes = st.sampled_from([(7, 9), (4, 5, 6)])


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Any, Any, np.random.Generator]:
    shape, rng = draw(shapes), np.random.default_rng(draw(st.integers(0, 2**32)))
    truth = rng.random(shape) < draw(st.sampled_from([0.0, 0.3, 1.0]))
    return truth, rng.random(shape) < draw(st.sampled_from([0.0, 0.3, 1.0])), rng


def cell(click: Point) -> tuple[int, ...]:
    return tuple(int(c) for c in click.position[::-1])


@given(pairs())
def test_a_careless_click_lies_in_the_error_and_has_the_sign_of_the_truth(given_pair: Any) -> None:
    truth, found, rng = given_pair
    click = careless_click(truth, found, rng)
    if (truth == found).all():
        assert click is None
    else:
        assert click is not None
        assert truth[cell(click)] != found[cell(click)]
        assert click.positive == truth[cell(click)]


@given(pairs())
def test_a_useless_click_asks_for_what_is_there(given_pair: Any) -> None:
    truth, found, rng = given_pair
    click = useless_click(truth, found, rng)
    if (truth != found).all():
        assert click is None
    else:
        assert click is not None
        assert click.positive == truth[cell(click)] == found[cell(click)]


@given(pairs())
def test_a_far_click_is_negative_and_lies_beside_both(given_pair: Any) -> None:
    truth, found, rng = given_pair
    click = far_click(truth, found, rng)
    if (truth | found).all():
        assert click is None
    else:
        assert click is not None
        assert not click.positive
        assert not truth[cell(click)]
        assert not found[cell(click)]


@pytest.mark.parametrize("source", [careless_click, useless_click, far_click])
def test_every_place_that_is_meant_is_met(source: Any) -> None:
    truth, found = np.zeros((5, 5), bool), np.zeros((5, 5), bool)
    truth[0, :2], found[0, 1:3] = True, True
    rng = np.random.default_rng(0)
    met = {cell(source(truth, found, rng)) for _ in range(400)}
    if source is careless_click:
        assert met == {(0, 0), (0, 2)}
    elif source is useless_click:
        assert met == {(0, 1), *((r, c) for r in range(5) for c in range(5) if r or c > 2)}
    else:
        assert met == {(4, c) for c in range(5)} | {(r, c) for r, c in met if r < 4}
        assert all(min(abs(r) + abs(c - k) for k in range(3)) >= 3 for r, c in met)
