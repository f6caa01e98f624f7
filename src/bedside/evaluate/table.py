"""The evaluation as a table on the terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table

from bedside.evaluate.metrics import MetricSpec
from bedside.evaluate.results import Evaluation, Summary

FULL_WIDTH = 118
"""Characters that the whole table takes with five clicks and names of usual length."""


def create_table(evaluation: Evaluation, width: int = FULL_WIDTH) -> Table:
    """Show one row per dataset and candidate: the first metric of each round, its AUC, the others first and last.

    Args:
        evaluation: What to show.
        width: Characters to fit in; where they are few, rounds between the first and the last are left out.
    """
    clicks, start = int(evaluation.protocol["clicks"]), str(evaluation.protocol["start"])
    main, *others = evaluation.specs
    ends = sorted({0, clicks})
    rounds = list(range(clicks + 1)) if width >= FULL_WIDTH else ends
    title = f"{evaluation.heading(main)} after a {start} and corrective clicks"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("dataset", "candidate"):
        table.add_column(heading, no_wrap=True)
    numbers = [_heading(n, start) for n in rounds] + ["AUC"]
    numbers += [f"{evaluation.heading(spec)} {_heading(n, start)}" for spec in others for n in ends]
    for heading in (*numbers, "s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name in [None, *(s.name for s in evaluation.sets if s.objects)]:
        for number, candidate in enumerate(evaluation.candidates):
            heading = (name or "mean over sets") if number == 0 else ""
            summary = evaluation.summary(candidate.name, name)
            cells = _scores(summary, main, rounds)
            area = summary.curves[main.name].auc
            cells.append("-" if area is None else main.text(area))
            cells += [cell for spec in others for cell in _scores(summary, spec, ends)]
            cells.append(f"{summary.seconds_per_answer:.3f}")
            table.add_row(heading, candidate.name, *cells, style=None if name else "bold")
        if name is None or len(evaluation.candidates) > 1:
            table.add_section()
    return table


def _scores(summary: Summary, spec: MetricSpec, rounds: list[int]) -> list[str]:
    return [spec.text(summary.curves[spec.name].values[n]) for n in rounds]


def _heading(clicks: int, start: str) -> str:
    return f"+{clicks}" if clicks else start
