"""Weights that a training of the window engine starts from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bedside.engines.window.training import efficientnet_lite
from bedside.engines.window.training.inflation import inflate
from bedside.train.config import TrainingConfig
from bedside.train.initial import Start, read_file
from bedside.weights.models import model_card


def read_start(path: Path, config: TrainingConfig) -> Start:
    """The weights of a file as a start for a run; those of a 2D network are inflated for a 3D one.

    Raises:
        WeightsError: The file is damaged or no safetensors file.
    """
    if path.name == Path(efficientnet_lite.FILE).name:
        state = efficientnet_lite.read_encoder(path)
        return Start(path, state, efficientnet_lite.LICENCE, efficientnet_lite.ORIGIN)
    start = read_file(path)
    stem = start.tensors.get("stem.weight")
    if stem is not None and stem.ndim == 4 and model_card(config.model).dimensions == 3:
        return replace(start, tensors=inflate(start.tensors))
    return start
