"""Which masks that a workspace holds may stand for the answer of a model."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from bedside import __version__
from bedside.core.prompts import InitialMask
from bedside.session.journal import Prompted


def asked(prompts: Sequence[Prompted]) -> bool:
    """Return whether a model predicts: an initial mask alone is kept as it is, and no model is loaded for it."""
    return any(not isinstance(entry.prompt, InitialMask) for entry in prompts)


def made_by(prompts: Sequence[Prompted], model: str, weights: str | None) -> str:
    """Return what a mask follows from, so that a kept one is used for just that.

    Args:
        prompts: Those in force, oldest first.
        model: Name of the model.
        weights: Checksum of its weights.
    """
    maker = (model, weights) if asked(prompts) else ()
    numbers = [(entry.id, entry.predict) for entry in prompts]
    return sha256(repr((__version__, maker, numbers)).encode()).hexdigest()
