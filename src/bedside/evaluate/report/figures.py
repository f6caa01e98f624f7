"""Curves and reliability as SVG that takes the colours of the page around it, light or dark."""

from __future__ import annotations

import io
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from bedside.evaluate.calibration import Bin, calibration_error
from bedside.evaluate.metrics import MetricSpec
from bedside.evaluate.results import Candidate, Curve, Summary

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes

POINTS_PER_INCH = 72
CURVE_SIZE, RELIABILITY_SIZE = (280, 165), (250, 250)
"""Width and height in points."""
LARGEST_DOT = 250.0
"""Area of the dot of a bin that holds all predictions, in square points."""
MOST_TICKS = 8
SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
INK, LINE = "soft", "line"
COLOURS = ("m0", "m1", "m2", "b0", "b1", "b2", INK, LINE)
"""Variables of the page's style: of models, of baselines, of text and of grids."""
_STAND_INS = {name: f"#fe00{number:02x}" for number, name in enumerate(COLOURS)}
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "bedside",
    "text.parse_math": False,
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.edgecolor": _STAND_INS[LINE],
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.titlecolor": _STAND_INS[INK],
    "axes.labelcolor": _STAND_INS[INK],
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _STAND_INS[LINE],
    "grid.linewidth": 0.8,
    "xtick.color": _STAND_INS[INK],
    "ytick.color": _STAND_INS[INK],
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}


def candidate_colours(candidates: Sequence[Candidate]) -> dict[str, str]:
    """Choose a colour for each candidate: strong ones for models, quiet ones for baselines."""
    colours: dict[str, str] = {}
    for kind, letter in (("model", "m"), ("baseline", "b")):
        names = [c.name for c in candidates if c.kind == kind]
        colours |= {name: f"{letter}{number % 3}" for number, name in enumerate(names)}
    return colours


