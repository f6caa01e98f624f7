"""Prompts made elsewhere, brought to where they belong."""

from __future__ import annotations

import numpy as np
import pytest

from bedside.core.errors import InputError
from bedside.core.prompts import Box, InitialMask, Lasso, Point, Scribble
from bedside.simulate.placing import lift_prompt, shift_prompt


def test_prompts_move_in_their_own_order() -> None:
    assert shift_prompt(Point((1, 2), positive=False), (10, 20)) == Point((21, 12), positive=False)
    assert shift_prompt(Box((1, 2, 3), (4, 5, 6)), (1, 10, 100)) == Box((101, 12, 4), (104, 15, 7))
    assert shift_prompt(Scribble(((1, 2), (3, 4))), (10, 20)) == Scribble(((21, 12), (23, 14)))
    assert shift_prompt(Lasso(((0, 0), (1, 1), (2, 0))), (1, 2)) == Lasso(((2, 1), (3, 2), (4, 1)))
    with pytest.raises(InputError, match="lasso, got mask"):
        shift_prompt(InitialMask(np.ones((2, 2), bool)), (1, 1))


@pytest.mark.parametrize(("axis", "position"), [(0, (1.0, 2.0, 9.0)), (1, (1.0, 9.0, 2.0)), (2, (9.0, 1.0, 2.0))])
def test_a_slice_lies_across_its_axis(axis: int, position: tuple[float, ...]) -> None:
    assert lift_prompt(Point((1, 2), positive=False), axis, 9) == Point(position, positive=False)
    assert lift_prompt(Scribble(((1, 2),), thickness=3.0), axis, 9) == Scribble((position,), thickness=3.0)
    assert lift_prompt(Lasso(((1, 2),) * 3), axis, 9) == Lasso((position,) * 3)
    box = lift_prompt(Box((1, 2), (4, 6)), axis, 9)
    assert isinstance(box, Box)
    assert box.low == position
    assert sorted(b - a for a, b in zip(box.low, box.high, strict=True)) == [1, 3, 4]
    assert box.high[2 - axis] - box.low[2 - axis] == 1
