from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bedside.core.errors import InputError
from bedside.core.image import Image
from bedside.core.prompts import Box, Point, Scribble
from bedside.core.region import Region, mask_region
from bedside.engines.protocol import Prediction
from bedside.evaluate.cases import TargetObject
from bedside.evaluate.clicks_protocol import ClicksProtocol
from bedside.evaluate.metrics import Sampling
from bedside.evaluate.metrics.dice import dice
from bedside.imaging.paint import fill_polygon
from tests.evaluate.conftest import DiscSegmenter, ellipse

SHAPE = (50, 70)


def target_of(mask):
    region = mask_region(mask)
    return TargetObject("1", 1, region, mask[region.slices])


def run(protocol, segmenter, mask, key="k"):
    segmenter.set_image(Image.from_array(np.zeros(mask.shape, np.uint8)))
    buffer = np.zeros(mask.shape, np.uint8)
    rounds, trace = protocol.run(segmenter, target_of(mask), buffer, Sampling((1.0,) * mask.ndim), key)
    assert not buffer.any()
    return rounds, trace


def test_prompts_accumulate_and_the_mask_before_is_passed_along():
    mask = ellipse(SHAPE, (22, 30), (14, 19))
    segmenter = DiscSegmenter()
    rounds, trace = run(ClicksProtocol(clicks=3), segmenter, mask)
    assert [len(p) for p, _ in segmenter.calls] == [1, 2, 3, 4]
    assert segmenter.calls[0][0] == [Box((11.0, 8.0), (50.0, 37.0))]
    assert tuple(segmenter.calls[-1][0]) == trace.prompts
    assert segmenter.calls[0][1] is None
    answers = [previous for _, previous in segmenter.calls[1:]]
    assert all(a.any() for a in answers)
    whole = Region.whole(SHAPE)
    np.testing.assert_array_equal(trace.first.within(whole), answers[0] != 0)
    for score, answer in zip(rounds, answers, strict=False):
        assert score.scores["dsc"] == pytest.approx(dice(mask, answer))
    assert rounds[-1].scores["dsc"] == pytest.approx(dice(mask, trace.last.within(whole)))
    assert rounds[-1].scores["dsc"] > rounds[0].scores["dsc"]
    assert [r.clicks for r in rounds] == [0, 1, 2, 3]


def test_clicks_lie_on_errors_in_image_coordinates():
    mask = ellipse(SHAPE, (22, 30), (14, 19))
    segmenter = DiscSegmenter()
    _, trace = run(ClicksProtocol(), segmenter, mask)
    for (prompts, _), (_, previous) in zip(segmenter.calls[1:], segmenter.calls[1:], strict=True):
        click = prompts[-1]
        x, y = (int(c) for c in click.position)
        assert mask[y, x] == click.positive
        assert (previous[y, x] != 0) != mask[y, x]
    assert len(trace.prompts) == 6


def test_a_perfect_answer_needs_no_more_clicks():
    class Perfect(DiscSegmenter):
        def predict(self, prompts, previous=None, fresh=1):
            answer = super().predict(prompts, previous)
            return type(answer)(**{**vars(answer), "mask": mask.astype(np.uint8)})

    mask = ellipse(SHAPE, (22, 30), (14, 19))
    segmenter = Perfect()
    rounds, trace = run(ClicksProtocol(clicks=5), segmenter, mask)
    assert len(segmenter.calls) == 1
    assert [r.clicks for r in rounds] == list(range(6))
    assert {r.scores["dsc"] for r in rounds} == {1.0}
    assert [r.seconds for r in rounds[1:]] == [0.0] * 5
    assert len(trace.prompts) == 1


@pytest.mark.parametrize(("start", "kind"), [("point", Point), ("scribble", Scribble)])
def test_other_starts_lie_on_the_object(start, kind):
    mask = ellipse(SHAPE, (22, 30), (14, 19))
    _, trace = run(ClicksProtocol(start=start, clicks=0), DiscSegmenter(), mask)
    (prompt,) = trace.prompts
    assert isinstance(prompt, kind)
    assert all(mask[round(y), round(x)] for x, y in prompt.vertices())


@pytest.mark.parametrize("start", ["scribble", "lasso"])
def test_strokes_and_lassos_start_volumes_on_one_slice(start):
    mask = np.zeros((30, 50, 40), bool)
    mask[9:21, 10:30, 16:32] = ellipse((12, 20, 16), (5, 9, 8), (4, 6, 5))
    _, trace = run(ClicksProtocol(start=start, clicks=0), DiscSegmenter(starts=(start,)), mask)
    (prompt,) = trace.prompts
    assert prompt.kind == start
    vertices = prompt.vertices()
    across = [a for a in range(3) if np.ptp(vertices[:, a]) == 0]
    assert across
    low, high = np.argwhere(mask)[:, ::-1].min(axis=0), np.argwhere(mask)[:, ::-1].max(axis=0)
    assert all(low[a] <= vertices[0, a] <= high[a] for a in across)
    assert run(ClicksProtocol(start=start, clicks=0), DiscSegmenter(starts=(start,)), mask)[1].prompts == (prompt,)


