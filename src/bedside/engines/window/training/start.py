"""Weights that a training of the window engine starts from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from bedside.core.errors import WeightsError
from bedside.engines.window.training import efficientnet_lite
from bedside.engines.window.training.inflation import inflate
from bedside.train.config import TrainingConfig
from bedside.train.initial import Start, read_file
from bedside.weights.models import model_card


def read_start(path: Path, config: TrainingConfig) -> Start:
    """Return the weights of a file as a start for a run; those of a 2D network are inflated for a 3D one.

    Raises:
        WeightsError: The file is damaged, no safetensors file, or of a 2D network without a counterpart in 3D.
    """
    if path.name == Path(efficientnet_lite.FILE).name:
        state = efficientnet_lite.read_encoder(path)
        return Start(path, state, efficientnet_lite.LICENCE, efficientnet_lite.ORIGIN)
    start = read_file(path)
    if model_card(config.model).dimensions == 3:
        return replace(start, tensors=_in_three_dimensions(path, start.tensors))
    return start


def _in_three_dimensions(path: Path, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return weights of a 2D network inflated, others as they are.

    Raises:
        WeightsError: They are of a 2D network that has no counterpart in 3D.
    """
    if "stem_image.weight" in state:
        raise WeightsError(
            f"weights {path.name}",
            expected="those of a network that there is in 3D",
            got="a 2D network with a pretrained encoder",
            fix="use --initial none or weights of bedside-3d",
        )
    stem = state.get("stem.weight")
    return inflate(state) if stem is not None and stem.ndim == 4 else state
