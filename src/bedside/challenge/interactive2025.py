"""The 2025 competition's protocol: boxes, then five rounds in which every class gets a click on its largest error.

The same rounds can begin with another prompt on every class, which the competition does not do.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from bedside.challenge.answers import Answer, answer_prompts, empty_labels
from bedside.challenge.labels import relabel
from bedside.challenge.scores import CaseScore, LabelCrops, challenge_sampling, score_case
from bedside.core.errors import BedsideError, FormatError, InputError
from bedside.core.prompts import Point, Prompt
from bedside.data.objects import stable_generator
from bedside.engines.protocol import Segmenter
from bedside.evaluate.clicks_protocol import ClickSource
from bedside.evaluate.metrics import DEFAULT_TOLERANCE
from bedside.evaluate.starts import Occasion, Start, draw_start
from bedside.evaluate.statistics import area_under_curve
from bedside.io.challenge import ChallengeCase, read_case, read_labels
from bedside.simulate.clicks import next_click
from bedside.simulate.placing import shift_prompt

ROUNDS = 5
SECONDS_PER_CLASS = 90.0
"""Limit over all rounds together; beyond it the official test scores 0."""
UNKNOWN = "unknown"
OVERALL, OVERALL_SETS = "mean over modalities", "mean over sets"
OFFICIAL: Literal["official"] = "official"
"""Start of the competition: the box of the case, of the middle slice's extent."""


@dataclass(frozen=True)
class InteractiveProtocol:
    """How cases are prompted and scored.

    Attributes:
        tolerance: Of NSD, mm.
        official_spacing_order: See ``scores.challenge_sampling``.
        seed: Of the clicks.
        click_source: Who clicks; the official rule by default, with a private generator.
        start: ``OFFICIAL``, or what every class is begun with instead of the case's box.
        raw_labels: Compare answers with the truth's values as they are, as the official code does, where they are not
            1, 2, ...; the k-th prompts are answered by k all the same, so that such labels score 0.
        answering: What makes an answer of a case's prompts.
        missing_is_zero: Count a round that fails as an empty answer, and leave a case out whose last round fails, as
            the official code does where an output is missing; else the failure is raised.
    """

    tolerance: float = DEFAULT_TOLERANCE
    official_spacing_order: bool = False
    seed: int = 2025
    click_source: ClickSource = field(default=next_click)
    start: Start | Literal["official"] = OFFICIAL
    raw_labels: bool = False
    answering: Callable[..., Answer] = field(default=answer_prompts)
    missing_is_zero: bool = False


@dataclass(frozen=True)
class InteractiveCase:
    """Scores of one case.

    Attributes:
        case: Name of its file without the suffix.
        modality: From that name.
        classes: Labels of the truth.
        boxed: Whether round 0 took place.
        dsc: After the first prompts and after each of the five clicks; 0 after the boxes where there are none.
        nsd: Likewise.
        seconds: Of each answer.
        data_set: That the case is from, empty where it is not known.
        start: See ``InteractiveProtocol``.
        counted: Whether means take it in; see ``InteractiveProtocol.missing_is_zero``.
    """

    case: str
    modality: str
    classes: int
    boxed: bool
    dsc: tuple[float, ...]
    nsd: tuple[float, ...]
    seconds: tuple[float, ...]
    data_set: str = ""
    start: str = OFFICIAL
    counted: bool = True

    @property
    def group(self) -> str:
        """What means are taken over: the data set where it is known, else the modality."""
        return self.data_set or self.modality

    @property
    def dsc_auc(self) -> float:
        """Trapezoids over the five click rounds, from 0 to 4; the round of the boxes does not count."""
        return click_auc(self.dsc)

    @property
    def nsd_auc(self) -> float:
        """As ``dsc_auc``."""
        return click_auc(self.nsd)

    @property
    def total_seconds(self) -> float:
        """Over all rounds."""
        return math.fsum(self.seconds)

    @property
    def seconds_per_class(self) -> float:
        """What the limit of 90 s is held against."""
        return self.total_seconds / self.classes

    @property
    def in_time(self) -> bool:
        """Whether the limit is kept."""
        return self.seconds_per_class <= SECONDS_PER_CLASS


def click_auc(scores: Sequence[float]) -> float:
    """Area under the five click rounds of six scores."""
    if len(scores) != ROUNDS + 1:
        raise InputError("area under clicks", expected=f"{ROUNDS + 1} scores", got=len(scores))
    area = area_under_curve(scores[1:])
    assert area is not None
    return area


