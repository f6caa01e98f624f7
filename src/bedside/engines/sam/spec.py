"""The SAM family: an image is encoded once, and every prompt on it is decoded."""

from bedside.core.engines import EngineSpec

SPEC = EngineSpec(
    name="sam",
    load="bedside.engines.sam.load:load_sam",
    networks=("bedside.engines.sam.networks",),
    tasks={"sam": "bedside.engines.sam.training.task"},
    recipes="bedside.engines.sam",
    staged_recipe="bedside.engines.sam.training.recipe:SamRecipe",
    staged_run="bedside.engines.sam.training.run:run_system",
    part="bedside.engines.sam.convert.parts:load_part",
)
