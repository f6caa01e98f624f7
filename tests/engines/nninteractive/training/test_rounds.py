from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bedside.core.prompts import Box, Point, Prompt
from bedside.engines.nninteractive.cube import sample_prompts
from bedside.engines.nninteractive.settings import InteractionSettings
from bedside.engines.nninteractive.training.rounds import ClickRule, begin_play, play_rounds, without_clicked
from bedside.engines.nninteractive.training.sampling import NO_CLICK
from bedside.engines.nninteractive.training.task import interaction_settings
from bedside.imaging.window import Window

GRID = 32
SETTINGS = interaction_settings(0.98)
POINT, NEGATIVE_POINT = (1 + c for c in SETTINGS.pairs["points"])
BOX = 1 + SETTINGS.pairs["bbox3d"][0]
PREVIOUS = 1 + SETTINGS.previous
RULES: tuple[ClickRule, ...] = ("exact", "fast")


class Answers(nn.Module):
    """Gives answers that were prepared, the last of them again and again, and keeps what it was asked."""

    def __init__(self, *answers: Tensor) -> None:
        super().__init__()
        self.answers = answers
        self.asked: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.asked.append(x.clone())
        assert not torch.is_grad_enabled()
        return self.answers[min(len(self.asked), len(self.answers)) - 1][:, None].float()


def batch_of(size: int = 2, side: int = GRID, click: bool = False) -> dict[str, Tensor]:
    """Cubes of truth in windows that begin at (10, 20, 30), of ``side`` voxels."""
    truth = torch.zeros((size, GRID, GRID, GRID), dtype=torch.uint8)
    truth[:, 8:24, 8:24, 8:24] = 1
    box = torch.zeros(size, 3, GRID)
    if not click:
        box[:, :, 8:24] = 1
    scale = side // GRID
    voxel = [10 + 16 * scale, 20 + 16 * scale, 30 + 16 * scale] if click else [NO_CLICK] * 3
    return {
        "image": torch.randn((size, GRID, GRID, GRID), generator=torch.Generator().manual_seed(1)),
        "truth": truth,
        "box": box,
        "click": torch.tensor([voxel] * size),
        "window": torch.tensor([[10, 20, 30, side]] * size),
        "inside": torch.tensor([[[0, GRID]] * 3] * size),
    }


def logits_of(mask: Tensor) -> Tensor:
    return torch.where(mask > 0, 1.0, -1.0)


def play(network: nn.Module, batch: dict[str, Tensor], rounds: int, seed: int = 0, **options: Any) -> Any:
    started = begin_play(batch, SETTINGS)
    generator = torch.Generator().manual_seed(seed)
    answers = play_rounds(network, started, batch, rounds, SETTINGS, generator, **options)
    return started, answers


def test_the_first_input_holds_image_and_box_alone() -> None:
    batch = batch_of()
    inputs = begin_play(batch, SETTINGS).inputs
    assert inputs.shape == (2, 8, GRID, GRID, GRID)
    assert torch.equal(inputs[:, 0], batch["image"])
    # The last voxel of the box is in it on every axis.
    assert torch.equal(inputs[:, BOX], batch["truth"].float())
    assert not inputs[:, [c for c in range(1, 8) if c != BOX]].any()


def test_where_there_is_no_box_the_first_input_holds_a_click() -> None:
    inputs = begin_play(batch_of(click=True), SETTINGS).inputs
    assert float(inputs[0, POINT, 16, 16, 16]) == 1
    assert int((inputs[0, POINT] > 0).sum()) == 257
    assert not inputs[:, [c for c in range(1, 8) if c != POINT]].any()


@pytest.mark.parametrize("rule", RULES)
def test_a_round_puts_the_answer_and_a_click_of_the_right_sign(rule: ClickRule) -> None:
    batch = batch_of(3)
    mask = batch["truth"].clone()
    mask[0, 8:24, 8:24, 8:16] = 0  # missed
    mask[1, 0:6, 0:12, 0:12] = 1  # too much; sample 2 is right
    started, answers = play(Answers(logits_of(mask)), batch, 1, rule=rule)
    assert torch.equal(started.inputs[:, PREVIOUS], mask.float())
    assert torch.equal(answers[0], logits_of(mask))
    for sample, channel, wrong in ((0, POINT, batch["truth"][0] > mask[0]), (1, NEGATIVE_POINT, mask[1] > 0)):
        ((z, y, x),) = (started.inputs[sample, channel] == 1).nonzero().tolist()
        assert bool(wrong[z, y, x])
        assert started.clicked[sample] == [(z, y, x)]
        # The box is a prompt older than the click.
        assert float(started.inputs[sample, BOX].max()) == pytest.approx(0.98)
    assert started.clicked[2] == []
    assert float(started.inputs[2, BOX].max()) == 1
    assert not started.inputs[2, [POINT, NEGATIVE_POINT]].any()