def read_labelled_case(path: Path, truth: Path | None = None, *, raw_labels: bool = False) -> ChallengeCase:
    """A case with its ground truth, whose labels are made 1, 2, ... because the i-th prompts belong to the i-th label.

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


def run_case(segmenter: Segmenter, case: ChallengeCase, protocol: InteractiveProtocol) -> InteractiveCase:
    """Six rounds on a case from ``read_labelled_case``; prompts of the case other than its boxes are not used."""
    truth = case.ground_truth
    assert truth is not None
    gold = LabelCrops(truth)
    labels = [int(v) for v in np.unique(truth) if v] if protocol.raw_labels else list(range(1, int(truth.max()) + 1))
    sampling = challenge_sampling(
        case.image.geometry, protocol.tolerance, official_spacing_order=protocol.official_spacing_order
    )
    firsts = _first_prompts(segmenter, case, gold, protocol) if protocol.start != OFFICIAL else []
    boxed = bool(firsts) or any(box is not None for box in case.boxes)
    case = replace(case, clicks=((),) * len(labels), clicks_order=((),) * len(labels), previous=None)
    answer = empty_labels(case, len(labels))
    scores: list[CaseScore] = []
    seconds: list[float] = []
    failed = False
    begin = time.perf_counter()
    segmenter.set_image(case.image)
    for number in range(ROUNDS + 1):
        if number > 0:
            case = _clicked(case, gold, answer, number, protocol, labels)
            begin = time.perf_counter()
        if number == 0 and not boxed:
            scores.append(CaseScore(0.0, 0.0))
            seconds.append(0.0)
            continue
        try:
            answer, failed = protocol.answering(segmenter, case, firsts).labels, False
        except BedsideError:
            if not protocol.missing_is_zero:
                raise
            answer, failed = empty_labels(case, len(labels)), True
        seconds.append(time.perf_counter() - begin)
        scores.append(score_case(gold, LabelCrops(answer), labels, sampling))
    return InteractiveCase(
        case=case.name,
        modality=case.image.modality or UNKNOWN,
        classes=len(labels),
        boxed=boxed,
        dsc=tuple(s.dsc for s in scores),
        nsd=tuple(s.nsd for s in scores),
        seconds=tuple(seconds),
        start=protocol.start,
        counted=not failed,
    )


def _first_prompts(
    segmenter: Segmenter, case: ChallengeCase, gold: LabelCrops, protocol: InteractiveProtocol
) -> list[Prompt]:
    """One prompt a class, drawn on the truth."""
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
    answer: NDArray[Any],
    number: int,
    protocol: InteractiveProtocol,
    labels: Sequence[int],
) -> ChallengeCase:
    """The case with one more click on every class that has an error, and ``answer`` as the one before."""
    found = LabelCrops(answer)
    clicks: list[tuple[Point, ...]] = []
    orders: list[tuple[str | None, ...]] = []
    for label, made, order in zip(labels, case.clicks, case.clicks_order, strict=True):
        generator = stable_generator("interactive2025", protocol.seed, case.name, number, label)
        click = _click(gold, found, label, generator, protocol.click_source)
        clicks.append(made if click is None else (*made, click))
        orders.append((*order, None if click is None else "fg" if click.positive else "bg"))
    previous = answer if np.any(answer) else None
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


@dataclass(frozen=True)
class InteractiveMeans:
    """Means over cases, or over modalities or data sets.

    Attributes:
        group: Modality or data set, or ``OVERALL`` or ``OVERALL_SETS``.
        late: Cases beyond the limit of seconds per class.
    """

    group: str
    cases: int
    dsc_auc: float
    nsd_auc: float
    dsc_final: float
    nsd_final: float
    dsc_first: float
    seconds_per_class: float
    late: int


def interactive_means(cases: Iterable[InteractiveCase]) -> list[InteractiveMeans]:
    """Means over the cases of each group (see ``InteractiveCase.group``), sorted, and last the mean of those."""
    groups: dict[str, list[InteractiveCase]] = {}
    for case in cases:
        if case.counted:
            groups.setdefault(case.group, []).append(case)
    by_set = any(case.data_set for members in groups.values() for case in members)
    rows = []
    for group, members in sorted(groups.items()):
        columns = [(c.dsc_auc, c.nsd_auc, c.dsc[-1], c.nsd[-1], c.dsc[0], c.seconds_per_class) for c in members]
        late = sum(not c.in_time for c in members)
        rows.append(InteractiveMeans(group=group, cases=len(members), late=late, **_means(columns)))
    columns = [tuple(getattr(row, name) for name in _NUMBERS) for row in rows]
    total, late = sum(r.cases for r in rows), sum(r.late for r in rows)
    overall = OVERALL_SETS if by_set else OVERALL
    return [*rows, InteractiveMeans(group=overall, cases=total, late=late, **_means(columns))]


_NUMBERS = ("dsc_auc", "nsd_auc", "dsc_final", "nsd_final", "dsc_first", "seconds_per_class")


def _means(columns: Sequence[Sequence[float]]) -> dict[str, float]:
    return dict(zip(_NUMBERS, map(float, np.mean(columns, axis=0)), strict=True))
