"""nnInteractive: prompts that age, in channels of their own, in windows of whole voxels."""

from bedside.core.engines import EngineSpec

SPEC = EngineSpec(
    name="nninteractive",
    load="bedside.engines.nninteractive.load:load_interactions",
    networks=("bedside.engines.nninteractive.network",),
    tasks={"dynamic-prompts": "bedside.engines.nninteractive.training.task"},
    recipes="bedside.engines.nninteractive",
    start_weights="bedside.engines.nninteractive.training.start:read_start",
    start_folder="plans.json",
)
