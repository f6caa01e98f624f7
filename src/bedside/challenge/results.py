"""Scores of the challenges as tables on the terminal, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from bedside.challenge.box2024 import BoxCase, Submission, modality_means
from bedside.challenge.interactive2025 import (
    ROUNDS,
    SECONDS_PER_CLASS,
    InteractiveCase,
    interactive_means,
)
from bedside.challenge.ranking import Rank


def box_table(submissions: Sequence[Submission]) -> Table:
    """One row per submission and modality."""
    table = _table("boxes of 2024: means over cases", "submission", "modality", "cases", "DSC", "NSD", "s", "failed")
    for submission in submissions:
        for number, mean in enumerate(modality_means(submission.cases)):
            failed = sum(bool(c.problem) for c in submission.cases if c.modality == mean.group)
            seconds = "-" if mean.seconds is None else f"{mean.seconds:.3f}"
            name = submission.name if number == 0 else ""
            table.add_row(
                name, mean.group, str(mean.cases), f"{mean.dsc:.4f}", f"{mean.nsd:.4f}", seconds, str(failed or "")
            )
        table.add_section()
    return table


def rank_table(ranks: Sequence[Rank]) -> Table:
    """One row per submission, best first."""
    metrics = list(ranks[0].by_metric)
    table = _table("mean ranks over metrics and cases", "place", "submission", "rank", "95 %", *metrics)
    for row in ranks:
        interval = "-" if row.interval is None else f"{row.interval.low:.2f} to {row.interval.high:.2f}"
        by_metric = [f"{row.by_metric[m]:.2f}" for m in metrics]
        table.add_row(str(row.place), row.name, f"{row.mean:.3f}", interval, *by_metric)
    return table


def interactive_table(results: Mapping[str, Sequence[InteractiveCase]]) -> Table:
    """One row per model, start and data set (or modality)."""
    headings = (
        "DSC AUC",
        "NSD AUC",
        "DSC final",
        "NSD final",
        "DSC first",
        "s per class",
        f"over {SECONDS_PER_CLASS:g} s",
    )
    title = "interactive 2025: five clicks per class, AUC from 0 to 4"
    table = _table(title, "model", "start", "group", "cases", *headings)
    for model, all_cases in results.items():
        for start, cases in cases_by_start(all_cases).items():
            for number, mean in enumerate(interactive_means(cases)):
                scores = (mean.dsc_auc, mean.nsd_auc, mean.dsc_final, mean.nsd_final, mean.dsc_first)
                cells = [*(f"{v:.4f}" for v in scores), f"{mean.seconds_per_class:.2f}", str(mean.late)]
                names = (model, start) if number == 0 else ("", "")
                table.add_row(*names, mean.group, str(mean.cases), *cells)
            table.add_section()
    return table


def cases_by_start(cases: Iterable[InteractiveCase]) -> dict[str, list[InteractiveCase]]:
    """Cases of one model by what they were begun with, in the order in which starts first occur."""
    found: dict[str, list[InteractiveCase]] = {}
    for case in cases:
        found.setdefault(case.start, []).append(case)
    return found


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in headings:
        words = heading in ("submission", "model", "modality", "group", "start")
        table.add_column(heading, justify="left" if words else "right", no_wrap=True)
    return table


def box_csv(submissions: Iterable[Submission]) -> str:
    """One row per submission and case."""
    fields = ("case", "modality", "labels", "dsc", "nsd", "seconds", "problem")
    rows = ([s.name, *(_cell(getattr(c, f)) for f in fields)] for s in submissions for c in s.cases)
    return _csv(("submission", *fields), rows)


def interactive_csv(results: Mapping[str, Sequence[InteractiveCase]]) -> str:
    """One row per model, start and case; the columns after ``Modality`` are the competition's own."""
    rounds = range(1, ROUNDS + 2)
    columns = [
        "Model",
        "Start",
        "DataSet",
        "Modality",
        "CaseName",
        "TotalRunningTime",
        *(f"RunningTime_{n}" for n in rounds),
    ]
    columns += ["DSC_AUC", "NSD_AUC", "DSC_Final", "NSD_Final"]
    columns += [*(f"DSC_{n}" for n in rounds), *(f"NSD_{n}" for n in rounds), "num_class", "runtime_upperbound"]

    def row(model: str, c: InteractiveCase) -> list[str]:
        numbers = [c.total_seconds, *c.seconds, c.dsc_auc, c.nsd_auc, c.dsc[-1], c.nsd[-1], *c.dsc, *c.nsd]
        ends = [str(c.classes), _cell(SECONDS_PER_CLASS * c.classes)]
        return [model, c.start, c.data_set, c.modality, c.case, *map(_cell, numbers), *ends]

    return _csv(columns, (row(model, c) for model, cases in results.items() for c in cases))


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _csv(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return stream.getvalue()


def box_json(submissions: Sequence[Submission], ranks: Sequence[Rank], details: Mapping[str, Any]) -> str:
    """Everything, with ``details`` (versions, options) first."""
    document = {
        **details,
        "submissions": [
            {
                "name": s.name,
                "means": [asdict(m) for m in modality_means(s.cases)],
                "cases": [_box_case(c) for c in s.cases],
            }
            for s in submissions
        ],
        "ranks": [{**asdict(r), "interval": list(r.interval) if r.interval else None} for r in ranks],
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _box_case(case: BoxCase) -> dict[str, Any]:
    return asdict(case)


def interactive_json(results: Mapping[str, Sequence[InteractiveCase]], details: Mapping[str, Any]) -> str:
    """Everything, one entry per model and start, with ``details`` (versions, options, models) first."""
    models = [
        {
            "name": model,
            "start": start,
            "means": [asdict(m) for m in interactive_means(cases)],
            "cases": [
                {
                    **asdict(c),
                    "dsc_auc": c.dsc_auc,
                    "nsd_auc": c.nsd_auc,
                    "seconds_per_class": c.seconds_per_class,
                    "in_time": c.in_time,
                }
                for c in cases
            ],
        }
        for model, all_cases in results.items()
        for start, cases in cases_by_start(all_cases).items()
    ]
    return json.dumps({**details, "models": models}, indent=2, allow_nan=False) + "\n"