@pytest.mark.parametrize("rule", RULES)
def test_clicks_never_coincide_even_if_the_network_does_not_listen(rule: ClickRule) -> None:
    """The published code takes all clicks of a round from one error, whose middle is one voxel."""
    batch = batch_of(2)
    mask = torch.zeros_like(batch["truth"])
    started, _ = play(Answers(logits_of(mask)), batch, 6, rule=rule)
    for clicked in started.clicked:
        assert len(clicked) == 6
        assert len(set(clicked)) == 6


@pytest.mark.parametrize("rule", RULES)
def test_every_click_follows_an_answer_of_its_own(rule: ClickRule) -> None:
    batch = batch_of(1)
    first, second = batch["truth"].clone(), batch["truth"].clone()
    first[:, :, :, 8:16] = 0
    second[:, :, 16:24] = 0
    network = Answers(logits_of(first), logits_of(second))
    started, _ = play(network, batch, 2, rule=rule)
    assert len(network.asked) == 2
    (one, two) = started.clicked[0]
    assert first[(0, *one)] == 0
    assert second[(0, *two)] == 0
    assert torch.equal(network.asked[1][:, PREVIOUS], first.float())
    assert float(network.asked[1][(0, POINT, *one)]) == 1
    # What the first answer missed alone is no error any more.
    assert two[1] >= 16


def test_clicks_are_those_of_the_competition_on_errors_with_one_middle() -> None:
    batch = batch_of(1)
    mask = batch["truth"].clone()
    mask[0, 11:16, 11:16, 11:16] = 0
    mask[0, 20:22, 20:22, 20:22] = 0
    started, _ = play(Answers(logits_of(mask)), batch, 1)
    assert started.clicked == [[(13, 13, 13)]]


@pytest.mark.parametrize("side", [GRID, 48, 3 * GRID])
def test_prompts_are_painted_as_in_inference(side: int) -> None:
    """Box, then three clicks, oldest faintest, in windows of any zoom."""
    batch = batch_of(1, side)
    window = Window((10.0, 20.0, 30.0), (10.0 + side, 20.0 + side, 30.0 + side), (GRID,) * 3)
    scale = side / GRID
    low, high = [p + 8 * scale for p in (10, 20, 30)], [p + 24 * scale for p in (10, 20, 30)]
    started, _ = play(Answers(logits_of(batch["truth"] * 0)), batch, 3)
    prompts: list[Prompt] = [Box(tuple(low[::-1]), tuple(high[::-1]))]
    for cell in started.clicked[0]:
        voxel = [p + int((c + 0.5) * scale) for p, c in zip((10, 20, 30), cell, strict=True)]
        prompts.append(Point(tuple(map(float, voxel[::-1]))))
    expected = sample_prompts(prompts, None, window, SETTINGS)
    channels = [c for c in range(7) if c != SETTINGS.previous]
    # Where balls overlap in a zoomed window inference averages their union, training joins their averages.
    tolerance = 5e-3 if side == GRID else 0.12
    np.testing.assert_allclose(started.inputs[0, 1:][channels].numpy(), expected[channels], atol=tolerance)


def test_version_1_fades_the_pair_alone() -> None:
    settings = InteractionSettings(decay=0.9, decay_of="pair", supported=SETTINGS.supported)
    batch = batch_of(1)
    started = begin_play(batch, settings)
    play_rounds(Answers(logits_of(batch["truth"] * 0)), started, batch, 2, settings, torch.Generator().manual_seed(0))
    assert float(started.inputs[0, BOX].max()) == 1
    older = started.inputs[(0, POINT, *started.clicked[0][0])]
    assert float(older) == pytest.approx(0.9, abs=1e-6) or float(older) == 1


def test_nobody_clicks_outside_the_image() -> None:
    batch = batch_of(1)
    batch["inside"] = torch.tensor([[[0, GRID], [0, GRID], [0, 20]]])
    mask = batch["truth"].clone()
    mask[..., 20:] = 0
    mask[..., 24:] = 1
    started, _ = play(Answers(logits_of(mask)), batch, 1)
    assert started.clicked == [[]]
    seen = without_clicked(mask > 0, batch["truth"] > 0, batch["inside"], [[(8, 8, 8)]])
    assert torch.equal(seen, batch["truth"] > 0)


@pytest.mark.parametrize("rule", RULES)
def test_global_generators_neither_matter_nor_move_and_micro_batches_change_no_click(rule: ClickRule) -> None:
    clicked = []
    batch = batch_of(3)
    mask = torch.zeros_like(batch["truth"])
    for seed, size in ((0, None), (1, 2)):
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
        network = Parts(mask)
        started, _ = play(network, batch, 3, seed=7, rule=rule, micro_batch=size)
        after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
        assert before == after
        assert network.sizes == ([3] * 3 if size is None else [2, 1] * 3)
        clicked.append(started.clicked)
    assert clicked[0] == clicked[1]
    assert clicked[0] != play(Parts(mask), batch, 3, seed=8, rule=rule)[0].clicked


class Parts(nn.Module):
    """Answers nothing, whatever the size of the part."""

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.mask = mask
        self.sizes: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.sizes.append(len(x))
        return logits_of(self.mask[: len(x)])[:, None]
