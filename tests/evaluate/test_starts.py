"""The first prompts that an evaluation begins with, and several of them in one run."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bedside.core.errors import InputError
from bedside.core.prompts import Box, InitialMask
from bedside.core.region import mask_region
from bedside.data.catalogue import find_data_sets
from bedside.evaluate.baselines import BASELINES
from bedside.evaluate.cases import ObjectSelection
from bedside.evaluate.clicks_protocol import ClicksProtocol
from bedside.evaluate.markdown import create_markdown
from bedside.evaluate.results import to_csv, to_json
from bedside.evaluate.runner import Entry, evaluate_sets, evaluate_starts
from bedside.evaluate.starts import STARTS, Occasion, choose_starts, draw_start, draw_starts, start_kind, start_title
from bedside.simulate.boxes import MOST_BOXES, part_boxes
from tests.evaluate.conftest import DiscSegmenter, ellipse

IMAGE = ellipse((60, 90), (25, 40), (14, 19))
VOLUME = ellipse((20, 60, 50), (9, 30, 25), (5, 18, 14))


def draw(start, truth, seed=0, flat_boxes=False):
    region = mask_region(truth)
    spacing = (1.0,) * truth.ndim
    generator = np.random.default_rng(seed)
    return draw_start(start, Occasion(truth[region.slices], region, truth.shape, spacing, flat_boxes, generator))


@pytest.mark.parametrize("truth", [IMAGE, VOLUME], ids=["image", "volume"])
@pytest.mark.parametrize("start", STARTS)
def test_every_start_is_of_its_kind_and_lies_on_the_image(start, truth):
    prompt = draw(start, truth)
    assert prompt.kind == start_kind(start)
    assert prompt.positive
    assert prompt.ndim == truth.ndim
    vertices = prompt.vertices()
    assert (vertices >= -0.5).all()
    assert (vertices <= np.array(truth.shape[::-1]) - 0.5).all()


@pytest.mark.parametrize("truth", [IMAGE, VOLUME], ids=["image", "volume"])
def test_a_loose_box_holds_the_object_and_is_at_most_thirty_per_cent_too_long(truth):
    tight = draw("box", truth)
    lengths = []
    for seed in range(20):
        loose = draw("loose-box", truth, seed)
        assert all(a <= b for a, b in zip(loose.low, tight.low, strict=True))
        assert all(a >= b for a, b in zip(loose.high, tight.high, strict=True))
        sides = np.subtract(loose.high, loose.low) / np.subtract(tight.high, tight.low)
        lengths += list(sides)
    assert max(lengths) <= 1.3
    assert max(lengths) > 1.2
    assert 1.1 < np.mean(lengths) < 1.2


def test_each_part_gets_a_box_and_many_parts_share_them():
    parts = ellipse((60, 90), (25, 20), (10, 9)) | ellipse((60, 90), (30, 60), (6, 12))
    region = mask_region(parts)
    occasion = Occasion(parts[region.slices], region, parts.shape, (1.0, 1.0), False, np.random.default_rng(0))
    boxes = draw_starts("part-boxes", occasion)
    assert [(b.low, b.high) for b in boxes] == [((11, 15), (30, 36)), ((48, 24), (73, 37))]
    assert draw_start("part-boxes", occasion) == boxes[0]
    many = np.zeros((64, 64), np.uint8)
    many[::4, ::4] = 1
    few = part_boxes(many)
    assert len(few) == MOST_BOXES
    held = np.zeros_like(many)
    for box in few:
        held[tuple(slice(int(a), int(b)) for a, b in zip(box.low[::-1], box.high[::-1], strict=True))] = 1
    assert (held >= many).all()


def test_flat_boxes_lie_on_the_largest_slice():
    flat = draw("flat-box", VOLUME)
    assert flat == Box((11, 12, 9), (40, 49, 10))
    assert draw("flat-box", IMAGE) == draw("box", IMAGE)
    assert draw("box", VOLUME, flat_boxes=True) == flat
    loose = draw("loose-box", VOLUME, flat_boxes=True)
    assert (loose.low[2], loose.high[2]) == (9, 10)


def test_a_mask_is_wrong_and_may_go_beyond_the_object():
    prompts = [draw("mask", IMAGE, seed) for seed in range(8)]
    assert all(isinstance(p, InitialMask) and p.shape == IMAGE.shape for p in prompts)
    assert any((p.mask & ~IMAGE).any() for p in prompts)
    assert all((p.mask & IMAGE).any() for p in prompts)
    assert all((p.mask != IMAGE).any() for p in prompts)


def test_names_of_starts():
    assert choose_starts(["all"], volumes=True) == list(STARTS)
    assert "flat-box" not in choose_starts(["all"], volumes=False)
    assert "part-boxes" not in choose_starts(["all"], volumes=True, several=False)
    with pytest.raises(InputError, match="part-boxes"):
        choose_starts(["part-boxes"], volumes=True, several=False)
    assert choose_starts(["point", "box"], volumes=False) == ["box", "point"]
    for wrong in (["brush"], ["box", "box"], ["all", "box"], []):
        with pytest.raises(InputError, match="--start"):
            choose_starts(wrong, volumes=True)
    assert start_title("point") == "one centre click"


def run(data, starts=("box", "point", "scribble"), clicks=3):
    entries = [Entry("disc", "model", DiscSegmenter()), Entry("box", "baseline", BASELINES.get("box")())]
    protocols = [ClicksProtocol(start, clicks) for start in starts]
    return evaluate_starts(find_data_sets(data), entries, protocols, ObjectSelection())


def test_several_starts_are_what_each_alone_would_be(data):
    together = run(data)
    assert [e.start for e in together] == ["box", "point", "scribble"]
    assert [[c.name for c in e.candidates] for e in together] == [["disc", "box"], ["disc"], ["disc"]]
    sets = find_data_sets(data)
    for evaluation in together[1:]:
        protocol = ClicksProtocol(evaluation.start, 3)
        alone = evaluate_sets(sets, [Entry("disc", "model", DiscSegmenter())], protocol, ObjectSelection())
        assert [o.trace.prompts for o in alone.objects] == [o.trace.prompts for o in evaluation.objects]
        assert alone.overall[0].curves == evaluation.overall[0].curves
        assert alone.sets == evaluation.sets


def test_an_image_is_set_once_for_all_starts(data):
    segmenter = DiscSegmenter()
    protocols = [ClicksProtocol(start, 1) for start in ("box", "point", "scribble")]
    evaluate_starts(find_data_sets(data), [Entry("disc", "model", segmenter)], protocols, ObjectSelection())
    assert segmenter.images == 3 + 2


def test_a_start_that_nobody_takes_is_left_out_and_a_candidate_without_any_is_rejected(data):
    assert [e.start for e in run(data, ("box", "lasso"))] == ["box"]
    sets, entry = find_data_sets(data), Entry("disc", "model", DiscSegmenter())
    protocols = [ClicksProtocol("lasso"), ClicksProtocol("mask")]
    with pytest.raises(InputError, match="cannot start from a lasso or mask"):
        evaluate_starts(sets, [entry], protocols, ObjectSelection())


def test_files_hold_every_start(data):
    evaluations = run(data)
    document = json.loads(to_json(evaluations))
    assert document["format"] == "bedside-evaluation-starts"
    assert [s["protocol"]["start"] for s in document["starts"]] == ["box", "point", "scribble"]
    assert document["manifest"]["seed"] == 0
    assert document["starts"][1]["overall"][0]["curves"]["dsc"]["intervals"]
    assert json.loads(to_json(evaluations[:1]))["format"] == "bedside-evaluation"
    rows = to_csv(evaluations).splitlines()
    assert len(rows) == 1 + 4 * (8 * 2 + 8 + 8)
    assert {row.split(",")[0] for row in rows[1:]} == {"box", "point", "scribble"}


def tables(text):
    """Each table of a page as rows of cells."""
    blocks = [b.splitlines() for b in text.split("\n\n") if b.startswith("|")]
    found = [[[c.strip() for c in line.strip("|").split("|")] for line in block] for block in blocks]
    for table in found:
        assert len({len(row) for row in table}) == 1
    return found


def test_markdown_begins_with_the_four_rows_and_agrees_with_the_results(data):
    evaluations = run(data)
    text = create_markdown(evaluations)
    short, means, *rest = tables(text.split("### box")[0])
    assert [row[0] for row in short[2:]] == ["tight box", "one centre click", "tight box + 3 clicks", "one scribble"]
    box = evaluations[0].summary("disc", None).curves["nsd"]
    assert short[4][2] == f"{box.values[3]:.3f} ({box.intervals[3].low:.3f}-{box.intervals[3].high:.3f})"
    assert means[0][1:4] == ["DSC alone", "DSC +1", "DSC +3"]
    dsc, _ = rest
    assert [row[0] for row in dsc[2:]] == ["images", "volumes", "**mean over sets**"]
    assert dsc[0] == ["dataset", "objects", "box", "+3", "point", "+3", "scribble", "+3"]
    point = evaluations[1].summary("disc", "volumes").curves["dsc"].values
    assert dsc[3][4:6] == [f"{point[0]:.3f}", f"{point[3]:.3f}"]
    assert evaluations[0].manifest["command"] in text


def test_markdown_of_one_start_without_clicks(data):
    entry = Entry("disc", "model", DiscSegmenter())
    evaluation = evaluate_sets(find_data_sets(data), [entry], ClicksProtocol("point", 0), ObjectSelection())
    short, means, *_ = tables(create_markdown([evaluation]))
    assert [row[0] for row in short[2:]] == ["one centre click"]
    assert means[0] == ["first prompt", "DSC alone", "NSD alone"]
