"""Curves of a metric over the rounds, as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from bedside.evaluate.results import Summary

WIDTH, HEIGHT = 250, 190
LEFT, RIGHT, TOP, BOTTOM = 34, 8, 20, 24


def draw_curves(summaries: Sequence[Summary], metric: str, classes: Mapping[str, str], start: str) -> str:
    """One line per candidate, with a band for its 95 % interval.

    Args:
        summaries: Of one data set, one per candidate.
        metric: Which curve to draw.
        classes: Colour class of each candidate.
        start: Name of the first prompt, for the axis.
    """
    rounds = len(summaries[0].curves[metric].values)
    values = [v for s in summaries for v in s.curves[metric].values]
    values += [i.low for s in summaries for i in s.curves[metric].intervals or ()]
    lowest = min(0.8, math.floor(min(values) * 10) / 10)

    def place(n: int, value: float) -> str:
        x = LEFT + (WIDTH - LEFT - RIGHT) * (n / max(1, rounds - 1))
        y = TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - lowest) / (1 - lowest))
        return f"{x:.1f},{y:.1f}"

    parts = [f'<svg class=curve viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{metric.upper()} per round">']
    parts.append(f'<text x="{LEFT}" y="12">{metric.upper()}</text>')
    for tick in _ticks(lowest):
        (x0, y), (x1, _) = (place(n, tick).split(",") for n in (0, max(1, rounds - 1)))
        parts.append(f'<line class=grid x1="{x0}" x2="{x1}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{float(y) + 4:.1f}" text-anchor="end">{tick:.1f}</text>')
    for n in range(rounds):
        x = place(n, lowest).split(",")[0]
        name = start if n == 0 else f"+{n}"
        parts.append(f'<text x="{x}" y="{HEIGHT - 8}" text-anchor="middle">{escape(name)}</text>')
    for summary in summaries:
        curve, colour = summary.curves[metric], classes[summary.candidate]
        kind = "baseline" if colour.startswith("b") else "model"
        if curve.intervals and kind == "model":
            low = [place(n, i.low) for n, i in enumerate(curve.intervals)]
            high = [place(n, i.high) for n, i in enumerate(curve.intervals)]
            outline = " ".join(low + high[::-1])
            parts.append(f'<polygon class="band {colour}" stroke="none" points="{outline}"/>')
        line = " ".join(place(n, v) for n, v in enumerate(curve.values))
        title = f"<title>{escape(summary.candidate)}</title>"
        parts.append(f'<polyline class="{colour} {kind}" points="{line}" style="fill:none">{title}</polyline>')
    return "".join([*parts, "</svg>"])


def _ticks(lowest: float) -> list[float]:
    step = 0.1 if lowest >= 0.5 else 0.2
    count = round((1 - lowest) / step)
    return [round(1 - step * k, 1) for k in range(count + 1) if 1 - step * k >= lowest - 1e-9]
