"""``bedside challenge2025``: cases of the CVPR 2025 competition, boxes and clicks to label maps."""

from __future__ import annotations

from typing import Annotated

import typer

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
from bedside.core.errors import InputError

SMALLER, SCORES = "smaller", "scores"
JoinOption = Annotated[
    str,
    typer.Option(
        "--join",
        help="Where classes meet: the smaller one (smaller), or the largest logit, with the middle third of an image "
        "in the place of missing boxes, as the public code of arXiv 2510.03189 (scores).",
    ),
]


def challenge2025(
    inputs: InputArgument,
    outputs: OutputArgument,
    model: OptionalModelOption = None,
    device: DeviceOption = "auto",
    runtime: RuntimeOption = "auto",
    precision: PrecisionOption = "auto",
    seconds: SecondsOption = None,
    cold: ColdOption = False,
    join: JoinOption = SMALLER,
) -> None:
    """Predict one round of the CVPR 2025 interactive 3D competition, from boxes, clicks and the prediction before.

    Every class that has a prompt is predicted, with or without a box; where two meet, the smaller one takes the voxel.
    """
    from bedside.challenge.answers import answer_prompts
    from bedside.challenge.dynamic_prompts import answer_by_scores
    from bedside.weights.defaults import volume_model

    answerers = {SMALLER: answer_prompts, SCORES: answer_by_scores}
    if join not in answerers:
        raise InputError("--join", expected=f"one of {', '.join(answerers)}", got=f"'{join}'")
    how = Answering(model or volume_model(), device, runtime, precision, join="" if join == SMALLER else join)
    answer_folder("challenge2025", answerers[join], inputs, outputs, how, seconds, cold)
