"""How volumes are predicted slice by slice, where the user has a choice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from bedside.core.errors import InputError

Range = Literal["inclusive", "published"]
Axis = Literal["spacing", "first"]
Inference = Literal["submitted", "python"]


@dataclass(frozen=True)
class SlicePolicy:
    """Which slices of a box are predicted and how an object is followed through them, and how much is remembered.

    Attributes:
        range: "inclusive" predicts every slice of a box, cut to the image, and follows every object alike. "published"
            does as the team's own code: it leaves out the ends that that leaves out, takes boxes as they are given, and
            follows the k-th object of a case by what that code makes of the number k (see ``slices.covered_cells``).
        axis: Across which axis a volume is sliced: "first", as the systems were trained on and as the challenge has it,
            or "spacing", which takes another where the spacing along that is much larger.
        inference: Which public inference of a system that has two: "submitted" to the challenge, or that of its
            "python" scripts (see ``System.second``).
        memory: Most bytes of encoded slices that are kept, so that further boxes need not encode them again.
    """

    range: Range = "inclusive"
    memory: int = 2**30
    axis: Axis = "spacing"
    inference: Inference = "submitted"

    def __post_init__(self) -> None:
        choices = (("slices", self.range, Range), ("axis of slices", self.axis, Axis))
        for what, value, kind in (*choices, ("inference", self.inference, Inference)):
            if value not in get_args(kind):
                raise InputError(what, expected=f"one of {', '.join(get_args(kind))}", got=f"'{value}'")
        if self.memory < 0:
            raise InputError("memory for encoded slices", expected="0 bytes or more", got=self.memory)

    @property
    def published(self) -> bool:
        """Whether the team's own code is followed."""
        return self.range == "published"
