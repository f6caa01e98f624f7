from __future__ import annotations

import numpy as np
import pytest

from bedside.evaluate.statistics import area_under_curve, bootstrap_interval, bootstrap_interval_of_sets


def test_area_of_five_perfect_rounds_is_four():
    assert area_under_curve([1.0] * 5) == 4
    assert area_under_curve([0.0, 1.0, 0.5]) == 1.25
    assert area_under_curve([0.5]) is None


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
