from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image as Picture

from bedside.core.region import Region
from bedside.data.catalogue import find_data_sets
from bedside.evaluate.baselines import BASELINES
from bedside.evaluate.cases import ObjectSelection, prepare_case
from bedside.evaluate.clicks_protocol import ClicksProtocol
from bedside.evaluate.pictures import ANSWER_COLOUR, TRUTH_COLOUR, draw_object
from bedside.evaluate.report import create_report, pick_examples, write_report
from bedside.evaluate.results import PackedMask
from bedside.evaluate.runner import Entry, evaluate_sets
from tests.evaluate.conftest import DiscSegmenter

VOID = {"meta", "img", "br", "image", "use", "circle", "path", "rect", "line"}


class Balanced(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def run(data, clicks=3, volumes="slices"):
    sets = find_data_sets(data)
    entries = [Entry("disc", "model", DiscSegmenter()), Entry("box", "baseline", BASELINES.get("box")())]
    selection = ObjectSelection(volumes=volumes)
    return evaluate_sets(sets, entries, ClicksProtocol(clicks=clicks), selection), sets, selection


@pytest.mark.parametrize("volumes", ["slices", "whole"])
@pytest.mark.parametrize("clicks", [0, 3])
def test_page_is_complete_and_needs_no_other_file(data, clicks, volumes):
    evaluation, sets, selection = run(data, clicks, volumes)
    page = create_report([evaluation], sets, selection)
    parser = Balanced()
    parser.feed(page)
    assert not parser.open
    links = [v for _, a in parser.seen for k, v in a.items() if k in ("href", "src")]
    assert links
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in links)
    identifiers = [a["id"] for _, a in parser.seen if "id" in a]
    assert len(identifiers) == len(set(identifiers))
    assert {link[1:] for link in links if link.startswith("#")} <= set(identifiers)
    assert "test &lt;pattern&gt;" in page
    assert "<pattern>" not in page
    assert "prefers-color-scheme" in page
    for summary in evaluation.summaries:
        for value in summary.curves["dsc"].values:
            assert f">{value:.3f}</td>" in page
    for svg in re.findall(r"<svg class=curve.*?</svg>", page):
        ElementTree.fromstring(svg.replace("class=curve", 'class="curve"').replace("class=grid", 'class="grid"'))
    for uri in {link for link in links if link.startswith("data:")}:
        Picture.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).load()


def test_examples_are_the_extremes_and_the_middle(data):
    evaluation, sets, selection = run(data)
    images = next(s for s in sets if s.name == "images")
    examples = pick_examples(evaluation, images, selection, "disc")
    assert [e.rank for e in examples] == ["worst", "median", "best"]
    scores = sorted(
        np.mean([o.curve("dsc")[-1] for o in evaluation.objects if o.candidate == "disc" and o.case_id == case.id])
        for case in images.cases
    )
    assert [e.case_score for e in examples] == pytest.approx(scores)
    volumes = next(s for s in sets if s.name == "volumes")
    assert [e.rank for e in pick_examples(evaluation, volumes, selection, "disc")] == ["only"]


@pytest.mark.parametrize("volumes", ["slices", "whole"])
def test_outlines_and_marks_are_drawn(data, volumes):
    evaluation, sets, selection = run(data, volumes=volumes)
    for data_set in sets:
        case = prepare_case(data_set, data_set.cases[0], selection)
        view = case.views[0]
        target = view.objects[0]
        result = next(
            r
            for r in evaluation.objects
            if (r.candidate, r.case_id, r.object_name) == ("disc", case.case_id, target.name)
        )
        picture = draw_object(view, target, result.trace)
        for png in (picture.first, picture.last):
            overlay = Picture.open(io.BytesIO(png)).convert("RGBA")
            assert overlay.size == (picture.width, picture.height)
            colours = {c[:3] for _, c in overlay.getcolors() if c[3] == 255}
            assert colours == {TRUTH_COLOUR, ANSWER_COLOUR}
            assert overlay.getpixel((0, 0))[3] == 0
        assert picture.first_marks.count("<rect") == 1
        assert picture.last_marks.count("<circle") == len(result.trace.prompts) - 1
        left, top, width, height = (
            float(v) for v in re.findall(r'(?:x|y|width|height)="([\d.-]+)"', picture.first_marks)[:4]
        )
        assert left > 0
        assert top > 0
        assert left + width < picture.width
        assert top + height < picture.height


def test_the_file_is_replaced_whole(data, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    evaluation, sets, selection = run(data)
    write_report([evaluation], sets, selection, path)
    assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["report.html"]


def test_packed_masks_are_cut_and_padded():
    mask = np.zeros((6, 8), np.uint8)
    mask[1:4, 2:7] = 1
    mask[2, 3] = 0
    packed = PackedMask.pack(mask, Region((10, 20), (16, 28)))
    assert packed.region == Region((11, 22), (14, 27))
    np.testing.assert_array_equal(packed.within(Region((10, 20), (16, 28))), mask != 0)
    np.testing.assert_array_equal(packed.within(Region((12, 23), (20, 40)))[:4, :5], mask[2:, 3:] != 0)
    assert not packed.within(Region((0, 0), (5, 5))).any()
    assert PackedMask.pack(np.zeros((3, 3)), Region.whole((3, 3))).within(Region.whole((3, 3))).sum() == 0
