"""Union, difference and intersection of two masks."""

from __future__ import annotations

from bedside.edits import EDITS, Edit, Mask


def add(mask: Mask, spacing: tuple[float, ...], other: Mask) -> Mask:  # noqa: ARG001
    """Return what either mask holds."""
    return mask | other


def subtract(mask: Mask, spacing: tuple[float, ...], other: Mask) -> Mask:  # noqa: ARG001
    """Return what the mask holds and the other does not."""
    return mask & ~other


def intersect(mask: Mask, spacing: tuple[float, ...], other: Mask) -> Mask:  # noqa: ARG001
    """Return what both masks hold."""
    return mask & other


EDITS.register("union")(Edit("Union", "Add what another mask holds.", add, combines=True))
EDITS.register("subtract")(Edit("Subtract", "Take away what another mask holds.", subtract, combines=True))
EDITS.register("intersect")(Edit("Intersect", "Keep what another mask holds, too.", intersect, combines=True))
