from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bedside.challenge.answers import answer_boxes, answer_prompts
from bedside.core.errors import InputError
from bedside.core.image import Image
from bedside.core.prompts import Box, Point
from bedside.engines.protocol import Capabilities
from bedside.engines.window.policy import WindowPolicy
from bedside.engines.window.segmenter import WindowSegmenter
from bedside.io.challenge import ChallengeCase

BIG, SMALL = Box((2, 2, 2), (12, 12, 8)), Box((5, 5, 3), (8, 8, 6))


@pytest.fixture
def volume(filler):
    case = ChallengeCase("CT_x_1", Image.from_array(np.zeros((10, 16, 16), np.uint8)))
    filler.set_image(case.image)
    return case


def test_a_later_box_takes_the_voxels(filler, volume):
    one = answer_boxes(filler, replace(volume, boxes=(BIG, SMALL))).labels
    assert (np.count_nonzero(one == 1), np.count_nonzero(one == 2)) == (600 - 27, 27)
    other = answer_boxes(filler, replace(volume, boxes=(SMALL, BIG))).labels
    assert (np.count_nonzero(other == 1), np.count_nonzero(other == 2)) == (0, 600)
    assert one.dtype == np.uint8


@pytest.mark.parametrize(("count", "dtype"), [(255, np.uint8), (256, np.uint16), (700, np.uint16)])
def test_labels_do_not_overflow(filler, count, dtype):
    image = Image.from_array(np.zeros((30, 30), np.uint8))
    filler.set_image(image)
    boxes = tuple(Box((i % 30, i // 30), (i % 30 + 1, i // 30 + 1)) for i in range(count))
    labels = answer_boxes(filler, ChallengeCase("2DBox_Microscopy_1", image, boxes)).labels
    assert labels.dtype == dtype
    np.testing.assert_array_equal(np.unique(labels[labels > 0]), np.arange(1, count + 1))


def test_too_many_or_no_boxes_are_rejected(filler, volume):
    for boxes in ((), (SMALL,) * 65_536):
        with pytest.raises(InputError):
            answer_boxes(filler, replace(volume, boxes=boxes))


def test_a_box_outside_the_image_is_named_and_the_others_answered(filler, volume):
    answer = answer_boxes(filler, replace(volume, boxes=(Box((90, 0, 0), (95, 2, 2)), None, SMALL)))
    assert np.unique(answer.labels).tolist() == [0, 3]
    (problem,) = answer.problems
    assert problem.startswith("box 1: box lies outside")


def test_every_class_with_a_prompt_is_answered_without_boxes(filler, volume):
    clicks = ((Point((2, 2, 2)),), (), (Point((9, 9, 5)),), (Point((13, 13, 8), positive=False),))
    answer = answer_prompts(filler, replace(volume, clicks=clicks))
    assert np.unique(answer.labels).tolist() == [0, 1, 3]
    assert answer.labels[5, 9, 9] == 3
    assert answer.problems == ()


def test_some_classes_have_boxes_and_others_clicks(filler, volume):
    answer = answer_prompts(filler, replace(volume, boxes=(None, SMALL), clicks=((Point((13, 13, 8)),),)))
    assert np.unique(answer.labels).tolist() == [0, 1, 2]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_smaller_class_takes_the_voxel(filler, volume, order):
    boxes = tuple((BIG, SMALL)[i] for i in order)
    labels = answer_prompts(filler, replace(volume, boxes=boxes)).labels
    assert sorted(np.bincount(labels.ravel())[1:].tolist()) == [27, 573]
    assert labels[4, 6, 6] == order.index(1) + 1


def test_the_answer_before_is_corrected_and_not_made_anew(filler, volume):
    previous = np.zeros(volume.image.shape, np.uint8)
    previous[1:4, 1:4, 1:4] = 1
    previous[7:9, 9:12, 9:12] = 2
    clicks = ((Point((2, 2, 2)), Point((2, 2, 5))), (Point((10, 10, 8)),))
    case = replace(volume, boxes=(BIG, None), clicks=clicks, clicks_order=(("fg", "fg"), ("fg", None)),
                   previous=previous)  # fmt: skip
    labels = answer_prompts(filler, case).labels
    ((prompts, before, fresh),) = filler.calls
    assert prompts == [BIG, *clicks[0]]
    np.testing.assert_array_equal(before, previous == 1)
    assert fresh == 1
    # The first class grew by the click; the second had no error left and stayed.
    assert labels[5, 2, 2] == 1
    np.testing.assert_array_equal(labels == 2, previous == 2)


def test_a_class_that_the_answer_before_missed_starts_anew(filler, volume):
    previous = np.zeros(volume.image.shape, np.uint8)
    clicks = ((Point((2, 2, 2)), Point((8, 8, 5))),)
    answer_prompts(filler, replace(volume, clicks=clicks, clicks_order=(("fg", "fg"),), previous=previous))
    assert [(before, fresh) for _, before, fresh in filler.calls] == [(None, 2)]


def test_a_class_of_the_answer_before_without_prompts_stays(filler, volume):
    previous = np.zeros(volume.image.shape, np.uint16)
    previous[0, 0, 0] = 300
    labels = answer_prompts(filler, replace(volume, boxes=(SMALL,), previous=previous)).labels
    assert labels.dtype == np.uint16
    assert labels[0, 0, 0] == 300


def test_a_case_without_prompts_is_background(filler, volume):
    assert not answer_prompts(filler, volume).labels.any()


def test_a_click_outside_the_volume_is_named(filler, volume):
    answer = answer_prompts(filler, replace(volume, clicks=((Point((99, 2, 2)),), (Point((9, 9, 5)),))))
    assert answer.problems[0].startswith("class 1: ")
    assert np.unique(answer.labels).tolist() == [0, 2]


def published_labels(scores):
    """How the published container merges classes: logits against the logarithm of the background's probability."""
    scores = np.asarray(scores, float)
    background = np.log(1 - 1 / (1 + np.exp(-scores))).sum(axis=0)
    return np.argmax(np.concatenate([background[None], scores]), axis=0)


class Constant:
    """Answers every voxel with one logit."""

    device, precision = "CPU", "fp32"

    def __init__(self, logit):
        self.logit = logit

    def run(self, inputs):
        return {"logits": np.full((1, 1, *inputs["input"].shape[2:]), self.logit, np.float32)}


@pytest.mark.parametrize(("logit", "ours", "published"), [(-0.6, 0, 0), (-0.4, 0, 1), (-0.01, 0, 1), (0.01, 1, 1)])
def test_a_voxel_belongs_to_a_class_from_one_half_on(volume, logit, ours, published):
    kinds = frozenset({"box", "point"})
    engine = WindowSegmenter(
        "constant", Constant(logit), 3, 32, Capabilities((3,), kinds, kinds, False, kinds), WindowPolicy()
    )
    engine.set_image(volume.image)
    labels = answer_prompts(engine, replace(volume, clicks=((Point((8, 8, 5)),),))).labels
    # Around the click itself the engine sees to it that the class is there.
    assert labels[5, 8, 8] == 1
    assert labels[-1, -1, -1] == ours
    # Published, a probability of 0.382 is enough.
    assert published_labels(np.full((1, 4), logit)).tolist() == [published] * 4


def test_a_class_that_fails_wins_nothing(filler, volume):
    case = replace(volume, clicks=((Point((90, 2, 2)),), (Point((9, 9, 5)),)))
    answer = answer_prompts(filler, case)
    assert np.bincount(answer.labels.ravel()).tolist() == [10 * 16 * 16 - 27, 0, 27]
    assert len(answer.problems) == 1
    assert answer.problems[0].startswith("class 1:")
    # Published, its stand-in is 0 everywhere but on one slice, which beats a background that is sure of nothing.
    other = np.full(volume.image.shape, -5.0)
    other[4:7, 8:11, 8:11] = 5.0
    stand_in = np.zeros(volume.image.shape)
    stand_in[1] = -np.inf
    counts = np.bincount(published_labels([stand_in, other]).ravel())
    assert counts[1] == 9 * 16 * 16 - 27


def test_a_model_of_flat_boxes_gets_each_box_on_its_middle_slice(filler, volume):
    filler.capabilities = replace(filler.capabilities, flat_boxes=True)
    answer_prompts(filler, replace(volume, boxes=(BIG, SMALL), middle_slices=(3, None)))
    assert [call[0] for call in filler.calls] == [[Box((2, 2, 3), (12, 12, 4))], [Box((5, 5, 4), (8, 8, 5))]]
