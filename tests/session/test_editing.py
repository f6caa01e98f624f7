from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bedside.core.errors import InputError, PromptError
from bedside.core.prompts import Box, Lasso, Point
from bedside.core.region import Region
from bedside.session import Session
from bedside.session.editing import (
    begin_object,
    brushed,
    can_answer,
    change_object,
    check_prompt,
    number_prompts_after,
    object_prompts,
    packed_mask,
    remove_object,
)
from bedside.session.masks import KeptMask


@pytest.fixture
def session(squares: NDArray[np.uint8], grower: Any) -> Session:
    return Session(squares, segmenter=grower)


def test_objects_under_numbers_of_ones_choice(session: Session) -> None:
    begin_object(session, 5, "liver", "#aabbcc")
    session.add_point((12, 8))
    assert session.current is not None
    assert (session.current.id, session.current.name, session.current.voxels) == (5, "liver", 100)
    with pytest.raises(InputError, match="free"):
        begin_object(session, 5)


def test_renaming_keeps_everything_else(session: Session) -> None:
    session.add_point((12, 8))
    change_object(session, 1, name="kidney")
    change_object(session, 1, colour="#010203")
    assert session.objects[0].name == "kidney"
    assert session.objects[0].colour == "#010203"
    assert session.objects[0].voxels == 100
    with pytest.raises(InputError, match="colour"):
        change_object(session, 1, colour="red")
    with pytest.raises(InputError, match="object"):
        change_object(session, 2, name="nobody")


def test_removing_the_current_object_goes_back_to_the_last(session: Session) -> None:
    for number in (1, 2, 3):
        begin_object(session, number)
    remove_object(session, 3)
    assert session.current is not None
    assert session.current.id == 2
    session.select(1)
    remove_object(session, 2)
    remove_object(session, 1)
    assert session.current is None


def test_a_brush_changes_its_box_and_nothing_else(session: Session) -> None:
    session.add_point((12, 8))
    before = session.mask
    patch = np.zeros((6, 8), np.uint8)
    patch[:, 3] = 1
    session.add(brushed(session, 1, Region((10, 15), (16, 23)), patch))
    expected = before.copy()
    expected[10:16, 15:23] = patch
    assert np.array_equal(session.mask, expected)
    session.undo()
    assert np.array_equal(session.mask, before)


def test_a_brush_can_erase_all_and_begin_anew(session: Session) -> None:
    session.add_point((12, 8))
    session.add(brushed(session, 1, Region.whole((40, 60)), np.zeros((40, 60), np.uint8)))
    assert not session.mask.any()
    session.add(brushed(session, 1, Region((0, 0), (1, 2)), np.ones((1, 2), np.uint8)))
    assert session.mask.sum() == 2


@pytest.mark.parametrize(
    ("region", "shape"),
    [
        (Region((0, 0), (41, 2)), (41, 2)),
        (Region((-1, 0), (1, 2)), (2, 2)),
        (Region((0, 0), (0, 2)), (0, 2)),
        (Region((0, 0), (2, 2)), (2, 3)),
        (Region((0,), (2,)), (2,)),
    ],
)
def test_a_brush_outside_the_image_is_rejected(session: Session, region: Region, shape: tuple[int, ...]) -> None:
    session.add_point((12, 8))
    with pytest.raises(InputError, match="brush"):
        brushed(session, 1, region, np.zeros(shape, np.uint8))


def test_prompts_are_checked_without_asking_the_model(session: Session, grower: Any) -> None:
    check_prompt(session, Point((12, 8)))
    for prompt in (Point((100, 8)), Point((1, 2, 3)), Lasso(((0, 0), (1, 0), (1, 1))), Box((0, 0), (2, 2), False)):
        with pytest.raises(PromptError):
            check_prompt(session, prompt)
    assert grower.calls == []


def test_prompts_begin_an_object_together(session: Session) -> None:
    off, on = Point((1, 1), positive=False), Point((12, 8))
    assert not can_answer(session, None, [off])
    assert can_answer(session, None, [off, on])
    assert can_answer(session, None, [on, off])
    session.add(on)
    assert can_answer(session, 1, [off])


def test_numbers_of_prompts_are_not_used_again(session: Session) -> None:
    number_prompts_after(session, 9)
    session.add_point((12, 8))
    assert [entry.id for entry in object_prompts(session, 1)] == [10]


def test_known_masks_are_taken_over_without_asking(session: Session, squares: Any, grower_class: Any) -> None:
    session.add_point((12, 8))
    session.add_point((41, 27), predict=False)
    mask = packed_mask(session, 1)
    segmenter = grower_class()
    again = Session(squares, segmenter=segmenter)
    again.restore(session.journal, {1: KeptMask(mask)})
    assert segmenter.calls == []
    assert np.array_equal(again.mask, session.mask)
    # What waited is answered with the next prompt, from the mask that was taken over.
    again.add_point((12, 9))
    session.add_point((12, 9))
    assert np.array_equal(again.mask, session.mask)
    assert again.mask.sum() == 164


def test_an_edit_looks_at_the_image_of_the_session(grower: Any, squares: NDArray[np.uint8]) -> None:
    session = Session(squares, segmenter=grower)
    session.set_mask(np.ones(squares.shape, np.uint8))
    session.edit("keep-above", 150)
    np.testing.assert_array_equal(session.mask, squares > 150)
    session.undo()
    assert session.mask.all()
