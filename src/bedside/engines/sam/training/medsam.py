"""MedSAM: SAM's ViT-B, whose image encoder and mask decoder learn to predict boxes on medical images."""

from __future__ import annotations

from bedside.engines.sam.training.plan import PLANS, PRETRAINED, Plan, Step
from bedside.engines.sam.training.recipe import SamRecipe


@PLANS.register("medsam")
def plan(recipe: SamRecipe) -> Plan:
    """Return one stage, from SAM's weights."""
    return Plan(steps=(Step("fine-tune", encoder=PRETRAINED, heads=PRETRAINED),), weights={recipe.model: "fine-tune"})
