from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from bedside.engines.window.encodings import card_encoding
from bedside.engines.window.training.rounds import assemble_input, autocast, correction_round, play_rounds
from bedside.imaging.paint import CHANNELS
from bedside.weights.models import model_card

PAINTED = card_encoding(model_card("bedside-2d"))
PREVIOUS, POSITIVE_CLICK, NEGATIVE_CLICK = -5, -2, -1


class Answers(nn.Module):
    """Says what the fourth channel held, or the first where there is nothing yet."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.sizes.append(len(x))
        return x[:, :1]


def batch_of(size: int = 3, grid: int = 32) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    truth = torch.zeros(size, grid, grid, dtype=torch.uint8)
    truth[:, 8:20, 8:20] = 1
    return {
        "image": torch.randn((size, 3, grid, grid), generator=generator),
        "previous": torch.zeros(size, grid, grid),
        "prompts": torch.rand((size, 4, grid, grid), generator=generator) * 0.1,
        "truth": truth,
        "inside": torch.ones(size, grid, grid, dtype=torch.bool),
    }


def test_channels_are_those_of_the_card() -> None:
    channels = model_card("bedside-2d").channels
    assert channels[PREVIOUS] == "previous mask"
    assert channels[PREVIOUS + 1 :] == CHANNELS
    assert channels[POSITIVE_CLICK] == "click or scribble, positive"
    assert channels[NEGATIVE_CLICK] == "click or scribble, negative"
    batch = batch_of()
    inputs = assemble_input(batch, PAINTED)
    assert inputs.shape == (3, len(channels), 32, 32)
    assert torch.equal(inputs[:, 4:], batch["prompts"])


def test_a_round_puts_the_answer_and_a_click_of_the_right_sign() -> None:
    batch = batch_of()
    logits = torch.where(batch["truth"] > 0, 1.0, -1.0)
    logits[0, 8:20, 8:14] = -1.0  # missed
    logits[1, 22:30, 22:30] = 1.0  # too much; sample 2 is right
    inputs = assemble_input(batch, PAINTED)
    following = correction_round(inputs, logits, batch, torch.Generator().manual_seed(0), PAINTED)
    assert torch.equal(following[:, PREVIOUS], (logits > 0).float())
    changed = [i - inputs.shape[1] for i in range(inputs.shape[1]) if not torch.equal(following[:, i], inputs[:, i])]
    assert changed == [PREVIOUS, POSITIVE_CLICK, NEGATIVE_CLICK]
    for sample, channel, wrong in (
        (0, POSITIVE_CLICK, (slice(8, 20), slice(8, 14))),
        (1, NEGATIVE_CLICK, (slice(22, 30), slice(22, 30))),
    ):
        centre = following[sample, channel] == 1
        assert int(centre.sum()) == int(centre[wrong].sum()) == 1
    assert torch.equal(following[2, 4:], inputs[2, 4:])
    assert torch.equal(following[0, NEGATIVE_CLICK], inputs[0, NEGATIVE_CLICK])


def test_errors_outside_the_image_take_no_click() -> None:
    batch = batch_of(1)
    batch["inside"][:, :, 20:] = False
    logits = torch.where(batch["truth"] > 0, 1.0, -1.0)
    logits[:, :, 20:] = 1.0
    inputs = assemble_input(batch, PAINTED)
    following = correction_round(inputs, logits, batch, torch.Generator().manual_seed(0), PAINTED)
    assert torch.equal(following[:, 4:], inputs[:, 4:])


def test_micro_batches_change_no_click() -> None:
    batch = batch_of(5)
    results = []
    for size in (None, 2):
        network = Answers()
        generator = torch.Generator().manual_seed(4)
        results.append(play_rounds(network, assemble_input(batch, PAINTED), batch, 3, "fp32", generator, PAINTED, size))
        assert network.sizes == ([5] * 3 if size is None else [2, 2, 1] * 3)
    (inputs, answers), (other_inputs, other_answers) = results
    assert torch.equal(inputs, other_inputs)
    assert len(answers) == 3
    assert all(torch.equal(a, b) for a, b in zip(answers, other_answers, strict=True))


def test_no_round_changes_nothing() -> None:
    batch = batch_of()
    inputs = assemble_input(batch, PAINTED)
    following, answers = play_rounds(Answers(), inputs, batch, 0, "fp32", torch.Generator(), PAINTED)
    assert following is inputs
    assert answers == []


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_precision(precision: str, dtype: torch.dtype) -> None:
    with autocast(torch.device("cpu"), precision):
        assert nn.functional.linear(torch.ones(2, 2), torch.ones(2, 2)).dtype == dtype
