"""The window engine: prompts are input channels, and one window of the image is predicted at a time."""

from bedside.core.engines import EngineSpec

SPEC = EngineSpec(
    name="window",
    load="bedside.engines.window.load:load_window",
    networks=("bedside.engines.window.networks",),
    tasks={"window": "bedside.engines.window.training.task"},
    default_task="window",
    recipes="bedside.engines.window",
    pretrained={"efficientnet-lite0": "bedside.engines.window.training.efficientnet_lite:pretrained_file"},
    start_weights="bedside.engines.window.training.start:read_start",
)
