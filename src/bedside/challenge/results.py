"""Scores of the challenges as tables on the terminal, CSV and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from bedside.challenge.box2024 import BoxCase, Submission, modality_means, submission_metrics
from bedside.challenge.interactive2025 import ROUNDS, SECONDS_PER_CLASS, CaseResult, case_results
from bedside.challenge.means import interactive_means
from bedside.challenge.ranking import Rank
from bedside.core.tables import csv_text
from bedside.evaluate.metrics import MetricSpec, metric_specs
from bedside.evaluate.results import Evaluation, plain

BOTH_UNITS = ("mm", "px")
"""Volumes of 2024 are measured in mm and its pictures in pixels."""


def box_table(submissions: Sequence[Submission]) -> Table:
    """Show one row per submission and modality."""
    specs = metric_specs(submission_metrics(submissions))
    heads = ("submission", "modality", "cases", *(s.heading(BOTH_UNITS) for s in specs), "s", "failed")
    table = _table("boxes of 2024: means over cases", *heads)
    for submission in submissions:
        for number, mean in enumerate(modality_means(submission.cases)):
            failed = sum(bool(c.problem) for c in submission.cases if c.modality == mean.group)
            seconds = "-" if mean.seconds is None else f"{mean.seconds:.3f}"
            name = submission.name if number == 0 else ""
            scores = [_score(s, mean.scores[s.name]) for s in specs]
            table.add_row(name, mean.group, str(mean.cases), *scores, seconds, str(failed or ""))
        table.add_section()
    return table


def rank_table(ranks: Sequence[Rank], title: str = "mean ranks over metrics and cases") -> Table:
    """Show one row per submission, best first."""
    metrics = list(ranks[0].by_metric)
    table = _table(title, "place", "submission", "rank", "95 %", *metrics)
    for row in ranks:
        interval = "-" if row.interval is None else f"{row.interval.low:.2f} to {row.interval.high:.2f}"
        by_metric = [f"{row.by_metric[m]:.2f}" for m in metrics]
        table.add_row(str(row.place), row.name, f"{row.mean:.3f}", interval, *by_metric)
    return table


def interactive_table(evaluations: Sequence[Evaluation]) -> Table:
    """Show one row per model, start and dataset (or modality)."""
    specs = evaluations[0].specs
    heads = [f"{evaluations[0].heading(s)} {part}" for part in ("AUC", "final") for s in specs]
    heads += [f"{evaluations[0].heading(specs[0])} first", "s per class", f"over {SECONDS_PER_CLASS:g} s"]
    title = "interactive 2025: five clicks per class, AUC from 0 to 4"
    table = _table(title, "model", "start", "group", "cases", *heads)
    for model, start, cases in _by_model(evaluations):
        for number, mean in enumerate(interactive_means(cases, evaluations[0].metrics)):
            cells = [_score(s, values[s.name]) for values in (mean.areas, mean.finals) for s in specs]
            cells += [_score(specs[0], mean.firsts[specs[0].name]), f"{mean.seconds_per_class:.2f}", str(mean.late)]
            names = (model, start) if number == 0 else ("", "")
            table.add_row(*names, mean.group, str(mean.cases), *cells)
        table.add_section()
    return table


def _by_model(evaluations: Sequence[Evaluation]) -> Iterator[tuple[str, str, list[CaseResult]]]:
    """Go through the cases of each model and start."""
    for model in dict.fromkeys(c.name for e in evaluations for c in e.candidates):
        for evaluation in evaluations:
            mine = [c for c in case_results(evaluation.objects) if c.candidate == model]
            if mine:
                yield model, evaluation.start, mine


def _score(spec: MetricSpec, value: float) -> str:
    """Write a score with one digit more than elsewhere, because entries of a challenge lie close together."""
    return f"{value:.{spec.digits + 1}f}"


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in headings:
        words = heading in ("submission", "model", "modality", "group", "start")
        table.add_column(heading, justify="left" if words else "right", no_wrap=True)
    return table


def box_csv(submissions: Sequence[Submission]) -> str:
    """Write one row per submission and case."""
    metrics = submission_metrics(submissions)
    rows = ([s.name, *_box_cells(c, metrics)] for s in submissions for c in s.cases)
    return _csv(("submission", "case", "modality", "labels", *metrics, "seconds", "problem"), rows)


def _box_cells(case: BoxCase, metrics: Sequence[str]) -> list[str]:
    values = [case.case, case.modality, case.labels, *(case.scores[m] for m in metrics), case.seconds, case.problem]
    return [_cell(value) for value in values]


def interactive_csv(evaluations: Sequence[Evaluation]) -> str:
    """Write one row per model, start and case; the columns after ``Modality`` are the competition's own."""
    metrics, rounds = evaluations[0].metrics, range(1, ROUNDS + 2)
    columns = ["Model", "Start", "DataSet", "Modality", "CaseName", "TotalRunningTime"]
    columns += [f"RunningTime_{n}" for n in rounds]
    columns += [f"{metric.upper()}_{part}" for part in ("AUC", "Final") for metric in metrics]
    columns += [f"{metric.upper()}_{n}" for metric in metrics for n in rounds]
    columns += ["num_class", "runtime_upperbound"]

    def row(model: str, start: str, case: CaseResult) -> list[str]:
        curves = [case.curve(metric) for metric in metrics]
        numbers = [case.total_seconds, *(r.seconds for r in case.rounds), *(case.area(m) for m in metrics)]
        numbers += [*(curve[-1] for curve in curves), *(value for curve in curves for value in curve)]
        ends = [str(case.classes), _cell(SECONDS_PER_CLASS * case.classes)]
        return [model, start, case.data_set, case.modality, case.case_id, *map(_cell, numbers), *ends]

    return _csv(columns, (row(model, start, c) for model, start, cases in _by_model(evaluations) for c in cases))


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _csv(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return csv_text([columns, *rows])


def box_json(submissions: Sequence[Submission], ranks: Sequence[Rank], details: Mapping[str, Any]) -> str:
    """Write everything, with ``details`` (versions, options) first."""
    found = [
        {
            "name": s.name,
            "means": [m.to_dict() for m in modality_means(s.cases)],
            "cases": [c.to_dict() for c in s.cases],
        }
        for s in submissions
    ]
    return _json({**details, "submissions": found, "ranks": _ranks(ranks)})


def interactive_json(
    evaluations: Sequence[Evaluation], ranks: Mapping[str, Sequence[Rank]], details: Mapping[str, Any]
) -> str:
    """Write everything, one entry per model and start, with ``details`` (versions, options, means) first.

    Args:
        evaluations: One a start.
        ranks: Ranks of the models, by start.
        details: What stands first.
    """
    metrics = evaluations[0].metrics
    models = [
        {
            "name": model,
            "start": start,
            "means": [m.to_dict() for m in interactive_means(cases, metrics)],
            "cases": [_interactive_case(case, metrics) for case in cases],
        }
        for model, start, cases in _by_model(evaluations)
    ]
    return _json({**details, "models": models, "ranks": {start: _ranks(rows) for start, rows in ranks.items()}})


def _interactive_case(case: CaseResult, metrics: Sequence[str]) -> dict[str, Any]:
    return {
        "case": case.case_id,
        "modality": case.modality,
        "classes": case.classes,
        "boxed": case.boxed,
        **{metric: case.curve(metric) for metric in metrics},
        "seconds": [r.seconds for r in case.rounds],
        "data_set": case.data_set,
        "start": case.start,
        **{f"{metric}_auc": case.area(metric) for metric in metrics},
        "seconds_per_class": case.seconds_per_class,
        "in_time": case.in_time,
    }


def _ranks(ranks: Sequence[Rank]) -> list[dict[str, Any]]:
    return [{**asdict(r), "interval": list(r.interval) if r.interval else None} for r in ranks]


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(plain(document), indent=2, allow_nan=False) + "\n"
