"""Rep-MedSAM: a RepViT learns stored embeddings of MedSAM, then the whole network learns to predict boxes."""

from __future__ import annotations

from bedside.engines.sam.training.plan import PLANS, PRETRAINED, TEACHER, Plan, Step
from bedside.engines.sam.training.recipe import SamRecipe


@PLANS.register("rep-medsam")
def plan(recipe: SamRecipe) -> Plan:
    """Distil, then fine-tune with the teacher's heads; branches are fused when the weights are exported."""
    return Plan(
        steps=(
            Step("distil", encoder=PRETRAINED, heads=TEACHER),
            Step("fine-tune", encoder="distil", heads=TEACHER),
        ),
        weights={recipe.model: "fine-tune"},
    )
