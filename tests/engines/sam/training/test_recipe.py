from __future__ import annotations

import json
from typing import Any

import pytest

from bedside.core.errors import InputError
from bedside.engines.sam.load import SYSTEMS
from bedside.engines.sam.training.plan import PLANS, PRETRAINED, TEACHER, make_plan
from bedside.engines.sam.training.recipe import SamRecipe, epoch_steps
from bedside.train.recipes import load_recipe, recipe_names


def shipped() -> dict[str, SamRecipe]:
    found = {name: load_recipe(name) for name in recipe_names()}
    return {name: recipe for name, recipe in found.items() if isinstance(recipe, SamRecipe)}


RECIPES = shipped()


def test_every_system_of_the_challenge_has_its_recipe() -> None:
    assert set(RECIPES) == {
        "daft",
        "daft-booster",
        "lite-medsam",
        "mcp-medsam",
        "medficientsam",
        "medsam",
        "rep-medsam",
        "swin-lite-medsam",
    }
    assert {recipe.plan for recipe in RECIPES.values()} == set(PLANS.names())


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_fits_its_plan_and_the_system_that_is_to_run_it(name: str) -> None:
    recipe = RECIPES[name]
    plan = make_plan(recipe)
    assert list(recipe.stages) == [step.stage for step in plan.steps]
    system = SYSTEMS[recipe.model]
    for stage, settings in recipe.stages.items():
        sampling = settings.sampling
        assert (sampling.side, sampling.kernel, sampling.half_pixel) == (
            system.side,
            system.kernel,
            system.half_pixel,
        )
        # What the student sees in distillation must lie as what its teacher sees.
        wanted = recipe.teacher.framing if settings.kind == "distil" else system.framing
        assert sampling.framing == wanted, stage
    seen: set[str] = set()
    for step in plan.steps:
        assert all(origin in seen for origin in step.begins.values() if origin in recipe.stages)
        seen.add(step.stage)
    assert set(plan.weights.values()) <= seen
    assert plan.weights[recipe.model] in seen


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_comes_back_from_plain_values(name: str) -> None:
    recipe = RECIPES[name]
    assert SamRecipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_numbers_of_the_published_trainings() -> None:
    def of(name: str, stage: str, *fields: str) -> list[Any]:
        settings = RECIPES[name].stages[stage]
        return [getattr(settings, field) for field in fields]

    basics = ("batch", "epochs", "learning_rate", "weight_decay")
    assert of("lite-medsam", "distil", *basics) == [8, 1000, 5e-5, 0.01]
    assert of("lite-medsam", "fine-tune", *basics, "schedule") == [4, 10, 5e-5, 0.01, "plateau"]
    assert of("medficientsam", "distil", *basics, "slices", "decay", "gradient_clip") == [
        *[8, 8, 0.075, 5e-4],
        *[400_000, 0.5, 0.5],
    ]
    assert of("medficientsam", "fine-tune", "batch", "epochs", "learning_rate", "schedule") == [32, 8, 2e-6, "cosine"]
    loss, sampling = of("medficientsam", "fine-tune", "loss", "sampling")
    assert (loss.dice, loss.bce, loss.focal, loss.iou) == (1, 0, 20, 1)
    assert (sampling.masks, sampling.enlargement, sampling.jitter, sampling.turns) == (5, 5, "whole", 0.5)
    assert (loss.focal_alpha, loss.empty_overlap, sampling.box_grid) == (0, 0, 1024)
    assert of("medficientsam", "fine-tune", "period", "gradient_clip") == [345_000, 0.5]
    plateau = ["plateau", 0.9, 5]
    assert of("swin-lite-medsam", "distil", "schedule", "decay", "patience") == plateau
    assert of("daft", "distil", "schedule", "decay", "patience") == plateau
    assert of("rep-medsam", "fine-tune", "sampling")[0].colours == 1
    for name in ("swin-lite-medsam", "mcp-medsam"):
        assert {s.sampling.flips for s in RECIPES[name].stages.values()} == {0}
    assert of("rep-medsam", "distil", *basics) == [16, 5, 5e-4, 0.01]
    assert of("rep-medsam", "fine-tune", *basics, "clip") == [16, 20, 1e-4, 0.01, "percentile"]
    assert of("rep-medsam", "fine-tune", "loss")[0].squared
    assert of("swin-lite-medsam", "distil", *basics) == [32, 10, 1e-4, 0.01]
    assert of("swin-lite-medsam", "distil", "loss")[0].embedding == "l1"
    assert of("swin-lite-medsam", "joint", *basics, "decay", "patience") == [32, 20, 1e-4, 1e-3, 0.8, 5]
    assert of("swin-lite-medsam", "decoder", "parts") == [("prompt_encoder", "mask_decoder")]
    assert of("medsam", "fine-tune", *basics, "parts") == [160, 100, 1e-4, 0.01, ("image_encoder", "mask_decoder")]
    loss, sampling = of("medsam", "fine-tune", "loss", "sampling")
    assert (loss.dice, loss.bce, loss.iou, sampling.enlargement, sampling.jitter) == (1, 1, 0, 20, "sides")
    assert of("mcp-medsam", "fine-tune", *basics, "last_epoch_rate", "epoch_samples") == [
        *[16, 25, 2e-4, 1e-3],
        *[5e-5, 108_714],
    ]
    assert of("mcp-medsam", "fine-tune", "sampling")[0].by == "modality"
    assert of("daft", "distil", *basics) == [7, 24, 5e-5, 0.01]
    epochs = {stage: settings.epochs for stage, settings in RECIPES["daft"].stages.items()}
    assert [epochs[name] for name in ("general", "ct", "3d", "microscopy", "x-ray")] == [24, 4, 3, 50, 46]
    assert all(s.batch * s.accumulate == 96 for s in RECIPES["daft"].stages.values() if s.kind == "fine-tune")
    assert {(s.early_stop, s.epochs, s.validation_share) for s in RECIPES["daft-booster"].stages.values()} == {
        (7, 70, 0.2)
    }


