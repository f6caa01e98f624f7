"""Estimated against found DSC, as inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bedside.evaluate.calibration import Bin, calibration_error

SIDE, LEFT, RIGHT, TOP, BOTTOM = 250, 34, 8, 20, 30
LARGEST = 9.0
"""Radius of the dot of a bin that holds all answers."""


def draw_reliability(bins: Sequence[Bin], candidate: str, colour: str) -> str:
    """One dot per bin, as large as it has answers; on the diagonal estimates are right.

    Args:
        bins: From ``calibration.reliability``.
        candidate: Whose estimates they are.
        colour: Its colour class.
    """
    total = sum(b.answers for b in bins)

    def place(estimate: float, found: float) -> tuple[float, float]:
        return LEFT + (SIDE - LEFT - RIGHT) * estimate, TOP + (SIDE - TOP - BOTTOM) * (1 - found)

    label = f"Reliability of {candidate}: mean difference {calibration_error(bins):.3f} over {total} answers"
    parts = [f'<svg class=reliability viewBox="0 0 {SIDE} {SIDE}" role="img" aria-label="{escape(label)}">']
    parts.append(f'<text x="{LEFT}" y="12">{escape(candidate)}: DSC found</text>')
    for tick in (0.0, 0.5, 1.0):
        (x0, y), (x1, _) = place(0, tick), place(1, tick)
        parts.append(f'<line class=grid x1="{x0:.1f}" x2="{x1:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{tick:.1f}</text>')
        x = place(tick, 0)[0]
        parts.append(f'<text x="{x:.1f}" y="{SIDE - 16}" text-anchor="middle">{tick:.1f}</text>')
    (x0, y0), (x1, y1) = place(0, 0), place(1, 1)
    parts.append(f'<line class=grid stroke-dasharray="4 3" x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}"/>')
    for entry in bins:
        x, y = place(entry.estimate, entry.found)
        radius = max(1.5, LARGEST * (entry.answers / total) ** 0.5)
        title = f"<title>estimate {entry.estimate:.2f}, found {entry.found:.2f}, {entry.answers} answers</title>"
        parts.append(
            f'<circle class="{colour}" opacity="0.8" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}">{title}</circle>'
        )
    parts.append(f'<text x="{(LEFT + SIDE) / 2:.1f}" y="{SIDE - 3}" text-anchor="middle">DSC estimated</text>')
    return "".join([*parts, "</svg>"])