class Figures:
    """Draws the figures of one page, whose identifiers differ from figure to figure."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def curves(
        self, summaries: Sequence[Summary], spec: MetricSpec, heading: str, colours: Mapping[str, str], start: str
    ) -> Markup:
        """Draw one line per candidate over the rounds, with a band for a model's 95 % interval.

        Args:
            summaries: Summaries of one dataset, one per candidate.
            spec: The metric, whose range is that of the axis.
            heading: Its name with the unit.
            colours: Colours of the candidates.
            start: Name of the first prompt.
        """
        from matplotlib.ticker import MaxNLocator

        better = ", lower is better" if spec.direction == "lower" else ""
        curves = [s.curves[spec.name] for s in summaries]
        with self._axes(CURVE_SIZE) as (axes, made):
            axes.set_title(f"{heading}{better}")
            axes.grid(visible=False, axis="x")
            rounds = len(curves[0].values)
            step = max(1, math.ceil(rounds / MOST_TICKS))
            ticks = range(0, rounds, step)
            axes.set_xticks(ticks, [start if n == 0 else f"+{n}" for n in ticks])
            axes.set_xlim(-0.15, max(1, rounds - 1) + 0.15)
            axes.set_ylim(*axis_limits(spec, curves))
            axes.yaxis.set_major_locator(MaxNLocator(5))
            for summary, curve in zip(summaries, curves, strict=True):
                _draw_curve(axes, curve, colours[summary.candidate], single=rounds == 1)
            made.append(f"{heading} after each round of {', '.join(s.candidate for s in summaries)}")
        return self._finish(made, "curve")

    def reliability(self, bins: Sequence[Bin], candidate: str, colour: str) -> Markup:
        """Draw one dot per bin, as large as it has predictions; on the diagonal estimates are right.

        Args:
            bins: From ``calibration.reliability``.
            candidate: Whose estimates they are.
            colour: Its colour.
        """
        total = sum(b.predictions for b in bins)
        with self._axes(RELIABILITY_SIZE) as (axes, made):
            axes.set_title(candidate)
            axes.set_xlabel("DSC estimated")
            axes.set_ylabel("DSC found")
            axes.set_xlim(0, 1)
            axes.set_ylim(0, 1)
            axes.plot((0, 1), (0, 1), color=_STAND_INS[INK], linestyle=(0, (4, 3)), linewidth=1)
            areas = [max(4.0, LARGEST_DOT * b.predictions / total) for b in bins]
            estimates, found = [b.estimate for b in bins], [b.found for b in bins]
            axes.scatter(estimates, found, areas, color=_STAND_INS[colour], alpha=0.8, linewidths=0, clip_on=False)
            made.append(
                f"Reliability of {candidate}: mean difference {calibration_error(bins):.3f} over {total} predictions"
            )
        return self._finish(made, "reliability")

    @contextmanager
    def _axes(self, size: tuple[int, int]) -> Iterator[tuple[Axes, list[Any]]]:
        """Give axes to draw on, and a list that then holds the SVG; its title is to be appended."""
        import matplotlib as mpl
        from matplotlib.figure import Figure

        made: list[Any] = []
        # No pyplot: nothing is shown, and a program that shows figures of its own is left alone.
        with mpl.rc_context(_SETTINGS):
            figure = Figure(figsize=(size[0] / POINTS_PER_INCH, size[1] / POINTS_PER_INCH), layout="constrained")
            yield figure.add_subplot(), made
            stream = io.BytesIO()
            nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
            figure.savefig(stream, format="svg", transparent=True, metadata=nothing)
            made.append(stream.getvalue())

    def _finish(self, made: Sequence[Any], kind: str) -> Markup:
        from markupsafe import Markup

        title, drawn = made
        return Markup(inline_svg(drawn, f"figure{next(self._numbers)}", kind, title))


def _draw_curve(axes: Axes, curve: Curve, colour: str, *, single: bool) -> None:
    shade, rounds = _STAND_INS[colour], range(len(curve.values))
    baseline = colour.startswith("b")
    if curve.intervals and not baseline:
        low, high = zip(*((_finite(i.low), _finite(i.high)) for i in curve.intervals), strict=True)
        axes.fill_between(rounds, low, high, color=shade, alpha=0.14, linewidth=0)
    style = (0, (4, 2.5)) if baseline else "solid"
    values = [_finite(v) for v in curve.values]
    axes.plot(rounds, values, color=shade, linestyle=style, linewidth=1.6, marker="o" if single else "", markersize=5)


def _finite(value: float) -> float:
    return value if math.isfinite(value) else math.nan


def axis_limits(spec: MetricSpec, curves: Sequence[Curve]) -> tuple[float, float]:
    """Choose the axis of a metric: all values are on it, and no more of a bounded range than they need.

    Args:
        spec: The metric.
        curves: What is to be drawn.

    Returns:
        Lowest and highest value. A bounded range begins at most at four fifths and ends a little above its highest
        value, so that a line there is seen whole; an unbounded one begins at its lowest value.
    """
    values = [v for c in curves for v in c.values] + [v for c in curves for i in c.intervals or () for v in i]
    known = [v for v in values if math.isfinite(v)]
    low, high = spec.range
    if math.isfinite(high):
        tenth = (high - low) / 10
        # Steps of a tenth; a value that rounding puts below its own step is still shown.
        shown = min([low + 8 * tenth, *(min(v, low + tenth * math.floor((v - low) / tenth)) for v in known)])
        return max(low, shown), high + 0.2 * tenth
    return low, low + 1.08 * max([v - low for v in known if v > low], default=1.0)


def inline_svg(drawn: bytes, prefix: str, kind: str, title: str) -> str:
    """Make an SVG of matplotlib's a part of a page.

    Colours that stand in for the page's variables become those, identifiers begin with ``prefix`` or go where nothing
    refers to them, and the size is left to the page.

    Args:
        drawn: The file.
        prefix: Prefix of identifiers.
        kind: Class of the element.
        title: What it shows, for those who cannot see it.
    """
    ElementTree.register_namespace("", SVG.strip("{}"))
    root = ElementTree.fromstring(drawn)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith("}metadata") or (child.tag == f"{SVG}defs" and len(child) == 0):
                parent.remove(child)
    used = {name for e in root.iter() for v in e.attrib.values() for name in re.findall(r"#([\w-]+)", v)}
    for element in root.iter():
        _rename(element, used, prefix)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {"class": kind, "role": "img", "aria-label": title}
    text = ElementTree.tostring(root, encoding="unicode")
    for name, colour in _STAND_INS.items():
        text = text.replace(colour, f"var(--{name})")
    return text


def _rename(element: ElementTree.Element, used: set[str], prefix: str) -> None:
    if LINK in element.attrib:
        element.attrib["href"] = element.attrib.pop(LINK)
    identifier = element.attrib.pop("id", None)
    if identifier in used:
        element.attrib["id"] = f"{prefix}-{identifier}"
    for name, value in element.attrib.items():
        if name == "href" and value.startswith("#"):
            element.attrib[name] = f"#{prefix}-{value[1:]}"
        elif "url(#" in value:
            element.attrib[name] = value.replace("url(#", f"url(#{prefix}-")
