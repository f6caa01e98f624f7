"""The strategies for choosing windows, by name."""

from __future__ import annotations

from collections.abc import Callable

from bedside.core.errors import InputError
from bedside.engines.adaptive_crop import AdaptiveCrop
from bedside.engines.autozoom import AutoZoom
from bedside.engines.strategy import WindowStrategy

EVIDENCE = "evidence"
"""The window engine's own: around what prompts and mask tell, with search and growth; see ``policy.WindowPolicy``."""
STRATEGIES: dict[str, Callable[[], WindowStrategy]] = {"autozoom": AutoZoom, "adaptive-crop": AdaptiveCrop}


def make_strategy(name: str, others: tuple[str, ...] = ()) -> WindowStrategy:
    """Return the strategy called ``name``, with its own numbers.

    Args:
        name: In ``STRATEGIES``.
        others: Further names that the caller knows, for the message.

    Raises:
        InputError: No strategy has that name.
    """
    if name not in STRATEGIES:
        names = ", ".join(sorted((*STRATEGIES, *others)))
        raise InputError("window strategy", expected=f"one of {names}", got=f"'{name}'")
    return STRATEGIES[name]()
