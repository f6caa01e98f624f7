"""The 2025 competition's protocol: boxes, then five rounds in which every class gets a click on its largest error.

The same rounds can begin with another prompt on every class, which the competition does not do.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from bedside.challenge.answers import Answer, answer_prompts, empty_labels
from bedside.challenge.labels import relabel
from bedside.challenge.scores import LabelCrops, challenge_sampling, score_case
from bedside.challenge.sets import SetCase
from bedside.core.errors import BedsideError, FormatError
from bedside.core.prompts import Point, Prompt
from bedside.data.objects import stable_generator
from bedside.engines.protocol import Segmenter
from bedside.evaluate.clicks_protocol import ClickSource
from bedside.evaluate.manifest import create_manifest
from bedside.evaluate.metrics import DEFAULT_METRICS, DEFAULT_TOLERANCE, metric_specs
from bedside.evaluate.results import Evaluation, ObjectResult, SetInfo
from bedside.evaluate.rounds import Timing, run_rounds
from bedside.evaluate.runner import Advance, Entry, make_evaluations, run_cases, who_takes
from bedside.evaluate.starts import Occasion, Start, draw_start
from bedside.evaluate.statistics import area_under_curve
from bedside.io.challenge import ChallengeCase, read_case, read_labels
from bedside.simulate.clicks import next_click
from bedside.simulate.placing import shift_prompt

ROUNDS = 5
SECONDS_PER_CLASS = 90.0
"""Limit over all rounds together; beyond it the official test scores 0."""
UNKNOWN = "unknown"
ALL_CLASSES = "all classes"
OFFICIAL: Literal["official"] = "official"
"""Start of the competition: the box of the case, of the middle slice's extent."""


