"""The network's prediction on one window, and how well it suits that window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bedside.core.region import mask_region
from bedside.engines.evidence import Bounds
from bedside.imaging.window import Window

FILLING = 0.4
"""Part of the window's side that an object should fill to be drawn well."""
STEADINESS = 0.3
"""Weight of an object's change of size between neighbouring windows, against the logarithm of the score."""


@dataclass(frozen=True, eq=False)
class Answer:
    """The network's logits on one window."""

    window: Window
    logits: NDArray[np.float32]
    inside: NDArray[np.bool_]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The object on the grid, within the image."""
        return (self.logits > 0) & self.inside


def answer_bounds(answer: Answer) -> Bounds | None:
    """Return bounds of the prediction's mask in the image, None where it is empty."""
    region = mask_region(answer.mask)
    if region.is_empty:
        return None
    start, scale = np.array(answer.window.start), np.array(answer.window.scale)
    return start + np.array(region.start) * scale, start + np.array(region.stop) * scale


def touches_border(answer: Answer, shape: Sequence[int], share: float) -> bool:
    """Return whether the mask runs into a face of the window behind which the image goes on.

    A face counts when the mask covers there more than ``share`` of its own extent across.
    """
    mask = answer.mask
    extent = mask_region(mask).shape
    if min(extent) == 0:
        return False
    for axis in range(mask.ndim):
        across = float(np.prod([n for a, n in enumerate(extent) if a != axis]))
        for face, open_end in (
            (0, answer.window.start[axis] > 0.5),
            (-1, answer.window.stop[axis] < shape[axis] - 0.5),
        ):
            if open_end and np.count_nonzero(np.take(mask, face, axis=axis)) > share * across:
                return True
    return False


def answer_score(answer: Answer) -> float:
    """Return how well a prediction suits its window, 0 to 1: sure of itself, neither cut off nor lost in the window.

    The first factor is the expected overlap of the mask with the truth under the network's own probabilities; the
    second falls where the mask reaches the window's border or fills little of it.
    """
    mask = answer.mask
    count = int(np.count_nonzero(mask))
    if count == 0:
        return 0.0
    # Clipped before the exponential, which would overflow in float32.
    probability = 1 / (1 + np.exp(-np.clip(answer.logits, -30, 30)))
    sure = float(probability[mask].sum()) / float(count + probability[~mask & answer.inside].sum())
    extent = answer_extent(answer)
    fit = min(1.0, extent / FILLING) * (1.0 if extent < 0.95 else 0.5)
    return float(sure * fit)


def choose_answer(answers: Sequence[Answer]) -> Answer:
    """Return the best of predictions to the same prompts in windows of growing size.

    An object that is really there is found at the same size in neighbouring windows; what is only the network's habit
    grows with the window. So a prediction's score falls with the difference from the neighbour most like it in size.
    """
    sizes = [np.log(max(answer_extent(answer) * max(answer.window.sides), 1.0)) for answer in answers]
    ranks = []
    for n, answer in enumerate(answers):
        neighbours = [abs(sizes[n] - sizes[m]) for m in (n - 1, n + 1) if 0 <= m < len(answers)]
        ranks.append(np.log(max(answer_score(answer), 1e-6)) - STEADINESS * min(neighbours, default=0.0))
    return answers[int(np.argmax(ranks))]


def answer_extent(answer: Answer) -> float:
    """Return longest side of the prediction's mask in parts of the window's side, 0 where it is empty."""
    mask = answer.mask
    region = mask_region(mask)
    shares: list[float] = [n / side for n, side in zip(region.shape, mask.shape, strict=True)]
    return max(shares)
