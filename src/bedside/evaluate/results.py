"""What an evaluation found, from single rounds to the mean over datasets, as JSON and CSV."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bedside.core.files import write_text_atomically
from bedside.core.prompts import Prompt
from bedside.core.region import Region, mask_region
from bedside.core.tables import csv_text
from bedside.evaluate.metrics import MetricSpec, metric_specs
from bedside.evaluate.statistics import (
    Interval,
    area_under_curve,
    bootstrap_interval,
    bootstrap_interval_of_sets,
    known_mean,
)

CandidateKind = Literal["model", "baseline"]


@dataclass(frozen=True)
class RoundScore:
    """One prediction of a segmenter.

    Attributes:
        clicks: Corrections given so far.
        scores: Value of each metric; NaN where there was nothing to find.
        seconds: Wall time of the prediction; 0 where none was needed because the one before was perfect.
        quality: DSC that the segmenter estimated for the prediction, None where it does not.
    """

    clicks: int
    scores: Mapping[str, float]
    seconds: float
    quality: float | None = None


@dataclass(frozen=True)
class PackedMask:
    """A binary mask within a region of an image, one bit a voxel."""

    region: Region
    bits: bytes

    @classmethod
    def pack(cls, mask: NDArray[Any], region: Region) -> PackedMask:
        """Keep the occupied part of ``mask``, which has ``region``'s shape."""
        inner = mask_region(mask)
        return cls(inner.shift(region.start), np.packbits(mask[inner.slices] != 0).tobytes())

    def within(self, region: Region) -> NDArray[np.bool_]:
        """Return the mask in another region of the image; what lies outside that is cut off."""
        bits = np.unpackbits(np.frombuffer(self.bits, np.uint8), count=math.prod(self.region.shape))
        result = np.zeros(region.shape, dtype=np.bool_)
        start = tuple(max(a, b) for a, b in zip(self.region.start, region.start, strict=True))
        stop = tuple(min(a, b) for a, b in zip(self.region.stop, region.stop, strict=True))
        common = Region(start, stop)
        if not common.is_empty:
            source = common.shift(tuple(-s for s in self.region.start)).slices
            target = common.shift(tuple(-s for s in region.start)).slices
            result[target] = bits.reshape(self.region.shape)[source]
        return result


@dataclass(frozen=True)
class Trace:
    """What a report draws of an object: the prompts and the first and the last prediction."""

    prompts: tuple[Prompt, ...]
    first: PackedMask
    last: PackedMask


@dataclass(frozen=True)
class ObjectResult:
    """One target in the hands of one candidate: an object, or by some protocols all objects of a case at once.

    Attributes:
        candidate: Name of the model or baseline.
        set_name: Dataset, or whatever else means are taken over first.
        case_id: Name of the case within the set.
        object_name: Label, part and slice.
        label: Value in the label map; 0 for all of them.
        size: Voxels of the truth; 0 where it was not counted.
        unit: Unit of lengths, the surface tolerance among them: "mm" or "px".
        image_seconds: Wall time of preparing the image, shared by its objects.
        rounds: The prediction from the first prompt, then one per correction.
        trace: For pictures; None where there are to be none.
    """

    candidate: str
    set_name: str
    case_id: str
    object_name: str
    label: int
    size: int
    unit: str
    image_seconds: float
    rounds: tuple[RoundScore, ...]
    trace: Trace | None = field(default=None, compare=False, repr=False)

    def curve(self, metric: str) -> list[float]:
        """Return the metric's value of each round."""
        return [r.scores[metric] for r in self.rounds]


@dataclass(frozen=True)
class SetInfo:
    """A dataset as it was evaluated.

    Attributes:
        cases: Cases with at least one object; all others have none that is large enough.
        tiny: Objects skipped because they are too small.
        left_out: Objects beyond the limit of a case.
        digest: sha256 over the files' sha256.
    """

    name: str
    split: str
    dimensions: int
    modality: str
    licence: str
    cases: int
    objects: int
    tiny: int
    left_out: int
    digest: str


