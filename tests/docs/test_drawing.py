"""Flowcharts as SVG: every box and arrow is there, arrows point down, and boxes lie apart."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docs_tools.drawing import HEIGHT, WIDTH, arrange, draw, layers_of, parse
from docs_tools.rooms import diagram, import_graph, reduced

SVG = "{http://www.w3.org/2000/svg}"


def chart(arrows: list[tuple[str, str]]) -> str:
    return "\n".join(["flowchart TD", *(f"    {a} --> {b}" for a, b in arrows)])


# Numbers grow along each arrow, so that there is no circle.
acyclic = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=20, unique=True).map(
    lambda pairs: [(f"n{a}", f"n{min(a + b, 20)}") for a, b in pairs]
)


@given(acyclic)
def test_arrows_point_down_and_boxes_lie_apart(arrows: list[tuple[str, str]]) -> None:
    layout = arrange(arrows)
    boxes = {name: at for name, at in layout.centres.items() if "/" not in name}
    assert boxes.keys() == {name for arrow in arrows for name in arrow}
    for (source, target), path in layout.paths.items():
        assert (path[0], path[-1]) == (source, target)
        heights = [layout.centres[name][1] for name in path]
        assert heights == sorted(set(heights))
    for a, (ax, ay) in boxes.items():
        assert WIDTH / 2 <= ax <= layout.width - WIDTH / 2
        assert HEIGHT / 2 <= ay <= layout.height - HEIGHT / 2
        for b, (bx, by) in boxes.items():
            assert a == b or abs(ax - bx) >= WIDTH or abs(ay - by) >= HEIGHT


def test_the_rooms_are_drawn() -> None:
    graph = reduced(import_graph())
    svg = ElementTree.fromstring(draw("\n".join(diagram(graph).splitlines()[1:-1]), 'rooms & "walls"'))
    assert {text.text for text in svg.iter(f"{SVG}text")} == set(graph)
    assert len(svg.findall(f"{SVG}path")) == sum(map(len, graph.values()))
    assert svg.get("aria-label") == 'rooms & "walls"'


def test_an_arrow_goes_around_the_boxes_of_the_layers_that_it_passes() -> None:
    layout = arrange([("a", "b"), ("b", "c"), ("a", "c")])
    bend, box = layout.centres["a/c/1"], layout.centres["b"]
    assert layout.paths["a", "c"] == ("a", "a/c/1", "c")
    assert abs(bend[0] - box[0]) > WIDTH / 2


@pytest.mark.parametrize("text", ["", "graph LR", "flowchart TD\n  a -> b", "flowchart TD\n  a[A] --> b"])
def test_what_is_no_such_flowchart_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse(text)


def test_circles_are_rejected() -> None:
    assert parse(chart([("a", "b")])) == [("a", "b")]
    with pytest.raises(ValueError, match="circle"):
        layers_of([("a", "b"), ("b", "c"), ("c", "a")])
