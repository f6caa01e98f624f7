"""What the network's own probabilities say of a prediction: how good it is, and where a click would help most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.errors import InputError
from bedside.core.prompts import Box, InitialMask, Lasso, Point, Prompt, Scribble
from bedside.engines.answer import Answer
from bedside.engines.evidence import prompt_bounds
from bedside.imaging.paint import CLICK_RADIUS

TELLING = 0.02
"""Part of a mask's voxels that a prompt has to change for the estimate of its quality to rise."""
LEAST_OF_A_KIND = 60
"""Predictions from which a kind of prompt gets a curve of its own."""
LEAST_ERROR = 1.0
"""Cells expected to be wrong about a place below which no click is worth making there."""


@dataclass(frozen=True)
class Calibration:
    """A rising curve from the DSC that the probabilities promise to the DSC that was found on labelled data.

    Attributes:
        expected: Knots, rising, 0 to 1.
        found: The DSC at each knot, not falling.
        kinds: Curves of single kinds of prompts, see ``estimate_kind``; the others share the one above.
    """

    expected: tuple[float, ...]
    found: tuple[float, ...]
    kinds: Mapping[str, Calibration] = field(default_factory=dict)

    def __post_init__(self) -> None:
        knots, values = np.array(self.expected), np.array(self.found)
        sound = len(knots) == len(values) >= 2 and (np.diff(knots) > 0).all() and (np.diff(values) >= 0).all()
        if not sound or min(values[0], knots[0]) < 0 or max(values[-1], knots[-1]) > 1:
            raise InputError("calibration", expected="two or more rising knots from 0 to 1", got=self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Calibration:
        """Return the inverse of ``to_dict``."""
        kinds = {str(kind): cls.from_dict(curve) for kind, curve in dict(data.get("kinds", {})).items()}
        return cls(tuple(map(float, data["expected"])), tuple(map(float, data["found"])), kinds)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for the card of the weights."""
        kinds = {kind: curve.to_dict() for kind, curve in self.kinds.items()}
        return {"expected": list(self.expected), "found": list(self.found), **({"kinds": kinds} if kinds else {})}

    def __call__(self, expected: float, kind: str = "") -> float:
        """Return the DSC to be told for a promised one, of a prediction from prompts of that kind."""
        curve = self.kinds.get(kind, self)
        return float(np.interp(expected, curve.expected, curve.found))


def estimate_kind(prompts: Sequence[Prompt], corrected: bool) -> str:
    """Return what tells the object, by which a network's promises are kept more or less well.

    Args:
        prompts: In the frame ``index``, oldest first.
        corrected: Whether they correct a mask, and not begin one.

    Returns:
        "area" for a box, lasso or mask, "flat area" for one on a slice of a volume, "stroke" or "click"; "corrected"
        before it where a mask is corrected.
    """
    positive = [p for p in prompts if p.positive]
    areas = [p for p in positive if isinstance(p, Box | Lasso | InitialMask)]
    if areas:
        flat = areas[0].ndim == 3 and all(_is_flat(p) for p in areas)
        kind = "flat area" if flat else "area"
    else:
        kind = "stroke" if any(isinstance(p, Scribble) for p in positive) else "click"
    return f"corrected {kind}" if corrected else kind


def _is_flat(prompt: Box | Lasso | InitialMask) -> bool:
    if isinstance(prompt, InitialMask):
        return False
    low, high = prompt_bounds(prompt)
    return bool((high - low <= 1.0).any())


def told_quality(
    quality: float | None,
    earlier: float | None,
    before: NDArray[Any],
    after: NDArray[Any],
    start: Sequence[int],
    fresh: Sequence[Prompt],
) -> float | None:
    """Return the quality to be told of a corrected mask: a click that corrects nothing does not make it better.

    A network is the surer of a mask the more prompts it has been given, whatever they were.

    Args:
        quality: What the network says of the mask after the correction; None where it says nothing.
        earlier: What was told of the mask before it; None where nothing was.
        before: The mask before the correction, of a region outside which both are empty.
        after: The mask after it, of the same region.
        start: Where the region begins, array order.
        fresh: The new prompts, in the image's frame ``index``.

    Returns:
        ``quality``, and no more than ``earlier`` where the mask hardly changed or the new prompts are clicks that it
        had obeyed already.
    """
    if quality is None or earlier is None:
        return quality
    changed = np.count_nonzero((before != 0) != (after != 0))
    known = changed < TELLING * np.count_nonzero(after) or all(_is_obeyed(p, before, start) for p in fresh)
    return min(quality, earlier) if known else quality


def _is_obeyed(prompt: Prompt, mask: NDArray[Any], start: Sequence[int]) -> bool:
    if not isinstance(prompt, Point):
        return False
    place = tuple(int(np.floor(c + 0.5)) - a for c, a in zip(prompt.position[::-1], start, strict=True))
    within = all(0 <= c < n for c, n in zip(place, mask.shape, strict=True))
    return prompt.positive == bool(within and mask[place])


def fit_calibrations(expected: NDArray[np.float64], found: NDArray[np.float64], kinds: Sequence[str]) -> Calibration:
    """Return the curve of all predictions, with curves of those kinds that have ``LEAST_OF_A_KIND`` predictions.

    Args:
        expected: Promised DSC of each prediction, 0 to 1.
        found: Its DSC against the truth.
        kinds: What it was predicted from, see ``estimate_kind``.

    Raises:
        InputError: There are too few different predictions to fit a curve.
    """
    curves = {}
    for kind in sorted(set(kinds)):
        those = np.array([k == kind for k in kinds])
        if those.sum() >= LEAST_OF_A_KIND:
            curves[kind] = fit_calibration(expected[those], found[those])
    whole = fit_calibration(expected, found)
    return Calibration(whole.expected, whole.found, curves)


def fit_calibration(expected: NDArray[np.float64], found: NDArray[np.float64], knots: int = 12) -> Calibration:
    """Return the rising curve nearest to the data: isotonic regression (pool adjacent violators) of bins of equal
    counts.

    Args:
        expected: Promised DSC of each prediction, 0 to 1.
        found: Its DSC against the truth.
        knots: Bins, at most.

    Raises:
        InputError: There are too few different predictions to fit a curve.
    """
    order = np.argsort(expected, kind="stable")
    bins = (
        [part for part in np.array_split(order, min(knots, len(order) // 10)) if len(part)] if len(order) >= 20 else []
    )
    places = [float(expected[part].mean()) for part in bins]
    pools: list[list[float]] = []  # mean, weight, bins
    for part in bins:
        pools.append([float(found[part].mean()), float(len(part)), 1.0])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            mean, weight, count = pools.pop()
            last = pools[-1]
            total = last[1] + weight
            pools[-1] = [(last[0] * last[1] + mean * weight) / total, total, last[2] + count]
    values = [mean for mean, _, count in pools for _ in range(int(count))]
    kept = [i for i, place in enumerate(places) if i == 0 or place > places[i - 1] + 1e-4]
    if len(kept) < 2:
        raise InputError("calibration", expected="at least 20 answers of different quality", got=len(expected))
    # Five digits are more than the data tell, and keep cards small.
    rounded = [(round(places[i], 5), round(min(max(values[i], 0.0), 1.0), 5)) for i in kept]
    return Calibration(tuple(place for place, _ in rounded), tuple(value for _, value in rounded))


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return probability of the object in every cell."""
    # Clipped before the exponential, which would overflow in float32.
    values: NDArray[np.float32] = (1 / (1 + np.exp(-np.clip(logits, -30, 30)))).astype(np.float32)
    return values


def expected_dsc(answer: Answer) -> float:
    """Return the DSC that a prediction's probabilities promise: twice the expected overlap over the expected sizes.

    0 for an empty mask.
    """
    probability = probabilities(answer.logits) * answer.inside
    mask = answer.mask
    count = float(np.count_nonzero(mask))
    return 2 * float(probability[mask].sum()) / (count + float(probability.sum())) if count else 0.0


def most_doubtful_cell(
    answer: Answer, shown: NDArray[np.bool_], radius: float = CLICK_RADIUS
) -> tuple[tuple[int, ...], float] | None:
    """Return where the mask that is shown is most likely wrong over an area as large as a click reaches.

    Args:
        answer: Prediction of the network, on a window.
        shown: The mask to be corrected, on the window's grid.
        radius: Cells about a click that it is meant to change.

    Returns:
        The cell (array order) and the number of cells about it that are expected to be wrong; None where fewer than
        ``LEAST_ERROR`` are anywhere.
    """
    probability = probabilities(answer.logits)
    wrong = np.where(shown, 1 - probability, probability) * answer.inside
    about = ndimage.gaussian_filter(wrong, radius / 2, mode="constant", truncate=3.0)
    # A click belongs on a cell that is itself doubtful, not between two that are.
    about = about * (wrong >= 0.25)
    cell = np.unravel_index(int(np.argmax(about)), about.shape)
    reach = (np.sqrt(2 * np.pi) * radius / 2) ** about.ndim
    error = float(about[cell]) * float(reach)
    return (tuple(int(c) for c in cell), error) if error >= LEAST_ERROR else None