@dataclass(frozen=True)
class Candidate:
    """What was evaluated, as the results know it.

    Attributes:
        details: Family, device, sha256 of the weights: what the segmenter tells of itself.
    """

    name: str
    kind: CandidateKind
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Curve:
    """A metric over the rounds.

    Attributes:
        values: Mean of each round; NaN where no case has a value.
        intervals: 95 % interval of each mean, by resampling cases (of the mean over sets: cases within each set); None
            where there are fewer than two.
        auc: Trapezoids over the rounds with corrective clicks; None with fewer than two such rounds.
    """

    values: tuple[float, ...]
    intervals: tuple[Interval, ...] | None
    auc: float | None


@dataclass(frozen=True)
class Summary:
    """One candidate on one dataset; ``set_name`` is None for the mean over all datasets."""

    candidate: str
    set_name: str | None
    curves: Mapping[str, Curve]
    seconds_per_answer: float
    seconds_per_image: float


@dataclass(frozen=True)
class Evaluation:
    """A complete evaluation from one kind of first prompt, whatever the protocol."""

    manifest: Mapping[str, Any]
    protocol: Mapping[str, Any]
    candidates: tuple[Candidate, ...]
    sets: tuple[SetInfo, ...]
    objects: tuple[ObjectResult, ...]
    summaries: tuple[Summary, ...]
    overall: tuple[Summary, ...]

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics in the order of the protocol."""
        return list(self.protocol["metrics"])

    @property
    def specs(self) -> tuple[MetricSpec, ...]:
        """The metrics themselves, in the order of the protocol; by the first, cases and models are compared."""
        return metric_specs(self.metrics)

    def heading(self, spec: MetricSpec, set_name: str | None = None) -> str:
        """Write a metric's name with the units that its values have on a set, or on all sets for None."""
        return spec.heading(o.unit for o in self.objects if set_name in (None, o.set_name))

    @property
    def start(self) -> str:
        """Name of the first prompt of every object."""
        return str(self.protocol["start"])

    def summary(self, candidate: str, set_name: str | None) -> Summary:
        """Return the summary of a candidate on a set, or over all sets for None."""
        rows = self.overall if set_name is None else self.summaries
        return next(s for s in rows if s.candidate == candidate and s.set_name == set_name)


def summarise_set(objects: Sequence[ObjectResult], metrics: Iterable[str], seed: int) -> Summary:
    """Take means over the objects of a case, then over the cases; of one candidate on one dataset."""
    first = objects[0]
    curves = {}
    for metric in metrics:
        cases = case_means(objects, metric)
        intervals = bootstrap_interval(cases, _bootstrap_seed(seed, objects))
        values = tuple(float(v) for v in known_mean(cases))
        curves[metric] = Curve(values, intervals, area_under_curve(values[1:]))
    answers = [r.seconds for o in objects for r in o.rounds if r.seconds > 0]
    return Summary(
        first.candidate,
        first.set_name,
        curves,
        seconds_per_answer=float(np.mean(answers)) if answers else 0.0,
        seconds_per_image=float(np.mean([o.image_seconds for o in objects])),
    )


def summarise_overall(summaries: Sequence[Summary], sets: Sequence[Sequence[ObjectResult]], seed: int) -> Summary:
    """Take means over datasets of one candidate: every set counts the same, however many cases it has.

    Args:
        summaries: Summaries of the candidate, one a set.
        sets: The objects of each.
        seed: Seed of the resampling.
    """
    curves = {}
    for metric in summaries[0].curves:
        values = tuple(float(v) for v in known_mean([s.curves[metric].values for s in summaries]))
        cases = [(case_means(objects, metric), _bootstrap_seed(seed, objects)) for objects in sets]
        curves[metric] = Curve(values, bootstrap_interval_of_sets(cases), area_under_curve(values[1:]))
    return Summary(
        summaries[0].candidate,
        None,
        curves,
        seconds_per_answer=float(np.mean([s.seconds_per_answer for s in summaries])),
        seconds_per_image=float(np.mean([s.seconds_per_image for s in summaries])),
    )


def case_means(objects: Sequence[ObjectResult], metric: str) -> NDArray[np.float64]:
    """Return a metric (cases, rounds) of one candidate on one set: the mean of each case's objects, cases by name."""
    case_ids = sorted({o.case_id for o in objects})
    rows = [known_mean([o.curve(metric) for o in objects if o.case_id == case_id]) for case_id in case_ids]
    return np.array(rows, dtype=np.float64)


