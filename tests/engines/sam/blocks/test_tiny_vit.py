from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bedside.engines.sam.blocks.tiny_vit import BiasedAttention, TinyViT, TinyViTBlock

pytestmark = pytest.mark.usefixtures("quiet_torch")

Stir = Callable[[nn.Module], nn.Module]


def brute_force(attention: BiasedAttention, window: Tensor) -> Tensor:
    """The attention of one window (side ** 2, width), pair by pair."""
    side, heads = attention.side, attention.heads
    qkv = attention.qkv(attention.norm(window)).reshape(side**2, heads, 3, -1)
    pixels = [(y, x) for y in range(side) for x in range(side)]
    rows = []
    for i, (y, x) in enumerate(pixels):
        of_heads = []
        for h in range(heads):
            scores = [
                qkv[i, h, 0] @ qkv[j, h, 1] / math.sqrt(qkv.shape[-1])
                + attention.attention_biases[h, abs(y - v) * side + abs(x - u)]
                for j, (v, u) in enumerate(pixels)
            ]
            weights = torch.stack(scores).softmax(0)
            of_heads.append(sum(weights[j] * qkv[j, h, 2] for j in range(side**2)))
        rows.append(torch.cat([torch.as_tensor(o) for o in of_heads]))
    out: Tensor = attention.proj(torch.stack(rows))
    return out


def test_attention_is_the_sum_over_all_pairs(generator: torch.Generator, stirred: Stir) -> None:
    attention = stirred(BiasedAttention(8, 2, 3))
    assert isinstance(attention, BiasedAttention)
    windows = torch.randn(2, 9, 8, generator=generator)
    expected = torch.stack([brute_force(attention, window) for window in windows])
    torch.testing.assert_close(attention(windows), expected, rtol=1e-4, atol=1e-5)


def test_the_bias_knows_distances_and_not_directions() -> None:
    attention = BiasedAttention(8, 1, 3)
    attention.attention_biases.copy_(torch.arange(9.0)[None])
    bias = attention.bias()[0]
    assert torch.equal(bias, bias.T)
    # The first pixel is (0, 0), the second (0, 1), the fourth (1, 0), the last (2, 2).
    assert (bias[0, 1], bias[0, 3], bias[0, 8], bias[4, 8]) == (1, 3, 8, 4)


def test_windows_see_each_other_only_by_the_convolution(generator: torch.Generator, stirred: Stir) -> None:
    block = stirred(TinyViTBlock(8, 2, 4))
    x = torch.randn(1, 8, 8, 8, generator=generator)
    changed = x.clone()
    changed[..., 7, 7] = torch.randn(8, generator=generator)
    difference = (block(changed) - block(x)).abs().amax(1)[0] > 1e-6
    # Within its window all change; beyond it, the pixels that touch the window.
    expected = torch.zeros(8, 8, dtype=torch.bool)
    expected[3:, 3:] = True
    assert torch.equal(difference, expected)


@pytest.mark.parametrize("size", [64, 32])
def test_the_embedding_has_a_quarter_of_the_side(size: int) -> None:
    network = TinyViT(widths=(16, 16, 32, 32), depths=(1, 1, 1, 1), heads=(1, 1, 1)).eval()
    assert network(torch.zeros(2, 3, size, size)).shape == (2, 256, size // 4, size // 4)
