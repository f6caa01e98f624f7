from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from bedside.engines.sam.blocks.common import ConvNorm, LayerNorm2d, Perceptron, fuse

pytestmark = pytest.mark.usefixtures("quiet_torch")

Stir = Callable[[nn.Module], nn.Module]


def test_layer_norm_over_channels_is_torchs_with_channels_last(generator: torch.Generator, stirred: Stir) -> None:
    norm = stirred(LayerNorm2d(6))
    assert isinstance(norm, LayerNorm2d)
    x = torch.randn(2, 6, 3, 4, generator=generator)
    expected = nn.functional.layer_norm(x.permute(0, 2, 3, 1), (6,), norm.weight, norm.bias, eps=1e-6)
    torch.testing.assert_close(norm(x), expected.permute(0, 3, 1, 2))


@pytest.mark.parametrize(("kernel", "stride", "groups"), [(1, 1, 1), (3, 1, 1), (3, 2, 1), (3, 2, 6), (5, 1, 2)])
def test_a_fused_convolution_answers_the_same(
    kernel: int, stride: int, groups: int, generator: torch.Generator, stirred: Stir
) -> None:
    layers = stirred(nn.Sequential(ConvNorm(6, 6, kernel, stride=stride, groups=groups), nn.GELU()))
    x = torch.randn(2, 6, 9, 8, generator=generator)
    before = layers(x)
    fuse(layers)
    assert isinstance(layers[0], nn.Conv2d)
    torch.testing.assert_close(layers(x), before)


def test_fusing_reads_the_running_statistics(generator: torch.Generator) -> None:
    layer = ConvNorm(3, 3).eval()
    assert layer.bn.running_mean is not None
    layer.bn.running_mean.fill_(2.0)
    x = torch.randn(1, 3, 4, 4, generator=generator)
    torch.testing.assert_close(layer.fused()(x), layer(x))


def test_a_branch_that_starts_as_nothing() -> None:
    assert ConvNorm(3, 4, scale=0.0)(torch.ones(1, 3, 5, 5)).abs().max() == 0


def test_a_perceptron_is_linear_at_its_end_and_rectified_within() -> None:
    perceptron = Perceptron((1, 1, 1))
    for layer in perceptron.layers:
        assert isinstance(layer, nn.Linear)
        layer.weight.fill_(-1.0)
        nn.init.zeros_(layer.bias)
    assert perceptron(torch.tensor([[2.0], [-3.0]])).tolist() == [[0.0], [-3.0]]
