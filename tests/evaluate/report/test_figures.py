"""Figures: every value is on its axis, and drawn where it belongs."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.evaluate.calibration import reliability
from bedside.evaluate.metrics import METRICS, EmptyValues, MetricSpec
from bedside.evaluate.report.figures import Figures, axis_limits, candidate_colours
from bedside.evaluate.results import Candidate, Curve, Summary
from bedside.evaluate.statistics import Interval

SVG = "{http://www.w3.org/2000/svg}"
DSC, HD95 = METRICS.get("dsc"), METRICS.get("hd95")
SIGNED = MetricSpec("signed", "higher", "", (-1.0, 1.0), EmptyValues(), "", lambda a, b, c: 0.0)


def curve(values, spread=0.0):
    intervals = tuple(Interval(v - spread, v + spread) for v in values) if spread else None
    return Curve(tuple(values), intervals, None)


def summary(name, values, metric="dsc", spread=0.0):
    return Summary(name, "set", {metric: curve(values, spread)}, 0.1, 0.1)


@pytest.mark.parametrize("spec", [DSC, HD95, SIGNED], ids=lambda s: s.name)
@given(st.data())
def test_every_value_and_interval_is_on_the_axis(spec, data):
    low, high = spec.range[0], min(spec.range[1], 1e6)
    values = st.lists(st.one_of(st.floats(low, high), st.just(math.nan), st.just(math.inf)), min_size=1, max_size=4)
    curves = [curve(row) for row in data.draw(st.lists(values, min_size=1, max_size=3))]
    bottom, top = axis_limits(spec, curves)
    assert spec.range[0] <= bottom < top
    known = [v for c in curves for v in c.values if math.isfinite(v)]
    assert all(bottom <= v <= top for v in known)
    if math.isfinite(spec.range[1]):
        # A perfect score is always in sight, and at most a fifth of the range is shown where that is enough.
        assert top >= spec.range[1]
        assert bottom <= spec.range[1] - 0.2 * (spec.range[1] - spec.range[0]) + 1e-9


def test_limits_by_hand():
    assert axis_limits(DSC, [curve([0.9, 0.95])]) == pytest.approx((0.8, 1.02))
    assert axis_limits(DSC, [curve([0.55, 0.95])]) == pytest.approx((0.5, 1.02))
    assert axis_limits(DSC, [curve([0.9, 0.95], spread=0.33)]) == pytest.approx((0.5, 1.02))
    assert axis_limits(HD95, [curve([10.0, 2.0])]) == pytest.approx((0.0, 10.8))
    assert axis_limits(HD95, [curve([0.0, math.nan])]) == pytest.approx((0.0, 1.08))


def lines(svg, colour):
    """Vertices of the lines of a colour, y growing downward."""
    found = []
    for path in ElementTree.fromstring(svg).iter(f"{SVG}path"):
        style = path.attrib.get("style", "")
        if f"stroke: var(--{colour})" in style and "fill: none" in style:
            found.append([tuple(map(float, p)) for p in re.findall(r"[ML] (\S+) (\S+)", path.attrib["d"])])
    return found


def test_better_distances_are_drawn_lower_and_rounds_from_left_to_right():
    summaries = [summary("a", [8.0, 4.0, 2.0], "hd95"), summary("b", [9.0, 9.0, 9.0], "hd95")]
    svg = Figures().curves(summaries, HD95, "HD95 mm", {"a": "m0", "b": "b0"}, "box")
    ((one, two, three),) = lines(svg, "m0")
    assert one[0] < two[0] < three[0]
    assert two[0] - one[0] == pytest.approx(three[0] - two[0])
    # Down the page the axis falls: of 8 to 2, 4 is two thirds of the way.
    assert (two[1] - one[1]) / (three[1] - one[1]) == pytest.approx(4 / 6, abs=1e-3)
    (flat,) = lines(svg, "b0")
    assert len({y for _, y in flat}) == 1
    assert flat[0][1] < one[1]
    assert "HD95 mm, lower is better" in svg


def test_bands_are_of_models_and_gaps_stay_gaps():
    summaries = [summary("a", [0.5, math.nan, 0.7, 0.8], spread=0.1), summary("b", [0.5] * 4, spread=0.1)]
    svg = Figures().curves(summaries, DSC, "DSC", {"a": "m0", "b": "b0"}, "box")
    assert svg.count("fill: var(--m0)") >= 1
    assert "fill: var(--b0)" not in svg
    assert sum(len(line) for line in lines(svg, "m0")) < 4


def test_names_are_no_mathematics_and_no_markup():
    svg = Figures().reliability(reliability([0.2, 0.8], [0.3, 0.7]), "a <model> $x_1$ & $", "m0")
    root = ElementTree.fromstring(svg)
    assert "a <model> $x_1$ & $" in [text.text for text in root.iter(f"{SVG}text")]
    assert "over 2 predictions" in root.attrib["aria-label"]
    assert svg.count("fill: var(--m0)") == 2


def test_figures_of_one_page_share_no_identifier_and_are_drawn_alike_again():
    def draw():
        figures = Figures()
        summaries = [summary("a", [0.5, 0.6])]
        return [figures.curves(summaries, DSC, "DSC", {"a": "m0"}, "box") for _ in range(2)]

    one, two = draw()
    ids = [set(re.findall(r' id="([^"]+)"', svg)) for svg in (one, two)]
    assert ids[0]
    assert not ids[0] & ids[1]
    assert draw() == [one, two]


def test_colours_tell_models_from_baselines():
    candidates = [Candidate("a", "model"), Candidate("x", "baseline"), Candidate("b", "model")]
    assert candidate_colours(candidates) == {"a": "m0", "b": "m1", "x": "b0"}
