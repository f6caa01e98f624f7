"""The report: one page that needs no other file, in which names and texts mean nothing but themselves."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from PIL import Image as Picture

from bedside.data.catalogue import find_data_sets
from bedside.evaluate.baselines import BASELINES
from bedside.evaluate.cases import ObjectSelection
from bedside.evaluate.clicks_protocol import ClicksProtocol
from bedside.evaluate.markdown import create_markdown
from bedside.evaluate.report.gallery import file_stems, write_gallery
from bedside.evaluate.report.page import create_report, write_report
from bedside.evaluate.runner import Entry, evaluate_sets, evaluate_starts
from tests.evaluate.conftest import DiscSegmenter, write_image_set

VOID = {"meta", "img", "br"}
HOSTILE = "<script>x</script> & \"q\" 'a' {{ 7 * 7 }} $n$ | `c` ../up"


class Page(HTMLParser):
    """Elements with their attributes, and the text outside of styles; tags must close as they opened."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.text = [], [], ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += data

    def tags(self, tag):
        return [attributes for name, attributes in self.seen if name == tag]


def run(data, clicks=3, volumes="slices", metrics=("dsc", "nsd"), model="disc", starts=("box",)):
    sets = find_data_sets(data)
    entries = [Entry(model, "model", DiscSegmenter()), Entry("box", "baseline", BASELINES.get("box")())]
    selection = ObjectSelection(volumes=volumes)
    protocols = [ClicksProtocol(start, clicks, metrics) for start in starts]
    return evaluate_starts(sets, entries, protocols, selection), sets, selection


@pytest.mark.parametrize(("volumes", "clicks"), [("slices", 3), ("whole", 0)])
def test_page_is_complete_and_needs_no_other_file(data, clicks, volumes):
    evaluations, sets, selection = run(data, clicks, volumes)
    text = create_report(evaluations, sets, selection)
    page = Page(text)
    links = [v for _, a in page.seen for k, v in a.items() if k in ("href", "src")]
    assert links
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in links)
    identifiers = [a["id"] for _, a in page.seen if "id" in a]
    assert len(identifiers) == len(set(identifiers))
    referred = {link[1:] for link in links if link.startswith("#")} | set(re.findall(r"url\(#([\w-]+)\)", text))
    assert referred <= set(identifiers)
    assert "test <pattern>" in page.text
    assert not page.tags("pattern")
    assert not page.tags("script")
    for summary in evaluations[0].summaries:
        for metric in ("dsc", "nsd"):
            for value in summary.curves[metric].values:
                assert f"{value:.3f}" in page.text
    # One curve a metric of each set and of the mean, and two pictures an example.
    assert len([a for a in page.tags("svg") if a.get("class") == "curve"]) == 2 * 3
    for svg in re.findall(r"<svg .*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(svg)
    for uri in {link for link in links if link.startswith("data:")}:
        Picture.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).load()


def test_every_colour_is_one_of_the_pages_in_light_and_dark(data):
    evaluations, sets, selection = run(data, 1)
    text = create_report(evaluations, sets, selection)
    light, dark = (dict(re.findall(r"--(\w+):(#\w+)", rule)) for rule in re.findall(r":root{([^}]*)}", text))
    assert light.keys() == dark.keys() >= {"ground", "ink", "soft", "line", "panel", "m0", "b0"}
    assert not {n for n in light if light[n] == dark[n]}
    for svg in re.findall(r'<svg [^>]*class="curve".*?</svg>', text, re.DOTALL):
        assert not re.findall(r"(?:stroke|fill): #\w+", svg)
        assert set(re.findall(r"var\(--(\w+)\)", svg)) == {"soft", "line", "m0", "b0"}


@pytest.fixture
def hostile(tmp_path):
    folder = write_image_set(tmp_path / "data", "images", cases=2)
    card = json.loads((folder / "set.json").read_text())
    card |= {"name": HOSTILE, "modality": f"m {HOSTILE}", "licence": f"l {HOSTILE}"}
    (folder / "set.json").write_text(json.dumps(card))
    for kind in ("image", "labels"):
        (folder / f"case1.{kind}.png").rename(folder / f"c <b>&'x'.{kind}.png")
    return tmp_path / "data"


