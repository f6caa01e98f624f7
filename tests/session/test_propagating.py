"""A slice's mask carried along, by a segmenter whose answers are known and by the bundled network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.engines.protocol import Prediction
from bedside.session import Session

DRIFT = 2


def bodies(axis: int = 0) -> tuple[Image, NDArray[np.bool_]]:
    """A bright disc that moves from slice to slice, on slices 4 to 15 of 24 across an axis, and its mask."""
    y, x = np.indices((60, 70))
    mask = np.stack([(np.hypot(y - 30, x - 20 - DRIFT * z) <= 9) & (4 <= z <= 15) for z in range(24)])
    array = np.where(mask, 200, 20) + np.random.default_rng(0).integers(0, 6, mask.shape)
    moved = [np.ascontiguousarray(np.moveaxis(a, 0, axis)) for a in (array.astype(np.int16), mask)]
    return Image(moved[0], Geometry.create(moved[0].shape, (1.0, 1.0, 1.0))), moved[1]


def drawn(mask: NDArray[np.bool_], slice_: int, axis: int = 0) -> NDArray[np.bool_]:
    only = np.zeros_like(mask)
    np.moveaxis(only, axis, 0)[slice_] = np.moveaxis(mask, axis, 0)[slice_]
    return only


@pytest.fixture
def session(grower_class: Any) -> Session:
    return Session(bodies()[0], segmenter=grower_class())


@pytest.fixture
def plane(grower_class: Any) -> Any:
    """A segmenter of planes that answers where the prompt lies alone."""

    class Plane(grower_class):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.qualities: dict[int, float] = {}

        def predict(self, prompts: Sequence[Any], previous: Any = None, fresh: int = 1) -> Prediction:
            whole = super().predict(prompts, None, fresh)
            mask = np.zeros(self.grey.shape, np.uint8)
            whole.paste(mask)
            region = replace(whole.region, start=(0, 0), stop=self.grey.shape)
            return replace(whole, mask=mask, region=region, quality=self.qualities.get(len(self.calls)))

    return Plane()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_object_is_followed_to_its_ends_and_undo_takes_all_of_it_back(
    grower_class: Any, plane: Any, axis: int
) -> None:
    image, truth = bodies(axis)
    session = Session(image, segmenter=grower_class())
    only = drawn(truth, 9, axis)
    session.set_mask(only)
    asked: list[int] = []
    found = session.propagate(segmenter=plane, report=asked.append)
    np.testing.assert_array_equal(session.mask, truth)
    assert (found.axis, found.start, found.first, found.last) == (axis, 9, 4, 15)
    assert (found.low, found.high) == ("empty", "empty")
    assert asked == [8, 7, 6, 5, 4, 3, 10, 11, 12, 13, 14, 15, 16]
    assert len(session.objects[0].prompts) == 2
    session.undo()
    np.testing.assert_array_equal(session.mask, only)
    session.redo()
    journal = session.journal
    again = Session.from_journal(journal, image, segmenter=grower_class())
    np.testing.assert_array_equal(again.mask, truth)


def test_other_slices_stay_and_no_slice_beyond_the_ends_is_asked(session: Session, plane: Any) -> None:
    _, truth = bodies()
    mask = drawn(truth, 9)
    mask[20, 3:5, 3:5] = True
    session.set_mask(mask)
    found = session.propagate(9, axis=0, first=7, last=9, segmenter=plane)
    expected = mask.copy()
    expected[7:9] = truth[7:9]
    np.testing.assert_array_equal(session.mask, expected)
    assert (found.first, found.last, found.low, found.high) == (7, 9, "end", "end")


def test_it_stops_where_quality_or_overlap_falls(session: Session, plane: Any) -> None:
    _, truth = bodies()
    session.set_mask(drawn(truth, 9))
    plane.qualities = {1: 0.9, 2: 0.4}
    found = session.propagate(first=5, last=9, segmenter=plane)
    assert (found.first, found.low) == (8, "quality")
    session.undo()
    assert session.propagate(last=12, overlap=0.9, segmenter=plane).high == "overlap"


def test_where_nothing_was_taken_nothing_is_kept(session: Session, plane: Any) -> None:
    session.set_mask(drawn(bodies()[1], 9))
    found = session.propagate(overlap=1.0, segmenter=plane)
    assert found.region.is_empty
    assert len(session.objects[0].prompts) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"start": 24}, "start: expected a whole number from 0 to 23"),
        ({"start": 2}, "slice 2 without"),
        ({"axis": 3}, "axis: expected a whole number from 0 to 2"),
        ({"first": 10}, "first: expected a whole number from 0 to 9"),
        ({"last": 8}, "last: expected a whole number from 9 to 23"),
        ({"quality": 1.5}, "quality: expected a number from 0 to 1"),
        ({"overlap": True}, "overlap: expected a number from 0 to 1"),
    ],
)
def test_what_cannot_be_is_named(session: Session, plane: Any, options: dict[str, Any], said: str) -> None:
    mask = drawn(bodies()[1], 9)
    session.set_mask(mask)
    with pytest.raises(InputError, match=said):
        session.propagate(**options, segmenter=plane)
    np.testing.assert_array_equal(session.mask, mask)


def test_a_picture_and_an_empty_object_have_nothing_to_carry(
    session: Session, plane: Any, grower: Any, squares: NDArray[np.uint8]
) -> None:
    session.add_object()
    with pytest.raises(InputError, match="got an empty object"):
        session.propagate(segmenter=plane)
    flat = Session(squares, segmenter=grower)
    flat.set_mask(squares > 100)
    with pytest.raises(InputError, match="got a picture"):
        flat.propagate(segmenter=plane)


def test_the_bundled_network_follows_a_body_in_both_directions() -> None:
    image, truth = bodies()
    session = Session(image, model="bedside-2d")
    session.set_mask(drawn(truth, 9))
    session.propagate()
    found = session.mask > 0
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.8
