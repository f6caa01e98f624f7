"""What the probabilities say of an answer: promised DSC, calibration, and the most doubtful place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside.core.errors import InputError
from bedside.core.prompts import Box, InitialMask, Lasso, Point, Scribble
from bedside.engines.answer import Answer
from bedside.engines.uncertainty import (
    Calibration,
    estimate_kind,
    expected_dsc,
    fit_calibration,
    fit_calibrations,
    most_doubtful_cell,
    told_quality,
)
from bedside.imaging.window import Window


def answer_of(logits: np.ndarray) -> Answer:
    window = Window.centred((16.0,) * logits.ndim, (32.0,) * logits.ndim, logits.shape)
    return Answer(window, logits.astype(np.float32), np.ones(logits.shape, dtype=bool))


def test_a_sure_answer_promises_all_and_an_unsure_one_less() -> None:
    mask = np.zeros((16, 16, 16), dtype=bool)
    mask[4:10, 4:10, 4:10] = True
    sure = expected_dsc(answer_of(np.where(mask, 20.0, -20.0)))
    unsure = expected_dsc(answer_of(np.where(mask, 0.4, -0.4)))
    assert sure == pytest.approx(1.0, abs=1e-6)
    assert unsure < 0.5
    assert expected_dsc(answer_of(np.full((8, 8), -3.0))) == 0.0


def test_the_promise_is_the_mean_dsc_of_truths_drawn_from_the_probabilities() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 3, size=(40, 40))
    probability = 1 / (1 + np.exp(-logits))
    mask = logits > 0
    found = []
    for _ in range(50):
        truth = generator.random(logits.shape) < probability
        found.append(2 * np.count_nonzero(mask & truth) / (mask.sum() + truth.sum()))
    assert expected_dsc(answer_of(logits)) == pytest.approx(np.mean(found), abs=0.01)


@given(seed=st.integers(0, 10_000), power=st.floats(0.3, 3.0))
@settings(max_examples=25, deadline=None)
def test_a_fitted_curve_rises_and_follows_the_data(seed: int, power: float) -> None:
    generator = np.random.default_rng(seed)
    expected = generator.random(400)
    found = np.clip(expected**power + generator.normal(0, 0.05, 400), 0, 1)
    curve = fit_calibration(expected, found)
    assert (np.diff(curve.found) >= 0).all()
    inner = np.linspace(0.1, 0.9, 9)
    assert np.abs([curve(float(x)) - x**power for x in inner]).max() < 0.12


def test_data_that_fall_are_pooled_to_their_mean() -> None:
    expected = np.linspace(0, 1, 100)
    curve = fit_calibration(expected, 1 - expected)
    assert max(curve.found) - min(curve.found) < 1e-9
    assert curve(0.3) == pytest.approx(0.5)


def test_calibration_is_kept_in_a_card_and_checked() -> None:
    curve = Calibration((0.2, 0.9), (0.1, 0.8))
    assert Calibration.from_dict(curve.to_dict()) == curve
    assert curve(0.0) == pytest.approx(0.1)
    for expected, found in [((0.5,), (0.5,)), ((0.5, 0.4), (0.1, 0.2)), ((0.1, 0.5), (0.6, 0.2)), ((0.0, 1.2), (0, 1))]:
        with pytest.raises(InputError, match="calibration"):
            Calibration(expected, found)
    with pytest.raises(InputError, match="20 answers"):
        fit_calibration(np.array([0.5]), np.array([0.5]))


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_most_doubtful_place_is_where_the_mask_and_the_probabilities_part(dimensions: int) -> None:
    logits = np.full((32,) * dimensions, -8.0)
    logits[(slice(4, 12),) * dimensions] = 8.0
    logits[(slice(20, 27),) * dimensions] = 1.0
    shown = np.zeros(logits.shape, dtype=bool)
    shown[(slice(4, 12),) * dimensions] = True
    found = most_doubtful_cell(answer_of(logits), shown)
    assert found is not None
    assert all(abs(c - 23) <= 1 for c in found[0])
    assert found[1] > 5


def test_where_all_is_sure_no_click_is_named() -> None:
    logits = np.full((16, 16), -9.0)
    logits[4:9, 4:9] = 9.0
    assert most_doubtful_cell(answer_of(logits), logits > 0) is None


def test_cells_beyond_the_image_are_never_doubtful() -> None:
    logits = np.zeros((16, 16), dtype=np.float32)
    inside = np.zeros((16, 16), dtype=bool)
    inside[:, :8] = True
    window = Window.centred((8.0, 8.0), (16.0, 16.0), (16, 16))
    found = most_doubtful_cell(Answer(window, logits, inside), np.zeros((16, 16), dtype=bool))
    assert found is not None
    assert found[0][1] < 8


CUBE, SLAB = Box((1.0, 1.0, 1.0), (5.0, 5.0, 5.0)), Box((1.0, 1.0, 1.0), (5.0, 5.0, 2.0))
LASSO = Lasso(((1.0, 1.0, 3.0), (5.0, 1.0, 3.0), (3.0, 5.0, 3.0)))
STROKE, CLICK, NOT = Scribble(((1.0, 2.0, 3.0),)), Point((1.0, 2.0, 3.0)), Point((1.0, 2.0, 3.0), positive=False)


@pytest.mark.parametrize(
    ("prompts", "kind"),
    [
        ([CUBE, NOT, STROKE], "area"),
        ([SLAB, LASSO, CLICK], "flat area"),
        ([SLAB, CUBE], "area"),
        ([InitialMask(np.ones((2, 2, 2), bool))], "area"),
        ([Box((1.0, 1.0), (5.0, 2.0))], "area"),
        ([CLICK, STROKE], "stroke"),
        ([CLICK, Scribble(STROKE.points, positive=False), Box(CUBE.low, CUBE.high, positive=False)], "click"),
    ],
)
def test_what_tells_the_object_is_the_kind_of_an_estimate(prompts: list, kind: str) -> None:
    assert estimate_kind(prompts, corrected=False) == kind
    assert estimate_kind(prompts, corrected=True) == f"corrected {kind}"


def test_a_kind_with_enough_predictions_has_a_curve_of_its_own() -> None:
    expected = np.tile(np.linspace(0, 1, 100), 2)
    found = np.concatenate([expected[:100], expected[:100] / 2])
    curve = fit_calibrations(expected, found, ["area"] * 100 + ["click"] * 80 + ["stroke"] * 20)
    assert set(curve.kinds) == {"area", "click"}
    assert curve(0.6, "area") == pytest.approx(0.6, abs=0.05)
    assert curve(0.6, "click") == pytest.approx(0.3, abs=0.05)
    assert curve(0.6) == curve(0.6, "stroke") == pytest.approx(0.45, abs=0.05)
    assert Calibration.from_dict(curve.to_dict()) == curve


small = st.integers(0, 2**32).map(lambda seed: np.random.default_rng(seed).random((6, 7)) < 0.4)


@given(before=small, after=small, quality=st.floats(0, 1), earlier=st.floats(0, 1), data=st.data())
def test_clicks_that_correct_nothing_never_raise_what_is_told(before, after, quality, earlier, data) -> None:
    start = (3, -2)
    rows, columns = data.draw(st.integers(-2, 8)), data.draw(st.integers(-2, 8))
    held = 0 <= rows < 6 and 0 <= columns < 7 and bool(before[rows, columns])
    place = (float(columns + start[1]), float(rows + start[0]))
    assert told_quality(quality, earlier, before, after, start, [Point(place, positive=held)]) == min(quality, earlier)
    correcting = told_quality(quality, earlier, before, after, start, [Point(place, positive=not held)])
    hardly = np.count_nonzero(before != after) < 0.02 * np.count_nonzero(after)
    assert correcting == (min(quality, earlier) if hardly else quality)
    assert told_quality(None, earlier, before, after, start, []) is None
    assert told_quality(quality, None, before, after, start, [Point(place, positive=held)]) == quality
