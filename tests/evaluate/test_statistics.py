from __future__ import annotations

import numpy as np
import pytest

from bedside.evaluate.statistics import (
    area_under_curve,
    bootstrap_interval,
    bootstrap_interval_of_sets,
    known_mean,
    resampled_means,
)


def test_area_of_five_perfect_rounds_is_four():
    assert area_under_curve([1.0] * 5) == 4
    assert area_under_curve([0.0, 1.0, 0.5]) == 1.25
    assert area_under_curve([0.25, 0.75]) == 0.5
    assert area_under_curve([0.5]) is None
    assert area_under_curve([]) is None


def test_interval_holds_the_mean_and_narrows_with_more_cases():
    generator = np.random.default_rng(0)
    widths = []
    for count in (10, 1000):
        cases = generator.normal(0.7, 0.1, (count, 2))
        intervals = bootstrap_interval(cases, "seed")
        assert intervals is not None
        assert all(i.low < m < i.high for i, m in zip(intervals, cases.mean(axis=0), strict=True))
        widths.append(intervals[0].high - intervals[0].low)
    assert widths[1] == pytest.approx(2 * 1.96 * 0.1 / np.sqrt(1000), rel=0.15)
    assert widths[1] < widths[0] / 5


def test_interval_is_repeatable_and_needs_two_cases():
    cases = np.random.default_rng(0).random((6, 3))
    assert bootstrap_interval(cases, 1) == bootstrap_interval(cases, 1) != bootstrap_interval(cases, 2)
    assert bootstrap_interval(cases[:1], 1) is None
    assert bootstrap_interval(np.ones((4, 1)), 1) == ((1.0, 1.0),)


def test_intervals_of_a_mean_over_sets_resample_within_sets():
    generator = np.random.default_rng(0)
    wide, narrow = generator.normal(0.5, 0.2, (12, 2)), generator.normal(0.9, 0.01, (12, 2))
    both = bootstrap_interval_of_sets([(wide, "a"), (narrow, "b")])
    alone = bootstrap_interval(wide, "a")
    middle = (wide.mean(axis=0) + narrow.mean(axis=0)) / 2
    for interval, centre, single in zip(both, middle, alone, strict=True):
        assert interval.low < centre < interval.high
        # The difference between the sets is no uncertainty, and the steady set halves that of the other.
        assert interval.high - interval.low == pytest.approx((single.high - single.low) / 2, rel=0.1)


def test_a_set_of_one_case_adds_no_width_and_alone_has_none():
    one, many = np.array([[0.3]]), np.random.default_rng(1).random((9, 1))
    (both,) = bootstrap_interval_of_sets([(one, "a"), (many, "b")])
    (alone,) = bootstrap_interval(many, "b")
    assert both.low == pytest.approx((alone.low + 0.3) / 2)
    assert both.high == pytest.approx((alone.high + 0.3) / 2)
    assert bootstrap_interval_of_sets([(one, "a"), (one, "b")]) is None


def test_two_cases_are_enough_and_span_the_interval():
    # Of two cases a quarter of the draws is the one twice, a quarter the other: both ends are beyond 2.5 %.
    two = np.array([[0.2, 0.0], [0.8, 1.0]])
    assert bootstrap_interval(two, 1) == ((pytest.approx(0.2), pytest.approx(0.8)), (0.0, 1.0))
    assert bootstrap_interval_of_sets([(two, "a")]) == bootstrap_interval(two, "a")
    alone = np.array([[0.4, 0.4]])
    (both, _) = bootstrap_interval_of_sets([(alone, "b"), (two, "a")])
    assert both == (pytest.approx(0.3), pytest.approx(0.6))


def test_means_of_cases_drawn_anew_are_those_of_whole_cases():
    means = resampled_means(np.array([[1.0, 10.0], [2.0, 20.0], [5.0, 50.0]]), "seed")
    assert means.shape == (2000, 2)
    np.testing.assert_allclose(means[:, 1], 10 * means[:, 0])
    # Three draws of three cases have ten different means, from the lowest case alone to the highest.
    assert len(np.unique(means[:, 0].round(6))) == 10
    assert (means[:, 0].min(), means[:, 0].max()) == pytest.approx((1.0, 5.0))
    assert means[:, 0].mean() == pytest.approx(8 / 3, abs=0.05)


def test_the_interval_leaves_out_a_fortieth_at_either_end():
    cases = np.random.default_rng(0).normal(size=(40, 1))
    (interval,) = bootstrap_interval(cases, "seed")
    means = resampled_means(cases, "seed")
    assert (means < interval.low).mean() == pytest.approx(0.025, abs=0.001)
    assert (means > interval.high).mean() == pytest.approx(0.025, abs=0.001)


def test_missing_values_take_no_part():
    nan = np.nan
    assert known_mean([[1.0, nan], [3.0, nan]])[0] == 2.0
    np.testing.assert_array_equal(known_mean([[1.0, nan, nan], [nan, nan, 4.0], [2.0, nan, 6.0]]), [1.5, nan, 5.0])
    np.testing.assert_array_equal(known_mean([[nan, 7.0], [3.0, nan], [nan, nan]]), [3.0, 7.0])
    holes = np.array([[1.0, nan], [nan, nan], [1.0, nan], [3.0, nan]])
    known, nothing = bootstrap_interval(holes, "seed")
    assert known == (1.0, 3.0)
    assert np.isnan(nothing).all()
    assert bootstrap_interval(np.array([[1.0], [np.inf]]), "seed") == ((1.0, 1.0),)


def test_intervals_that_were_published_come_out_again():
    # The draws hang on the seed alone: these are the intervals of versions before.
    assert bootstrap_interval(np.arange(10.0)[:, None], (0, "lungs")) == ((pytest.approx(2.7), pytest.approx(6.2)),)
    means = resampled_means(np.array([[1.0], [2.0], [5.0]]), (0, "lungs"))
    assert means[:4, 0] == pytest.approx([11 / 3, 2.0, 8 / 3, 5.0])
