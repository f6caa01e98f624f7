"""Where a prediction is wrong: connected parts of one sign, of which a user corrects one at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.region import Region, changed_region, mask_region
from bedside.simulate.components import label_components


@dataclass(frozen=True, eq=False)
class ErrorPart:
    """A connected part of an error.

    Attributes:
        mask: bool of ``region``'s shape.
        region: The part's extent in the image.
        positive: Whether the object was missed there; otherwise the prediction went too far.
    """

    mask: NDArray[np.bool_]
    region: Region
    positive: bool


def draw_error(truth: NDArray[Any], prediction: NDArray[Any], generator: np.random.Generator) -> ErrorPart | None:
    """One connected part of the error, drawn with a probability proportional to its size; None where there is none.

    What was missed and what is too much are parts of their own even where they touch, so that a stroke over the whole
    part has one sign. Components are sought within the error's extent only.

    Args:
        truth: The object, (z, y, x) or (y, x).
        prediction: The mask to correct, of the same shape.
        generator: Source of randomness.
    """
    outer = changed_region(truth != 0, prediction != 0)
    if outer.is_empty:
        return None
    inside, found = truth[outer.slices] != 0, prediction[outer.slices] != 0
    missed, missed_count = label_components(inside & ~found)
    excess, excess_count = label_components(found & ~inside)
    sizes = np.concatenate(
        [
            np.bincount(missed.ravel(), minlength=missed_count + 1)[1:],
            np.bincount(excess.ravel(), minlength=excess_count + 1)[1:],
        ]
    )
    choice = int(generator.choice(len(sizes), p=sizes / sizes.sum()))
    positive = choice < missed_count
    part = missed == choice + 1 if positive else excess == choice - missed_count + 1
    inner = mask_region(part)
    return ErrorPart(part[inner.slices], inner.shift(outer.start), positive)


def draw_part(mask: NDArray[Any], generator: np.random.Generator) -> ErrorPart | None:
    """One connected part of an object, drawn with a probability proportional to its size; None where it is empty."""
    return draw_error(mask, np.broadcast_to(np.False_, mask.shape), generator)
