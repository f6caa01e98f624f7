"""The diagram of rooms says what the imports say."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs_tools.rooms import BEGIN, END, PAGE, diagram, import_graph, imported_rooms, on_page, reachable, reduced


def test_the_page_shows_what_the_imports_give() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert on_page(text, diagram(reduced(import_graph()))) == text, "run: python -m docs_tools.rooms"


def test_the_diagram_reaches_what_the_imports_reach() -> None:
    graph = import_graph()
    small = reduced(graph)
    assert {room: reachable(small, room) for room in graph} == {room: reachable(graph, room) for room in graph}
    assert sum(map(len, small.values())) < sum(map(len, graph.values()))


def test_imports_are_found_wherever_they_hide() -> None:
    source = (
        "import bedside.core.image\nfrom bedside import io, __version__\nfrom numpy import array\n"
        "def f():\n    from bedside.runtime.backend import Graph\n"
        "if TYPE_CHECKING:\n    from bedside.train import task\n"
    )
    assert set(imported_rooms(source)) == {"core", "io", "__version__", "runtime"}


def test_a_new_import_changes_the_diagram(tmp_path: Path) -> None:
    for room in ("a", "b", "c"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text("")
    (tmp_path / "a" / "x.py").write_text("from bedside.b import y\nfrom bedside.c import z\n")
    before = reduced(import_graph(tmp_path))
    (tmp_path / "b" / "y.py").write_text("import bedside.c.z\n")
    after = reduced(import_graph(tmp_path))
    assert before == {"a": {"b", "c"}, "b": frozenset(), "c": frozenset()}
    assert after == {"a": {"b"}, "b": {"c"}, "c": frozenset()}
    assert diagram(after) == "```mermaid\nflowchart TD\n    a --> b\n    b --> c\n```"


def test_a_page_without_markers_is_rejected() -> None:
    assert on_page(f"x\n{BEGIN}\nold\n{END}\ny", "new") == f"x\n{BEGIN}\nnew\n{END}\ny"
    with pytest.raises(ValueError, match="expected the markers"):
        on_page("nothing", "new")
