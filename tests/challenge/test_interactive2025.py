from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import rankdata

from bedside.challenge.interactive2025 import (
    CaseResult,
    InteractiveProtocol,
    evaluate_interactive,
    read_labelled_case,
    run_case,
)
from bedside.challenge.means import interactive_means, interactive_ranks
from bedside.challenge.sets import SetCase
from bedside.challenge.writing import write_case
from bedside.core.errors import FormatError, InputError
from bedside.core.prompts import Box, Point
from bedside.evaluate.baselines import BASELINES
from bedside.evaluate.results import RoundScore
from bedside.evaluate.runner import Entry
from bedside.simulate.clicks import next_click

BOXES = {"boxes": (Box((3, 2, 2), (9, 8, 8)), Box((14, 12, 5), (18, 16, 8))), "middle_slices": (5, 6)}


def result(name="CT_x_1", modality="CT", classes=1, dsc=(0.0,) * 6, seconds=(1.0,) * 6):
    rounds = tuple(RoundScore(n, {"dsc": d}, t) for n, (d, t) in enumerate(zip(dsc, seconds, strict=True)))
    return CaseResult("m", modality, name, "all classes", 0, 0, "mm", 0.0, rounds, modality=modality, classes=classes)


def test_the_area_is_that_of_the_five_clicks():
    # Trapezoids: (0.2 + 1.0) / 2 + 0.4 + 0.6 + 0.8; the box's score does not count.
    assert result(dsc=(0.9, 0.2, 0.4, 0.6, 0.8, 1.0)).area("dsc") == pytest.approx(2.4)
    assert result(dsc=(0.0,) + (1.0,) * 5).area("dsc") == 4.0
    assert result(dsc=(1.0,) + (0.0,) * 5).area("dsc") == 0.0


def test_six_rounds_with_boxes(filler, cubes):
    scores = run_case(filler, replace(cubes, **BOXES), InteractiveProtocol())
    assert scores.boxed
    assert scores.classes == 2
    assert scores.modality == "CT"
    # The first box is perfect, the second lacks a slice of four.
    dsc = scores.curve("dsc")
    assert dsc[0] == pytest.approx((1 + 2 * 48 / (48 + 64)) / 2)
    assert dsc[1] > dsc[0]
    assert [r.clicks for r in scores.rounds] == list(range(6))
    assert all(r.scores.keys() == {"dsc", "nsd"} and r.seconds > 0 for r in scores.rounds)
    assert scores.total_seconds == pytest.approx(sum(r.seconds for r in scores.rounds))
    assert scores.in_time
    assert filler.images == 1


def test_prompts_accumulate_and_every_class_with_an_error_is_clicked(filler, cubes):
    seen = []

    def watch(truth, prediction, generator):
        click = next_click(truth, prediction, generator)
        seen.append((int(truth.sum()), click))
        return click

    run_case(filler, replace(cubes, **BOXES), InteractiveProtocol(click_source=watch))
    # Two classes in each of five rounds were looked at; the first never had an error and never asked anything again.
    assert [size for size, _ in seen] == [216, 64] * 5
    assert all(click is None for size, click in seen if size == 216)
    assert [len(prompts) for prompts, _, _ in filler.calls][:4] == [1, 1, 2, 3]
    for prompts, before, fresh in filler.calls[2:]:
        assert isinstance(prompts[0], Box)
        assert before is not None
        assert fresh == 1


def test_clicks_lie_where_the_largest_error_is(filler, cubes):
    run_case(filler, replace(cubes, **BOXES), InteractiveProtocol())
    first = filler.calls[2][0][1]
    # The missing slice z = 8, in image coordinates, at one of its four central voxels.
    assert first.positive
    assert first.position[2] == 8
    assert {first.position[0], first.position[1]} <= {13, 14, 15, 16}


def test_without_boxes_the_first_round_scores_nothing_and_all_classes_are_predicted(filler, cubes):
    scores = run_case(filler, cubes, InteractiveProtocol())
    assert not scores.boxed
    assert (scores.rounds[0].scores, scores.rounds[0].seconds) == ({"dsc": 0.0, "nsd": 0.0}, 0.0)
    # One click each: cubes of 27 voxels in 216 and 64.
    assert scores.curve("dsc")[1] == pytest.approx((54 / (27 + 216) + 54 / (27 + 64)) / 2)
    assert scores.area("dsc") > 0
    assert all(isinstance(p, Point) for prompts, _, _ in filler.calls for p in prompts)


def test_equal_seeds_click_equally(filler, cubes):
    one, other = ([], [])
    for seen in (one, other):
        filler.calls.clear()
        run_case(filler, cubes, InteractiveProtocol(seed=4))
        seen.extend(prompts for prompts, _, _ in filler.calls)
    assert one == other


def test_the_global_generator_is_left_alone(filler, cubes):
    # The published code sets its seed at every click, and with it whatever else draws from it.
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    run_case(filler, cubes, InteractiveProtocol())
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_the_official_order_of_spacing_reaches_the_score(filler, cubes):
    case = replace(cubes, boxes=(Box((3, 2, 3), (9, 8, 9)), BOXES["boxes"][1]), middle_slices=(5, 6))
    protocols = (InteractiveProtocol(official_spacing_order=order) for order in (False, True))
    right, official = (run_case(filler, case, protocol).curve("nsd")[0] for protocol in protocols)
    assert right < official


