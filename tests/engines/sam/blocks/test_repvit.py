from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from bedside.engines.sam.blocks.common import ConvNorm, fuse
from bedside.engines.sam.blocks.repvit import RepDepthwise, RepViT, RepViTBlock, SqueezeExcite

pytestmark = pytest.mark.usefixtures("quiet_torch")

Stir = Callable[[nn.Module], nn.Module]


def test_three_branches_become_one_convolution(generator: torch.Generator, stirred: Stir) -> None:
    layer = stirred(RepDepthwise(6))
    assert isinstance(layer, RepDepthwise)
    x = torch.randn(2, 6, 5, 7, generator=generator)
    fused = layer.fused()
    assert [tuple(p.shape) for p in fused.parameters()] == [(6, 1, 3, 3), (6,)]
    torch.testing.assert_close(fused(x), layer(x))


def test_a_fused_network_answers_the_same(generator: torch.Generator, stirred: Stir) -> None:
    network = stirred(RepViT(stages=((16, 3, 1), (24, 4, 2), (32, 4, 2), (48, 3, 1))))
    x = torch.rand(2, 3, 16, 24, generator=generator)
    before = network(x)
    fuse(network)
    assert before.shape == (2, 256, 4, 6)
    assert not any(isinstance(m, ConvNorm | RepDepthwise | nn.BatchNorm2d) for m in network.modules())
    torch.testing.assert_close(network(x), before, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("channels", "hidden"), [(56, 16), (112, 32), (224, 56), (448, 112)])
def test_the_squeeze_is_rounded_to_eights(channels: int, hidden: int) -> None:
    assert SqueezeExcite(channels).fc1.out_channels == hidden


def test_a_block_that_only_widens_has_no_residual() -> None:
    assert isinstance(RepViTBlock(8, 16, 1, squeeze=False).channel_mixer, nn.Sequential)
    assert not isinstance(RepViTBlock(8, 8, 1, squeeze=False).channel_mixer, nn.Sequential)
