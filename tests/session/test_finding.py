"""All others of a kind, found after a few."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.mask import PackedMask
from bedside.core.prompts import Point
from bedside.core.region import Region
from bedside.engines import likeness
from bedside.session import Session


def cells(shape: tuple[int, ...] = (160, 200), radius: float = 8.0, step: int = 36) -> tuple[Image, NDArray[np.int32]]:
    """Bright discs or balls of about a radius in rows, one darker blot that is none of them, and their numbers."""
    rng = np.random.default_rng(4)
    labels = np.zeros(shape, np.int32)
    places = np.stack(np.meshgrid(*[np.arange(step // 2, n - step // 3, step) for n in shape], indexing="ij"), -1)
    grid = np.indices(shape)
    for number, middle in enumerate(places.reshape(-1, len(shape)), start=1):
        moved = middle + rng.integers(-3, 4, len(shape))
        distance = np.sqrt(sum((g - m) ** 2 for g, m in zip(grid, moved, strict=True)))
        labels[distance <= radius * rng.uniform(0.85, 1.15)] = number
    blot = np.sqrt(sum((g - 4) ** 2 for g in grid)) <= 0.7 * radius
    grey = 60 + 90 * (labels > 0) - 50 * (blot & (labels == 0)) + rng.normal(0, 6, shape)
    return Image(grey.clip(0, 255).astype(np.uint8), Geometry.create(shape)), labels


def found_of(truth: NDArray[np.int32], masks: list[NDArray[np.bool_]], without: tuple[int, ...]) -> tuple[int, int]:
    """Return how many objects are found, at an intersection over union of a half, and how many masks are of none."""
    hit = set()
    for mask in masks:
        number = np.bincount(truth[mask]).argmax() if mask.any() else 0
        own = truth == number
        if number and number not in without and (own & mask).sum() >= 0.5 * (own | mask).sum():
            hit.add(int(number))
    return len(hit), len(masks) - len(hit)


def dense(session: Session, mask: Any) -> NDArray[np.bool_]:
    whole = np.zeros(session.image.shape, np.bool_)
    whole[mask.region.slices] = mask.patch() > 0
    return whole


def test_the_bundled_network_finds_the_others_of_two_cells() -> None:
    image, truth = cells()
    session = Session(image, model="bedside-2d")
    for number in (3, 9):
        session.add_object()
        session.set_mask(truth == number)
    proposals = session.find_like()
    masks = [dense(session, p.mask) for p in proposals]
    hit, wrong = found_of(truth, masks, (3, 9))
    assert hit >= 0.9 * (truth.max() - 2)
    assert wrong <= 1
    assert sum(m.astype(int) for m in masks).max() == 1
    assert not any(m[np.isin(truth, (3, 9))].any() for m in masks)
    scores = [p.score for p in proposals]
    assert scores == sorted(scores, reverse=True)
    assert len(session.objects) == 2


def test_proposals_become_objects_that_the_journal_keeps(grower_class: Any) -> None:
    image, truth = cells()
    session = Session(image, segmenter=grower_class(tolerance=40.0))
    session.add_object("nucleus")
    session.set_mask(truth == 5)
    session.add_object("not of the kind")
    session.set_mask(truth == 1)
    proposals = session.find_like([1], threshold=0.2)
    assert found_of(truth, [dense(session, p.mask) for p in proposals], (5, 1))[0] >= 0.8 * (truth.max() - 2)
    session.select(1)
    opened = session.take_like(proposals, name="nucleus")
    assert opened.objects == tuple(range(3, 3 + len(proposals)))
    assert session.current is not None
    assert session.current.id == 1
    assert session.objects[2].name == "nucleus 3"
    again = Session.from_journal(session.journal, image, segmenter=grower_class())
    np.testing.assert_array_equal(again.label_map(), session.label_map())
    session.undo(3)
    assert not session.mask_of(3).any()
    assert session.take_like([]).objects == ()


def test_in_a_volume_with_thick_slices(grower_class: Any) -> None:
    array, truth = cells((36, 72, 108), 7.0, 36)
    ball = truth[::2]
    image = Image(array.array[::2].copy(), Geometry.create(ball.shape, (1.0, 1.0, 2.0)))
    session = Session(image, segmenter=grower_class(tolerance=40.0))
    number = int(truth[truth > 0].min())
    session.set_mask(ball == number)
    proposals = session.find_like(threshold=0.1)
    assert found_of(ball, [dense(session, p.mask) for p in proposals], (number,))[0] >= 0.6 * (len(np.unique(ball)) - 2)


def test_nothing_of_the_kind_gives_nothing(grower: Any) -> None:
    array = np.random.default_rng(0).normal(60, 3, (80, 90))
    array[30:45, 30:45] += 120
    session = Session(array.astype(np.float32), segmenter=grower)
    mask = np.zeros(array.shape, bool)
    mask[30:45, 30:45] = True
    session.set_mask(mask)
    assert session.find_like() == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"threshold": 2}, "threshold: expected a number from 0 to 1"),
        ({"threshold": "a"}, "threshold: expected a number from 0 to 1"),
        ({"most": "a"}, "places: expected at least 1"),
        ({"objects": 7}, "objects: expected a list of numbers"),
        ({"objects": "1"}, "objects: expected a list of numbers"),
        ({"most": 0}, "places: expected at least 1"),
        ({"objects": [7]}, "object: expected one of"),
        ({"objects": []}, "at least one object with a mask"),
    ],
)
def test_what_cannot_be_is_named(grower: Any, squares: NDArray[np.uint8], options: dict[str, Any], said: str) -> None:
    session = Session(squares, segmenter=grower)
    session.set_mask(squares > 150)
    with pytest.raises(InputError, match=said):
        session.find_like(**options)
    session.add_object()
    with pytest.raises(InputError, match="got none"):
        session.find_like([2])


def test_small_objects_in_a_large_volume_cost_bounded_memory(
    monkeypatch: pytest.MonkeyPatch, grower_class: Any
) -> None:
    image, truth = cells((36, 72, 108), 7.0, 36)
    monkeypatch.setattr(likeness, "MOST_CELLS", 20_000)
    mask = PackedMask.of_patch(truth == truth.max(), Region.whole(truth.shape))
    detector = likeness.Detector(image, [mask])
    assert detector.likely.size <= 20_000
    # Where balls are it is likelier than elsewhere, on the coarse grid, too.
    middles = detector.candidates(10)
    assert sum(truth[tuple(int(v) for v in m)] > 0 for m in middles) >= 0.6 * len(middles)


def test_what_is_taken_takes_no_objects_place(grower: Any, squares: NDArray[np.uint8]) -> None:
    session = Session(squares, segmenter=grower)
    session.set_mask(squares > 150)
    mask = PackedMask.of_patch((squares > 150).astype(np.uint8), Region.whole(squares.shape))
    proposal = likeness.Likeness(mask, 1.0, Point((1.0, 1.0)))
    before = session.mask
    for first in (1, 0, -4, True, "2"):
        with pytest.raises(InputError, match="number of the first object: expected a whole number above 1"):
            session.take_like([proposal], first=first)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="take like: expected what find_like returned"):
        session.take_like(["x"])  # type: ignore[list-item]
    assert len(session.objects) == 1
    np.testing.assert_array_equal(session.mask, before)
    assert session.take_like([proposal], first=5).objects == (5,)
