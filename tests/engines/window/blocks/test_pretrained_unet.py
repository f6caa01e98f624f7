from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from bedside.engines.window.blocks.pretrained_unet import ENCODER_RATE, PretrainedUNet, SameConv
from bedside.train.task import scaled_groups
from tests.support.networks import count_parameters


@pytest.fixture(scope="module")
def network() -> PretrainedUNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return PretrainedUNet()


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def reference(x: Tensor, convolution: SameConv) -> Tensor:
    """TensorFlow's rule, from its documentation: as many cells as the answer needs, the odd one at the end."""
    kernel, stride = convolution.kernel_size[0], convolution.stride[0]
    pads = []
    for size in reversed(x.shape[2:]):
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        pads += [total // 2, total - total // 2]
    return F.conv2d(F.pad(x, pads), convolution.weight, convolution.bias, stride, 0, 1, convolution.groups)


@settings(deadline=None, max_examples=30)
@given(
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.sampled_from([1, 2]),
    sides=st.tuples(st.integers(3, 12), st.integers(3, 12)),
    depthwise=st.booleans(),
)
def test_padding_is_tensorflow_s(kernel: int, stride: int, sides: tuple[int, int], depthwise: bool) -> None:
    if kernel == 1:
        stride = 1
    convolution = SameConv(4, 4, kernel, stride=stride, groups=4 if depthwise else 1)
    x = noise(2, 4, 2 * sides[0], 2 * sides[1])
    torch.testing.assert_close(convolution(x), reference(x, convolution))


@pytest.mark.parametrize("grid", [(64, 64), (96, 64), (128, 256)])
def test_the_answer_has_the_input_s_grid(network: PretrainedUNet, grid: tuple[int, int]) -> None:
    with torch.no_grad():
        assert network(noise(1, 8, *grid)).shape == (1, 1, *grid)


def test_every_parameter_learns(network: PretrainedUNet) -> None:
    network(noise(2, 8, 64, 64)).square().sum().backward()
    lost = [n for n, p in network.named_parameters() if p.grad is None or not bool(p.grad.isfinite().all())]
    network.zero_grad(set_to_none=True)
    assert lost == []


def test_the_size_is_that_of_the_card(network: PretrainedUNet) -> None:
    assert count_parameters(network) == 3_378_577


def test_injections_begin_as_nothing(network: PretrainedUNet) -> None:
    image, prompts = noise(1, 3, 64, 64), noise(1, 5, 64, 64, seed=1)
    without = SameConv(5, 32, 3, stride=2, bias=False)
    nn.init.zeros_(without.weight)
    stem, network.stem_prompts = network.stem_prompts, without
    try:
        with torch.no_grad():
            kept, plain = network.encode(image, prompts), network.encode(image, 0 * prompts)
    finally:
        network.stem_prompts = stem
    assert kept.keys() == {2, 4, 8, 16, 32}
    for stride, features in kept.items():
        assert features.shape[2:] == (64 // stride,) * 2
        torch.testing.assert_close(features, plain[stride])


def test_samples_of_a_batch_do_not_meet(network: PretrainedUNet) -> None:
    x = noise(3, 8, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(network(x)[1:2], network(x[1:2]), atol=1e-5, rtol=1e-4)


def test_the_gradient_under_autocast_is_that_of_float32(network: PretrainedUNet) -> None:
    x, target = noise(2, 8, 64, 64), (noise(2, 1, 64, 64, seed=1) > 0).float()
    gradients = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            logits = network(x)
        F.binary_cross_entropy_with_logits(logits.float(), target).backward()  # type: ignore[no-untyped-call]
        gradients.append({n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None})
        network.zero_grad(set_to_none=True)
    for name, exact in gradients[0].items():
        if float(exact.norm()) > 1e-6:
            assert float(F.cosine_similarity(exact.flatten(), gradients[1][name].flatten(), 0)) > 0.9, name


def test_the_encoder_learns_more_slowly(network: PretrainedUNet) -> None:
    groups = scaled_groups(network, 0.02, network.learning_rate_scales)
    by_scale: dict[float, int] = {}
    for group in groups:
        members = sum(p.numel() for p in group["params"])
        by_scale[group["scale"]] = by_scale.get(group["scale"], 0) + members
        assert {p.ndim > 1 for p in group["params"]} == {group["weight_decay"] > 0}
    names = network.encoder_names()
    encoder = sum(p.numel() for n, p in network.named_parameters() if n in names)
    assert by_scale == {ENCODER_RATE: encoder, 1.0: count_parameters(network) - encoder}
    assert all(name.startswith(("stem_image.", "blocks.")) for name in names)


def test_other_encoders_are_unknown() -> None:
    with pytest.raises(ValueError, match="efficientnet-lite0"):
        PretrainedUNet("efficientnet-lite9")
