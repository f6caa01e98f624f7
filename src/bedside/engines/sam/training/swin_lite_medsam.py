"""Swin-LiteMedSAM: a Swin transformer learns stored embeddings, then its own decoder learns, then both together."""

from __future__ import annotations

from bedside.engines.sam.training.plan import PLANS, PRETRAINED, TEACHER, Plan, Step
from bedside.engines.sam.training.recipe import SamRecipe


@PLANS.register("swin-lite-medsam")
def plan(recipe: SamRecipe) -> Plan:
    """Distil, then the heads beside a frozen encoder, then everything; all with points and scribbles.

    The decoder joins finer maps that the teacher's lacks: what the two have in common begins with the teacher's.
    """
    return Plan(
        steps=(
            Step("distil", encoder=PRETRAINED, heads=TEACHER),
            Step("decoder", encoder="distil", heads=TEACHER),
            Step("joint", encoder="decoder", heads="decoder"),
        ),
        weights={recipe.model: "joint"},
    )
