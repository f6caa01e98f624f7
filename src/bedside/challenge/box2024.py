"""Scores of predictions for the 2024 challenge: metrics and seconds of each case, means by modality."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bedside.challenge.folder import SECONDS_FILE, find_cases, read_outcomes
from bedside.challenge.scores import LabelCrops, challenge_sampling, score_case
from bedside.core.errors import FormatError, InputError
from bedside.evaluate.metrics import DEFAULT_METRICS, DEFAULT_TOLERANCE, Direction, metric_specs
from bedside.io.challenge import read_labels

UNKNOWN = "unknown"
OVERALL = "mean over modalities"


@dataclass(frozen=True)
class BoxCase:
    """Scores of one case.

    Attributes:
        case: Name of its file without the suffix.
        modality: From that name.
        labels: Highest value of the truth.
        scores: Value of each metric, mean over labels.
        seconds: None where the folder does not tell.
        problem: Why it scores as an empty prediction; "" where there is one.
    """

    case: str
    modality: str
    labels: int
    scores: Mapping[str, float]
    seconds: float | None = None
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        begin = {"case": self.case, "modality": self.modality, "labels": self.labels}
        return {**begin, **self.scores, "seconds": self.seconds, "problem": self.problem}


@dataclass(frozen=True)
class Submission:
    """A folder of predictions and their scores, one entry per case of the truth, sorted by name."""

    name: str
    cases: tuple[BoxCase, ...]


@dataclass(frozen=True)
class Means:
    """Means over cases, or over modalities.

    Attributes:
        group: Modality, or ``OVERALL``.
        cases: Their number.
        scores: Mean of each metric.
        seconds: None unless every case tells.
    """

    group: str
    cases: int
    scores: Mapping[str, float]
    seconds: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {"group": self.group, "cases": self.cases, **self.scores, "seconds": self.seconds}


def score_folder(
    predictions: Path,
    truth: Path,
    *,
    name: str | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
    official_spacing_order: bool = False,
    metrics: Sequence[str] = DEFAULT_METRICS,
    advance: Callable[[str], None] | None = None,
) -> Submission:
    """Compare a folder of predictions (``segs``) with the truth (``gts``), file by file.

    A case without a usable prediction scores as an empty one, which is 0 by DSC and NSD, and says why. Seconds come
    from ``running_time.csv`` beside the predictions.

    Args:
        predictions: Folder of predictions.
        truth: Their cases.
        name: Name of the submission, by default the folder's.
        tolerance: Tolerance of NSD: mm in volumes, pixels in 2D images.
        official_spacing_order: See ``scores.challenge_sampling``.
        metrics: Names in the registry.
        advance: Called with the name of each case.

    Raises:
        InputError: A folder is missing or has no case.
        FormatError: A truth or the seconds cannot be read.
    """
    if not predictions.is_dir():
        raise InputError(f"{predictions}", expected="an existing folder of predictions", got="none")
    seconds = read_outcomes(predictions / SECONDS_FILE)
    cases = []
    for path in find_cases(truth):
        gold = read_labels(path, "gts")
        highest = int(gold.array.max(initial=0))
        sampling = challenge_sampling(gold.geometry, tolerance, official_spacing_order=official_spacing_order)
        found, problem = np.zeros_like(gold.array), ""
        try:
            prediction = read_labels(predictions / path.name, "segs")
            if prediction.shape != gold.shape:
                expected = f"the truth's shape {gold.shape}"
                raise FormatError(f"{path.stem}: 'segs'", expected=expected, got=prediction.shape)
            found = prediction.array
        except FormatError as error:
            problem = str(error)
        labels = range(1, highest + 1)
        scores = score_case(LabelCrops(gold.array), LabelCrops(found), labels, sampling, metrics)
        took = seconds[path.stem].seconds if path.stem in seconds else None
        cases.append(BoxCase(path.stem, gold.modality or UNKNOWN, highest, scores, took, problem))
        if advance:
            advance(path.stem)
    return Submission(name or predictions.resolve().name, tuple(cases))


def modality_means(cases: Iterable[BoxCase]) -> list[Means]:
    """Take means over the cases of each modality, sorted by its name, and last the mean over modalities."""
    groups: dict[str, list[BoxCase]] = {}
    for case in cases:
        groups.setdefault(case.modality, []).append(case)
    means = [
        Means(
            group,
            len(members),
            {metric: _mean([c.scores[metric] for c in members]) for metric in members[0].scores},
            _mean_if_all([c.seconds for c in members]),
        )
        for group, members in sorted(groups.items())
    ]
    overall = Means(
        OVERALL,
        sum(m.cases for m in means),
        {metric: _mean([m.scores[metric] for m in means]) for metric in means[0].scores},
        _mean_if_all([m.seconds for m in means]),
    )
    return [*means, overall]


def submission_metrics(submissions: Sequence[Submission]) -> list[str]:
    """List the metrics by which submissions were scored."""
    return list(submissions[0].cases[0].scores)


def ranked_metrics(
    submissions: Sequence[Submission],
) -> tuple[Mapping[str, list[list[float]]], Mapping[str, Direction]]:
    """Prepare scores for ``ranking.rank``: metric to (submission, case), and which values of it are better.

    Seconds take part where every prediction has some.
    """
    specs = metric_specs(submission_metrics(submissions))
    scores = {s.name: [[c.scores[s.name] for c in one.cases] for one in submissions] for s in specs}
    directions: dict[str, Direction] = {s.name: s.direction for s in specs}
    if all(c.seconds is not None or c.problem for s in submissions for c in s.cases):
        # No prediction is the slowest one; one that came late is better than none.
        scores["seconds"] = [
            [math.inf if c.problem or c.seconds is None else c.seconds for c in s.cases] for s in submissions
        ]
        directions["seconds"] = "lower"
    return scores, directions


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _mean_if_all(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return _mean(known) if len(known) == len(values) else None
