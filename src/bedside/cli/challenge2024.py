"""``bedside challenge2024``: cases of the CVPR 2024 challenge, boxes to label maps."""

from __future__ import annotations

from bedside.cli.challenge import (
    DEFAULT_MODEL,
    ColdOption,
    DeviceOption,
    InputArgument,
    ModelOption,
    OutputArgument,
    SecondsOption,
    SlicesOption,
    answer_folder,
)


def challenge2024(
    inputs: InputArgument,
    outputs: OutputArgument,
    model: ModelOption = DEFAULT_MODEL,
    device: DeviceOption = "auto",
    seconds: SecondsOption = None,
    cold: ColdOption = False,
    slices: SlicesOption = "inclusive",
) -> None:
    """Answer the boxes of the CVPR 2024 challenge "MedSAM on Laptop": box i becomes label i of segs.

    A later box takes the voxels that it shares with an earlier one.
    """
    from bedside.evaluate.challenge.answers import answer_boxes

    answer_folder("challenge2024", answer_boxes, inputs, outputs, model, device, seconds, cold, slices)