def test_a_lasso_lies_around_the_object_of_an_image():
    mask = ellipse(SHAPE, (22, 30), (14, 19))
    _, trace = run(ClicksProtocol(start="lasso", clicks=0), DiscSegmenter(starts=("lasso",)), mask)
    drawn = fill_polygon(np.array(trace.prompts[0].points)[:, ::-1], SHAPE) > 0
    assert 2 * (drawn & mask).sum() / (drawn.sum() + mask.sum()) > 0.6


def test_a_model_of_flat_boxes_gets_the_box_of_the_largest_slice():
    mask = np.zeros((12, 20, 16), bool)
    mask[3:9, 4:8, 5:9] = True
    mask[6, 2:10, 3:12] = True
    segmenter = DiscSegmenter()
    segmenter.capabilities = replace(segmenter.capabilities, flat_boxes=True)
    _, trace = run(ClicksProtocol(clicks=0), segmenter, mask)
    assert trace.prompts == (Box((3, 2, 6), (12, 10, 7)),)
    _, trace = run(ClicksProtocol(clicks=0), DiscSegmenter(), mask)
    assert trace.prompts == (Box((3, 2, 3), (12, 10, 9)),)


def test_the_user_depends_on_seed_and_key_alone():
    mask = ellipse(SHAPE, (22, 30), (14, 19))

    def prompts(protocol, key):
        return run(protocol, DiscSegmenter(), mask, key)[1].prompts

    assert prompts(ClicksProtocol(), "a") == prompts(ClicksProtocol(), "a")
    different = [prompts(ClicksProtocol(seed=n), "a") for n in range(5)]
    assert len(set(different)) > 1


def test_volumes_work_and_the_buffer_is_left_empty_after_an_error():
    mask = ellipse((12, 20, 16), (5, 9, 8), (4, 6, 5))
    rounds, _ = run(ClicksProtocol(clicks=2), DiscSegmenter(), mask)
    assert rounds[0].scores["nsd"] > 0

    class Failing(DiscSegmenter):
        def predict(self, prompts, previous=None, fresh=1):
            if len(prompts) > 1:
                raise InputError("fails")
            return super().predict(prompts, previous)

    segmenter, buffer = Failing(), np.zeros(mask.shape, np.uint8)
    segmenter.set_image(Image.from_array(np.zeros(mask.shape, np.uint8)))
    with pytest.raises(InputError):
        ClicksProtocol().run(segmenter, target_of(mask), buffer, Sampling((1.0,) * 3), "k")
    assert not buffer.any()


def test_another_user_can_click():
    mask = ellipse(SHAPE, (22, 30), (14, 19))
    protocol = ClicksProtocol(clicks=2, click_source=lambda truth, answer, generator: Point((0.0, 0.0), False))
    _, trace = run(protocol, DiscSegmenter(), mask)
    assert len(trace.prompts) == 3


@pytest.mark.parametrize(
    "wrong",
    [{"start": "brush"}, {"clicks": -1}, {"metrics": ("dcs",)}, {"metrics": ()}, {"tolerance": -1.0}],
)
def test_settings_that_make_no_sense_are_rejected(wrong):
    with pytest.raises(InputError):
        ClicksProtocol(**wrong)


class Proposer(DiscSegmenter):
    """Predicts a small ellipse; the large one is among its candidates."""

    def __init__(self, small, large):
        super().__init__()
        self.capabilities = replace(self.capabilities, proposes=True)
        self.small, self.large, self.asked = small, large, []

    def made(self, mask):
        region = mask_region(mask)
        return Prediction(mask[region.slices].astype(np.uint8), region, np.zeros((1, 1), np.float32), (), region)

    def predict(self, prompts, previous=None, fresh=1):
        self.asked.append("predict")
        return self.made(self.small if previous is None else previous)

    def candidates(self, prompts, limit=3):
        self.asked.append("candidates")
        return [self.made(self.small), self.made(self.large)]


@pytest.mark.parametrize("picks", [True, False])
def test_the_user_picks_the_best_candidate_at_the_first_prompt(picks):
    large, small = ellipse(SHAPE, (22, 30), (14, 19)), ellipse(SHAPE, (22, 30), (5, 5))
    segmenter = Proposer(small, large)
    rounds, _ = run(ClicksProtocol(start="point", clicks=1, metrics=("dsc",), candidates=picks), segmenter, large)
    assert rounds[0].scores["dsc"] == pytest.approx(1.0 if picks else dice(large, small))
    # Where the pick is perfect there is nothing left to correct.
    assert segmenter.asked == (["candidates"] if picks else ["predict", "predict"])
