"""What an evaluation found, from single rounds to the mean over data sets, as JSON and CSV."""

from __future__ import annotations

import csv
import io
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
from bedside.evaluate.statistics import Interval, area_under_curve, bootstrap_interval

CandidateKind = Literal["model", "baseline"]


@dataclass(frozen=True)
class RoundScore:
    """One answer of a segmenter.

    Attributes:
        clicks: Corrective clicks given so far.
        scores: Value of each metric.
        seconds: Wall time of the answer; 0 where none was needed because the answer before was perfect.
        quality: DSC that the segmenter estimated for the answer, None where it does not.
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
        """The mask in another region of the image; what lies outside that is cut off."""
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
    """What a report draws of an object: the prompts and the first and the last answer."""

    prompts: tuple[Prompt, ...]
    first: PackedMask
    last: PackedMask


@dataclass(frozen=True)
class ObjectResult:
    """One object answered by one candidate.

    Attributes:
        object_name: Label, part and slice.
        size: Voxels of the truth.
        unit: Of the surface tolerance, "mm" or "px".
        image_seconds: Wall time of preparing the image, shared by its objects.
        rounds: The answer to the first prompt, then one per corrective click.
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
        """The metric's value of each round."""
        return [r.scores[metric] for r in self.rounds]


@dataclass(frozen=True)
class SetInfo:
    """A data set as it was evaluated.

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
        values: Mean of each round.
        intervals: 95 % interval of each mean, by resampling cases; None where there are fewer than two.
        auc: Trapezoids over the rounds with corrective clicks; None with fewer than two such rounds.
    """

    values: tuple[float, ...]
    intervals: tuple[Interval, ...] | None
    auc: float | None


@dataclass(frozen=True)
class Summary:
    """One candidate on one data set; ``set_name`` is None for the mean over all data sets."""

    candidate: str
    set_name: str | None
    curves: Mapping[str, Curve]
    seconds_per_answer: float
    seconds_per_image: float


@dataclass(frozen=True)
class Evaluation:
    """A complete evaluation."""

    manifest: Mapping[str, Any]
    protocol: Mapping[str, Any]
    candidates: tuple[Candidate, ...]
    sets: tuple[SetInfo, ...]
    objects: tuple[ObjectResult, ...]
    summaries: tuple[Summary, ...]
    overall: tuple[Summary, ...]

    @property
    def metrics(self) -> list[str]:
        """Metrics in the order of the protocol."""
        return list(self.protocol["metrics"])

    def summary(self, candidate: str, set_name: str | None) -> Summary:
        """The summary of a candidate on a set, or over all sets for None."""
        rows = self.overall if set_name is None else self.summaries
        return next(s for s in rows if s.candidate == candidate and s.set_name == set_name)


def summarise_set(objects: Sequence[ObjectResult], metrics: Iterable[str], seed: int) -> Summary:
    """Mean over the objects of a case, then over the cases; of one candidate on one data set."""
    first = objects[0]
    case_ids = sorted({o.case_id for o in objects})
    curves = {}
    for metric in metrics:
        cases = np.array(
            [np.mean([o.curve(metric) for o in objects if o.case_id == case_id], axis=0) for case_id in case_ids]
        )
        # The same resampling for every candidate: their intervals then differ by their answers only.
        intervals = bootstrap_interval(cases, (seed, first.set_name))
        values = tuple(float(v) for v in cases.mean(axis=0))
        curves[metric] = Curve(values, intervals, area_under_curve(values[1:]))
    answers = [r.seconds for o in objects for r in o.rounds if r.seconds > 0]
    return Summary(
        first.candidate,
        first.set_name,
        curves,
        seconds_per_answer=float(np.mean(answers)) if answers else 0.0,
        seconds_per_image=float(np.mean([o.image_seconds for o in objects])),
    )


def summarise_overall(summaries: Sequence[Summary]) -> Summary:
    """Mean over data sets of one candidate: every set counts the same, however many cases it has."""
    curves = {}
    for metric in summaries[0].curves:
        values = tuple(float(v) for v in np.mean([s.curves[metric].values for s in summaries], axis=0))
        curves[metric] = Curve(values, None, area_under_curve(values[1:]))
    return Summary(
        summaries[0].candidate,
        None,
        curves,
        seconds_per_answer=float(np.mean([s.seconds_per_answer for s in summaries])),
        seconds_per_image=float(np.mean([s.seconds_per_image for s in summaries])),
    )


def to_json(evaluation: Evaluation) -> str:
    """Everything but the masks, as JSON text; numbers that are not finite become null."""
    objects = []
    for result in evaluation.objects:
        row = {k: v for k, v in vars(result).items() if k not in ("trace", "rounds")}
        row["rounds"] = [asdict(r) for r in result.rounds]
        row["prompts"] = [p.to_dict() for p in result.trace.prompts] if result.trace else []
        objects.append(row)
    document = {
        "format": "bedside-evaluation",
        "version": 1,
        "manifest": evaluation.manifest,
        "protocol": evaluation.protocol,
        "candidates": [asdict(c) for c in evaluation.candidates],
        "overall": [asdict(s) for s in evaluation.overall],
        "sets": [asdict(s) for s in evaluation.sets],
        "summaries": [asdict(s) for s in evaluation.summaries],
        "objects": objects,
    }
    return json.dumps(_finite(document), indent=1, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value


def to_csv(evaluation: Evaluation) -> str:
    """One row per candidate, object and round."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            "candidate",
            "kind",
            "set",
            "case",
            "object",
            "size",
            "clicks",
            *evaluation.metrics,
            "unit",
            "seconds",
            "quality",
        ]
    )
    kinds = {c.name: c.kind for c in evaluation.candidates}
    for o in evaluation.objects:
        for r in o.rounds:
            scores = [f"{r.scores[m]:.6f}" for m in evaluation.metrics]
            what = (o.candidate, kinds[o.candidate], o.set_name, o.case_id, o.object_name, o.size)
            quality = "" if r.quality is None else f"{r.quality:.6f}"
            writer.writerow([*what, r.clicks, *scores, o.unit, f"{r.seconds:.6f}", quality])
    return text.getvalue()


def write_json(evaluation: Evaluation, path: str | Path) -> None:
    """Write ``to_json`` to ``path``, atomically."""
    write_text_atomically(path, to_json(evaluation))


def write_csv(evaluation: Evaluation, path: str | Path) -> None:
    """Write ``to_csv`` to ``path``, atomically."""
    write_text_atomically(path, to_csv(evaluation))
