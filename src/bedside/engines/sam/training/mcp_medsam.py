"""MCP-MedSAM: trained in one go, on one GPU in a day, from a pretrained TinyViT and without a teacher."""

from __future__ import annotations

from bedside.engines.sam.training.plan import FRESH, PLANS, PRETRAINED, Plan, Step
from bedside.engines.sam.training.recipe import SamRecipe


@PLANS.register("mcp-medsam")
def plan(recipe: SamRecipe) -> Plan:
    """Return one stage."""
    return Plan(steps=(Step("fine-tune", encoder=PRETRAINED, heads=FRESH),), weights={recipe.model: "fine-tune"})