@dataclass(frozen=True)
class InteractiveProtocol:
    """How cases are prompted and scored.

    Attributes:
        tolerance: Tolerance of NSD, mm.
        official_spacing_order: See ``scores.challenge_sampling``.
        seed: Seed of the clicks.
        click_source: Who clicks; the official rule by default, with a private generator.
        start: ``OFFICIAL``, or what every class is begun with instead of the case's box.
        metrics: Names in the registry.
        raw_labels: Compare predictions with the truth's values as they are, as the official code does, where they are
            not 1, 2, ...; the k-th prompts are predicted as k all the same, so that such labels score 0.
        predicting: What makes a prediction of a case's prompts.
        missing_is_zero: Count a round that fails as an empty prediction, and leave a case out whose last round fails,
            as the official code does where an output is missing; else the failure is raised.
    """

    tolerance: float = DEFAULT_TOLERANCE
    official_spacing_order: bool = False
    seed: int = 2025
    click_source: ClickSource = field(default=next_click)
    start: Start | Literal["official"] = OFFICIAL
    metrics: tuple[str, ...] = DEFAULT_METRICS
    raw_labels: bool = False
    answering: Callable[..., Answer] = field(default=answer_prompts)
    missing_is_zero: bool = False

    def __post_init__(self) -> None:
        metric_specs(self.metrics)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for manifests."""
        return {
            "name": "interactive2025",
            "tolerance": self.tolerance,
            "unit": "mm",
            "official_spacing_order": self.official_spacing_order,
            "seed": self.seed,
            "start": self.start,
            "clicks": ROUNDS,
            "metrics": list(self.metrics),
            "raw_labels": self.raw_labels,
            "missing_is_zero": self.missing_is_zero,
        }


@dataclass(frozen=True)
class CaseResult(ObjectResult):
    """One case in the hands of one candidate: each score is the mean over its classes.

    Attributes:
        modality: From the name of the case.
        classes: Labels of the truth.
        boxed: Whether round 0 took place; without, the prediction before the first click is empty.
        data_set: That the case is from, empty where it is not known.
        start: See ``InteractiveProtocol``.
        counted: Whether means take it in; see ``InteractiveProtocol.missing_is_zero``.
    """

    modality: str = UNKNOWN
    classes: int = 1
    boxed: bool = True
    data_set: str = ""
    start: str = OFFICIAL
    counted: bool = True

    def area(self, metric: str) -> float:
        """Sum the trapezoids over the five click rounds, from 0 to 4; the round of the boxes does not count."""
        area = area_under_curve(self.curve(metric)[1:])
        assert area is not None
        return area

    @property
    def total_seconds(self) -> float:
        """Over all rounds."""
        return math.fsum(r.seconds for r in self.rounds)

    @property
    def seconds_per_class(self) -> float:
        """What the limit of 90 s is held against."""
        return self.total_seconds / self.classes

    @property
    def in_time(self) -> bool:
        """Whether the limit is kept."""
        return self.seconds_per_class <= SECONDS_PER_CLASS


def read_labelled_case(path: Path, truth: Path | None = None, *, raw_labels: bool = False) -> ChallengeCase:
    """Read a case with its ground truth, whose labels become 1, 2, ...: the i-th prompts belong to the i-th label.

    Args:
        path: The case.
        truth: Folder of files of the same names that hold ``gts``; None where the cases do.
        raw_labels: Keep the labels as they are, see ``InteractiveProtocol``.

    Raises:
        FormatError: A file cannot be read, has no truth, or one of another shape.
    """
    case = read_case(path)
    labels = case.ground_truth if truth is None else read_labels(truth / path.name, "gts").array
    if labels is None:
        raise FormatError(f"{path}", expected="an array 'gts'", got="none", fix="name their folder with --truth")
    if labels.shape != case.image.shape or labels.ndim != 3 or not labels.any():
        raise FormatError(f"{path}: truth", expected=f"labels of shape {case.image.shape} in 3D", got=labels.shape)
    return replace(case, ground_truth=labels if raw_labels else relabel(labels)[0])


def evaluate_interactive(
    cases: Iterable[SetCase],
    entries: Sequence[Entry],
    protocols: Sequence[InteractiveProtocol],
    advance: Advance = lambda _: None,
) -> tuple[Evaluation, ...]:
    """Put entries through the rounds of the competition, on cases that are made or read one by one.

    Args:
        cases: With their ground truth; those of no dataset are grouped by modality.
        entries: Models and baselines. Each takes part from the starts that it can take.
        protocols: One a start.
        advance: Called with the name of the case after each entry.

    Returns:
        One evaluation a start, in which every case is one ``CaseResult``.

    Raises:
        InputError: An entry cannot take any start.
    """
    taking = who_takes(entries, protocols)
    results = run_cases(cases, entries, taking, _run_entry, lambda made: advance(made.case.name))
    infos = _describe([r for r in results[taking[0][0].start] if r.candidate == taking[0][1][0].name])
    return make_evaluations(results, taking, infos, create_manifest([], protocols[0].seed), {})


def _run_entry(
    entry: Entry, made: SetCase, protocols: Sequence[InteractiveProtocol]
) -> Iterator[tuple[str, ObjectResult]]:
    for protocol in protocols:
        found = run_case(entry.segmenter, made.case, protocol)
        if not found.counted:
            continue
        group = made.data_set or found.modality
        yield protocol.start, replace(found, candidate=entry.name, set_name=group, data_set=made.data_set)


def _describe(results: Sequence[ObjectResult]) -> list[SetInfo]:
    """Describe what means are taken over first: the dataset of a case, or its modality where that is not known."""
    found: dict[str, list[ObjectResult]] = {}
    for result in results:
        found.setdefault(result.set_name, []).append(result)
    return [
        SetInfo(name, "", 3, case_results(cases)[0].modality, "", len(cases), len(cases), tiny=0, left_out=0, digest="")
        for name, cases in sorted(found.items())
    ]


def case_results(results: Iterable[ObjectResult]) -> list[CaseResult]:
    """Return those results that are of whole cases: all of an evaluation by this protocol."""
    return [r for r in results if isinstance(r, CaseResult)]


def run_case(segmenter: Segmenter, case: ChallengeCase, protocol: InteractiveProtocol) -> CaseResult:
    """Go through the six rounds of a case that has its truth; prompts of the case other than its boxes are not used."""
    attempt = _CaseAttempt(segmenter, case, protocol)
    rounds = run_rounds(attempt, ROUNDS)
    modality = case.image.modality or UNKNOWN
    return CaseResult(
        candidate=segmenter.name,
        set_name=modality,
        case_id=case.name,
        object_name=ALL_CLASSES,
        label=0,
        size=0,
        unit=attempt.sampling.unit,
        image_seconds=0.0,
        rounds=rounds,
        modality=modality,
        classes=len(attempt.labels),
        boxed=attempt.boxed,
        start=protocol.start,
        counted=not attempt.failed,
    )


class _CaseAttempt:
    """All classes of a case at once: each has its prompts, and one label map holds the predictions."""

    def __init__(self, segmenter: Segmenter, case: ChallengeCase, protocol: InteractiveProtocol) -> None:
        truth = case.ground_truth
        assert truth is not None
        self._segmenter = segmenter
        self._protocol = protocol
        self._gold = LabelCrops(truth)
        raw = [int(value) for value in np.unique(truth) if value]
        self.labels = raw if protocol.raw_labels else list(range(1, int(truth.max()) + 1))
        self.failed = False
        self.sampling = challenge_sampling(
            case.image.geometry, protocol.tolerance, official_spacing_order=protocol.official_spacing_order
        )
        official = protocol.start == OFFICIAL
        self._firsts = [] if official else _first_prompts(segmenter, case, self._gold, protocol)
        self.boxed = bool(self._firsts) or any(box is not None for box in case.boxes)
        nothing = ((),) * len(self.labels)
        self._case = replace(case, clicks=nothing, clicks_order=nothing, previous=None)
        self._found = empty_labels(self._case, len(self.labels))
        self._begun = False

    def predict(self) -> Timing:
        """Ask for all classes; the first time the image is given, too, whose preparation counts."""
        begin = time.perf_counter()
        if not self._begun:
            self._begun = True
            self._segmenter.set_image(self._case.image)
            if not self.boxed:
                return Timing(0.0)
        try:
            self._found = self._protocol.answering(self._segmenter, self._case, self._firsts).labels
            self.failed = False
        except BedsideError:
            if not self._protocol.missing_is_zero:
                raise
            self._found, self.failed = empty_labels(self._case, len(self.labels)), True
        return Timing(time.perf_counter() - begin)

    def score(self) -> Mapping[str, float]:
        """Take the means over classes."""
        return score_case(self._gold, LabelCrops(self._found), self.labels, self.sampling, self._protocol.metrics)

    def correct(self, number: int) -> bool:
        """Click on every class that has an error; the rounds go on where none has."""
        self._case = _clicked(self._case, self._gold, self._found, number, self._protocol, self.labels)
        return True


def _first_prompts(
    segmenter: Segmenter, case: ChallengeCase, gold: LabelCrops, protocol: InteractiveProtocol
) -> list[Prompt]:
    """Draw one prompt a class on the truth."""
    prompts: list[Prompt] = []
    for label in range(1, int(gold.labels.max()) + 1):
        region = gold.region(label)
        occasion = Occasion(
            truth=gold.mask(label, region),
            region=region,
            shape=case.image.shape,
            spacing=case.image.geometry.array_spacing,
            flat_boxes=segmenter.capabilities.flat_boxes,
            generator=stable_generator("interactive2025", protocol.seed, case.name, protocol.start, label),
        )
        prompts.append(draw_start(cast(Start, protocol.start), occasion))
    return prompts


def _clicked(
    case: ChallengeCase,
    gold: LabelCrops,
    predicted: NDArray[Any],
    number: int,
    protocol: InteractiveProtocol,
    labels: Sequence[int],
) -> ChallengeCase:
    """Add one more click on every class that has an error, and ``predicted`` as the prediction before."""
    found = LabelCrops(predicted)
    clicks: list[tuple[Point, ...]] = []
    orders: list[tuple[str | None, ...]] = []
    for label, made, order in zip(labels, case.clicks, case.clicks_order, strict=True):
        generator = stable_generator("interactive2025", protocol.seed, case.name, number, label)
        click = _click(gold, found, label, generator, protocol.click_source)
        clicks.append(made if click is None else (*made, click))
        orders.append((*order, None if click is None else "fg" if click.positive else "bg"))
    previous = predicted if np.any(predicted) else None
    return replace(case, clicks=tuple(clicks), clicks_order=tuple(orders), previous=previous)


def _click(
    gold: LabelCrops, found: LabelCrops, label: int, generator: np.random.Generator, source: ClickSource
) -> Point | None:
    region = gold.region(label).union(found.region(label))
    click = source(gold.mask(label, region), found.mask(label, region), generator)
    if click is None:
        return None
    moved = shift_prompt(click, region.start)
    assert isinstance(moved, Point)
    return moved
