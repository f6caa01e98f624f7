"""Runs segmenters over cases by any protocol: the same targets for each, and for each its own corrections."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from bedside.core.errors import InputError
from bedside.data.catalogue import DataSet
from bedside.engines.protocol import Segmenter
from bedside.evaluate.cases import EvaluationCase, ObjectSelection, prepare_case
from bedside.evaluate.clicks_protocol import ClicksProtocol
from bedside.evaluate.manifest import create_manifest, set_digest
from bedside.evaluate.metrics import Sampling
from bedside.evaluate.results import (
    Candidate,
    CandidateKind,
    Evaluation,
    ObjectResult,
    SetInfo,
    Summary,
    summarise_overall,
    summarise_set,
)
from bedside.evaluate.starts import start_kind

if TYPE_CHECKING:
    from rich.console import Console

Advance = Callable[[str], None]
"""Called with the set's name after each case of each candidate."""
CaseT = TypeVar("CaseT")


class EvaluationProtocol(Protocol):
    """What the runner has to know of a protocol; ``ClicksProtocol`` is one."""

    @property
    def start(self) -> str:
        """Name of the first prompt."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics; by the first, cases are compared."""

    @property
    def seed(self) -> int:
        """Seed of the simulated user."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for the results: "name", "start", "clicks", "metrics" among them."""


ProtocolT = TypeVar("ProtocolT", bound=EvaluationProtocol)
Taking = Sequence[tuple[ProtocolT, list["Entry"]]]
"""Each protocol with the entries that take part by it."""
RunCase = Callable[["Entry", CaseT, Sequence[ProtocolT]], Iterator[tuple[str, ObjectResult]]]
"""``run(entry, case, protocols)``: each target's result by each protocol, with the protocol's start."""


@dataclass(frozen=True)
class Entry:
    """A segmenter that takes part."""

    name: str
    kind: CandidateKind
    segmenter: Segmenter

    def can_start(self, start: str) -> bool:
        """Tell whether an object can be begun by that first prompt."""
        return start_kind(start) in self.segmenter.capabilities.starts_from

    def candidate(self) -> Candidate:
        """Return what the results keep of it."""
        details: dict[str, Any] = {"capabilities": self.segmenter.capabilities.to_dict()}
        # A model may tell more of itself; the protocol does not ask for it.
        for name in ("weights_sha256", "runtime", "device", "precision", "notice"):
            value = getattr(self.segmenter, name, None)
            if value is not None:
                details[name] = str(value)
        if experts := getattr(self.segmenter, "experts", None):
            details["experts"] = dict(experts)
        return Candidate(self.name, self.kind, details)


def evaluate_sets(
    sets: Sequence[DataSet],
    entries: Sequence[Entry],
    protocol: ClicksProtocol,
    selection: ObjectSelection,
    advance: Advance | None = None,
) -> Evaluation:
    """Evaluate ``entries`` on ``sets`` from one start; see ``evaluate_starts``."""
    return evaluate_starts(sets, entries, (protocol,), selection, advance)[0]


