"""Interaction inside a training step: correction rounds on the model's own masks."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bedside.train.clicks import Randomness, correction_clicks, paint_clicks

PREVIOUS, POSITIVE_CLICK, NEGATIVE_CLICK = -5, -2, -1
"""Input channels that a round changes, counted from the last: before them come one or three of the image."""
LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
"""Memory format of a network's input by its axes: channels last takes a CPU a fifth (2D) to a half (3D) less time."""

Batch = Mapping[str, Tensor]


def assemble_input(batch: Batch) -> Tensor:
    """Network input (batch, channels, *grid): image, previous mask, prompts."""
    inputs = torch.cat([batch["image"], batch["previous"][:, None], batch["prompts"]], dim=1)
    return inputs.contiguous(memory_format=LAST[inputs.ndim])


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """Autocast to bfloat16, or nothing for "fp32"; "auto" is for tasks that do not measure: bfloat16 on a GPU alone."""
    if precision == "fp32" or (precision == "auto" and device.type == "cpu"):
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def correction_round(inputs: Tensor, logits: Tensor, batch: Batch, randomness: Randomness) -> Tensor:
    """The next round's input: the answer becomes the previous mask, and its deepest error gets a click.

    Args:
        inputs: The input that was answered, (batch, channels, *grid).
        logits: The answer, (batch, *grid).
        batch: The samples, with "truth" and "inside".
        randomness: Of the click.
    """
    prediction = logits > 0
    truth = batch["truth"] > 0
    positions, active = correction_clicks((prediction != truth) & batch["inside"], randomness)
    samples = torch.arange(len(truth), device=truth.device)
    positive = truth[(samples, *positions.T)]
    following = inputs.clone()
    following[:, PREVIOUS] = prediction.to(inputs.dtype)
    following[:, POSITIVE_CLICK] = paint_clicks(inputs[:, POSITIVE_CLICK], positions, active & positive)
    following[:, NEGATIVE_CLICK] = paint_clicks(inputs[:, NEGATIVE_CLICK], positions, active & ~positive)
    return following


@torch.no_grad()
def play_rounds(
    network: nn.Module,
    inputs: Tensor,
    batch: Batch,
    rounds: int,
    precision: str,
    randomness: Randomness,
    micro_batch: int | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Answer and correct ``rounds`` times without gradient.

    Args:
        network: Answers (samples, channels, *grid) with logits (samples, 1, *grid).
        inputs: The first round's input.
        batch: The samples, with "truth" and "inside".
        rounds: How often to answer and correct.
        precision: See ``autocast``.
        randomness: Of the clicks, which do not depend on ``micro_batch``.
        micro_batch: Samples that the network answers at once, all by default.

    Returns:
        The input of the round that follows, and the logits of every round played, (batch, *grid) each.
    """
    answers = []
    for _ in range(rounds):
        with autocast(inputs.device, precision):
            parts = [network(part)[:, 0].float() for part in torch.split(inputs, micro_batch or len(inputs))]
        logits = torch.cat(parts) if len(parts) > 1 else parts[0]
        answers.append(logits)
        inputs = correction_round(inputs, logits, batch, randomness)
    return inputs, answers
