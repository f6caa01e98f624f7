"""What a click may mean: masks of other sizes beside the predicted one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.prompts import Box, InitialMask, Lasso, Point, Scribble
from bedside.core.region import Region, mask_region
from bedside.engines.planes import PlaneSegmenter
from bedside.engines.protocol import MOST_CANDIDATES, Prediction, prediction_overlap
from bedside.engines.window.segmenter import SAME, WindowSegmenter
from bedside.session.session import Session
from tests.engines.conftest import capabilities

Make = Callable[..., WindowSegmenter]


def rings(shape: tuple[int, int], centre: tuple[int, int]) -> NDArray[np.uint8]:
    """A bright cell of 7 pixels' radius in one of 30 that is less bright, on a dark ground."""
    distance = np.hypot(*(np.indices(shape) - np.array(centre).reshape(2, 1, 1)))
    return np.select([distance < 7, distance < 30], [250, 160], 20).astype(np.uint8)


CENTRE = Point((100.0, 90.0))


def nested(window_segmenter: Make) -> WindowSegmenter:
    """In a small window the small thing is found, in a large one the large thing."""
    segmenter = window_segmenter("bright", search_start=24.0)
    segmenter.set_image(Image.from_array(rings((180, 200), (90, 100))))
    return segmenter


def test_the_first_is_the_prediction_and_the_others_differ(window_segmenter: Make) -> None:
    segmenter = nested(window_segmenter)
    found = segmenter.candidates([CENTRE])
    assert 2 <= len(found) <= MOST_CANDIDATES
    assert prediction_overlap(found[0], segmenter.predict([CENTRE])) == 1.0
    for n, one in enumerate(found):
        assert all(prediction_overlap(one, other) < SAME for other in found[:n])
        assert all(prediction_overlap(one, other) == prediction_overlap(other, one) for other in found)


def test_small_and_large_are_among_them(window_segmenter: Make) -> None:
    sizes = sorted(int(p.mask.sum()) for p in nested(window_segmenter).candidates([CENTRE]))
    assert sizes[0] == pytest.approx(np.pi * 7**2, rel=0.25)
    assert sizes[-1] == pytest.approx(np.pi * 30**2, rel=0.25)


def test_every_candidate_obeys_the_prompts(window_segmenter: Make) -> None:
    segmenter = nested(window_segmenter)
    stroke = Scribble(((98.0, 88.0), (102.0, 92.0)))
    for found in segmenter.candidates([stroke, Point((100.0, 130.0), positive=False)]):
        mask = np.zeros((180, 200), np.uint8)
        found.paste(mask)
        assert mask[90, 100]
        assert not mask[130, 100]


def test_a_mask_and_a_lasso_tell_the_object(window_segmenter: Make) -> None:
    segmenter = nested(window_segmenter)
    disc = np.hypot(*(np.indices((180, 200)) - np.array([90, 100]).reshape(2, 1, 1))) < 7
    assert len(segmenter.candidates([InitialMask(disc), CENTRE])) == 1
    lasso = Lasso(((93.0, 83.0), (108.0, 83.0), (108.0, 98.0), (93.0, 98.0)))
    assert len(segmenter.candidates([lasso])) == 1


def test_in_a_box_they_are_masks_by_contrast_that_agree_with_all_clicks(window_segmenter: Make) -> None:
    rng = np.random.default_rng(0)
    y, x = np.indices((128, 128))
    spots = (np.hypot(y % 16 - 8, x % 16 - 8) < 4) & (y < 96) & (x < 96)
    image = Image.from_array((60 + 90 * spots + rng.normal(0, 5, spots.shape)).clip(0, 255).astype(np.uint8))
    segmenter = window_segmenter("boxed")
    segmenter.set_image(image)
    box = Box((4.0, 4.0), (92.0, 92.0))
    first, *others = segmenter.candidates([box])
    assert prediction_overlap(first, segmenter.predict([box])) == 1.0
    assert others

    def best(*clicks: Point) -> float:
        found = []
        for other in segmenter.candidates([box, *clicks])[1:]:
            mask = np.zeros(spots.shape, np.uint8)
            other.paste(mask)
            found.append(2 * np.count_nonzero(mask & spots) / (mask.sum() + spots.sum()))
            assert other.quality is None
            assert all(bool(mask[int(c.position[1]), int(c.position[0])]) == c.positive for c in clicks)
        return max(found, default=0.0)

    assert best() > 0.75
    assert best(Point((24.0, 24.0)), Point((32.0, 32.0), positive=False)) > 0.75
    # Such clicks say that it is not the spots.
    assert best(Point((32.0, 32.0)), Point((24.0, 24.0), positive=False)) < 0.5


