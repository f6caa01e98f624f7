"""Which cases are pictured, and what is drawn on them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as Picture

from bedside.data.catalogue import find_data_sets
from bedside.evaluate.cases import ObjectSelection, prepare_case
from bedside.evaluate.clicks_protocol import ClicksProtocol
from bedside.evaluate.report.examples import pick_examples
from bedside.evaluate.report.pictures import PREDICTION_COLOUR, TRUTH_COLOUR, draw_object
from bedside.evaluate.runner import Entry, evaluate_sets
from tests.evaluate.conftest import DiscSegmenter


def run(data, volumes="slices", metric="dsc"):
    sets = find_data_sets(data)
    selection = ObjectSelection(volumes=volumes)
    protocol = ClicksProtocol(clicks=3, metrics=(metric,))
    return evaluate_sets(sets, [Entry("disc", "model", DiscSegmenter())], protocol, selection), sets, selection


@pytest.mark.parametrize("metric", ["dsc", "assd"])
def test_examples_are_the_extremes_and_the_middle(data, metric):
    evaluation, sets, selection = run(data, metric=metric)
    images = next(s for s in sets if s.name == "images")
    examples = pick_examples(evaluation, images, selection, "disc")
    assert [e.rank for e in examples] == ["worst", "median", "best"]
    scores = sorted(
        np.mean([o.curve(metric)[-1] for o in evaluation.objects if o.case_id == case.id]) for case in images.cases
    )
    # Of a distance the largest is worst.
    worst_first = scores if metric == "dsc" else scores[::-1]
    assert [e.case_score for e in examples] == pytest.approx(worst_first)
    assert len(set(scores)) > 1
    volumes = next(s for s in sets if s.name == "volumes")
    assert [e.rank for e in pick_examples(evaluation, volumes, selection, "disc")] == ["only"]


@pytest.mark.parametrize("volumes", ["slices", "whole"])
def test_outlines_and_marks_are_drawn(data, volumes):
    evaluation, sets, selection = run(data, volumes=volumes)
    for data_set in sets:
        case = prepare_case(data_set, data_set.cases[0], selection)
        view = case.views[0]
        target = view.objects[0]
        result = next(r for r in evaluation.objects if (r.case_id, r.object_name) == (case.case_id, target.name))
        picture = draw_object(view, target, result.trace)
        for png in (picture.first, picture.last):
            overlay = Picture.open(io.BytesIO(png)).convert("RGBA")
            assert overlay.size == (picture.width, picture.height)
            colours = {c[:3] for _, c in overlay.getcolors() if c[3] == 255}
            assert colours == {TRUTH_COLOUR, PREDICTION_COLOUR}
            assert overlay.getpixel((0, 0))[3] == 0
        (rectangle,) = picture.first_marks
        assert rectangle.tag == "rect"
        assert [m.tag for m in picture.last_marks].count("circle") == len(result.trace.prompts) - 1
        left, top, width, height = (float(rectangle.attributes[n]) for n in ("x", "y", "width", "height"))
        assert 0 < left < left + width < picture.width
        assert 0 < top < top + height < picture.height
        # The box is as large against the picture as against the image around it: a third of its side is margin.
        assert max(width / picture.width, height / picture.height) == pytest.approx(1 / 1.7, abs=0.12)
