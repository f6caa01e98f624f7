"""nnInteractive's network answers as the published one does.

``dynamic-network-architectures`` is the judge. ``make test`` installs it alone (``requirements/oracles.txt``), because
it asks for timm, which asks for torchvision; its U-Nets do not. Where it is missing, ``nninteractive.json`` stands
in: answers of that package's network whose parameters are set by a formula. Write it again, with the package, by
``python tests/models/test_nninteractive.py``.
"""

from __future__ import annotations

import copy
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bedside.engines.nninteractive.blocks.residual_encoder_unet import aliases
from bedside.engines.nninteractive.network import DEPTHS, WIDTHS, NNInteractive
from bedside.weights.keys import skeleton

Stir = Callable[[nn.Module], nn.Module]
ANSWERS = Path(__file__).with_name("nninteractive.json")
SMALL = ((4, 8, 8, 12, 12, 16), (1, 2, 1, 1, 1, 2))
SIZES = {"small": SMALL, "full": (WIDTHS, DEPTHS)}
GRID = (32, 64, 32)
"""Of the committed answers. Instance normalisation needs two voxels at the lowest resolution, so 32^3 is too little."""
BY_SIZE = [pytest.param("small"), pytest.param("full", marks=pytest.mark.slow)]


def reference(widths: tuple[int, ...], depths: tuple[int, ...]) -> Any:
    """The network of the package that the published weights were trained with."""
    if importlib.util.find_spec("dynamic_network_architectures") is None:
        pytest.skip("dynamic-network-architectures is not installed (requirements/oracles.txt)")
    from dynamic_network_architectures.architectures.unet import ResidualEncoderUNet

    stages = len(widths)
    return ResidualEncoderUNet(
        input_channels=8,
        n_stages=stages,
        features_per_stage=list(widths),
        conv_op=nn.Conv3d,
        kernel_sizes=[[3] * 3] * stages,
        strides=[[1] * 3] + [[2] * 3] * (stages - 1),
        n_blocks_per_stage=list(depths),
        num_classes=2,
        n_conv_per_stage_decoder=[1] * (stages - 1),
        conv_bias=True,
        norm_op=nn.InstanceNorm3d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        dropout_op=None,
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
        deep_supervision=True,
    )


def wave(shape: tuple[int, ...], phase: float) -> Tensor:
    """Numbers between -1 and 1 that are the same on every machine."""
    return torch.cos(torch.arange(torch.Size(shape).numel(), dtype=torch.float64) * 0.7 + phase).reshape(shape).float()


@torch.no_grad()
def set_by_formula(network: nn.Module) -> nn.Module:
    for number, (name, parameter) in enumerate(network.named_parameters()):
        values = wave(tuple(parameter.shape), number)
        if parameter.ndim > 1:
            values *= (parameter[0].numel() / 2) ** -0.5
        elif name.endswith("norm.weight"):
            values = 1 + 0.3 * values
        else:
            values *= 0.3
        parameter.copy_(values)
    return network.eval()


