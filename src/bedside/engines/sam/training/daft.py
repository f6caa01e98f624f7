"""DAFT: an EfficientViT-SAM learns LiteMedSAM's embeddings, then boxes on all data, then on one group of them each.

Each expert is a network of its own; the modality of an image chooses one (``engines.sam.systems.daft``).
"""

from __future__ import annotations

from bedside.engines.sam.training.plan import FRESH, PLANS, PRETRAINED, TEACHER, Plan, Step
from bedside.engines.sam.training.recipe import SamRecipe

EXPERTS = ("ct", "3d", "fundus", "oct", "mammography")
"""Experts of the submission that begin with the network that was trained on all data."""
BOOSTED = ("3d", "x-ray", "us", "fundus", "endoscopy", "dermoscopy", "microscopy", "oct", "mammography")
"""Experts after the challenge."""


@PLANS.register("daft")
def plan(recipe: SamRecipe) -> Plan:
    """Return the submission.

    X-ray and microscopy begin without pretrained weights. Dermoscopy is served by the network for all data, endoscopy
    by the distilled one with LiteMedSAM's heads, and ultrasound by LiteMedSAM itself.
    """
    experts = tuple(Step(name, encoder="general", heads="general") for name in EXPERTS)
    return Plan(
        steps=(
            Step("distil", encoder=PRETRAINED, heads=TEACHER),
            Step("general", encoder="distil", heads=TEACHER),
            *experts,
            Step("distil-from-scratch", encoder=FRESH, heads=TEACHER),
            Step("x-ray", encoder="distil-from-scratch", heads=TEACHER),
            Step("general-from-scratch", encoder="distil-from-scratch", heads=TEACHER),
            Step("microscopy", encoder="general-from-scratch", heads="general-from-scratch"),
        ),
        weights={
            recipe.model: "general",
            **{f"{recipe.model}-{name}": name for name in (*EXPERTS, "x-ray", "microscopy")},
            f"{recipe.model}-dermoscopy": "general",
            f"{recipe.model}-endoscopy": "distil",
        },
        optional=frozenset((*EXPERTS, "microscopy")),
    )


@PLANS.register("daft-booster")
def booster(recipe: SamRecipe) -> Plan:
    """Return the performance booster after the challenge: the same three stages for every group, each ended by
    validation.
    """
    return Plan(
        steps=(
            Step("distil", encoder=PRETRAINED, heads=TEACHER),
            Step("general", encoder="distil", heads=TEACHER),
            *(Step(name, encoder="general", heads="general") for name in BOOSTED),
        ),
        weights={recipe.model: "general", **{f"{recipe.model}-{name}": name for name in BOOSTED}},
        optional=frozenset(BOOSTED),
    )
