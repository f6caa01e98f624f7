"""Means and ranks of the 2025 competition, of any metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bedside.challenge.interactive2025 import CaseResult, case_results
from bedside.challenge.ranking import Rank, rank
from bedside.evaluate.metrics import Direction, metric_specs
from bedside.evaluate.results import Evaluation

OVERALL, OVERALL_SETS = "mean over modalities", "mean over sets"


@dataclass(frozen=True)
class InteractiveMeans:
    """Means over cases, or over modalities or datasets.

    Attributes:
        group: Modality or dataset, or ``OVERALL`` or ``OVERALL_SETS``.
        cases: Their number.
        areas: Areas of each metric, trapezoids over the five click rounds.
        finals: Finals of each metric, after the last click.
        firsts: Firsts of each metric, after the first prompts.
        seconds_per_class: What the limit is held against.
        late: Cases beyond the limit of seconds per class.
    """

    group: str
    cases: int
    areas: Mapping[str, float]
    finals: Mapping[str, float]
    firsts: Mapping[str, float]
    seconds_per_class: float
    late: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        parts = (("auc", self.areas), ("final", self.finals), ("first", self.firsts))
        scores = {f"{metric}_{name}": value for name, values in parts for metric, value in values.items()}
        ends = {"seconds_per_class": self.seconds_per_class, "late": self.late}
        return {"group": self.group, "cases": self.cases, **scores, **ends}


def interactive_means(cases: Iterable[CaseResult], metrics: Sequence[str]) -> list[InteractiveMeans]:
    """Take means over the cases of each dataset or modality, sorted by name, and last the mean of those.

    Args:
        cases: Cases of one candidate and start.
        metrics: Names, in the order of tables.
    """
    groups: dict[str, list[CaseResult]] = {}
    for case in cases:
        groups.setdefault(case.set_name, []).append(case)
    by_set = any(case.data_set for members in groups.values() for case in members)
    rows: list[InteractiveMeans] = []
    numbers: list[list[float]] = []
    for group, members in sorted(groups.items()):
        numbers.append(_mean([_numbers(case, metrics) for case in members]))
        rows.append(_row(group, len(members), sum(not c.in_time for c in members), numbers[-1], metrics))
    overall = OVERALL_SETS if by_set else OVERALL
    return [*rows, _row(overall, sum(r.cases for r in rows), sum(r.late for r in rows), _mean(numbers), metrics)]


def _numbers(case: CaseResult, metrics: Sequence[str]) -> list[float]:
    curves = [case.curve(metric) for metric in metrics]
    areas = [case.area(metric) for metric in metrics]
    return [*areas, *(curve[-1] for curve in curves), *(curve[0] for curve in curves), case.seconds_per_class]


def _mean(numbers: Sequence[Sequence[float]]) -> list[float]:
    return [float(v) for v in np.mean(numbers, axis=0)]


def _row(group: str, cases: int, late: int, numbers: Sequence[float], metrics: Sequence[str]) -> InteractiveMeans:
    count = len(metrics)
    parts = [dict(zip(metrics, numbers[n * count :], strict=False)) for n in range(3)]
    areas, finals, firsts = parts
    return InteractiveMeans(group, cases, areas, finals, firsts, numbers[-1], late)


def interactive_ranks(evaluation: Evaluation, seed: int = 0) -> list[Rank]:
    """Rank candidates by area and final value of each metric over all cases; none for fewer than two candidates.

    Args:
        evaluation: From ``evaluate_interactive``.
        seed: Seed of the resampling.
    """
    names = [candidate.name for candidate in evaluation.candidates]
    if len(names) < 2:
        return []
    by_name = {n: [c for c in case_results(evaluation.objects) if c.candidate == n] for n in names}
    scores: dict[str, list[list[float]]] = {}
    directions: dict[str, Direction] = {}
    for spec in metric_specs(evaluation.metrics):
        scores[f"{spec.name}_auc"] = [[case.area(spec.name) for case in by_name[n]] for n in names]
        scores[f"{spec.name}_final"] = [[case.curve(spec.name)[-1] for case in by_name[n]] for n in names]
        directions |= {f"{spec.name}_auc": spec.direction, f"{spec.name}_final": spec.direction}
    return rank(names, scores, seed, directions)
