from __future__ import annotations

import sys

import numpy as np
import pytest

from bedside.core.errors import DependencyError, PromptError
from bedside.core.image import Image
from bedside.core.prompts import Box, InitialMask, Lasso, Point, Scribble
from bedside.core.region import Region, changed_region, mask_region
from bedside.evaluate.baselines import BASELINES
from bedside.evaluate.baselines.window import positive_box, resize, window_around
from bedside.evaluate.metrics.dice import dice
from tests.evaluate.conftest import ellipse

GENERATOR = np.random.default_rng(3)
TRUTH = ellipse((90, 120), (40, 60), (20, 30))
GREY = (np.where(TRUTH, 180, 60) + GENERATOR.normal(0, 8, TRUTH.shape)).clip(0, 255).astype(np.uint8)
BOX = Box((30, 20), (91, 61))


def answer(name, image, prompts, previous=None):
    segmenter = BASELINES.get(name)()
    assert segmenter.name == name
    segmenter.set_image(Image.from_array(image) if isinstance(image, np.ndarray) else image)
    prediction = segmenter.predict(prompts, previous)
    mask = np.zeros(segmenter._image.shape, np.uint8)
    prediction.paste(mask)
    return mask, prediction


@pytest.fixture(params=[name for name in BASELINES.names() if name != "mask"])
def name(request):
    if request.param == "random-walker":
        pytest.importorskip("skimage")
    return request.param


@pytest.fixture(params=["colour-models", "random-walker"])
def learner(request):
    if request.param == "random-walker":
        pytest.importorskip("skimage")
    return request.param


def test_keeps_the_protocol(name):
    previous = np.zeros(TRUTH.shape, np.uint8)
    previous[30:35, 50:55] = 1
    mask, prediction = answer(name, GREY, [BOX], previous)
    assert prediction.mask.dtype == np.uint8
    assert prediction.mask.shape == prediction.region.shape
    assert prediction.logits.dtype == np.float32
    assert set(prediction.seconds) == {"window", "network", "paste"}
    assert prediction.changed == changed_region(previous, mask)
    assert mask.any()
    assert not np.delete(mask, np.s_[20:61], axis=0).any()
    assert not np.delete(mask, np.s_[30:91], axis=1).any()


def test_the_box_is_its_own_mask_whatever_is_clicked():
    mask, _ = answer("box", GREY, [BOX, Point((60, 40), False), Point((10, 10))])
    expected = np.zeros_like(mask)
    expected[20:61, 30:91] = 1
    np.testing.assert_array_equal(mask, expected)


def test_a_clear_object_is_found(learner):
    mask, _ = answer(learner, GREY, [BOX])
    assert dice(TRUTH, mask) > 0.9


def test_colour_is_used(learner):
    # Red against green of the same brightness.
    image = np.where(TRUTH[..., None], [200, 60, 90], [60, 200, 90]).astype(np.uint8)
    mask, _ = answer(learner, image, [BOX])
    assert dice(TRUTH, mask) > 0.9


def test_clicks_are_obeyed(learner):
    noise = GENERATOR.integers(0, 255, TRUTH.shape).astype(np.uint8)
    for position in ((60, 40), (45, 30)):
        for positive in (True, False):
            mask, _ = answer(learner, noise, [BOX, Point(position, positive)])
            assert mask[position[1], position[0]] == positive


def test_starts_from_a_point_or_a_scribble(learner):
    for prompt in (Point((60, 40)), Scribble(((50, 40), (70, 40)))):
        mask, _ = answer(learner, GREY, [prompt])
        assert dice(TRUTH, mask) > 0.5, prompt


def test_volumes(name):
    truth = ellipse((30, 40, 24), (14, 20, 11), (8, 11, 7))
    volume = np.where(truth, 900, 100).astype(np.int16)
    mask, _ = answer(name, Image.from_array(volume, (1.0, 1.0, 2.0)), [Box((4, 9, 6), (19, 32, 23))])
    assert dice(truth, mask) > (0.6 if name == "box" else 0.8)


def test_flat_images_and_boxes_at_the_border_do_no_harm(name):
    flat = np.full((30, 40), 7, np.uint8)
    for box in (Box((-3, -3), (5, 4)), Box((0, 0), (40, 30)), Box((38, 28), (60, 60)), Box((3, 3), (4, 4))):
        mask, prediction = answer(name, flat, [box, Point((1, 1), False)])
        assert set(np.unique(mask)) <= {0, 1}
        assert np.isfinite(prediction.logits).all()


def test_prompts_that_cannot_be_taken_are_rejected(name):
    with pytest.raises(PromptError):
        BASELINES.get(name)().predict([BOX])
    for prompts in ([], [Lasso(((1, 1), (9, 1), (5, 9)))], [Point((500, 1))]):
        with pytest.raises(PromptError):
            answer(name, GREY, prompts)


def test_without_a_box_the_box_baseline_cannot_answer():
    assert BASELINES.get("box")().capabilities.starts_from == {"box"}
    with pytest.raises(PromptError, match="positive box"):
        answer("box", GREY, [Point((5, 5))])


def test_the_mask_baseline_gives_the_newest_mask_back_and_takes_nothing_else():
    older, newer = np.zeros_like(TRUTH), np.roll(TRUTH, 7, axis=1)
    older[2:5, 2:5] = True
    mask, prediction = answer("mask", GREY, [InitialMask(older), InitialMask(newer)])
    np.testing.assert_array_equal(mask, newer)
    assert prediction.changed == mask_region(newer)
    assert BASELINES.get("mask")().capabilities.prompt_kinds == {"mask"}
    with pytest.raises(PromptError, match="initial mask"):
        answer("mask", GREY, [BOX])
    with pytest.raises(PromptError, match="shape"):
        answer("mask", GREY, [InitialMask(newer[:-1])])


def test_a_missing_library_is_named(monkeypatch):
    factory = BASELINES.get("random-walker")
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    with pytest.raises(DependencyError, match="scikit-image"):
        factory()


def test_box_voxels_and_window():
    boxes = [Box((10, 20), (14, 30)), Box((0, 0), (5, 5), positive=False), Box((12.2, 20.0), (19.5, 21.0))]
    box = positive_box(boxes, (100, 100))
    assert box == Region((20, 10), (30, 20))
    assert window_around(box, boxes, (100, 100)) == Region((15, 5), (35, 25))
    assert window_around(box, [*boxes, Point((50.0, 2.0))], (100, 100)) == Region((2, 5), (35, 51))
    assert window_around(None, [Point((5, 5))], (60, 70)) == Region.whole((60, 70))


def test_resize_keeps_faces_and_means():
    ramp = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert resize(ramp, (3, 4)) is ramp
    np.testing.assert_allclose(resize(np.array([0.0, 1.0], np.float32), (4,)), [0, 0.25, 0.75, 1])
    large = np.random.default_rng(0).random((64, 96)).astype(np.float32)
    assert resize(large, (16, 24)).mean() == pytest.approx(large.mean(), abs=0.01)