def test_names_from_datasets_are_text_and_never_markup(hostile, tmp_path):
    evaluations, sets, selection = run(hostile, 2, model=f"our {HOSTILE}", starts=("box", "point"))
    page = Page(create_report(evaluations, sets, selection))
    for text in (HOSTILE, f"m {HOSTILE}", f"l {HOSTILE}", f"our {HOSTILE}", "c <b>&'x'"):
        assert text in page.text
    assert not page.tags("script")
    assert not page.tags("b")
    assert any(HOSTILE in a["aria-label"] for a in page.tags("svg"))
    files = write_gallery(evaluations, sets, selection, tmp_path / "gallery")
    assert {f.parent for f in files} == {tmp_path / "gallery"}
    gallery = Page(files[-1].read_text())
    assert HOSTILE in gallery.text
    assert not gallery.tags("script")
    assert {a["src"] for a in gallery.tags("img")} == {f.name for f in files[:-1]}
    for file in files[:-1]:
        assert not list(ElementTree.fromstring(file.read_text()).iter("{http://www.w3.org/2000/svg}script"))
    markdown = create_markdown(evaluations)
    assert "<script>" not in markdown.replace(evaluations[0].manifest["command"], "")
    tables = [line for line in markdown.splitlines() if line.startswith("| &#60;script&#62;")]
    assert tables
    # What stands in a name is no border of a cell.
    assert {line.count("|") for line in tables} == {1 + 2 + 2 * 2}


def test_of_a_distance_the_lowest_value_is_best_and_the_highest_is_worst(data):
    (evaluation,), sets, selection = run(data, 1, metrics=("hd95", "dsc"))
    text = create_report([evaluation], sets, selection)
    ours, box = (evaluation.summary(name, "images").curves["hd95"].values[1] for name in ("disc", "box"))
    section = text[text.index("<h2>images</h2>") :]
    best = re.findall(r'class="best"[^>]*>([\d.]+)<', section)[:2]
    assert ours != box
    assert best[1] == f"{min(ours, box):.2f}"
    assert "HD95 px, lower is better" in section
    assert "means over sets mix both" in text
    # The set of volumes is measured in mm.
    assert "HD95 mm, lower is better" in text


def test_units_that_agree_are_not_warned_of(data):
    sets = [s for s in find_data_sets(data) if s.name == "images"]
    entries = [Entry("disc", "model", DiscSegmenter())]
    protocol = ClicksProtocol(clicks=1, metrics=("assd",))
    evaluation = evaluate_sets(sets, entries, protocol, ObjectSelection())
    page = Page(create_report([evaluation], sets, ObjectSelection()))
    assert "ASSD: lower is better." in page.text
    assert "mix both" not in page.text


def test_several_starts_stand_side_by_side_above_their_parts(data):
    evaluations, sets, selection = run(data, 1, starts=("box", "point"))
    page = Page(create_report(evaluations, sets, selection))
    assert len(page.tags("details")) == 2
    assert "First prompts side by side" in page.text
    assert "one centre click" in page.text


def test_an_evaluation_without_pictures_has_none(data):
    evaluations, *_ = run(data, 1)
    evaluation = replace(evaluations[0], objects=tuple(replace(o, trace=None) for o in evaluations[0].objects))
    page = Page(create_report([evaluation], (), None))
    assert not page.tags("image")
    assert "images" in page.text


def test_names_of_files_are_safe_and_differ():
    assert file_stems(["a/b", "a_b", "../up", "", "A_B", "Köln 1"]) == ["a_b", "a_b_", "_up", "_", "A_B__", "Köln_1"]


def test_the_file_is_replaced_whole(data, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    evaluations, sets, selection = run(data, 1)
    write_report(evaluations, sets, selection, path)
    assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["report.html"]
