"""What every segmenter promises: an image once, prompts many times, a mask with the window it came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bedside.core.image import Image
from bedside.core.prompts import Point, Prompt
from bedside.core.region import Region


@dataclass(frozen=True)
class Capabilities:
    """What a segmenter can take; clients read this instead of guessing.

    Attributes:
        dimensions: Spatial axes of the images it takes; a 2D model takes volumes slice by slice.
        prompt_kinds: Kinds of prompts ("box", "point", "scribble", "lasso", "mask").
        negative_kinds: Kinds that may be negative.
        colour: Whether colour is used (otherwise it is averaged to grey).
        starts_from: Kinds that can begin an object.
        flat_boxes: Whether a box in a volume must lie on one slice, of any plane.
        suggests: Whether ``suggest`` says where to click next.
        proposes: Whether ``candidates`` gives other masks that prompts may mean.
        estimates: Whether predicts carry an estimate of their DSC.
    """

    dimensions: tuple[int, ...]
    prompt_kinds: frozenset[str]
    negative_kinds: frozenset[str]
    colour: bool
    starts_from: frozenset[str]
    flat_boxes: bool = False
    suggests: bool = False
    proposes: bool = False
    estimates: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "dimensions": list(self.dimensions),
            "prompt_kinds": sorted(self.prompt_kinds),
            "negative_kinds": sorted(self.negative_kinds),
            "colour": self.colour,
            "starts_from": sorted(self.starts_from),
            "flat_boxes": self.flat_boxes,
            "suggests": self.suggests,
            "proposes": self.proposes,
            "estimates": self.estimates,
        }


@dataclass(frozen=True, eq=False)
class Prediction:
    """A prediction to prompts, as large as the window it was made in and not as the image.

    Attributes:
        mask: uint8 0/1 of ``region``'s shape, the object's whole mask within that region.
        region: Where ``mask`` lies in the image; outside it the object is as it was before.
        logits: float32 on the network's grid, of the last window; above 0 is the object.
        window: That window in continuous array-order voxel coordinates, ((start, stop), ...) per axis.
        changed: The smallest region in which the object's mask differs from the one before.
        seconds: Wall time of each stage ("window", "network", "paste").
        passes: Times that the network ran.
        quality: Estimated DSC of the prediction, 0 to 1; None where the model gives none.
    """

    mask: NDArray[np.uint8]
    region: Region
    logits: NDArray[np.float32]
    window: tuple[tuple[float, float], ...]
    changed: Region
    seconds: dict[str, float] = field(default_factory=dict)
    passes: int = 1
    quality: float | None = None

    def paste(self, mask: NDArray[np.uint8]) -> None:
        """Write the prediction into ``mask``, the object's mask of the whole image (uint8, in place)."""
        if not self.region.is_empty:
            mask[self.region.slices] = self.mask


class Segmenter(Protocol):
    """A model behind one interface, whatever its family."""

    name: str
    capabilities: Capabilities

    def set_image(self, image: Image) -> None:
        """Prepare ``image``; prompts that follow refer to it. Replaces the image before."""

    def predict(
        self, prompts: Sequence[Prompt], previous: NDArray[np.uint8] | None = None, fresh: int = 1
    ) -> Prediction:
        """Predict all prompts of one object together.

        Args:
            prompts: The object's prompts so far, oldest first, in either frame; at least one.
            previous: uint8 0/1 mask of the object before the last prompt, in the image's spatial shape; None
                or all zero where there is none yet.
            fresh: How many of the last prompts were given since ``previous`` was made. Without a mask all are.

        Raises:
            PromptError: A prompt lies outside the image or is of a kind the segmenter cannot take.
        """


@runtime_checkable
class Numbering(Segmenter, Protocol):
    """A segmenter that can be told which object of a case it predictions."""

    def predict_object(self, prompts: Sequence[Prompt], number: int) -> Prediction:
        """Predict the prompts of an object that has no mask yet; see ``predict``.

        Args:
            prompts: The object's prompts; at least one.
            number: Number of the object in its case, from 1. It matters to published systems alone, see
                ``engines.sam.slices.covered_cells``.
        """


@runtime_checkable
class Suggesting(Segmenter, Protocol):
    """A segmenter whose ``capabilities.suggests`` is true."""

    def suggest(self, prompts: Sequence[Prompt], mask: NDArray[np.uint8]) -> Point | None:
        """Return where a click would help most.

        Args:
            prompts: The object's prompts so far, oldest first; at least one.
            mask: uint8 0/1 mask of the object, in the image's spatial shape.

        Returns:
            A click at the voxel whose neighbourhood is most likely wrong, of the sign that it would have if the mask
            is wrong there; None where nothing seems wrong.
        """


MOST_CANDIDATES = 4


@runtime_checkable
class Proposing(Segmenter, Protocol):
    """A segmenter whose ``capabilities.proposes`` is true."""

    def candidates(self, prompts: Sequence[Prompt], limit: int = MOST_CANDIDATES) -> list[Prediction]:
        """Return what the first prompts of an object may mean: the prediction, then other masks.

        A click or a stroke does not tell how large the object is: the cell, its nucleus or the whole cluster (after the
        three masks of Kirillov et al., "Segment Anything", 2023). A box does not tell whether it is around one thing or
        around all of a kind.

        Args:
            prompts: The object's prompts, oldest first; at least one.
            limit: Candidates at most.

        Returns:
            That of ``predict`` first, then others that differ from it and from each other, the likeliest first; one
            alone where the prompts tell the object.
        """


def prediction_overlap(a: Prediction, b: Prediction) -> float:
    """Return intersection over union of two predictions' masks, 0 to 1; 1 of two empty ones."""
    common = a.region.intersection(b.region)
    both = 0
    if not common.is_empty:
        inside = [p.mask[common.shift([-s for s in p.region.start]).slices] for p in (a, b)]
        both = int(np.count_nonzero(inside[0] & inside[1]))
    either = int(np.count_nonzero(a.mask)) + int(np.count_nonzero(b.mask)) - both
    return both / either if either else 1.0
