"""What prompts say about where the object is."""

from __future__ import annotations

import numpy as np
import pytest

from bedside.core.errors import InputError
from bedside.core.prompts import Box, InitialMask, Lasso, Point, Prompt, Scribble
from bedside.engines.evidence import gather_evidence, prompt_bounds
from bedside.engines.window.policy import WindowPolicy


def test_bounds_are_edges_in_array_order() -> None:
    cases: list[tuple[Prompt, tuple[float, ...], tuple[float, ...]]] = [
        (Point((3.0, 8.0)), (8, 3), (9, 4)),
        (Box((1.0, 2.0, 3.0), (4.0, 6.0, 8.0)), (3, 2, 1), (8, 6, 4)),
        (Scribble(((1.0, 9.0), (5.0, 2.0))), (2, 1), (10, 6)),
        (Lasso(((1.0, 1.0), (5.0, 2.0), (3.0, 7.0))), (1, 1), (8, 6)),
    ]
    for prompt, start, stop in cases:
        np.testing.assert_allclose(prompt_bounds(prompt), (start, stop))


def test_areas_tell_the_extent_and_marks_do_not() -> None:
    marks: list[Prompt] = [
        Point((3.0, 8.0)),
        Scribble(((1.0, 9.0), (5.0, 2.0)), positive=False),
        Box((20.0, 20.0), (30.0, 30.0), positive=False),
    ]
    evidence = gather_evidence(marks, None)
    assert evidence.extent is None
    assert evidence.marks is not None
    np.testing.assert_allclose(evidence.bounds, ((2, 1), (30, 30)))
    with_box = gather_evidence([*marks, Box((40.0, 0.0), (41.0, 5.0))], None)
    assert with_box.extent is not None
    np.testing.assert_allclose(with_box.extent, ((0, 40), (5, 41)))
    np.testing.assert_allclose(with_box.bounds, ((0, 1), (30, 41)))


def test_masks_tell_the_extent_and_empty_ones_say_nothing() -> None:
    mask = np.zeros((30, 40), np.uint8)
    assert gather_evidence([Point((3.0, 8.0)), InitialMask(mask == 1)], mask).extent is None
    mask[5:9, 6:20] = 1
    for evidence in (gather_evidence([], mask), gather_evidence([InitialMask(mask == 1)], None)):
        assert evidence.extent is not None
        assert evidence.marks is None
        np.testing.assert_allclose(evidence.bounds, ((5, 6), (9, 20)))


def test_an_area_on_one_slice_is_flat_until_a_mask_tells_its_depth() -> None:
    flat = Box((2.0, 3.0, 5.0), (20.0, 30.0, 6.0))
    assert gather_evidence([flat], None).flat
    assert gather_evidence([Lasso(((1.0, 4.0, 1.0), (5.0, 4.0, 2.0), (3.0, 4.0, 7.0)))], None).flat
    assert not gather_evidence([Point((3.0, 8.0, 2.0))], None).flat
    assert not gather_evidence([Box((2.0, 3.0, 5.0), (20.0, 30.0, 7.0))], None).flat
    mask = np.zeros((9, 40, 40), np.uint8)
    mask[4:7, 5:9, 6:20] = 1
    assert not gather_evidence([flat], mask).flat


@pytest.mark.parametrize("name", ["flat_zoom", "object_zoom", "grow_factor", "search_ratio"])
def test_a_policy_that_would_never_end_is_rejected(name: str) -> None:
    with pytest.raises(InputError, match="above 1"):
        WindowPolicy(**{name: 1.0})  # type: ignore[arg-type]
