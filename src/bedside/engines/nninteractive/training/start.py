"""Weights that a training of nnInteractive's network starts from: its published folder, or a file."""

from __future__ import annotations

from pathlib import Path

import torch

from bedside.core.errors import WeightsError
from bedside.engines.nninteractive.checkpoint import read_published_folder
from bedside.engines.nninteractive.network import DEPTHS, WIDTHS, NNInteractive
from bedside.engines.nninteractive.settings import InteractionSettings
from bedside.train.config import TrainingConfig
from bedside.train.initial import Start, read_file


def read_start(path: Path, config: TrainingConfig) -> Start:
    """Return the weights of a file, or of the folder in which they are published, as a start for a run.

    Raises:
        WeightsError: A file is damaged or not what it says, or was made for prompts in other channels.
    """
    if path.is_dir():
        return _read_published(path, config)
    start = read_file(path)
    if "interactions" in start.training:
        _check_interactions(path, InteractionSettings.from_metadata(start.training["interactions"]))
    return start


def _read_published(folder: Path, config: TrainingConfig) -> Start:
    with torch.device("meta"):
        network = NNInteractive(getattr(config.options, "widths", WIDTHS), getattr(config.options, "depths", DEPTHS))
    published = read_published_folder(folder, network)
    _check_interactions(published.checkpoint, published.settings)
    return Start(published.checkpoint, dict(published.tensors), published.licence)


def _check_interactions(path: Path, settings: InteractionSettings) -> None:
    """Reject weights that know prompts in other channels than those that they would be trained with."""
    known = InteractionSettings()
    for name in ("channels", "previous", "point_radius", "pairs"):
        found, expected = getattr(settings, name), getattr(known, name)
        if found != expected:
            raise WeightsError(f"weights {path.name}: {name} of its prompts", expected=expected, got=found)