def evaluate_starts(
    sets: Sequence[DataSet],
    entries: Sequence[Entry],
    protocols: Sequence[ClicksProtocol],
    selection: ObjectSelection,
    advance: Advance | None = None,
) -> tuple[Evaluation, ...]:
    """Evaluate ``entries`` on ``sets`` from several starts, for which every image is read and prepared once.

    Nothing is kept of an evaluation that ends early: an error or Ctrl+C leaves by its exception.

    Args:
        sets: With one name each.
        entries: Models and baselines, with one name each. With several protocols each takes part from
            the starts that it can take.
        protocols: How objects are prompted and scored; they differ in the start alone.
        selection: Which objects, and how volumes are taken.
        advance: Called after each case of each entry, ``count_steps`` times in all.

    Returns:
        One evaluation a protocol; a start that no entry can take is left out where there are several.

    Raises:
        InputError: Nothing to evaluate, a name given twice, or an entry that cannot take any start or the images.
    """
    _check(sets, entries, selection)
    taking = who_takes(entries, protocols)
    manifest = create_manifest(sets, protocols[0].seed)
    skipped: list[tuple[str, int, int]] = []

    def prepared() -> Iterator[EvaluationCase]:
        for data_set in sets:
            for case in data_set.cases:
                ready = prepare_case(data_set, case, selection)
                # Its images are done with after its turn; keeping them would hold a whole data folder in memory.
                skipped.append((data_set.name, ready.tiny, ready.left_out))
                yield ready

    tell = advance or (lambda _: None)
    results = run_cases(prepared(), entries, taking, _run_case, lambda case: tell(case.set_name))
    if not any(results.values()):
        raise InputError("evaluation", expected=f"objects of at least {selection.smallest} voxels", got="none")
    infos = [_describe(s, skipped, results[taking[0][0].start], manifest) for s in sets]
    return make_evaluations(results, taking, infos, manifest, {"objects": asdict(selection)})


def run_cases(
    cases: Iterable[CaseT],
    entries: Sequence[Entry],
    taking: Taking[ProtocolT],
    run: RunCase[CaseT, ProtocolT],
    advance: Callable[[CaseT], None],
) -> dict[str, list[ObjectResult]]:
    """Give every case to every entry, by each protocol that it takes part by.

    Args:
        cases: Made one by one.
        entries: In the order in which they are asked.
        taking: From ``who_takes``.
        run: Evaluates one case.
        advance: Called with the case after each entry.

    Returns:
        Results by start.
    """
    results: dict[str, list[ObjectResult]] = {protocol.start: [] for protocol, _ in taking}
    for case in cases:
        for entry in entries:
            mine = [protocol for protocol, able in taking if entry in able]
            for start, result in run(entry, case, mine):
                results[start].append(result)
            advance(case)
    return results


