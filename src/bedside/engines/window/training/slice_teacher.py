"""Slices of volumes as the 2D model predicts them: a teacher for the 3D one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bedside.engines.window.encodings import card_encoding
from bedside.engines.window.sampling.appearance import normalise
from bedside.engines.window.training.rounds import Batch
from bedside.imaging.paint import CHANNELS
from bedside.train.checkpoint import load_weights
from bedside.train.initial import read_tensors
from bedside.train.precision import LAST, autocast
from bedside.train.processes import current_processes
from bedside.weights.models import build_model, model_card
from bedside.weights.store import find_weights

TEACHER = "bedside-2d"
COLOURS = 3
FINER = 2
"""The teacher's cells along one of the window's: it was trained on finer grids than those of volumes."""


@dataclass(frozen=True, eq=False)
class SliceAnswers:
    """What the teacher says of one slice of every sample.

    Attributes:
        axis: Axis of the grid, that the slices are cut across.
        index: int64 (batch,), which slice.
        probability: float32 (batch, grid, grid) of the object.
        inside: float32 (batch, grid, grid), 0 outside the image.
        cells: float32 (), cells inside the images of the whole batch, whose samples other processes may have.
    """

    axis: int
    index: Tensor
    probability: Tensor
    inside: Tensor
    cells: Tensor


class SliceTeacher:
    """Predicts a slice of every sample from the box around the object there.

    Args:
        network: (batch, 8, y, x) to logits (batch, 1, y, x), as ``window.networks.bedside_2d``; it is not trained.
        precision: See ``rounds.autocast``.
    """

    def __init__(self, network: nn.Module, precision: str) -> None:
        self._network = network.eval().requires_grad_(False)
        self._precision = precision
        self._encoding = card_encoding(model_card(TEACHER))

    @classmethod
    def installed(cls, device: torch.device, precision: str) -> SliceTeacher:
        """With the installed weights of bedside-2d, by default the bundled ones.

        Raises:
            WeightsError: There are none, or they cannot be read.
        """
        files = find_weights(TEACHER)
        network = build_model(TEACHER, files.card.architecture)
        load_weights(network, read_tensors(files.tensors))
        return cls(network.to(device), precision)

    @torch.no_grad()
    def answer(self, batch: Batch, generator: torch.Generator) -> SliceAnswers:
        """Predict on slices that show the object, across an axis that all samples share.

        Args:
            batch: The samples, with "image" (batch, 1, *grid), "truth" and "inside" (batch, *grid).
            generator: Generator of axis and slices, on the CPU.
        """
        truth = batch["truth"] > 0
        axis = int(torch.randint(3, (1,), generator=generator))
        others = [1 + a for a in range(3) if a != axis]
        shown = truth.any(dim=others[1]).any(dim=others[0])
        processes = current_processes()
        # Drawn for the whole batch, so that it does not matter how many processes share it.
        chance = torch.rand((processes.count * len(shown), shown.shape[1]), generator=generator)
        chance = processes.own(chance).to(truth.device)
        index = (shown * (1 + chance)).argmax(dim=1)
        inside = take_slices(batch["inside"], axis, index)
        image = normalise(take_slices(batch["image"][:, 0], axis, index)[:, None], inside)
        # The prompts are painted as for the teacher's encoding: there is the box alone, and no previous mask.
        covered = torch.zeros((len(image), len(CHANNELS), *inside.shape[1:]), device=image.device)
        covered[:, CHANNELS.index("box or lasso, positive")] = boxes(take_slices(truth, axis, index))
        previous = torch.zeros_like(covered[:, :1])
        given = self._encoding.arrange(previous, covered, axis=1)
        inputs = torch.cat([image.expand(-1, COLOURS, -1, -1), *given], dim=1)
        inside = inside.float()
        return SliceAnswers(axis, index, self._probability(inputs), inside, processes.sum(inside.sum()))

    def _probability(self, inputs: Tensor) -> Tensor:
        fine = F.interpolate(inputs, scale_factor=float(FINER), mode="bilinear", align_corners=False)
        with autocast(inputs.device, self._precision):
            logits = self._network(fine.contiguous(memory_format=LAST[fine.ndim])).float()
        return F.avg_pool2d(logits.sigmoid(), FINER)[:, 0]


def take_slices(values: Tensor, axis: int, index: Tensor) -> Tensor:
    """Map (batch, *grid) to (batch, grid, grid): slice ``index`` (batch,) of every sample across ``axis`` of the
    grid.
    """
    samples = torch.arange(len(values), device=values.device)
    return values.movedim(1 + axis, 1)[samples, index]


def boxes(masks: Tensor) -> Tensor:
    """Map bool (batch, y, x) to float32 of the same shape: 1 in the smallest box around each mask."""
    filled = torch.ones_like(masks, dtype=torch.float32)
    for other in (1, 2):
        along = masks.any(dim=other).float()
        after, before = along.cummax(dim=1).values, along.flip(1).cummax(dim=1).values.flip(1)
        filled = filled * (after * before).unsqueeze(other)
    return filled


def slice_loss(logits: Tensor, answers: SliceAnswers, part: slice) -> Tensor:
    """Return cross-entropy between the network's slices and the teacher's, over the cells inside the image.

    Args:
        logits: (samples, *grid), those of a part of the batch.
        answers: Predictions of the whole batch.
        part: Which samples.
    """
    own = take_slices(logits, answers.axis, answers.index[part])
    inside = answers.inside[part]
    values = F.binary_cross_entropy_with_logits(own, answers.probability[part], reduction="none")
    # Over all samples of the batch, so that the parts' losses add up to the batch's.
    return (values * inside).sum() / answers.cells.clamp(min=1)
