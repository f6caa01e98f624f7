"""LiteMedSAM, the baseline: a TinyViT learns MedSAM's embeddings, then the whole network learns to predict boxes."""

from __future__ import annotations

from bedside.engines.sam.training.plan import PLANS, PRETRAINED, TEACHER, Plan, Step
from bedside.engines.sam.training.recipe import SamRecipe


@PLANS.register("lite-medsam")
def plan(recipe: SamRecipe) -> Plan:
    """Distil, then fine-tune with the teacher's heads."""
    return Plan(
        steps=(
            Step("distil", encoder=PRETRAINED, heads=TEACHER),
            Step("fine-tune", encoder="distil", heads=TEACHER),
        ),
        weights={recipe.model: "fine-tune"},
    )
