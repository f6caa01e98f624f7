"""The evaluation as a table on the terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table

from bedside.evaluate.results import Evaluation

FULL_WIDTH = 118
"""Characters that the whole table takes with five clicks and names of usual length."""


def create_table(evaluation: Evaluation, width: int = FULL_WIDTH) -> Table:
    """One row per data set and candidate: DSC of each round, its AUC, first and last NSD, seconds per answer.

    Args:
        evaluation: What to show.
        width: Characters to fit in; where they are few, rounds between the first and the last are left out.
    """
    clicks, start = int(evaluation.protocol["clicks"]), str(evaluation.protocol["start"])
    main, *others = evaluation.metrics
    ends = sorted({0, clicks})
    rounds = list(range(clicks + 1)) if width >= FULL_WIDTH else ends
    title = f"{main.upper()} after a {start} and corrective clicks"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("data set", "candidate"):
        table.add_column(heading, no_wrap=True)
    numbers = [_heading(n, start) for n in rounds] + ["AUC"]
    numbers += [f"{metric.upper()} {_heading(n, start)}" for metric in others for n in ends]
    for heading in (*numbers, "s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name in [None, *(s.name for s in evaluation.sets if s.objects)]:
        for number, candidate in enumerate(evaluation.candidates):
            heading = (name or "mean over sets") if number == 0 else ""
            summary = evaluation.summary(candidate.name, name)
            values = [summary.curves[main].values[n] for n in rounds]
            cells = [f"{v:.3f}" for v in values] + [_optional(summary.curves[main].auc)]
            cells += [f"{summary.curves[metric].values[n]:.3f}" for metric in others for n in ends]
            cells.append(f"{summary.seconds_per_answer:.3f}")
            table.add_row(heading, candidate.name, *cells, style=None if name else "bold")
        if name is None or len(evaluation.candidates) > 1:
            table.add_section()
    return table


def _heading(clicks: int, start: str) -> str:
    return f"+{clicks}" if clicks else start


def _optional(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
