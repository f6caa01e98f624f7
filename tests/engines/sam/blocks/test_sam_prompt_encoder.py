from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from bedside.core.errors import InputError
from bedside.engines.sam.blocks.sam_prompt_encoder import PromptEncoder, RandomFourierFeatures

pytestmark = pytest.mark.usefixtures("quiet_torch")

Stir = Callable[[nn.Module], nn.Module]


@pytest.fixture
def encoder(stirred: Stir) -> Any:
    return stirred(PromptEncoder(image_size=32, grid=8, width=16))


def position(encoder: Any, x: float, y: float) -> list[float]:
    """Features of the centre of a pixel, by the formula."""
    matrix = encoder.pe_layer.positional_encoding_gaussian_matrix
    u, v = 2 * (x + 0.5) / encoder.image_size - 1, 2 * (y + 0.5) / encoder.image_size - 1
    angles = [2 * math.pi * (u * float(a) + v * float(b)) for a, b in matrix.T]
    return [math.sin(a) for a in angles] + [math.cos(a) for a in angles]


def expected(encoder: Any, x: float, y: float, kind: int) -> torch.Tensor:
    tokens: torch.Tensor = torch.tensor(position(encoder, x, y)) + encoder.point_embeddings[kind].weight[0]
    return tokens


def test_corners_of_a_box_are_their_positions_and_kinds(encoder: Any) -> None:
    tokens, dense = encoder(boxes=torch.tensor([[3.0, 4.0, 20.0, 30.0]]))
    torch.testing.assert_close(tokens[0, 0], expected(encoder, 3, 4, 2), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(tokens[0, 1], expected(encoder, 20, 30, 3), rtol=1e-4, atol=1e-4)
    assert tokens.shape == (1, 2, 16)
    assert torch.equal(dense, encoder.no_mask_embed.weight[0][None, :, None, None].expand(1, 16, 8, 8))


def test_points_by_label_and_padding_that_says_nothing(encoder: Any) -> None:
    points = torch.tensor([[[1.0, 2.0], [5.0, 6.0], [9.0, 9.0]]])
    tokens, _ = encoder(points=points, labels=torch.tensor([[1, 0, -1]]))
    torch.testing.assert_close(tokens[0, 0], expected(encoder, 1, 2, 1), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(tokens[0, 1], expected(encoder, 5, 6, 0), rtol=1e-4, atol=1e-4)
    nothing = encoder.not_a_point_embed.weight[0]
    assert torch.equal(tokens[0, 2], nothing)
    # Without a box one more token says nothing; with a box there is none, and the points come first.
    assert torch.equal(tokens[0, 3], nothing)
    both, _ = encoder(boxes=torch.zeros(1, 4), points=points, labels=torch.tensor([[1, 0, -1]]))
    assert both.shape == (1, 5, 16)
    assert torch.equal(both[:, :3], tokens[:, :3])


def test_a_mask_replaces_the_map_that_says_there_is_none(encoder: Any) -> None:
    masks = torch.zeros(2, 1, 32, 32)
    masks[1, :, 8:16] = 1
    tokens, dense = encoder(masks=masks)
    assert tokens.shape == (2, 0, 16)
    assert dense.shape == (2, 16, 8, 8)
    assert torch.equal(dense[0, :, 0], dense[1, :, 0])
    assert not torch.equal(dense[0, :, 2], dense[1, :, 2])


def test_no_prompt_is_rejected(encoder: Any) -> None:
    with pytest.raises(InputError, match="expected boxes, points or masks"):
        encoder()
    with pytest.raises(InputError, match="a label for each"):
        encoder(points=torch.zeros(1, 1, 2))


def test_the_grid_holds_the_centres_of_its_cells() -> None:
    features = RandomFourierFeatures(4)
    grid = features.grid(8)
    assert grid.shape == (1, 8, 8, 8)
    # Cell (y 2, x 5) of 8 x 8.
    at = features(torch.tensor([5.5 / 8, 2.5 / 8]))
    torch.testing.assert_close(grid[0, :, 2, 5], at)
