"""Loading a model for a command, and saying what its licence asks for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from bedside.core.errors import InputError

if TYPE_CHECKING:
    from bedside.segment.protocol import Segmenter
    from bedside.segment.sam.policy import SlicePolicy

INCLUSIVE = "inclusive"
"""Range of slices that every model answers where nothing else is asked for."""


def load_model(
    name: str, device: str, slices: str = INCLUSIVE, *, runtime: str = "auto", precision: str = "auto"
) -> Segmenter:
    """The segmenter of the model called ``name``; where its weights set conditions of use, stderr says so every time.

    Args:
        name: Model in the registry.
        device: Where to run it.
        slices: Slices of a box that are answered, see ``segment.sam.policy.SlicePolicy``; of the family "sam" only.
        runtime: What runs it, "auto" for the first that is installed.
        precision: What it computes in, "auto" for what the processor does best.

    Raises:
        BedsideError: As ``segment.load_segmenter``.
    """
    from bedside.segment import load_segmenter

    chosen = {"runtime": runtime, "precision": precision}
    options: dict[str, Any] = {option: value for option, value in chosen.items() if value != "auto"}
    if slices != INCLUSIVE:
        options["slices"] = _slice_policy(name, slices)
    segmenter = load_segmenter(name, device=device, **options)
    notice = getattr(segmenter, "notice", None)
    if notice is not None:
        print(notice, file=sys.stderr)
    return segmenter


def _slice_policy(name: str, slices: str) -> SlicePolicy:
    from bedside.models.registry import model_card
    from bedside.segment.sam.policy import SlicePolicy

    policy = SlicePolicy(range=slices)  # type: ignore[arg-type]
    if model_card(name).family != "sam":
        raise InputError(f"slices of '{name}'", expected=f"{INCLUSIVE}: there is no published range", got=slices)
    return policy
