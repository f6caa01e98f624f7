from __future__ import annotations

import numpy as np

from bedside.simulate.strokes import SMALLEST_STROKE, random_stroke, stroke_within


def test_a_stroke_stays_near_its_rectangle_and_depends_on_the_generator_alone() -> None:
    for seed in range(20):
        drawn = random_stroke((20, 30, 60, 50), (80, 90), np.random.default_rng(seed))
        assert np.array_equal(drawn, random_stroke((20, 30, 60, 50), (80, 90), np.random.default_rng(seed)))
        rows, columns = np.nonzero(drawn > 0.5)
        # The hand stays within the rectangle, and the brush is ten wide at most.
        assert rows.min() >= 30 - 6
        assert rows.max() < 50 + 6
        assert columns.min() >= 20 - 6
        assert columns.max() < 60 + 6


def test_only_what_is_allowed_is_drawn() -> None:
    allowed = np.zeros((64, 64), dtype=np.bool_)
    allowed[10:40, 10:30] = True
    for seed in range(10):
        drawn = stroke_within(allowed, (5, 5, 50, 50), np.random.default_rng(seed))
        assert set(np.unique(drawn)) <= {0, 1}
        assert not drawn[~allowed].any()
        assert drawn.sum() == 0 or drawn.sum() > SMALLEST_STROKE


def test_where_nothing_can_be_drawn_there_is_nothing() -> None:
    nowhere = np.zeros((32, 32), dtype=np.bool_)
    assert not stroke_within(nowhere, (0, 0, 32, 32), np.random.default_rng(0)).any()
    few = nowhere.copy()
    few[4, 4:8] = True
    assert not stroke_within(few, (0, 0, 32, 32), np.random.default_rng(0)).any()
