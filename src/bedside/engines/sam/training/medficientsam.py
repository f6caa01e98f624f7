"""MedficientSAM: an EfficientViT-SAM learns MedSAM's embeddings from scratch, then everything with augmentation."""

from __future__ import annotations

from bedside.engines.sam.training.plan import FRESH, PLANS, TEACHER, Plan, Step
from bedside.engines.sam.training.recipe import SamRecipe


@PLANS.register("medficientsam")
def plan(recipe: SamRecipe) -> Plan:
    """Plan two stages: the encoder is distilled, then fine-tuned with the teacher's heads."""
    return Plan(
        steps=(
            Step("distil", encoder=FRESH, heads=TEACHER),
            Step("fine-tune", encoder="distil", heads=TEACHER),
        ),
        weights={recipe.model: "fine-tune"},
    )
