"""Classes joined by the largest logit, and a box in the place of none, as the public code of arXiv 2510.03189."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.challenge.dynamic_prompts import ClassScores, answer_by_scores, join_scores, middle_third
from bedside.challenge.interactive2025 import InteractiveProtocol, _run_entry, run_case
from bedside.challenge.sets import SetCase
from bedside.core.errors import InputError
from bedside.core.image import Image
from bedside.core.prompts import Box
from bedside.core.region import Region
from bedside.evaluate.runner import Entry
from bedside.io.challenge import ChallengeCase
from bedside.simulate.clicks import next_click, official_click


@given(st.integers(1, 4), st.integers(0, 999))
def test_the_largest_score_wins_against_the_background(classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = (2 * rng.standard_normal((classes, 4, 5, 6))).astype(np.float32)
    whole = Region.whole((4, 5, 6))
    found = join_scores([ClassScores(n + 1, v, whole) for n, v in enumerate(values)], np.zeros((4, 5, 6), np.uint8))
    background = np.log(1 - 1 / (1 + np.exp(-values.astype(np.float64)))).sum(0)
    expected = np.concatenate((background[None], values)).argmax(0)
    assert (found == expected).mean() > 0.999
    if classes == 1:
        assert np.array_equal(found > 0, values[0] > -0.48121)


@pytest.fixture
def sure(filler: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Fills boxes, with logits of 8 within and -8 outside."""
    predict = filler.predict

    def predict_surely(*arguments: Any) -> Any:
        prediction = predict(*arguments)
        return replace(prediction, logits=16 * prediction.logits - 8)

    monkeypatch.setattr(filler, "predict", predict_surely)
    return filler


def test_beyond_its_window_a_class_is_not() -> None:
    part = Region((0, 0, 0), (2, 2, 2))
    labels = join_scores([ClassScores(3, np.full((2, 2, 2), 4, np.float32), part)], np.zeros((4, 4, 4), np.uint8))
    assert np.count_nonzero(labels == 3) == labels.astype(bool).sum() == 8


def test_the_middle_third_of_what_is_not_zero() -> None:
    array = np.zeros((30, 40, 50), np.uint8)
    array[3:27, 10:40, 5:20] = 7
    assert middle_third(array) == Box((10.0, 20.0, 11.0), (15.0, 30.0, 19.0))
    assert middle_third(np.zeros((2, 2, 2), np.uint8)).low == (0.0, 0.0, 0.0)


def test_without_a_box_the_first_class_alone_is_answered(sure: Any) -> None:
    array = np.full((32, 32, 32), 9, np.uint8)
    sure.set_image(Image.from_array(array))
    case = ChallengeCase("CT_1", Image.from_array(array), (), clicks=((), ()))
    labels = answer_by_scores(sure, case).labels
    assert set(np.unique(labels)) == {0, 1}
    middle = labels[11:20, 11:20, 11:20]
    assert (middle == 1).mean() > 0.9


def test_two_classes_meet_at_the_larger_logit(sure: Any) -> None:
    array = np.full((32, 32, 32), 9, np.uint8)
    sure.set_image(Image.from_array(array))
    boxes = (Box((2.0, 2.0, 2.0), (12.0, 12.0, 12.0)), Box((18.0, 18.0, 18.0), (28.0, 28.0, 28.0)))
    labels = answer_by_scores(sure, ChallengeCase("CT_1", Image.from_array(array), boxes)).labels
    assert labels[6, 6, 6] == 1
    assert labels[22, 22, 22] == 2
    assert labels[30, 2, 2] == 0


def test_ties_are_broken_as_the_official_code_does() -> None:
    truth, nothing = np.zeros((20, 20, 20), bool), np.zeros((20, 20, 20), bool)
    truth[4:12, 4:12, 4:12] = True
    depth = 4
    tied = np.argwhere(truth[4:12, 4:12, 4:12])
    deepest = [p for p in tied if min(*(p + 1), *(8 - p)) == depth]
    np.random.seed(42)  # noqa: NPY002
    expected = deepest[np.random.choice(len(deepest))] + 4  # noqa: NPY002
    found = {official_click(truth, nothing, np.random.default_rng(n)) for n in range(4)}
    assert {tuple(int(v) for v in click.position[::-1]) for click in found if click} == {
        tuple(int(v) for v in expected)
    }
    assert len({next_click(truth, nothing, np.random.default_rng(n)) for n in range(9)}) > 1


def labelled() -> ChallengeCase:
    truth = np.zeros((16, 16, 16), np.uint8)
    truth[4:10, 4:10, 4:10] = 1
    truth[10:14, 10:14, 10:14] = 3
    boxes = (Box((4.0, 4.0, 4.0), (10.0, 10.0, 10.0)), Box((10.0, 10.0, 10.0), (14.0, 14.0, 14.0)))
    return ChallengeCase("CT_1", Image.from_array(truth), boxes, (7, 12), ground_truth=truth)


def test_raw_values_of_the_truth_are_what_the_official_code_compares(sure: Any) -> None:
    raw = run_case(sure, labelled(), InteractiveProtocol(raw_labels=True))
    assert raw.classes == 2
    # The second class is answered by 2, and its truth is 3.
    assert raw.curve("dsc")[0] == pytest.approx(0.5, abs=0.1)
    renumbered = np.where(labelled().ground_truth == 3, 2, labelled().ground_truth).astype(np.uint8)
    ours = run_case(sure, replace(labelled(), ground_truth=renumbered), InteractiveProtocol())
    assert ours.curve("dsc")[0] > 0.9


def test_missing_outputs_count_as_the_organisers_count_them(sure: Any) -> None:
    from bedside.challenge.answers import answer_prompts

    calls = []

    def failing(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) in (2, 6):
            raise InputError("answer", expected="one", got="none")
        return answer_prompts(*arguments)

    renumbered = np.where(labelled().ground_truth == 3, 2, labelled().ground_truth).astype(np.uint8)
    case = replace(labelled(), ground_truth=renumbered)
    protocol = InteractiveProtocol(answering=failing, missing_is_zero=True)
    found = run_case(sure, case, protocol)
    assert (found.curve("dsc")[1], found.curve("dsc")[5], found.counted) == (0, 0, False)
    assert found.curve("dsc")[0] > 0.9
    calls.clear()
    entry = Entry("sure", "model", sure)
    assert not list(_run_entry(entry, SetCase("", case), [protocol]))
    assert len(list(_run_entry(entry, SetCase("", case), [InteractiveProtocol()]))) == 1
    calls.clear()
    with pytest.raises(InputError):
        run_case(sure, case, InteractiveProtocol(answering=failing))
