"""A case's prompts predicted by a segmenter, as one label map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError, PromptError
from bedside.core.prompts import Box, Prompt
from bedside.core.region import Region, mask_region
from bedside.engines.protocol import Numbering, Segmenter
from bedside.io.challenge import ChallengeCase


@dataclass(frozen=True, eq=False)
class Answer:
    """The label map of a case.

    Attributes:
        labels: uint8 (uint16 beyond 255 objects) of the image's spatial shape; the i-th object is i + 1.
        problems: One line for each object whose prompts could not be used; it has no voxels.
    """

    labels: NDArray[Any]
    problems: tuple[str, ...] = ()


Answerer = Callable[[Segmenter, ChallengeCase], Answer]
"""Predicts a case, whose image the segmenter has been given."""


def answer_boxes(segmenter: Segmenter, case: ChallengeCase) -> Answer:
    """Return the 2024 challenge: every box is an object, and where two meet the later one takes the voxel.

    Raises:
        InputError: The case has no box, or more than 65,535.
    """
    if not case.boxes:
        raise InputError(f"case '{case.name}'", expected="'boxes'", got="none")
    labels = empty_labels(case, len(case.boxes))
    problems = []
    for label, box in enumerate(case.boxes, start=1):
        if box is None:
            continue
        try:
            if isinstance(segmenter, Numbering):
                prediction = segmenter.predict_object([box], label)
            else:
                prediction = segmenter.predict([box])
        except PromptError as error:
            problems.append(f"box {label}: {error}")
            continue
        labels[prediction.region.slices][prediction.mask != 0] = label
    return Answer(labels, tuple(problems))


def answer_prompts(segmenter: Segmenter, case: ChallengeCase, firsts: Sequence[Prompt] = ()) -> Answer:
    """Return the 2025 competition: every class with a prompt is predicted from its box, its clicks and the prediction
    before.

    A class that has neither box nor click, or that had no error in the last round, stays as it was. Where two classes
    meet, the one with fewer voxels takes the voxel: a tumour is seen in its organ, whatever their order.

    Args:
        segmenter: Its image is that of the case.
        case: With prompts and the prediction before.
        firsts: First prompt of each class in the place of the boxes; the competition knows none but boxes.

    Raises:
        InputError: There are more than 65,535 classes.
    """
    count = max(case.objects, len(firsts), int(case.previous.max(initial=0)) if case.previous is not None else 0)
    labels = empty_labels(case, count)
    parts: list[tuple[int, int, Region, NDArray[np.bool_]]] = []
    problems = []
    for label in range(1, count + 1):
        try:
            mask = _answer_class(segmenter, case, label, firsts[label - 1] if firsts else None)
        except PromptError as error:
            problems.append(f"class {label}: {error}")
            continue
        if mask is not None and not (region := mask_region(mask)).is_empty:
            crop = mask[region.slices] != 0
            parts.append((-int(np.count_nonzero(crop)), label, region, crop))
    for _, label, region, crop in sorted(parts, key=lambda part: part[:2]):
        labels[region.slices][crop] = label
    return Answer(labels, tuple(problems))


def _answer_class(
    segmenter: Segmenter, case: ChallengeCase, label: int, first: Prompt | None
) -> NDArray[np.uint8] | None:
    """Return uint8 mask of a class; None where there is nothing to go by."""
    if first is None:
        first = _box_of(segmenter, case, label)
    clicks = case.clicks[label - 1] if label <= len(case.clicks) else ()
    order = case.clicks_order[label - 1] if label <= len(case.clicks_order) else ()
    before = None
    if case.previous is not None:
        found = (case.previous == label).astype(np.uint8)
        before = found if found.any() else None
    prompts: list[Prompt] = [*([first] if first is not None else []), *clicks]
    # None closes the rounds of a class that had no error left.
    settled = before is not None and bool(order) and order[-1] is None
    if settled or not prompts or (before is None and not any(p.positive for p in prompts)):
        return before
    # Without a click since the prediction before, that prediction is to be made from the box once more.
    prediction = segmenter.predict(prompts, before, 1 if before is not None and clicks else len(prompts))
    mask = np.zeros(case.image.shape, dtype=np.uint8) if before is None else before
    prediction.paste(mask)
    return mask


def _box_of(segmenter: Segmenter, case: ChallengeCase, label: int) -> Box | None:
    """Return the case's box of a class, as the segmenter takes boxes; None where it has none."""
    box = case.boxes[label - 1] if label <= len(case.boxes) else None
    if box is not None and segmenter.capabilities.flat_boxes:
        return _flattened(box, case.middle_slices[label - 1] if label <= len(case.middle_slices) else None)
    return box


def _flattened(box: Box, middle: int | None) -> Box:
    """Return a box of a volume on the slice on which it was measured, or on its middle one."""
    if middle is None:
        middle = int(np.floor((box.low[-1] + box.high[-1]) / 2))
    return replace(box, low=(*box.low[:-1], float(middle)), high=(*box.high[:-1], float(middle + 1)))


def empty_labels(case: ChallengeCase, count: int) -> NDArray[Any]:
    """Return a label map of background that can hold ``count`` labels.

    Raises:
        InputError: No label map of the challenges can.
    """
    if count > np.iinfo(np.uint16).max:
        raise InputError(f"case '{case.name}'", expected="at most 65,535 objects", got=count)
    return np.zeros(case.image.shape, dtype=np.uint8 if count <= 255 else np.uint16)
