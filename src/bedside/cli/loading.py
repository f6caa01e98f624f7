"""Loading a model for a command, and saying what its licence asks for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from bedside.core.errors import InputError

if TYPE_CHECKING:
    from bedside.engines.protocol import Segmenter
    from bedside.engines.sam.policy import SlicePolicy
    from bedside.engines.window.policy import WindowPolicy

INCLUSIVE = "inclusive"
"""Range of slices that every model answers where nothing else is asked for."""


def load_model(
    name: str, device: str, slices: str = INCLUSIVE, *, runtime: str = "auto", precision: str = "auto"
) -> Segmenter:
    """The segmenter of the model called ``name``; where its weights set conditions of use, stderr says so every time.

    Args:
        name: Model in the registry, or a variant of it, see ``read_variant``.
        device: Where to run it.
        slices: Slices of a box that are answered, see ``engines.sam.policy.SlicePolicy``; of the family "sam" only.
        runtime: What runs it, "auto" for the first that is installed.
        precision: What it computes in, "auto" for what the processor does best.

    Raises:
        BedsideError: As ``segment.load_segmenter``.
    """
    from bedside.engines import load_segmenter

    model, window, policy = read_variant(name)
    chosen = {"runtime": runtime, "precision": precision, "window": window, "policy": policy}
    options: dict[str, Any] = {option: value for option, value in chosen.items() if value not in ("auto", None)}
    if slices != INCLUSIVE:
        options["slices"] = _slice_policy(model, slices)
    segmenter = load_segmenter(model, device=device, **options)
    notice = getattr(segmenter, "notice", None)
    if notice is not None:
        print(notice, file=sys.stderr)
    return segmenter


def read_variant(text: str) -> tuple[str, str | None, WindowPolicy | None]:
    """A model and how its windows are chosen, of a text like "bedside-3d:object_zoom=1.5,refine_limit=12".

    ``window`` names a strategy; every other name is an attribute of ``engines.window.policy.WindowPolicy``.

    Returns:
        The model's name, the strategy and the policy; None where nothing was said of them.

    Raises:
        InputError: The model, a name or a value is unknown, or the model's windows are not chosen by this policy.
    """
    name, colon, variant = text.partition(":")
    if not colon:
        return name, None, None
    from bedside.engines.window.policy import usual_policy
    from bedside.weights.models import model_card

    settings = dict(_assignment(part, text) for part in variant.split(","))
    window = settings.pop("window", None)
    card = model_card(name)
    if settings and (window or card.family != "window"):
        raise InputError(f"windows of '{text}'", expected="a model that looks at windows by the prompts' evidence")
    return name, window, usual_policy(card.dimensions).with_settings(settings) if settings else None


def _assignment(part: str, text: str) -> tuple[str, str]:
    name, equals, value = part.partition("=")
    if not (name.strip() and equals and value.strip()):
        raise InputError(f"model '{text}'", expected="NAME:SETTING=VALUE,...", got=f"'{part}'")
    return name.strip(), value.strip()


def _slice_policy(name: str, slices: str) -> SlicePolicy:
    from bedside.engines.sam.policy import SlicePolicy
    from bedside.weights.models import model_card

    policy = SlicePolicy(range=slices)  # type: ignore[arg-type]
    if model_card(name).family != "sam":
        raise InputError(f"slices of '{name}'", expected=f"{INCLUSIVE}: there is no published range", got=slices)
    return policy
