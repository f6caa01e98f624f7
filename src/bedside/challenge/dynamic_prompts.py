"""Predictions as the public code of the dynamic-prompt method joins them (arXiv 2510.03189).

Classes are told apart by the largest logit, against a background whose score is the logarithm of the probability that
no class is there. With one class its voxels are those above -0.481, a probability of 0.382. Without any box the first
class gets the middle third of what is not zero in the image, and all others get nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bedside.challenge.answers import Answer, empty_labels
from bedside.core.errors import PromptError
from bedside.core.prompts import Box, Prompt
from bedside.core.region import Region, mask_region
from bedside.engines.protocol import Segmenter
from bedside.imaging.resample import interpolate, voxel_taps
from bedside.io.challenge import ChallengeCase


@dataclass(frozen=True, eq=False)
class ClassScores:
    """The logits of a class at the voxels of a region; outside it the class is not."""

    label: int
    values: NDArray[np.float32]
    region: Region


def answer_by_scores(segmenter: Segmenter, case: ChallengeCase, firsts: Sequence[Prompt] = ()) -> Answer:
    """Every class is predicted again from its box, all its clicks and its mask before, and the largest logit wins.

    Args:
        segmenter: Its image is that of the case.
        case: With prompts and the prediction before.
        firsts: First prompt of each class in the place of the boxes.

    Raises:
        InputError: There are more than 65,535 classes.
    """
    boxes: list[Prompt | None] = [*firsts] if firsts else [*case.boxes]
    if not any(box is not None for box in boxes):
        boxes = [middle_third(case.image.array)]
    labels = empty_labels(case, max(len(boxes), case.objects))
    scores, problems = [], []
    for label, box in enumerate(boxes, start=1):
        if box is None:
            continue
        clicks = case.clicks[label - 1] if label <= len(case.clicks) else ()
        before = None if case.previous is None else (case.previous == label).astype(np.uint8)
        try:
            prediction = segmenter.predict([box, *clicks], before, 1 + len(clicks))
        except PromptError as error:
            problems.append(f"class {label}: {error}")
            continue
        if prediction.logits.ndim == labels.ndim and prediction.logits.size:
            scores.append(_at_voxels(label, prediction.logits, prediction.window, labels.shape))
    return Answer(join_scores(scores, labels), tuple(problems))


def middle_third(array: NDArray[np.generic]) -> Box:
    """The middle third of the extent of what is not zero, on every axis."""
    region = mask_region(array != 0)
    region = Region.whole(array.shape) if region.is_empty else region
    low = [a + (b - a) // 3 for a, b in zip(region.start, region.stop, strict=True)]
    high = [max(c + 1, a + 2 * (b - a) // 3) for a, b, c in zip(region.start, region.stop, low, strict=True)]
    return Box(tuple(float(v) for v in low[::-1]), tuple(float(v) for v in high[::-1]))


def join_scores(scores: Sequence[ClassScores], labels: NDArray[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
    """Write the class of the largest logit into ``labels``, and 0 where the background is likelier than any.

    Args:
        scores: Scores of the classes; of equal ones the first wins.
        labels: Zeros of the image's shape.
    """
    ground = np.zeros(labels.shape, dtype=np.float32)
    best = np.full(labels.shape, -np.inf, dtype=np.float32)
    for score in scores:
        # The logarithm of 1 - sigmoid is minus the softplus.
        ground[score.region.slices] -= np.logaddexp(0, score.values)
        place = best[score.region.slices]
        wins = score.values > place
        place[wins] = score.values[wins]
        labels[score.region.slices][wins] = score.label
    labels[best <= ground] = 0
    return labels


def _at_voxels(
    label: int, logits: NDArray[np.float32], window: Sequence[tuple[float, float]], shape: Sequence[int]
) -> ClassScores:
    start = [min(max(0, int(np.ceil(a - 0.5))), n) for (a, _), n in zip(window, shape, strict=True)]
    stop = [max(s, min(n, int(np.ceil(b - 0.5)))) for (_, b), n, s in zip(window, shape, start, strict=True)]
    region = Region(tuple(start), tuple(stop))
    if region.is_empty:
        return ClassScores(label, np.zeros((0,) * len(shape), np.float32), Region.empty(len(shape)))
    taps = [
        voxel_taps(a, b, cells, first, last)
        for (a, b), cells, first, last in zip(window, logits.shape, start, stop, strict=True)
    ]
    return ClassScores(label, interpolate(logits.astype(np.float32), taps), region)
