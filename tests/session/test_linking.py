"""Prompts on a second image: the mask lies on the first image's grid, and the journal needs the first image alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bedside.core.errors import InputError, PromptError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.prompts import Box, InitialMask, Point
from bedside.imaging.linked import link_images
from bedside.session import Session

CT = Geometry.create((12, 20, 24), (1.0, 1.0, 2.0), (0, 0, 0))
PET = Geometry.create((6, 10, 12), (2.0, 2.0, 4.0), (0.5, 0.5, 1.0))


@pytest.fixture
def ct() -> Image:
    """Nothing to be seen but a block at one side."""
    array = np.zeros(CT.shape, np.int16)
    array[2:5, 2:6, 2:6] = 90
    return Image(array, CT)


@pytest.fixture
def pet() -> Image:
    """A hot lesion, cool surroundings."""
    array = np.zeros(PET.shape, np.float32)
    array[2:4, 4:7, 5:8] = 100
    return Image(array, PET)


@pytest.fixture
def session(ct: Image, pet: Image, grower: Any) -> Session:
    made = Session(ct, segmenter=grower)
    made.link(pet)
    return made


def hot(pet: Image, ct: Image) -> NDArray[np.bool_]:
    return link_images(ct, pet).onto_grid().array >= 90


HOT = (12, 10, 5)
"""A voxel of the first image, (x, y, z), in the lesion."""


def test_a_click_on_the_second_image_makes_a_mask_on_the_grid_of_the_first(
    session: Session, ct: Image, pet: Image, grower: Any
) -> None:
    region = session.add_on_second(Point(HOT))
    assert np.array_equal(session.mask.astype(bool), hot(pet, ct))
    assert session.mask.shape == CT.shape
    assert session.mask[region.slices].sum() == session.mask.sum() > 0
    # The segmenter is back at the first image.
    assert grower.image is ct
    session.add_object()
    session.add_point((3, 3, 3))
    assert np.array_equal(session.mask.astype(bool), ct.array == 90)


def test_what_follows_corrects_it_with_all_that_was_given_there(session: Session, grower: Any) -> None:
    session.add_on_second(Point(HOT))
    before = session.mask
    session.add_on_second(Point((14, 12, 6), positive=False))
    assert 0 < session.mask.sum() < before.sum()
    assert grower.calls == [1, 2]
    session.undo()
    assert np.array_equal(session.mask, before)
    # From the step that undo went back to.
    session.add_on_second(Point((10, 9, 4), positive=False))
    assert grower.calls[-1] == 2


def test_it_corrects_what_the_first_image_gave_and_the_other_way_round(session: Session, ct: Image, pet: Image) -> None:
    session.add_point((3, 3, 3))
    session.add_on_second(Point(HOT))
    assert np.array_equal(session.mask.astype(bool), hot(pet, ct) | (ct.array == 90))
    session.add_point((3, 3, 3), positive=False)
    assert not session.mask[3, 3, 3]
    assert session.mask[5, 10, 12]


def test_the_journal_is_replayed_without_the_second_image(session: Session, ct: Image, grower_class: Any) -> None:
    session.add_on_second(Point(HOT))
    session.add_on_second(Point((14, 12, 6), positive=False))
    session.add_point((3, 3, 3))
    again = Session.from_journal(session.journal, ct, segmenter=grower_class())
    assert again.second is None
    assert np.array_equal(again.mask, session.mask)


def test_after_a_change_of_model_it_goes_on_from_the_mask(session: Session, grower_class: Any) -> None:
    session.add_on_second(Point(HOT))
    other = grower_class("another")
    session.replay(segmenter=other)
    session.add_on_second(Point((15, 13, 7), positive=False))
    assert other.calls == [1]
    assert session.mask[5, 10, 12]


def test_a_failure_changes_nothing(session: Session, grower: Any, ct: Image) -> None:
    session.add_on_second(Point(HOT))
    before, journal = session.mask, session.journal
    grower.fail = True
    with pytest.raises(RuntimeError):
        session.add_on_second(Point((14, 12, 6)))
    assert grower.image is ct
    assert np.array_equal(session.mask, before)
    assert session.journal == journal


def test_what_cannot_be_asked_there_is_rejected(session: Session) -> None:
    # Beyond the last voxel of the second image, yet within the first.
    session.link(Image(np.ones((3, 5, 6), np.float32), Geometry.create((3, 5, 6), (2.0, 2.0, 4.0))))
    with pytest.raises(PromptError, match=r"second image.*outside"):
        session.add_on_second(Point((20, 15, 10)))
    with pytest.raises(PromptError, match="got a mask"):
        session.add_on_second(InitialMask(np.ones(CT.shape)))
    with pytest.raises(PromptError, match="cannot start"):
        session.add_on_second(Point((3, 3, 2), positive=False))
    assert session.objects == ()
    session.unlink()
    with pytest.raises(InputError, match="link one first"):
        session.add_on_second(Box((8, 8, 4), (16, 14, 7)))
    assert session.second is None


def test_it_must_be_linked_to_this_image(session: Session, pet: Image) -> None:
    other = link_images(Image(np.zeros((5, 6, 7), np.int16), Geometry.create((5, 6, 7), (1.0, 1.0, 1.0))), pet)
    with pytest.raises(InputError, match="linked to the grid"):
        session.link(other)
