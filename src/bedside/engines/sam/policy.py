"""How volumes are answered slice by slice, where the user has a choice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from bedside.core.errors import InputError

Range = Literal["inclusive", "published"]


@dataclass(frozen=True)
class SlicePolicy:
    """Which slices of a box are answered, and how much is remembered.

    Attributes:
        range: "inclusive" answers every slice of a box; "published" leaves out the ends that the team's own code does.
        memory: Most bytes of encoded slices that are kept, so that further boxes need not encode them again.
    """

    range: Range = "inclusive"
    memory: int = 2**30

    def __post_init__(self) -> None:
        if self.range not in get_args(Range):
            raise InputError("slices", expected=f"one of {', '.join(get_args(Range))}", got=f"'{self.range}'")
        if self.memory < 0:
            raise InputError("memory for encoded slices", expected="0 bytes or more", got=self.memory)
