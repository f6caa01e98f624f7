"""Correction rounds of the dynamic-prompt method: prediction without gradient, click into the error, prediction again.

arXiv 2510.03189. The published code draws its number of clicks and its clicks from one global generator that it seeds
again at every click, and takes all clicks of a round from one prediction, so that they coincide. Here every click
follows a prediction of its own, and everything random comes from the generator that is passed in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from bedside.engines.nninteractive.settings import InteractionSettings
from bedside.engines.nninteractive.solid import ball_on_grid, clicked_cell
from bedside.engines.nninteractive.stamps import click_stamp
from bedside.engines.nninteractive.training.sampling import window_of_numbers
from bedside.simulate.clicks import next_click
from bedside.train.clicks import correction_clicks
from bedside.train.precision import autocast
from bedside.train.processes import current_processes

ClickRule = Literal["exact", "fast"]
"""The middle of the largest connected error by its distance transform, on the CPU; or the deepest error by erosions, on
the device of the batch."""
Batch = Mapping[str, Tensor]


@dataclass
class Play:
    """The state of the interaction with a batch.

    Attributes:
        inputs: What the network is given next, (batch, channels, *grid).
        clicked: Cells that were clicked, for each sample.
    """

    inputs: Tensor
    clicked: list[list[tuple[int, ...]]] = field(default_factory=list)


def begin_play(batch: Batch, settings: InteractionSettings) -> Play:
    """Return the first input: image and box, or a click where there is no box.

    Args:
        batch: ``CropSample`` by field, stacked.
        settings: How the network takes prompts.
    """
    image, box = batch["image"], batch["box"]
    inputs = torch.zeros((len(image), 1 + settings.channels, *image.shape[1:]), device=image.device)
    inputs[:, 0] = image
    inputs[:, 1 + settings.pairs["bbox3d"][0]] = torch.einsum("bz,by,bx->bzyx", box[:, 0], box[:, 1], box[:, 2])
    play = Play(inputs, [[] for _ in image])
    for number, voxel in enumerate(batch["click"].tolist()):
        if min(voxel) >= 0:
            paint_click(play.inputs[number], voxel, batch["window"][number], settings, positive=True)
    return play


def paint_click(
    inputs: Tensor, voxel: list[int], window: Tensor, settings: InteractionSettings, *, positive: bool
) -> None:
    """Let older prompts fade and paint a click, in place.

    Args:
        inputs: Inputs of one sample, (channels, *grid).
        voxel: Voxel of the volume, array order.
        window: See ``CropSample``.
        settings: How the network takes prompts.
        positive: Sign of the click.
    """
    pair = settings.pairs["points"]
    if settings.painting == "solid":
        place = window_of_numbers(window.cpu().numpy(), inputs.shape[-1])
        held, ball = ball_on_grid(clicked_cell(voxel, place), inputs.shape[1:])
        if not held.is_empty:
            part = inputs[1 + pair[0 if positive else 1]][held.slices]
            part[torch.from_numpy(ball.copy()).to(part.device)] = 1
        return
    fading = {c for p in settings.pairs.values() for c in p} if settings.decay_of == "all" else set(pair)
    for channel in fading:
        inputs[1 + channel] *= settings.decay
    place = window_of_numbers(window.cpu().numpy(), inputs.shape[-1])
    cells, values = click_stamp(voxel, place, settings.point_radius)
    if not cells.is_empty:
        target = inputs[1 + pair[0 if positive else 1]][cells.slices]
        stamp = torch.from_numpy(np.array(values)).to(target.device)
        torch.maximum(target, stamp, out=target)


@torch.no_grad()
def play_rounds(
    network: nn.Module,
    play: Play,
    batch: Batch,
    rounds: int,
    settings: InteractionSettings,
    generator: torch.Generator,
    *,
    rule: ClickRule = "exact",
    precision: str = "fp32",
    micro_batch: int | None = None,
) -> list[Tensor]:
    """Predict and correct ``rounds`` times without gradient; ``play`` is changed.

    Args:
        network: Predicts (samples, channels, *grid) with logits (samples, 1, *grid).
        play: See ``begin_play``.
        batch: ``CropSample`` by field, stacked.
        rounds: How often to predict and correct.
        settings: How the network takes prompts.
        generator: Source of randomness, on the CPU; the clicks do not depend on ``micro_batch``.
        rule: How clicks are found.
        precision: See ``rounds.autocast``.
        micro_batch: Samples that the network predicts at once, all by default.

    Returns:
        The logits of every round, (batch, *grid) each.
    """
    answers = []
    for _ in range(rounds):
        with autocast(play.inputs.device, precision):
            parts = [network(part)[:, 0].float() for part in torch.split(play.inputs, micro_batch or len(play.inputs))]
        answers.append(torch.cat(parts))
        correct(play, answers[-1] > 0, batch, settings, generator, rule)
    return answers


def correct(
    play: Play,
    prediction: Tensor,
    batch: Batch,
    settings: InteractionSettings,
    generator: torch.Generator,
    rule: ClickRule,
) -> None:
    """The prediction becomes the previous mask, and each sample that has an error gets a click in it.

    Args:
        play: Is changed.
        prediction: bool (batch, *grid).
        batch: ``CropSample`` by field, stacked.
        settings: How the network takes prompts.
        generator: Source of randomness, on the CPU.
        rule: How clicks are found.
    """
    play.inputs[:, 1 + settings.previous] = prediction.to(play.inputs.dtype)
    truth = batch["truth"] > 0
    seen = without_clicked(prediction, truth, batch["inside"], play.clicked)
    find = _exact_clicks if rule == "exact" else _fast_clicks
    for number, cell in enumerate(find(truth, seen, generator)):
        if cell is None:
            continue
        play.clicked[number].append(cell)
        window = batch["window"][number]
        scale = int(window[3]) / play.inputs.shape[-1]
        voxel = [int(a) + math.floor((c + 0.5) * scale) for a, c in zip(window[:3].tolist(), cell, strict=True)]
        paint_click(play.inputs[number], voxel, window, settings, positive=bool(truth[(number, *cell)]))


def without_clicked(prediction: Tensor, truth: Tensor, inside: Tensor, clicked: list[list[tuple[int, ...]]]) -> Tensor:
    """Return the prediction as the simulated user looks at it: right wherever nobody can click or has clicked."""
    seen = truth.clone()
    for number, ranges in enumerate(inside.tolist()):
        region = tuple(slice(a, b) for a, b in ranges)
        seen[number][region] = prediction[number][region]
        for cell in clicked[number]:
            seen[number][cell] = truth[number][cell]
    return seen


def _exact_clicks(truth: Tensor, seen: Tensor, generator: torch.Generator) -> list[tuple[int, ...] | None]:
    processes = current_processes()
    seeds = processes.own(torch.randint(2**62, (processes.count * len(truth),), generator=generator)).tolist()
    found: list[tuple[int, ...] | None] = []
    for wanted, given, seed in zip(truth.cpu().numpy(), seen.cpu().numpy(), seeds, strict=True):
        click = next_click(wanted, given, np.random.default_rng(seed))
        found.append(None if click is None else tuple(int(c) for c in click.position[::-1]))
    return found


def _fast_clicks(truth: Tensor, seen: Tensor, generator: torch.Generator) -> list[tuple[int, ...] | None]:
    positions, active = correction_clicks(truth != seen, generator)
    return [tuple(p) if a else None for p, a in zip(positions.tolist(), active.tolist(), strict=True)]