def test_settings_of_every_stage_are_where_each_begins(tiny: SamRecipe) -> None:
    data = tiny.to_dict()
    stages = {"distil": {"kind": "distil", "batch": 3}, "fine-tune": {"kind": "fine-tune", "sampling": {"by": "case"}}}
    data |= {"every_stage": {"batch": 5, "sampling": {"side": 64, "by": "slice"}}, "stages": stages}
    recipe = SamRecipe.from_dict(data)
    assert [s.batch for s in recipe.stages.values()] == [3, 5]
    assert [(s.sampling.side, s.sampling.by) for s in recipe.stages.values()] == [(64, "slice"), (64, "case")]


def test_overrides_reach_the_recipe_one_stage_or_all(tiny: SamRecipe) -> None:
    changes: dict[str, Any] = {
        "seed": 9,
        "teacher.side": 64,
        "steps": 7,
        "distil.steps": 8,
        "sampling.masks": 2,
        "fine-tune.sampling.by": "modality",
        "fine-tune.loss.dice": "2e0",
    }
    recipe = tiny.with_overrides(changes)
    assert (recipe.seed, recipe.teacher.side) == (9, 64)
    distil, tune = recipe.stages["distil"], recipe.stages["fine-tune"]
    assert (distil.steps, tune.steps) == (8, 7)
    assert (distil.sampling.masks, tune.sampling.masks) == (2, 2)
    assert (distil.sampling.by, tune.sampling.by) == ("slice", "modality")
    assert tune.loss.dice == 2.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stepz": 1}, "unknown training setting"),
        ({"distil.stepz": 1}, "distil.stepz"),
        ({"nothing.steps": 1}, "unknown training setting"),
        ({"distil.kind": "guess"}, "one of distil, fine-tune"),
        ({"batch": "many"}, "expected int"),
        ({"learning_rate": 0}, "learning_rate: expected more than 0"),
        ({"train": ["all"]}, "parts of image_encoder"),
        ({"validation_share": 1}, "below 1"),
    ],
)
def test_settings_that_cannot_be_used(tiny: SamRecipe, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tiny.with_overrides(change)


def test_stages_must_be_those_of_the_plan(tiny: SamRecipe) -> None:
    data = tiny.to_dict()
    data["stages"].pop("distil")
    with pytest.raises(InputError, match="stages of a recipe: expected distil, fine-tune, got fine-tune"):
        make_plan(SamRecipe.from_dict(data))
    with pytest.raises(InputError, match="unknown training plan"):
        make_plan(tiny.with_overrides({"plan": "nothing"}))


def test_steps_come_from_the_epochs_unless_they_are_given(tiny: SamRecipe) -> None:
    recipe = tiny.with_overrides({"steps": 0, "epochs": 4, "batch": 3, "accumulate": 2})
    settings = recipe.stages["distil"]
    # Of 13 slices an epoch takes three steps of six.
    assert settings.total_steps(13) == 12
    assert recipe.training("distil", 13).steps == 12
    assert recipe.training("distil", 13).seed != recipe.training("fine-tune", 13).seed
    assert epoch_steps(settings, 12) == 3
    assert epoch_steps(settings, 2) == 1
    assert recipe.with_overrides({"epoch_samples": 60}).training("distil", 13).steps == 40


def test_where_parts_begin() -> None:
    steps = {step.stage: step for step in make_plan(RECIPES["swin-lite-medsam"]).steps}
    assert steps["distil"].begins == {
        "image_encoder": PRETRAINED,
        "prompt_encoder": TEACHER,
        "mask_decoder": TEACHER,
    }
    assert set(steps["joint"].begins.values()) == {"decoder"}


def test_experts_are_called_as_inference_looks_for_them() -> None:
    from bedside.engines.sam.systems.daft import experts

    for name, own in (("daft", {"US"}), ("daft-booster", {"CT"})):
        stems = set(make_plan(RECIPES[name]).weights)
        modalities = ("CT", "MR", "PET", "X-Ray", "US", "Fundus", "Endoscopy", "Dermoscopy", "OCT", "Mammography")
        for modality in modalities:
            assert (experts(modality)[0] in stems) == (modality not in own), modality
        assert stems <= {stem for modality in (*modalities, "Microscopy") for stem in experts(modality)}