def summary(heads: Any) -> list[list[float]]:
    """Mean, mean of squares and three single answers of each head."""
    result = []
    for head in heads:
        flat = head.double().flatten()
        picked = [flat[0], flat[len(flat) // 3], flat[-1]]
        result.append([round(float(v), 6) for v in (flat.mean(), flat.square().mean(), *picked)])
    return result


def test_it_has_the_published_number_of_parameters_and_names() -> None:
    network: Any = skeleton("nninteractive")
    assert sum(p.numel() for p in network.parameters()) == 102_355_818
    assert sum(p.numel() for p in network.encoder.parameters()) == 90_302_624
    names = network.state_dict().keys()
    assert len(names) == 956
    second = aliases(network)
    assert {name for name in names if name.startswith("decoder.encoder.") or ".all_modules." in name} == second.keys()
    assert len(second) + len(list(network.named_parameters())) == 956


@pytest.mark.parametrize("size", BY_SIZE)
def test_the_state_dict_is_that_of_the_reference(size: str) -> None:
    with torch.device("meta"):
        theirs, ours = reference(*SIZES[size]), NNInteractive(*SIZES[size])
    shapes = [{k: tuple(v.shape) for k, v in network.state_dict().items()} for network in (theirs, ours)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("size", BY_SIZE)
@pytest.mark.parametrize("direction", ["theirs to ours", "ours to theirs"])
def test_every_head_answers_as_the_reference_does(
    size: str, direction: str, stirred: Stir, generator: torch.Generator
) -> None:
    theirs, ours = reference(*SIZES[size]).eval(), NNInteractive(*SIZES[size]).eval()
    if direction == "theirs to ours":
        ours.load_state_dict(stirred(theirs).state_dict())
    else:
        theirs.load_state_dict(stirred(ours).state_dict())
    x = torch.randn(1, 8, 64, 64, 64, generator=generator)
    expected, found = theirs(x), ours.heads(x)
    assert len(expected) == len(found) == 5
    for number, (a, b) in enumerate(zip(expected, found, strict=True)):
        assert a.shape == b.shape == (1, 2, *(64 // 2**number,) * 3)
        assert float(a.std()) > 0.05
        assert float((a - b).abs().max()) < 1e-4


@pytest.mark.parametrize("size", BY_SIZE)
def test_every_head_answers_as_the_reference_once_did(size: str, quiet_torch: None) -> None:
    network: Any = set_by_formula(NNInteractive(*SIZES[size]))
    expected = json.loads(ANSWERS.read_text(encoding="utf-8"))[size]
    found = summary(network.heads(wave((1, 8, *GRID), 0.3)))
    assert len(found) == 5
    for a, b in zip(found, expected, strict=True):
        assert a == pytest.approx(b, abs=2e-4)


def test_shapes_at_full_size() -> None:
    network: Any = skeleton("nninteractive")
    with torch.device("meta"):
        x = torch.zeros(1, 8, 192, 192, 192)
        heads = network.heads(x)
        assert network(x).shape == (1, 1, 192, 192, 192)
    assert [tuple(head.shape) for head in heads] == [(1, 2, *(192 // 2**n,) * 3) for n in range(5)]


@pytest.fixture
def small(stirred: Stir) -> Any:
    return stirred(NNInteractive(*SMALL))


def test_its_logit_says_the_same_as_two_channels(small: Any, generator: torch.Generator) -> None:
    x = torch.randn(2, 8, *GRID, generator=generator)
    two, one = small.heads(x)[0], small(x)
    assert one.shape == (2, 1, *GRID)
    assert torch.equal(one[:, 0] > 0, two.argmax(dim=1) == 1)
    target = (torch.rand(2, *GRID, generator=generator) > 0.5).long()
    by_one = F.binary_cross_entropy_with_logits(one[:, 0], target.float())
    torch.testing.assert_close(by_one, F.cross_entropy(two, target))


def test_every_input_channel_matters(small: Any, generator: torch.Generator) -> None:
    x = torch.randn(1, 8, *GRID, generator=generator)
    before = small(x)
    for channel in range(8):
        changed = x.clone()
        changed[:, channel] += torch.randn(GRID, generator=generator)
        assert not torch.allclose(small(changed), before, atol=1e-3)


def test_the_first_name_of_each_tensor_is_enough_to_load(small: Any, quiet_torch: None) -> None:
    second = aliases(small)
    other = NNInteractive(*SMALL)
    other.load_state_dict({k: v for k, v in small.state_dict().items() if k not in second})
    x = torch.ones(1, 8, *GRID)
    assert torch.equal(other.eval()(x), small(x))


def test_a_tensor_without_any_name_is_missed(small: Any) -> None:
    state = small.state_dict()
    gone = [k for k in state if k.endswith("stem.convs.0.conv.bias") or k.endswith("stem.convs.0.all_modules.0.bias")]
    assert len(gone) == 4
    with pytest.raises(RuntimeError, match=r"Missing key.*stem\.convs\.0\.conv\.bias"):
        NNInteractive(*SMALL).load_state_dict({k: v for k, v in state.items() if k not in gone})


def test_a_copy_has_the_same_aliases_and_its_own_numbers(small: Any) -> None:
    duplicate = copy.deepcopy(small)
    assert aliases(duplicate) == aliases(small)
    duplicate.encoder.stem.convs[0].conv.bias.add_(1)
    assert torch.equal(
        duplicate.state_dict()["decoder.encoder.stem.convs.0.all_modules.0.bias"],
        small.encoder.stem.convs[0].conv.bias + 1,
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    with torch.inference_mode():
        answers = {size: summary(set_by_formula(reference(*SIZES[size]))(wave((1, 8, *GRID), 0.3))) for size in SIZES}
    ANSWERS.write_text(json.dumps(answers, indent=2) + "\n", encoding="utf-8")
