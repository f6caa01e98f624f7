"""Interaction inside a training step: correction rounds on the model's own masks."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bedside.engines.window.encodings import PromptEncoding
from bedside.train.clicks import Randomness, correction_clicks, squared_distances
from bedside.train.precision import LAST, autocast

Batch = Mapping[str, Tensor]


def assemble_input(batch: Batch, encoding: PromptEncoding) -> Tensor:
    """Return network input (batch, channels, *grid): the image's channels and those of the encoding."""
    parts = encoding.arrange(batch["previous"][:, None], batch["prompts"], axis=1)
    inputs = torch.cat([batch["image"], *parts], dim=1)
    return inputs.contiguous(memory_format=LAST[inputs.ndim])


def correction_round(
    inputs: Tensor, logits: Tensor, batch: Batch, randomness: Randomness, encoding: PromptEncoding
) -> Tensor:
    """Return the next round's input: the prediction becomes the previous mask, and its deepest error gets a click.

    Args:
        inputs: The input that was predicted, (batch, channels, *grid).
        logits: The prediction, (batch, *grid).
        batch: The samples, with "truth" and "inside".
        randomness: Randomness of the click.
        encoding: Encoding of the prompts.
    """
    prediction = logits > 0
    truth = batch["truth"] > 0
    positions, active = correction_clicks((prediction != truth) & batch["inside"], randomness)
    samples = torch.arange(len(truth), device=truth.device)
    positive = truth[(samples, *positions.T)]
    following = inputs.clone()
    # Counted from the first of the encoding's: before them come one or three of the image.
    first = inputs.shape[1] - len(encoding.channels)
    following[:, first + encoding.previous] = prediction.to(inputs.dtype)
    squared = squared_distances(positions, inputs.shape[2:])
    for index, chosen in (
        (first + encoding.positive_click, active & positive),
        (first + encoding.negative_click, active & ~positive),
    ):
        # From what is there already, as an encoding may keep clicks of both signs in one channel.
        place = chosen.view(-1, *(1,) * (squared.ndim - 1))
        following[:, index] = encoding.with_click(following[:, index], squared, place)
    return following


@torch.no_grad()
def play_rounds(
    network: nn.Module,
    inputs: Tensor,
    batch: Batch,
    rounds: int,
    precision: str,
    randomness: Randomness,
    encoding: PromptEncoding,
    micro_batch: int | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Predict and correct ``rounds`` times without gradient.

    Args:
        network: Predicts (samples, channels, *grid) with logits (samples, 1, *grid).
        inputs: The first round's input.
        batch: The samples, with "truth" and "inside".
        rounds: How often to predict and correct.
        precision: See ``autocast``.
        randomness: Randomness of the clicks, which do not depend on ``micro_batch``.
        encoding: Encoding of the prompts.
        micro_batch: Samples that the network predicts at once, all by default.

    Returns:
        The input of the round that follows, and the logits of every round played, (batch, *grid) each.
    """
    answers = []
    for _ in range(rounds):
        with autocast(inputs.device, precision):
            parts = [network(part)[:, 0].float() for part in torch.split(inputs, micro_batch or len(inputs))]
        logits = torch.cat(parts) if len(parts) > 1 else parts[0]
        answers.append(logits)
        inputs = correction_round(inputs, logits, batch, randomness, encoding)
    return inputs, answers