def test_fewer_may_be_asked_for_and_nothing_is_still_a_candidate(window_segmenter: Make) -> None:
    assert len(nested(window_segmenter).candidates([CENTRE], limit=1)) == 1
    empty = window_segmenter("nothing")
    empty.set_image(Image.from_array(np.zeros((50, 50), np.uint8)))
    assert len(empty.candidates([Point((20.0, 20.0))])) == 1


def test_in_a_volume_they_lie_on_the_slice_of_the_click(window_segmenter: Make) -> None:
    plane = window_segmenter("bright", search_start=24.0)
    segmenter = PlaneSegmenter(plane, capabilities((2, 3)))
    shape = (5, 180, 200)
    volume = np.stack([rings(shape[1:], (90, 100))] * 5).astype(np.int16)
    segmenter.set_image(Image(volume, Geometry.create(shape, (1.0, 1.0, 4.0))))
    found = segmenter.candidates([Point((100.0, 90.0, 3.0))])
    flat = nested(window_segmenter).candidates([CENTRE])
    assert [int(p.mask.sum()) for p in found] == [int(p.mask.sum()) for p in flat]
    assert all((p.region.start[0], p.region.stop[0]) == (3, 4) for p in found)
    two_slices = segmenter.candidates([Point((100.0, 90.0, 3.0)), Point((100.0, 90.0, 1.0))])
    assert len(two_slices) == 1


class Silent:
    """A segmenter that proposes nothing."""

    name = "silent"
    capabilities = capabilities((2,))

    def set_image(self, image: Image) -> None:
        pass

    def predict(self, prompts: object, previous: object = None, fresh: int = 1) -> Prediction:
        raise NotImplementedError


def test_a_model_that_proposes_nothing_says_so() -> None:
    with pytest.raises(InputError, match="one that proposes masks"):
        PlaneSegmenter(Silent(), capabilities((2, 3))).candidates([CENTRE])
    with pytest.raises(InputError, match="one that proposes masks"):
        Session(rings((180, 200), (90, 100)), segmenter=Silent()).candidates()


def test_a_session_takes_another_and_gives_it_back(window_segmenter: Make) -> None:
    session = Session(rings((180, 200), (90, 100)), segmenter=window_segmenter("bright", search_start=24.0))
    assert session.candidates() == ()
    session.add_point((100, 90))
    before = session.mask
    first, *others = session.candidates()
    np.testing.assert_array_equal(first.mask, before > 0)
    session.add(others[0])
    np.testing.assert_array_equal(session.mask > 0, others[0].mask)
    session.undo()
    np.testing.assert_array_equal(session.mask, before)
    session.add(InitialMask(before > 0))
    assert len(session.candidates()) == 1


def patch(mask: list[list[int]], start: tuple[int, int]) -> Prediction:
    array = np.array(mask, np.uint8)
    region = Region(start, (start[0] + array.shape[0], start[1] + array.shape[1]))
    return Prediction(array, region, np.zeros((2, 2), np.float32), (), region)


def test_overlap_of_predictions_in_different_regions() -> None:
    a, b = patch([[1, 1], [1, 1]], (0, 0)), patch([[0, 1], [1, 1]], (1, 0))
    assert prediction_overlap(a, b) == pytest.approx(1 / 6)
    assert prediction_overlap(a, patch([[1]], (9, 9))) == 0.0
    nothing = patch([[0]], (0, 0))
    assert prediction_overlap(nothing, nothing) == 1.0


def test_a_session_shows_one_after_the_other_and_the_first_again(window_segmenter: Make) -> None:
    session = Session(rings((180, 200), (90, 100)), segmenter=window_segmenter("bright", search_start=24.0))
    assert session.show_next_candidate() is None
    session.add_point((100, 90))
    masks = [candidate.mask for candidate in session.candidates()]
    for turn in range(1, 2 * len(masks) + 1):
        before = session.mask
        changed = session.show_next_candidate()
        np.testing.assert_array_equal(session.mask > 0, masks[turn % len(masks)])
        assert changed == mask_region(session.mask != before)
    assert [entry.prompt.kind for entry in session.objects[0].prompts] == ["point"]
    session.show_next_candidate()
    session.undo()
    np.testing.assert_array_equal(session.mask > 0, masks[0])
    session.show_next_candidate()
    session.add_point((100, 130), positive=False)
    assert not session.mask[130, 100]
    again = Session.from_journal(
        session.journal, session.image, segmenter=window_segmenter("bright", search_start=24.0)
    )
    np.testing.assert_array_equal(again.mask, session.mask)


def test_a_mask_has_no_next(window_segmenter: Make) -> None:
    session = Session(rings((180, 200), (90, 100)), segmenter=window_segmenter("bright", search_start=24.0))
    session.add(InitialMask(rings((180, 200), (90, 100)) > 200))
    before = session.mask
    assert session.show_next_candidate() is None
    np.testing.assert_array_equal(session.mask, before)
