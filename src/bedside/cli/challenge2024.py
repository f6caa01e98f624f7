"""``bedside challenge2024``: cases of the CVPR 2024 challenge, boxes to label maps."""

from __future__ import annotations

from bedside.cli.challenge import (
    DEFAULT_MODEL,
    Answering,
    ColdOption,
    DeviceOption,
    InputArgument,
    ModelOption,
    OutputArgument,
    PrecisionOption,
    RuntimeOption,
    SecondsOption,
    SlicesOption,
    answer_folder,
)
from bedside.cli.loading import AUTO_SLICES


def challenge2024(
    inputs: InputArgument,
    outputs: OutputArgument,
    model: ModelOption = DEFAULT_MODEL,
    device: DeviceOption = "auto",
    runtime: RuntimeOption = "auto",
    precision: PrecisionOption = "auto",
    seconds: SecondsOption = None,
    cold: ColdOption = False,
    slices: SlicesOption = AUTO_SLICES,
) -> None:
    """Predict the boxes of the CVPR 2024 challenge "MedSAM on Laptop": box i becomes label i of segs.

    A later box takes the voxels that it shares with an earlier one. Volumes are sliced across their first axis.
    """
    from bedside.challenge.answers import answer_boxes

    how = Answering(model, device, runtime, precision, slices, first_axis=True)
    answer_folder("challenge2024", answer_boxes, inputs, outputs, how, seconds, cold)