def make_evaluations(
    results: Mapping[str, Sequence[ObjectResult]],
    taking: Taking[ProtocolT],
    infos: Sequence[SetInfo],
    manifest: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> tuple[Evaluation, ...]:
    """Take the means over cases and sets of what ``run_cases`` found.

    Args:
        results: By start.
        taking: From ``who_takes``.
        infos: Infos of the sets, in the order of tables.
        manifest: What makes the evaluation repeatable.
        settings: Settings of the run, kept beside those of the protocol.

    Returns:
        One evaluation a protocol.
    """
    evaluations = []
    for protocol, able in taking:
        summaries, overall = _summarise(results[protocol.start], able, infos, protocol)
        evaluations.append(
            Evaluation(
                manifest=manifest,
                protocol={**protocol.to_dict(), **settings},
                candidates=tuple(entry.candidate() for entry in able),
                sets=tuple(infos),
                objects=tuple(results[protocol.start]),
                summaries=tuple(summaries),
                overall=tuple(overall),
            )
        )
    return tuple(evaluations)


def count_steps(sets: Iterable[DataSet], entries: Sequence[Entry]) -> int:
    """Count how often ``evaluate_sets`` calls ``advance``."""
    return len(entries) * sum(len(s.cases) for s in sets)


def _check(sets: Sequence[DataSet], entries: Sequence[Entry], selection: ObjectSelection) -> None:
    if not sets or not entries:
        raise InputError("evaluation", expected="at least one dataset and one model or baseline", got="none")
    for what, names in (("dataset", [s.name for s in sets]), ("model or baseline", [e.name for e in entries])):
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise InputError(what, expected="each name once", got=", ".join(twice))
    needed = {2 if selection.volumes == "slices" else s.dimensions for s in sets}
    for entry in entries:
        capabilities = entry.segmenter.capabilities
        if not needed <= set(capabilities.dimensions):
            raise InputError(
                f"'{entry.name}' cannot take these images",
                expected=f"images of {sorted(capabilities.dimensions)} dimensions",
                got=sorted(needed),
                fix="evaluate volumes as slices, or choose other sets",
            )


def who_takes(entries: Sequence[Entry], protocols: Sequence[ProtocolT]) -> list[tuple[ProtocolT, list[Entry]]]:
    """Find for each protocol the entries that can take its start; a protocol that none can take is left out.

    Raises:
        InputError: An entry can take none.
    """
    starts = [protocol.start for protocol in protocols]
    taking = [(p, [e for e in entries if e.can_start(p.start)]) for p in protocols]
    for entry in entries:
        if not any(entry in able for _, able in taking):
            raise InputError(
                f"'{entry.name}' cannot start from a {' or '.join(starts)}",
                expected=f"a start of {', '.join(sorted(entry.segmenter.capabilities.starts_from))}",
                fix="leave it out or choose another start",
            )
    return [(protocol, able) for protocol, able in taking if able]


def _run_case(
    entry: Entry, case: EvaluationCase, protocols: Sequence[ClicksProtocol]
) -> Iterator[tuple[str, ObjectResult]]:
    """Evaluate each object from each start; the image is given to the segmenter once."""
    for view in case.views:
        begin = time.perf_counter()
        entry.segmenter.set_image(view.image)
        image_seconds = time.perf_counter() - begin
        buffer = np.zeros(view.image.shape, dtype=np.uint8)
        for target, protocol in itertools.product(view.objects, protocols):
            sampling = Sampling.of(view.image.geometry, protocol.tolerance, protocol.unit)
            key = (case.set_name, case.case_id, target.name)
            rounds, trace = protocol.run(entry.segmenter, target, buffer, sampling, key)
            result = ObjectResult(
                candidate=entry.name,
                set_name=case.set_name,
                case_id=case.case_id,
                object_name=target.name,
                label=target.label,
                size=target.size,
                unit=sampling.unit,
                image_seconds=image_seconds,
                rounds=rounds,
                trace=trace,
            )
            yield protocol.start, result


def _describe(
    data_set: DataSet,
    skipped: Sequence[tuple[str, int, int]],
    results: Sequence[ObjectResult],
    manifest: Mapping[str, Any],
) -> SetInfo:
    mine = {(r.case_id, r.object_name) for r in results if r.set_name == data_set.name}
    key = f"{data_set.split}/{data_set.name}" if data_set.split else data_set.name
    return SetInfo(
        name=data_set.name,
        split=data_set.split,
        dimensions=data_set.dimensions,
        modality=data_set.modality,
        licence=data_set.licence,
        cases=len({case_id for case_id, _ in mine}),
        objects=len(mine),
        tiny=sum(tiny for name, tiny, _ in skipped if name == data_set.name),
        left_out=sum(left_out for name, _, left_out in skipped if name == data_set.name),
        digest=set_digest(manifest["data"][key]),
    )


def _summarise(
    results: Sequence[ObjectResult], entries: Sequence[Entry], infos: Sequence[SetInfo], protocol: EvaluationProtocol
) -> tuple[list[Summary], list[Summary]]:
    summaries, overall = [], []
    for entry in entries:
        mine = [[r for r in results if r.candidate == entry.name and r.set_name == info.name] for info in infos]
        filled = [objects for objects in mine if objects]
        by_set = [summarise_set(objects, protocol.metrics, protocol.seed) for objects in filled]
        summaries += by_set
        overall.append(summarise_overall(by_set, filled, protocol.seed))
    return summaries, overall


@contextmanager
def progress_bar(console: Console, total: int) -> Iterator[Advance]:
    """Show a bar over ``total`` steps, or nothing at all where ``console`` is not a terminal."""
    if not console.is_terminal:
        yield lambda _: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("evaluating", total=total)

        def advance(name: str) -> None:
            progress.update(task, advance=1, description=name)

        yield advance
