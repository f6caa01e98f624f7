from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from bedside.engines.sam.blocks.two_way_transformer import Attention, TwoWayTransformer

pytestmark = pytest.mark.usefixtures("quiet_torch")

Stir = Callable[[nn.Module], nn.Module]


def test_attention_is_torchs_own(generator: torch.Generator, stirred: Stir) -> None:
    attention = stirred(Attention(16, 4))
    assert isinstance(attention, Attention)
    oracle = nn.MultiheadAttention(16, 4, batch_first=True).eval()
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    oracle.in_proj_weight.copy_(torch.cat([p.weight for p in projections]))
    oracle.in_proj_bias.copy_(torch.cat([p.bias for p in projections]))
    oracle.out_proj.load_state_dict(attention.out_proj.state_dict())
    q, k, v = (torch.randn(2, n, 16, generator=generator) for n in (3, 5, 5))
    torch.testing.assert_close(attention(q, k, v), oracle(q, k, v)[0])


def test_shapes_are_kept_and_both_sides_change(generator: torch.Generator, stirred: Stir) -> None:
    transformer = stirred(TwoWayTransformer(width=16, heads=2, hidden=32))
    image, positions = (torch.randn(2, 16, 3, 4, generator=generator) for _ in range(2))
    tokens = torch.randn(2, 5, 16, generator=generator)
    new_tokens, new_image = transformer(image, positions[:1], tokens)
    assert (new_tokens.shape, new_image.shape) == (tokens.shape, image.shape)
    other_tokens, other_image = transformer(image, positions[:1], tokens + 1)
    assert not torch.allclose(new_image, other_image)
    assert not torch.allclose(new_tokens, other_tokens)


def test_prompts_of_a_batch_do_not_see_each_other(generator: torch.Generator, stirred: Stir) -> None:
    transformer = stirred(TwoWayTransformer(width=16, heads=2, hidden=32))
    image = torch.randn(2, 16, 3, 3, generator=generator)
    tokens = torch.randn(2, 4, 16, generator=generator)
    together = transformer(image, image[:1] * 0, tokens)
    alone = transformer(image[1:], image[:1] * 0, tokens[1:])
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a[1:], b)


def test_positions_are_added_wherever_pixels_are_compared(generator: torch.Generator, stirred: Stir) -> None:
    transformer = stirred(TwoWayTransformer(width=16, heads=2, hidden=32))
    image = torch.ones(1, 16, 2, 2)
    tokens = torch.randn(1, 4, 16, generator=generator)
    _, same = transformer(image, torch.zeros(1, 16, 2, 2), tokens)
    _, placed = transformer(image, torch.randn(1, 16, 2, 2, generator=generator), tokens)
    assert torch.allclose(same, same[..., :1, :1].expand_as(same), atol=1e-5)
    assert not torch.allclose(placed, placed[..., :1, :1].expand_as(placed), atol=1e-3)
