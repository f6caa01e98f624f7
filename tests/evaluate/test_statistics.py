from __future__ import annotations

import numpy as np
import pytest

from bedside.evaluate.statistics import area_under_curve, bootstrap_interval


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
