"""The order of a training's stages, and what each begins with: one short module a system, beside this one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bedside.core.errors import InputError
from bedside.core.registry import Registry
from bedside.engines.sam.training.recipe import SamRecipe

FRESH = "initial weights"
TEACHER = "the teacher"
PRETRAINED = "pretrained weights"
"""Where a part's weights come from, if not from an earlier stage."""


@dataclass(frozen=True)
class Step:
    """One stage of a training.

    Attributes:
        stage: Its name in the recipe.
        encoder: Where the image encoder begins: ``FRESH``, ``TEACHER``, ``PRETRAINED``, or an earlier stage's name.
        heads: Where prompt encoder and mask decoder begin.
    """

    stage: str
    encoder: str = FRESH
    heads: str = FRESH

    @property
    def begins(self) -> dict[str, str]:
        """Origin of each part."""
        return {"image_encoder": self.encoder, "prompt_encoder": self.heads, "mask_decoder": self.heads}


@dataclass(frozen=True)
class Plan:
    """A whole training.

    Attributes:
        steps: In their order.
        weights: Files of weights that come out of it, by stem, and the stage whose network each holds.
        optional: Stages that are left out, with what would come of them, where the data hold none of their modalities.
    """

    steps: tuple[Step, ...]
    weights: Mapping[str, str]
    optional: frozenset[str] = field(default_factory=frozenset)


Planner = Callable[[SamRecipe], Plan]
PLANS: Registry[Planner] = Registry("training plan", "bedside.engines.sam.training")


def make_plan(recipe: SamRecipe) -> Plan:
    """Return the plan of a recipe.

    Raises:
        InputError: There is no such plan, or the recipe lacks settings of a stage, or has some of none.
    """
    plan = PLANS.get(recipe.plan)(recipe)
    wanted, given = {step.stage for step in plan.steps}, set(recipe.stages)
    if wanted != given:
        raise InputError("stages of a recipe", expected=", ".join(sorted(wanted)), got=", ".join(sorted(given)))
    return plan
