"""Draws a flowchart as SVG when the site is built, so that no script has to be fetched to look at it.

Takes the part of Mermaid's language that the pages use: ``flowchart TD`` and lines ``a --> b``. Boxes stand in layers,
every arrow points down, and the order within a layer is the one with few crossings that a few sweeps find.
"""

from __future__ import annotations

import html
import itertools
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT, GAP, DROP = 124, 34, 26, 46
"""Size of a box, room beside it and room below it, in pixels."""
SWEEPS = 8
_ARROW = re.compile(r"^\s*(\w+)\s*-->\s*(\w+)\s*$")

Arrow = tuple[str, str]


@dataclass(frozen=True)
class Layout:
    """Where everything stands.

    Attributes:
        centres: Centre (x, y) of each box, and of each bend of an arrow that passes a layer.
        paths: The places that each arrow goes through, from its box to the one that it points to.
        width: Of the picture, in pixels.
        height: Of the picture, in pixels.
    """

    centres: Mapping[str, tuple[float, float]]
    paths: Mapping[Arrow, tuple[str, ...]]
    width: float
    height: float


def parse(text: str) -> list[Arrow]:
    """Read the arrows of a flowchart.

    Raises:
        ValueError: A line is no arrow.
    """
    lines = [line for line in text.strip().splitlines() if line.strip()]
    if not lines or lines[0].strip() != "flowchart TD":
        raise ValueError("expected a flowchart TD")
    arrows = []
    for line in lines[1:]:
        match = _ARROW.match(line)
        if match is None:
            raise ValueError(f"expected 'a --> b', got {line!r}")
        arrows.append((match[1], match[2]))
    return arrows


def layers_of(arrows: Sequence[Arrow]) -> dict[str, int]:
    """Give each box its layer: 0 for those that nothing points to, else one below the lowest that points to it.

    Raises:
        ValueError: The arrows run in a circle.
    """
    names = {name for arrow in arrows for name in arrow}
    layers = dict.fromkeys(sorted(names), 0)
    for _ in range(len(names) + 1):
        changed = False
        for source, target in arrows:
            if layers[target] <= layers[source]:
                layers[target] = layers[source] + 1
                changed = True
        if not changed:
            return layers
    raise ValueError("the arrows run in a circle")


def arrange(arrows: Sequence[Arrow]) -> Layout:
    """Place boxes and arrows."""
    layers = layers_of(arrows)
    rows: dict[int, list[str]] = defaultdict(list)
    for name, layer in layers.items():
        rows[layer].append(name)
    paths: dict[Arrow, tuple[str, ...]] = {}
    above: dict[str, list[str]] = defaultdict(list)
    below: dict[str, list[str]] = defaultdict(list)
    for source, target in arrows:
        bends = [f"{source}/{target}/{layer}" for layer in range(layers[source] + 1, layers[target])]
        for layer, bend in enumerate(bends, layers[source] + 1):
            rows[layer].append(bend)
        path = (source, *bends, target)
        paths[source, target] = path
        for upper, lower in itertools.pairwise(path):
            above[lower].append(upper)
            below[upper].append(lower)
    for sweep in range(SWEEPS):
        downward = sweep % 2 == 0
        for layer in sorted(rows, reverse=not downward):
            _order(rows, layer, above if downward else below)
    widths = {layer: sum(_width(name) for name in row) + GAP * (len(row) - 1) for layer, row in rows.items()}
    full = max(widths.values())
    centres = {}
    for layer, row in rows.items():
        x = (full - widths[layer]) / 2
        for name in row:
            centres[name] = (x + _width(name) / 2, layer * (HEIGHT + DROP) + HEIGHT / 2)
            x += _width(name) + GAP
    return Layout(centres, paths, full, len(rows) * (HEIGHT + DROP) - DROP)


def _order(rows: Mapping[int, list[str]], layer: int, neighbours: Mapping[str, Sequence[str]]) -> None:
    """Sort a layer by where the neighbours of its boxes stand."""
    at = {name: _share(row, i) for row in rows.values() for i, name in enumerate(row)}
    wanted = {name: _mean([at[n] for n in neighbours.get(name, ())], at[name]) for name in rows[layer]}
    rows[layer].sort(key=wanted.__getitem__)


def _share(row: Sequence[str], index: int) -> float:
    return (index + 0.5) / len(row)


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _width(name: str) -> float:
    return 10 if "/" in name else WIDTH


def draw(text: str, title: str) -> str:
    """Draw a flowchart as an SVG element on one line, in the colours of the page that it stands on.

    Args:
        text: The flowchart; see the module.
        title: What a screen reader says of it.
    """
    layout = arrange(parse(text))
    margin = 4
    box = f"{-margin} {-margin} {layout.width + 2 * margin:g} {layout.height + 2 * margin:g}"
    parts = [
        f'<svg class="flowchart" viewBox="{box}" role="img" aria-label="{html.escape(title, quote=True)}" '
        f'style="max-width:{layout.width + 2 * margin:g}px" xmlns="http://www.w3.org/2000/svg">',
        '<defs><marker id="arrow-head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0 8 4 0 8z" class="flowchart-head"/></marker></defs>',
    ]
    parts += [f'<path class="flowchart-arrow" d="{_curve(layout, path)}"/>' for path in layout.paths.values()]
    for name, (x, y) in layout.centres.items():
        if "/" not in name:
            parts.append(
                f'<rect class="flowchart-box" x="{x - WIDTH / 2:g}" y="{y - HEIGHT / 2:g}" width="{WIDTH}" '
                f'height="{HEIGHT}" rx="6"/><text class="flowchart-text" x="{x:g}" y="{y + 4.5:g}">'
                f"{html.escape(name)}</text>"
            )
    return "".join([*parts, "</svg>"])


def _curve(layout: Layout, path: Sequence[str]) -> str:
    """One arrow: from the bottom of its box through its bends to the top of the other, smooth all the way."""
    points = [layout.centres[name] for name in path]
    points[0] = (points[0][0], points[0][1] + HEIGHT / 2)
    points[-1] = (points[-1][0], points[-1][1] - HEIGHT / 2)
    steps = [f"M{points[0][0]:g} {points[0][1]:g}"]
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        half = (y1 - y0) / 2
        steps.append(f"C{x0:g} {y0 + half:g} {x1:g} {y1 - half:g} {x1:g} {y1:g}")
    return "".join(steps)
