"""Scores of answers to the 2024 challenge: DSC, NSD and seconds of each case, means by modality."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bedside.challenge.folder import SECONDS_FILE, find_cases, read_outcomes
from bedside.challenge.scores import CaseScore, LabelCrops, challenge_sampling, score_case
from bedside.core.errors import FormatError, InputError
from bedside.evaluate.metrics import DEFAULT_TOLERANCE
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
        seconds: None where the folder does not tell.
        problem: Why it scores 0; "" where there is an answer.
    """

    case: str
    modality: str
    labels: int
    dsc: float
    nsd: float
    seconds: float | None = None
    problem: str = ""


@dataclass(frozen=True)
class Submission:
    """A folder of answers and their scores, one entry per case of the truth, sorted by name."""

    name: str
    cases: tuple[BoxCase, ...]


@dataclass(frozen=True)
class Means:
    """Means over cases, or over modalities.

    Attributes:
        group: Modality, or ``OVERALL``.
        seconds: None unless every case tells.
    """

    group: str
    cases: int
    dsc: float
    nsd: float
    seconds: float | None


def score_folder(
    predictions: Path,
    truth: Path,
    *,
    name: str | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
    official_spacing_order: bool = False,
    advance: Callable[[str], None] | None = None,
) -> Submission:
    """Compare a folder of answers (``segs``) with the truth (``gts``), file by file.

    A case without a usable answer scores 0 and says why. Seconds come from ``running_time.csv`` beside the answers.

    Args:
        predictions: Answers.
        truth: Their cases.
        name: Of the submission, by default the folder's.
        tolerance: Of NSD: mm in volumes, pixels in 2D images.
        official_spacing_order: See ``scores.challenge_sampling``.
        advance: Called with the name of each case.

    Raises:
        InputError: A folder is missing or has no case.
        FormatError: A truth or the seconds cannot be read.
    """
    if not predictions.is_dir():
        raise InputError(f"{predictions}", expected="an existing folder of answers", got="none")
    seconds = read_outcomes(predictions / SECONDS_FILE)
    cases = []
    for path in find_cases(truth):
        gold = read_labels(path, "gts")
        highest = int(gold.array.max(initial=0))
        sampling = challenge_sampling(gold.geometry, tolerance, official_spacing_order=official_spacing_order)
        score, problem = CaseScore(0.0, 0.0), ""
        try:
            answer = read_labels(predictions / path.name, "segs")
            if answer.shape != gold.shape:
                raise FormatError(f"{path.stem}: 'segs'", expected=f"the truth's shape {gold.shape}", got=answer.shape)
            labels = range(1, highest + 1)
            score = score_case(LabelCrops(gold.array), LabelCrops(answer.array), labels, sampling)
        except FormatError as error:
            problem = str(error)
        took = seconds[path.stem].seconds if path.stem in seconds else None
        cases.append(BoxCase(path.stem, gold.modality or UNKNOWN, highest, score.dsc, score.nsd, took, problem))
        if advance:
            advance(path.stem)
    return Submission(name or predictions.resolve().name, tuple(cases))


def modality_means(cases: Iterable[BoxCase]) -> list[Means]:
    """Means over the cases of each modality, sorted by its name, and last the mean over modalities."""
    groups: dict[str, list[BoxCase]] = {}
    for case in cases:
        groups.setdefault(case.modality, []).append(case)
    means = [
        Means(
            group,
            len(members),
            _mean([c.dsc for c in members]),
            _mean([c.nsd for c in members]),
            _mean_if_all([c.seconds for c in members]),
        )
        for group, members in sorted(groups.items())
    ]
    overall = Means(
        OVERALL,
        sum(m.cases for m in means),
        _mean([m.dsc for m in means]),
        _mean([m.nsd for m in means]),
        _mean_if_all([m.seconds for m in means]),
    )
    return [*means, overall]


def ranked_metrics(submissions: Sequence[Submission]) -> Mapping[str, list[list[float]]]:
    """Scores for ``ranking.rank``: metric to (submission, case), larger being better.

    Seconds take part where every answer has some.
    """
    metrics = {
        "dsc": [[c.dsc for c in s.cases] for s in submissions],
        "nsd": [[c.nsd for c in s.cases] for s in submissions],
    }
    if all(c.seconds is not None or c.problem for s in submissions for c in s.cases):
        # No answer is the slowest one; an answer that came late is better than none.
        metrics["seconds"] = [
            [-math.inf if c.problem or c.seconds is None else -c.seconds for c in s.cases] for s in submissions
        ]
    return metrics


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _mean_if_all(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return _mean(known) if len(known) == len(values) else None
