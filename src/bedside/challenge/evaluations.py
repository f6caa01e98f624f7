"""The 2025 protocol's results in the form of the clicks protocol's, so that the same tables and files show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bedside.challenge.interactive2025 import ROUNDS, InteractiveCase
from bedside.challenge.results import cases_by_start
from bedside.evaluate.results import (
    Candidate,
    Evaluation,
    ObjectResult,
    RoundScore,
    SetInfo,
    summarise_overall,
    summarise_set,
)

METRICS = ("dsc", "nsd")
ALL_CLASSES = "all classes"


def interactive_evaluations(
    results: Mapping[str, Sequence[InteractiveCase]],
    candidates: Sequence[Candidate],
    details: Mapping[str, Any],
) -> tuple[Evaluation, ...]:
    """One evaluation a start, in which every case is one object: the mean over its classes.

    Args:
        results: Cases of each candidate.
        candidates: What took part, under the same names.
        details: "manifest" and "protocol" of the run.
    """
    by_candidate = {name: cases_by_start(cases) for name, cases in results.items()}
    starts = list(dict.fromkeys(start for found in by_candidate.values() for start in found))
    evaluations = []
    seed = int(details["protocol"]["seed"])
    for start in starts:
        able = [c for c in candidates if start in by_candidate[c.name]]
        groups = {c.name: _by_group(by_candidate[c.name][start]) for c in able}
        objects = {
            c.name: [[_object(c.name, case) for case in cases] for cases in groups[c.name].values()] for c in able
        }
        summaries = {name: [summarise_set(of_set, METRICS, seed) for of_set in sets] for name, sets in objects.items()}
        evaluations.append(
            Evaluation(
                manifest=details["manifest"],
                protocol={**details["protocol"], "start": start, "clicks": ROUNDS, "metrics": list(METRICS)},
                candidates=tuple(able),
                sets=tuple(_info(name, cases) for name, cases in groups[able[0].name].items()),
                objects=tuple(o for sets in objects.values() for of_set in sets for o in of_set),
                summaries=tuple(s for rows in summaries.values() for s in rows),
                overall=tuple(summarise_overall(summaries[c.name], objects[c.name], seed) for c in able),
            )
        )
    return tuple(evaluations)


def _by_group(cases: Sequence[InteractiveCase]) -> dict[str, list[InteractiveCase]]:
    groups: dict[str, list[InteractiveCase]] = {}
    for case in cases:
        groups.setdefault(case.group, []).append(case)
    return dict(sorted(groups.items()))


def _object(candidate: str, case: InteractiveCase) -> ObjectResult:
    rounds = tuple(
        RoundScore(clicks, {"dsc": dsc, "nsd": nsd}, seconds)
        for clicks, (dsc, nsd, seconds) in enumerate(zip(case.dsc, case.nsd, case.seconds, strict=True))
    )
    return ObjectResult(candidate, case.group, case.case, ALL_CLASSES, 0, 0, "mm", 0.0, rounds)


def _info(name: str, cases: Sequence[InteractiveCase]) -> SetInfo:
    modality = cases[0].modality
    return SetInfo(name, "", 3, modality, "", len(cases), len(cases), tiny=0, left_out=0, digest="")
