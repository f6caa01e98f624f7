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
"""Range of slices that every model predicts where nothing else is asked for."""
AUTO_SLICES = "auto"
"""What the challenge of 2024 asks for: as the team's own code where there is any, and else every slice of a box."""


def load_model(
    name: str,
    device: str,
    slices: str = INCLUSIVE,
    *,
    runtime: str = "auto",
    precision: str = "auto",
    first_axis: bool = False,
) -> Segmenter:
    """Return the segmenter of the model called ``name``; where its weights set conditions of use, stderr says so every
    time.

    Args:
        name: Model in the registry, or a variant of it, see ``read_variant``.
        device: Where to run it.
        slices: Slices of a box that are predicted, see ``engines.sam.policy.SlicePolicy``; of the family "sam" only.
        runtime: What runs it, "auto" for the first that is installed.
        precision: What it computes in, "auto" for what the processor does best.
        first_axis: Whether models of the family "sam" slice volumes across the first axis whatever the spacing.

    Raises:
        BedsideError: As ``segment.load_segmenter``.
    """
    from bedside.engines import load_segmenter

    name, inference = read_inference(name)
    model, window, policy = read_variant(name)
    chosen = {"runtime": runtime, "precision": precision, "window": window, "policy": policy}
    options: dict[str, Any] = {option: value for option, value in chosen.items() if value not in ("auto", None)}
    slice_policy = _slice_policy(model, slices, inference, first_axis=first_axis)
    if slice_policy is not None:
        options["slices"] = slice_policy
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


def read_inference(text: str) -> tuple[str, str]:
    """Return a model and which of its public inferences, of a text like "medficientsam-l1:inference=python"."""
    name, colon, inference = text.partition(":inference=")
    return (name, inference) if colon else (text, "submitted")


def _slice_policy(name: str, slices: str, inference: str, *, first_axis: bool) -> SlicePolicy | None:
    """Return how volumes are predicted slice by slice; None where a model does not know such policies."""
    if slices == INCLUSIVE and inference == "submitted" and not first_axis:
        return None
    from bedside.engines.sam.policy import SlicePolicy
    from bedside.weights.models import model_card

    chosen: Any = "published" if slices == AUTO_SLICES else slices
    which: Any = inference
    policy = SlicePolicy(range=chosen, axis="first" if first_axis else "spacing", inference=which)
    if model_card(name).family == "sam":
        return policy
    if inference != "submitted":
        raise InputError(f"inference of '{name}'", expected="submitted: there is no other", got=inference)
    if slices not in (INCLUSIVE, AUTO_SLICES):
        raise InputError(f"slices of '{name}'", expected=f"{INCLUSIVE}: there is no published range", got=slices)
    return None
