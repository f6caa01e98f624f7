"""The diagram of rooms in docs/architecture.md, drawn from the imports of the package.

``python -m docs_tools.rooms`` writes it between its two markers; a test compares the page with the imports.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "bedside"
PAGE = ROOT / "docs" / "architecture.md"
BEGIN = "<!-- diagram: written by python -m docs_tools.rooms -->"
END = "<!-- end of diagram -->"

Graph = Mapping[str, frozenset[str]]
"""The rooms that each room imports."""


def import_graph(package: Path = PACKAGE) -> Graph:
    """Find which rooms each room imports.

    Imports inside functions count; those that serve type checks alone do not.

    Args:
        package: Folder of the package ``bedside``. Its rooms are the folders with an ``__init__.py``.
    """
    rooms = sorted(path.name for path in package.iterdir() if (path / "__init__.py").is_file())
    return {
        room: frozenset(
            name
            for path in (package / room).rglob("*.py")
            for name in imported_rooms(path.read_text(encoding="utf-8"))
            if name in rooms and name != room
        )
        for room in rooms
    }


def imported_rooms(source: str) -> Iterator[str]:
    """Name the rooms that a module's source imports."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "bedside":
            names = [f"bedside.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "bedside" and len(parts) > 1:
                yield parts[1]


def reachable(graph: Graph, start: str) -> set[str]:
    """Find all rooms that ``start`` imports, by way of others too."""
    found: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        room = waiting.pop()
        if room not in found:
            found.add(room)
            waiting += graph[room]
    return found


def reduced(graph: Graph) -> Graph:
    """Leave out each arrow that follows from others: the smallest graph in which the same rooms are reached.

    Args:
        graph: Without circles.
    """
    return {
        room: frozenset(
            target for target in targets if not any(target in reachable(graph, other) for other in targets - {target})
        )
        for room, targets in graph.items()
    }


def diagram(graph: Graph) -> str:
    """Write a graph as a block of Mermaid."""
    arrows = [f"    {room} --> {target}" for room in sorted(graph) for target in sorted(graph[room])]
    return "\n".join(["```mermaid", "flowchart TD", *arrows, "```"])


def on_page(text: str, block: str) -> str:
    """Put a diagram between the markers of a page.

    Raises:
        ValueError: The page has no markers.
    """
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"expected the markers {BEGIN} and {END}")
    return pattern.sub(lambda _: f"{BEGIN}\n{block}\n{END}", text)


if __name__ == "__main__":
    PAGE.write_text(on_page(PAGE.read_text(encoding="utf-8"), diagram(reduced(import_graph()))), encoding="utf-8")