def test_labels_are_numbered_as_the_prompts_are(tmp_path, cubes):
    truth = np.where(cubes.ground_truth == 2, 40, cubes.ground_truth * 7).astype(np.uint8)
    write_case(tmp_path / "a/CT_cubes_1.npz", replace(cubes, ground_truth=truth))
    assert np.unique(read_labelled_case(tmp_path / "a/CT_cubes_1.npz").ground_truth).tolist() == [0, 1, 2]
    write_case(tmp_path / "b/CT_cubes_1.npz", cubes, tmp_path / "c/CT_cubes_1.npz")
    again = read_labelled_case(tmp_path / "b/CT_cubes_1.npz", tmp_path / "c")
    np.testing.assert_array_equal(again.ground_truth, cubes.ground_truth)
    with pytest.raises(FormatError, match="--truth"):
        read_labelled_case(tmp_path / "b/CT_cubes_1.npz")


def test_means_are_over_cases_then_over_modalities():
    cases = [
        result(dsc=(0,) + (1.0,) * 5),
        result(dsc=(0,) + (0.5,) * 5),
        result(modality="MR", dsc=(0,) + (0.25,) * 5, seconds=(100.0,) + (0.0,) * 5),
        result(modality="MR", dsc=(0,) + (0.25,) * 5, seconds=(100.0,) + (0.0,) * 5, classes=2),
    ]
    ct, mr, overall = (mean.to_dict() for mean in interactive_means(cases, ["dsc"]))
    assert ct == {
        "group": "CT", "cases": 2, "dsc_auc": 3.0, "dsc_final": 0.75, "dsc_first": 0.0, "seconds_per_class": 6.0,
        "late": 0,
    }  # fmt: skip
    assert (mr["dsc_auc"], mr["late"], mr["seconds_per_class"]) == (1.0, 1, 75.0)
    assert (overall["cases"], overall["dsc_auc"], overall["late"]) == (4, 2.0, 1)


def test_results_have_the_form_of_any_evaluation(filler, cubes):
    entries = [Entry("ours", "model", filler), Entry("box", "baseline", BASELINES.get("box")())]
    protocols = [InteractiveProtocol(start=start, metrics=("hd95", "dsc")) for start in ("official", "point")]
    told = []
    boxed = replace(cubes, **BOXES)
    cases = [SetCase("lungs", boxed), SetCase("lungs", replace(boxed, name="CT_cubes_2")), SetCase("", cubes)]
    official, point = evaluate_interactive(cases, entries, protocols, told.append)
    assert told == ["CT_cubes_1"] * 2 + ["CT_cubes_2"] * 2 + ["CT_cubes_1"] * 2
    assert (official.start, point.start) == ("official", "point")
    # A box cannot be drawn from a click.
    assert [[c.name for c in e.candidates] for e in (official, point)] == [["ours", "box"], ["ours"]]
    assert [(s.name, s.cases) for s in official.sets] == [("CT", 1), ("lungs", 2)]
    assert official.metrics == ["hd95", "dsc"]
    values = official.summary("ours", "lungs").curves["hd95"].values
    rounds = [o.curve("hd95") for o in official.objects if (o.candidate, o.set_name) == ("ours", "lungs")]
    assert values == pytest.approx(np.mean(rounds, axis=0))
    assert official.summary("ours", None).curves["dsc"].auc is not None
    assert interactive_ranks(point) == []
    ranks = {row.name: row.by_metric for row in interactive_ranks(official)}
    assert set(ranks["box"]) == {"hd95_auc", "hd95_final", "dsc_auc", "dsc_final"}
    mine = {n: [o for o in official.objects if o.candidate == n] for n in ranks}
    finals = {m: [[o.curve(m)[-1] for o in mine[n]] for n in ranks] for m in official.metrics}
    for metric, sign in (("hd95", 1), ("dsc", -1)):
        by_hand = rankdata(sign * np.array(finals[metric]), axis=0).mean(axis=1)
        assert [ranks[n][f"{metric}_final"] for n in ranks] == pytest.approx(list(by_hand))
    assert ranks["ours"] != ranks["box"]


def test_a_model_that_cannot_begin_is_rejected_before_the_work(filler, cubes):
    box = Entry("box", "baseline", BASELINES.get("box")())
    with pytest.raises(InputError, match="'box' cannot start from a point"):
        evaluate_interactive([SetCase("", cubes)], [box], [InteractiveProtocol(start="point")])


@pytest.mark.parametrize("start", ["box", "flat-box", "point"])
def test_rounds_can_begin_with_another_prompt_on_every_class(filler, cubes, start):
    scores = run_case(filler, replace(cubes, **BOXES), InteractiveProtocol(start=start))
    assert scores.start == start
    assert scores.boxed
    assert scores.curve("dsc")[0] > 0
    first, second = (prompts for prompts, _, _ in filler.calls[:2])
    assert len(first) == len(second) == 1
    assert first[0].kind == start.removeprefix("flat-")
    assert first[0] != second[0]
    if start == "flat-box":
        assert first[0].high[2] - first[0].low[2] == 1
    # The first prompt stays among those of later rounds, and the case's own boxes are nowhere.
    later = [prompts for prompts, previous, _ in filler.calls if previous is not None]
    assert all(prompts[0] in (first[0], second[0]) and len(prompts) > 1 for prompts in later)


def test_a_start_is_drawn_by_seed_case_and_class_alone(filler, cubes):
    def drawn(seed):
        filler.calls.clear()
        run_case(filler, cubes, InteractiveProtocol(seed=seed, start="loose-box"))
        return [prompts[0] for prompts, _, _ in filler.calls[:2]]

    assert drawn(1) == drawn(1) != drawn(2)
