"""Cases worth a picture: the worst, the median and the best of a dataset."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bedside.data.catalogue import DataSet
from bedside.evaluate.cases import ObjectSelection, prepare_case
from bedside.evaluate.report.pictures import ObjectPicture, draw_object
from bedside.evaluate.results import Evaluation, ObjectResult

RANKS = ("worst", "only", "median", "best")


@dataclass(frozen=True)
class Example:
    """A case worth a picture.

    Attributes:
        rank: "worst", "median" or "best"; "only" where the set has one case.
        case_score: Mean of the case's objects after the last click.
        result: The object of the case whose score is nearest to that mean.
        picture: Picture of that object.
    """

    rank: str
    case_score: float
    result: ObjectResult
    picture: ObjectPicture

    @property
    def clicks(self) -> int:
        """Corrections that were given."""
        return len(self.result.trace.prompts) - 1 if self.result.trace else 0

    @property
    def later(self) -> str:
        """When the last picture was, in words."""
        return f"{self.clicks} click{'' if self.clicks == 1 else 's'} later"


def shown_candidate(evaluation: Evaluation) -> str:
    """Tell whose predictions are pictured: the first model's, or the first baseline's where there is no model."""
    return next((c for c in evaluation.candidates if c.kind == "model"), evaluation.candidates[0]).name


def pick_examples(
    evaluation: Evaluation, data_set: DataSet, selection: ObjectSelection, candidate: str
) -> list[Example]:
    """Pick worst, median and best case of a set by the first metric after the last click; fewer where cases are few.

    Args:
        evaluation: What was found.
        data_set: What it was found on.
        selection: As it was evaluated.
        candidate: Whose predictions are pictured.
    """
    spec = evaluation.specs[0]
    results = [r for r in evaluation.objects if r.set_name == data_set.name and r.candidate == candidate]
    scores = {
        case_id: float(np.mean([r.curve(spec.name)[-1] for r in results if r.case_id == case_id]))
        for case_id in {r.case_id for r in results}
    }
    ranked = sorted(scores, key=lambda case_id: (worst_first(scores[case_id], spec.direction), case_id))
    last = len(ranked) - 1
    ranks = {"worst": 0, "median": last // 2, "best": last} if last >= 2 else {"worst": 0, "best": last}
    if last == 0:
        ranks = {"only": 0}
    cases = {case.id: case for case in data_set.cases}
    examples = []
    for rank, position in ranks.items():
        case_id = ranked[position]
        mine = [r for r in results if r.case_id == case_id]
        result = min(mine, key=lambda r: abs(r.curve(spec.name)[-1] - scores[case_id]))
        prepared = prepare_case(data_set, cases[case_id], selection)
        view, target = next((v, o) for v in prepared.views for o in v.objects if o.name == result.object_name)
        if result.trace is not None:
            examples.append(Example(rank, scores[case_id], result, draw_object(view, target, result.trace)))
    return examples


def worst_first(score: float, direction: str) -> float:
    """Return a key by which scores are sorted from the worst to the best; no score is the worst."""
    if math.isnan(score):
        return -math.inf
    return score if direction == "higher" else -score
