"""What every encoding of prompts promises, of Bedside's own and of one as another package would add it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.prompts import InitialMask, Point, Prompt
from bedside.engines.window.encodings import ENCODINGS, PromptEncoding, card_encoding
from bedside.engines.window.training.rounds import assemble_input, correction_round
from bedside.imaging.paint import CHANNELS, paint_prompts
from bedside.train.clicks import squared_distances
from bedside.weights.models import model_card


class Nearness(PromptEncoding):
    """Clicks of both signs by how near they are, the previous mask last."""

    channels = ("near", "previous mask")
    previous = 1
    positive_click = negative_click = 0
    click_radius = 5.0

    def paint(
        self, prompts: Sequence[Prompt], grid: Sequence[int], area: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        near = np.zeros(tuple(grid), np.float32)
        for prompt in prompts:
            if isinstance(prompt, Point):
                axes = np.ogrid[tuple(slice(n) for n in grid)]
                squared = sum((a - p) ** 2 for a, p in zip(axes, prompt.position[::-1], strict=True))
                near = np.maximum(near, np.exp(-squared / 50)).astype(np.float32)
        return near[None] if area is None else np.maximum(near, area)[None]

    def with_click(self, channel: Any, squared: Any, active: Any) -> Any:
        return channel.maximum((-squared / 50).exp() * active)


ALL = {**dict(ENCODINGS.items()), "nearness": Nearness()}
encodings = pytest.mark.parametrize("encoding", ALL.values(), ids=ALL)


@encodings
def test_channels_are_named_and_found(encoding: PromptEncoding) -> None:
    count = len(encoding.channels)
    assert len(set(encoding.channels)) == count
    places = (encoding.previous, encoding.positive_click, encoding.negative_click)
    assert all(0 <= place < count for place in places)
    assert "previous" in encoding.channels[encoding.previous]
    for grid in ((20, 24), (8, 10, 12)):
        painted = encoding.paint([], grid)
        assert painted.shape == (count - 1, *grid)
        assert painted.dtype == np.float32
        previous = np.full((1, *grid), 7, np.float32)
        stacked = np.concatenate(encoding.arrange(previous, painted))
        assert (stacked[encoding.previous] == 7).all()
        assert np.array_equal(np.delete(stacked, encoding.previous, axis=0), painted)


@encodings
def test_initial_masks_are_not_painted(encoding: PromptEncoding) -> None:
    point, mask = Point((5.0, 4.0)), InitialMask(np.ones((12, 14), bool))
    assert np.array_equal(encoding.paint([point, mask], (12, 14)), encoding.paint([point], (12, 14)))


@given(seed=st.integers(0, 2**32 - 1), axes=st.integers(2, 3))
@encodings
def test_clicks_of_training_equal_those_of_inference(encoding: PromptEncoding, seed: int, axes: int) -> None:
    generator = np.random.default_rng(seed)
    grid = (18, 22, 14)[:axes]
    clicks = [Point(tuple(float(generator.integers(n)) for n in grid[::-1]), bool(generator.integers(2)))]
    before = encoding.paint(clicks, grid)
    place = [int(generator.integers(n)) for n in grid]
    positive = bool(generator.integers(2))
    expected = encoding.paint([*clicks, Point(tuple(map(float, place[::-1])), positive)], grid)
    index = encoding.positive_click if positive else encoding.negative_click
    channels = np.concatenate(encoding.arrange(np.zeros((1, *grid), np.float32), before))
    squared = squared_distances(torch.tensor([place, place]), grid)
    both = torch.tensor(np.stack([channels[index]] * 2))
    active = torch.tensor([True, False]).view(2, *(1,) * axes)
    given_click = encoding.with_click(both, squared, active).numpy()
    channels[index] = given_click[0]
    np.testing.assert_allclose(np.delete(channels, encoding.previous, axis=0), expected, atol=1e-5)
    np.testing.assert_array_equal(given_click[1], both[1])


@encodings
def test_rounds_change_the_channels_that_the_encoding_names(encoding: PromptEncoding) -> None:
    grid = (24, 24)
    truth = torch.zeros((2, *grid), dtype=torch.uint8)
    truth[:, 6:18, 6:18] = 1
    logits = torch.full((2, *grid), -1.0)
    logits[1] = 1.0
    batch = {
        "image": torch.randn((2, 3, *grid), generator=torch.Generator().manual_seed(0)),
        "previous": torch.zeros(2, *grid),
        "prompts": torch.zeros((2, len(encoding.channels) - 1, *grid)),
        "truth": truth,
        "inside": torch.ones((2, *grid), dtype=torch.bool),
    }
    inputs = assemble_input(batch, encoding)
    following = correction_round(inputs, logits, batch, torch.Generator().manual_seed(0), encoding)
    assert torch.equal(following[:, 3 + encoding.previous], (logits > 0).float())
    assert following[0, 3 + encoding.positive_click].any()
    assert following[1, 3 + encoding.negative_click].any()
    changed = {i - 3 for i in range(inputs.shape[1]) if not torch.equal(following[:, i], inputs[:, i])}
    assert changed == {encoding.previous, encoding.positive_click, encoding.negative_click}


def test_the_painted_encoding_is_what_it_was() -> None:
    encoding = ENCODINGS.get("painted")
    assert encoding.channels == ("previous mask", *CHANNELS)
    assert np.array_equal(encoding.paint([Point((3.0, 4.0))], (9, 9)), paint_prompts([Point((3.0, 4.0))], (9, 9)))
    area = np.zeros((9, 9), np.float32)
    area[2:5] = 1
    assert np.array_equal(encoding.paint([], (9, 9), area)[0], area)


def test_a_card_must_list_the_channels_of_its_encoding() -> None:
    card = model_card("bedside-2d")
    assert card_encoding(card) is ENCODINGS.get("painted")
    with pytest.raises(InputError, match="channels of 'bedside-2d': expected 3 of the image, then those of the encod"):
        card_encoding(replace(card, channels=card.channels[:-1]))
    with pytest.raises(InputError, match="expected 3 of the image"):
        card_encoding(replace(card, channels=("depth", *card.channels)))
    with pytest.raises(InputError, match="unknown encoding: expected one of painted, got 'pained'; did you mean"):
        card_encoding(replace(card, encoding="pained"))
