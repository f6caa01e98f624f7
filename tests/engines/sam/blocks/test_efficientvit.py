from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from bedside.engines.sam.blocks.efficientvit import EfficientViT, LinearAttention, rectified_attention

pytestmark = pytest.mark.usefixtures("quiet_torch")

Stir = Callable[[nn.Module], nn.Module]


def test_linear_attention_is_the_weighted_mean_over_all_pixels(generator: torch.Generator) -> None:
    heads, width = 3, 4
    qkv = torch.randn(2, heads * 3 * width, 5, 6, generator=generator)
    q, k, v = qkv.reshape(2, heads, 3, width, 30).unbind(2)
    # The quadratic formula: every query with every key.
    weights = torch.einsum("bhdn,bhdm->bhnm", q.relu(), k.relu())
    weights = weights / (weights.sum(-1, keepdim=True) + 1e-15)
    expected = torch.einsum("bhnm,bhdm->bhdn", weights, v).reshape(2, heads * width, 5, 6)
    torch.testing.assert_close(rectified_attention(qkv, width), expected, rtol=1e-4, atol=1e-5)


def test_a_query_that_matches_nothing_gives_nothing() -> None:
    qkv = -torch.ones(1, 12, 2, 2)
    assert rectified_attention(qkv, 4).abs().max() == 0


def test_half_precision_does_not_overflow() -> None:
    qkv = torch.full((1, 12, 32, 32), 200.0, dtype=torch.float16)
    out = rectified_attention(qkv, 4)
    assert out.dtype == torch.float16
    torch.testing.assert_close(out, torch.full_like(out, 200.0))


def test_mixed_precision_leaves_the_sums_alone(generator: torch.Generator) -> None:
    qkv = torch.randn(1, 24, 16, 16, generator=generator)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = rectified_attention(qkv, 4)
    assert torch.equal(mixed, rectified_attention(qkv, 4))


def test_the_second_scale_matters(generator: torch.Generator, stirred: Stir) -> None:
    attention = stirred(LinearAttention(64))
    assert isinstance(attention, LinearAttention)
    x = torch.randn(1, 64, 6, 6, generator=generator)
    before = attention(x)
    depthwise = attention.aggreg[0]
    assert isinstance(depthwise, nn.Sequential)
    depthwise.load_state_dict({key: torch.zeros_like(value) for key, value in depthwise.state_dict().items()})
    assert before.shape == x.shape
    assert (attention(x) - before).abs().max() > 1e-3


@pytest.mark.parametrize("size", [512, 256])
def test_the_embedding_has_one_size_whatever_the_inputs(size: int) -> None:
    with torch.device("meta"):
        network = EfficientViT("l0").eval()
        assert network(torch.zeros(1, 3, size, size)).shape == (1, 256, 64, 64)
        strides = [size // x.shape[-1] for x in network.backbone(torch.zeros(1, 3, size, size))]
    assert strides == [2, 4, 8, 16, 32]
