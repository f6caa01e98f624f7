from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch

from bedside.engines.window.blocks.unet import (
    BLOCKS,
    ConvNeXtBlock,
    RepViTBlock,
    ResidualBlock,
    ResidualUNet,
    group_norm,
    space_to_depth,
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small(dimensions: int) -> ResidualUNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ResidualUNet(dimensions, 8, widths=(8, 16, 24), depths=(1, 2, 1), head_width=8)


@pytest.mark.parametrize(("dimensions", "grid"), [(2, (32, 48)), (3, (16, 8, 24))])
def test_the_answer_has_the_input_s_grid(dimensions: int, grid: tuple[int, ...]) -> None:
    network = small(dimensions)
    x = torch.randn((2, 8, *grid), generator=torch.Generator().manual_seed(0))
    logits = network(x)
    assert logits.shape == (2, 1, *grid)
    logits.square().sum().backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not bool(p.grad.isfinite().all())]
    assert without == []


@pytest.mark.parametrize("dimensions", [2, 3])
def test_samples_of_a_batch_do_not_meet(dimensions: int) -> None:
    network = small(dimensions).eval()
    x = torch.randn((3, 8, *(16,) * dimensions), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        together, alone = network(x)[1:2], network(x[1:2])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    assert bool(network.train()(x)[1:2].isclose(alone, atol=1e-4).all())


def test_folding_keeps_every_sample() -> None:
    for shape in ((2, 3, 4, 6), (2, 3, 4, 6, 8)):
        axes = len(shape) - 2
        x = torch.arange(float(torch.tensor(shape).prod())).reshape(shape)
        folded = space_to_depth(x)
        assert folded.shape == (2, 3 * 2**axes, *[n // 2 for n in shape[2:]])
        assert torch.equal(folded.flatten().sort().values, x.flatten())
        # The channels of the first cell are its 2 x 2 (x 2) neighbours, in scan order.
        block = x[(0, 0, *[slice(2)] * axes)].flatten()
        assert torch.equal(folded[(0, slice(2**axes), *[0] * axes)], block)


def test_folding_a_flat_volume_slice_by_slice_agrees_with_two_dimensions() -> None:
    x = torch.randn((1, 2, 4, 6), generator=torch.Generator().manual_seed(0))
    volume = torch.stack([x, torch.zeros_like(x)], dim=2)
    folded = space_to_depth(volume).reshape(1, 2, 2, 4, 1, 2, 3)
    assert torch.equal(folded[:, :, 0, :, 0].reshape(1, 8, 2, 3), space_to_depth(x))


def test_a_block_begins_as_its_skip() -> None:
    x = torch.randn((1, 8, 5, 5), generator=torch.Generator().manual_seed(0))
    block = ResidualBlock(2, 8, 8)
    with torch.no_grad():
        block.conv2.bias.zero_()
    assert torch.equal(block(x), x)
    assert ResidualBlock(2, 8, 12)(x).shape == (1, 12, 5, 5)


@pytest.mark.parametrize(("channels", "groups"), [(4, 1), (8, 1), (64, 8), (96, 12)])
def test_groups(channels: int, groups: int) -> None:
    assert group_norm(channels).num_groups == groups


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("block", sorted(BLOCKS))
def test_every_kind_of_block_starts_as_its_skip_and_learns(dimensions: int, block: str) -> None:
    layer = BLOCKS[block](dimensions, 16, 16)
    x = torch.randn((2, 16, *(8,) * dimensions), generator=torch.Generator().manual_seed(0))
    assert torch.allclose(layer(x), x, atol=1.0)
    last = layer.conv2 if isinstance(layer, ResidualBlock) else layer.narrow
    torch.testing.assert_close(layer(x) - x, last.bias.view(1, -1, *(1,) * dimensions).expand_as(x))
    layer(x).square().sum().backward()
    assert last.weight.grad is not None
    assert bool(last.weight.grad.abs().sum() > 0)


@pytest.mark.parametrize("kind", [ConvNeXtBlock, RepViTBlock])
def test_depthwise_blocks_keep_their_channels(kind: type[ConvNeXtBlock] | type[RepViTBlock]) -> None:
    with pytest.raises(ValueError, match="keeps its channels"):
        kind(2, 16, 24)


@pytest.mark.parametrize("changes", [{"block": "convnext"}, {"block": "repvit"}, {"stem": "strided"}])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_other_networks_answer_on_their_input_s_grid(dimensions: int, changes: dict[str, str]) -> None:
    network = ResidualUNet(dimensions, 8, widths=(8, 16, 24), depths=(1, 1, 1), head_width=8, **changes)
    assert network(torch.zeros((1, 8, *(16,) * dimensions))).shape == (1, 1, *(16,) * dimensions)


@pytest.mark.parametrize("choice", ["stem", "block"])
def test_what_does_not_exist_is_rejected(choice: str) -> None:
    with pytest.raises(ValueError, match=f"{choice} 'pooled' is none of"):
        ResidualUNet(2, 8, widths=(8,), depths=(1,), **{choice: "pooled"})


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_branches_of_a_repvit_block_are_one_kernel(dimensions: int) -> None:
    generator = torch.Generator().manual_seed(0)
    block = RepViTBlock(dimensions, 8, 8)
    for parameter in block.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    x = torch.randn((2, 8, *(6,) * dimensions), generator=generator)
    fused = copy.deepcopy(block.depthwise)
    centre = (slice(None), 0, *(1,) * dimensions)
    fused.weight.data[centre] += block.pointwise.weight.data.flatten() + 1
    assert fused.bias is not None
    assert block.pointwise.bias is not None
    fused.bias.data += block.pointwise.bias.data
    torch.testing.assert_close(fused(x), block.depthwise(x) + block.pointwise(x) + x, atol=1e-4, rtol=1e-4)
