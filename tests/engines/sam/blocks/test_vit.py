from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bedside.engines.sam.blocks.vit import RelativeAttention, ViT

pytestmark = pytest.mark.usefixtures("quiet_torch")

Stir = Callable[[nn.Module], nn.Module]


def brute_force(attention: RelativeAttention, square: Tensor) -> Tensor:
    """The attention of one square (side, side, width), pair by pair."""
    side, heads = attention.side, attention.heads
    qkv = attention.qkv(square.reshape(side**2, -1)).reshape(side**2, 3, heads, -1)
    pixels = [(y, x) for y in range(side) for x in range(side)]
    out = torch.zeros(side**2, heads, qkv.shape[-1])
    for i, (y, x) in enumerate(pixels):
        for h in range(heads):
            q = qkv[i, 0, h]
            scores = [
                q @ qkv[j, 1, h] / math.sqrt(len(q))
                + q @ attention.rel_pos_h[y - v + side - 1]
                + q @ attention.rel_pos_w[x - u + side - 1]
                for j, (v, u) in enumerate(pixels)
            ]
            out[i, h] = torch.stack(scores).softmax(0) @ qkv[:, 2, h]
    projected: Tensor = attention.proj(out.flatten(1))
    return projected.reshape(square.shape)


def test_attention_is_the_sum_over_all_pairs(generator: torch.Generator, stirred: Stir) -> None:
    attention = stirred(RelativeAttention(8, 2, 3))
    assert isinstance(attention, RelativeAttention)
    squares = torch.randn(2, 3, 3, 8, generator=generator)
    expected = torch.stack([brute_force(attention, square) for square in squares])
    torch.testing.assert_close(attention(squares), expected, rtol=1e-4, atol=1e-5)


def test_only_some_blocks_see_the_whole_image(generator: torch.Generator, stirred: Stir) -> None:
    x = torch.randn(1, 3, 24, 24, generator=generator)
    changed = x.clone()
    changed[..., -1, -1] += 5
    for whole, reaches in (((), False), ((1,), True)):
        network = stirred(ViT(image_size=24, patch=4, width=16, depth=2, heads=2, side=3, whole=whole))
        difference = (network(changed) - network(x)).abs().amax(1)[0]
        assert network(x).shape == (1, 256, 6, 6)
        assert bool(difference[0, 0] > 0) is reaches
