"""``bedside challenge2025``: cases of the CVPR 2025 competition, boxes and clicks to label maps."""

from __future__ import annotations

from bedside.cli.challenge import (
    Answering,
    ColdOption,
    DeviceOption,
    InputArgument,
    OptionalModelOption,
    OutputArgument,
    PrecisionOption,
    RuntimeOption,
    SecondsOption,
    answer_folder,
)


def challenge2025(
    inputs: InputArgument,
    outputs: OutputArgument,
    model: OptionalModelOption = None,
    device: DeviceOption = "auto",
    runtime: RuntimeOption = "auto",
    precision: PrecisionOption = "auto",
    seconds: SecondsOption = None,
    cold: ColdOption = False,
) -> None:
    """Answer one round of the CVPR 2025 interactive 3D competition, from boxes, clicks and the answer before.

    Every class that has a prompt is answered, with or without a box; where two meet, the smaller one takes the voxel.
    """
    from bedside.challenge.answers import answer_prompts
    from bedside.weights.defaults import volume_model

    how = Answering(model or volume_model(), device, runtime, precision)
    answer_folder("challenge2025", answer_prompts, inputs, outputs, how, seconds, cold)
