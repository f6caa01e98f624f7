from __future__ import annotations

import numpy as np
import pytest

from bedside.challenge.ranking import rank
from bedside.core.errors import InputError

NAMES = ("a", "b", "c")
DSC = [[0.9, 0.8, 0.7, 0.5], [0.8, 0.9, 0.7, 0.4], [0.1, 0.2, 0.3, 0.3]]
SECONDS = [[-3.0, -3.0, -3.0, -3.0], [-1.0, -1.0, -1.0, -1.0], [-2.0, -2.0, -2.0, -2.0]]


def test_a_table_by_hand():
    rows = rank(NAMES, {"dsc": DSC, "seconds": SECONDS})
    assert [(r.name, r.place) for r in rows] == [("b", 1), ("a", 2), ("c", 3)]
    by_name = {r.name: r for r in rows}
    # DSC ranks of a: 1, 2, and 1.5 for the tie, 1; of b: 2, 1, 1.5, 2.
    assert by_name["a"].by_metric == pytest.approx({"dsc": 5.5 / 4, "seconds": 3})
    assert by_name["b"].by_metric == pytest.approx({"dsc": 6.5 / 4, "seconds": 1})
    assert by_name["a"].mean == pytest.approx((5.5 / 4 + 3) / 2)
    assert by_name["c"].mean == pytest.approx((3 + 2) / 2)


def test_intervals_hold_the_mean_and_depend_on_the_seed_only():
    rows = rank(NAMES, {"dsc": DSC}, seed=3)
    for row in rows:
        assert row.interval.low <= row.mean <= row.interval.high
    assert rows == rank(NAMES, {"dsc": DSC}, seed=3)
    # c is last on every case, whichever are drawn.
    assert rows[-1].interval == (3.0, 3.0)
    assert all(r.interval is None for r in rank(NAMES, {"dsc": np.array(DSC)[:, :1]}))


def test_equal_submissions_share_a_place():
    rows = rank(("x", "y", "z"), {"dsc": [[0.1 + 0.2], [0.3], [0.1]]})
    assert [(r.name, r.place, r.mean) for r in rows] == [("x", 1, 1.5), ("y", 1, 1.5), ("z", 3, 3.0)]


def test_of_some_metrics_lower_values_are_better():
    lower = {"seconds": np.negative(SECONDS)}
    assert rank(NAMES, {"dsc": DSC, **lower}, directions={"seconds": "lower"}) == rank(
        NAMES, {"dsc": DSC, "seconds": SECONDS}
    )
    rows = rank(("x", "y"), {"seconds": [[np.inf], [900.0]]}, directions={"seconds": "lower"})
    assert [r.name for r in rows] == ["y", "x"]


@pytest.mark.parametrize(
    ("names", "scores"),
    [
        (("a",), {"dsc": [[1.0]]}),
        (("a", "a"), {"dsc": [[1.0], [1.0]]}),
        (("a", "b"), {"dsc": [[1.0, 2.0], [1.0, 2.0]], "nsd": [[1.0], [1.0]]}),
        (("a", "b"), {"dsc": [[np.nan], [1.0]]}),
    ],
)
def test_what_cannot_be_ranked_is_rejected(names, scores):
    with pytest.raises(InputError):
        rank(names, scores)