def _bootstrap_seed(seed: int, objects: Sequence[ObjectResult]) -> object:
    # The same resampling for every candidate: their intervals then differ by their predictions only.
    return (seed, objects[0].set_name)


def to_json(evaluations: Sequence[Evaluation]) -> str:
    """Write everything but the masks as JSON text; numbers that are not finite become null.

    Args:
        evaluations: One a start. What they share stands once where there are several.
    """
    document = _document(evaluations[0]) if len(evaluations) == 1 else starts_document(evaluations)
    return json.dumps(plain(document, digits=6), indent=1, allow_nan=False) + "\n"


def starts_document(evaluations: Sequence[Evaluation], *, objects: bool = True) -> dict[str, Any]:
    """Make one document of plain values of evaluations from several starts, with what they share standing once.

    Args:
        evaluations: One a start.
        objects: Whether every object's scores are in it, or the means alone.
    """
    documents = [_document(e) for e in evaluations]
    shared = {key: documents[0][key] for key in ("manifest", "metrics", "sets")}
    left_out = {"format", "version", *shared} | (set() if objects else {"objects"})
    starts = [{k: v for k, v in d.items() if k not in left_out} for d in documents]
    return {"format": "bedside-evaluation-starts", "version": 1, **shared, "starts": starts}


def _document(evaluation: Evaluation) -> dict[str, Any]:
    objects = []
    for result in evaluation.objects:
        row = {k: v for k, v in vars(result).items() if k not in ("trace", "rounds")}
        row["rounds"] = [asdict(r) for r in result.rounds]
        row["prompts"] = [p.to_dict() for p in result.trace.prompts] if result.trace else []
        objects.append(row)
    return {
        "format": "bedside-evaluation",
        "version": 1,
        "manifest": evaluation.manifest,
        "metrics": {
            s.name: {"direction": s.direction, "unit": s.unit, "range": list(s.range), "paper": s.paper}
            for s in evaluation.specs
        },
        "protocol": evaluation.protocol,
        "candidates": [asdict(c) for c in evaluation.candidates],
        "overall": [asdict(s) for s in evaluation.overall],
        "sets": [asdict(s) for s in evaluation.sets],
        "summaries": [asdict(s) for s in evaluation.summaries],
        "objects": objects,
    }


def plain(value: Any, digits: int | None = None) -> Any:
    """Make a value one that JSON can hold: numbers that are not finite become None.

    Args:
        value: Value of mappings, sequences and what stands in them.
        digits: Digits behind the point that are kept; None for all.
    """
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return value if digits is None else round(value, digits)
    if isinstance(value, Mapping):
        return {str(k): plain(v, digits) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v, digits) for v in value]
    return value


def to_csv(evaluations: Sequence[Evaluation]) -> str:
    """Write one row per start, candidate, object and round; what has no value is left empty."""
    metrics = evaluations[0].metrics
    about = ("start", "candidate", "kind", "set", "case", "object", "size", "clicks")
    rows: list[list[object]] = [[*about, *metrics, "unit", "seconds", "quality"]]
    for evaluation in evaluations:
        kinds = {c.name: c.kind for c in evaluation.candidates}
        for o in evaluation.objects:
            what = (evaluation.start, o.candidate, kinds[o.candidate], o.set_name, o.case_id, o.object_name, o.size)
            for r in o.rounds:
                scores = [f"{r.scores[m]:.6f}" if math.isfinite(r.scores[m]) else "" for m in metrics]
                quality = "" if r.quality is None else f"{r.quality:.6f}"
                rows.append([*what, r.clicks, *scores, o.unit, f"{r.seconds:.6f}", quality])
    return csv_text(rows)


def write_json(evaluations: Sequence[Evaluation], path: str | Path) -> None:
    """Write ``to_json`` to ``path``, atomically."""
    write_text_atomically(path, to_json(evaluations))


def write_csv(evaluations: Sequence[Evaluation], path: str | Path) -> None:
    """Write ``to_csv`` to ``path``, atomically."""
    write_text_atomically(path, to_csv(evaluations))
