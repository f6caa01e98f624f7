"""The residual-encoder U-Net of nnU-Net ("ResEnc") in three dimensions, with heads for deep supervision.

"nnU-Net Revisited", arXiv 2404.09556. Checkpoints of this network hold each tensor under several names, because its
modules refer to each other: a layer's convolution and normalisation are also members of ``all_modules``, and the
decoder holds the encoder. The names are kept, so that published checkpoints fit name for name.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, cat, nn

SLOPE = 0.01
"""Of the leaky ReLU below zero."""


class ConvolutionLayer(nn.Module):
    """Convolution, instance normalisation, leaky ReLU.

    Args:
        channels_in: Channels of the input.
        channels_out: Channels of the output.
        kernel: Side of the kernel, odd; the input is padded so that stride 1 keeps its size.
        stride: Stride of the convolution.
        bias: Whether the convolution has a bias.
        activated: Whether the layer ends with the activation.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        bias: bool = True,
        activated: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv3d(channels_in, channels_out, kernel, stride=stride, padding=kernel // 2, bias=bias)
        self.norm = nn.InstanceNorm3d(channels_out, eps=1e-5, affine=True)
        layers: list[nn.Module] = [self.conv, self.norm]
        if activated:
            layers.append(nn.LeakyReLU(SLOPE, inplace=True))
        self.all_modules = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels_in, z, y, x) to (batch, channels_out, z / stride, y / stride, x / stride)."""
        out: Tensor = self.all_modules(x)
        return out


class LayerStack(nn.Module):
    """One convolution layer under the name that it has in checkpoints."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(ConvolutionLayer(channels_in, channels_out))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels_in, z, y, x) to (batch, channels_out, z, y, x)."""
        out: Tensor = self.convs(x)
        return out


class EncoderBlock(nn.Module):
    """Two convolution layers added to their input, then the activation.

    Where the block halves the resolution its skip is an average over 2x2x2 voxels; where it changes the number of
    channels, a 1x1x1 convolution and normalisation follow that average.

    Args:
        channels_in: Channels of the input.
        channels_out: Channels of the output.
        stride: 1 or 2.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = ConvolutionLayer(channels_in, channels_out, stride=stride)
        self.conv2 = ConvolutionLayer(channels_out, channels_out, activated=False)
        self.nonlin2 = nn.LeakyReLU(SLOPE, inplace=True)
        self.skip = nn.Sequential()
        if stride > 1:
            self.skip.append(nn.AvgPool3d(stride))
        if channels_in != channels_out:
            self.skip.append(ConvolutionLayer(channels_in, channels_out, 1, bias=False, activated=False))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels_in, z, y, x) to (batch, channels_out, z / stride, y / stride, x / stride)."""
        out: Tensor = self.nonlin2(self.conv2(self.conv1(x)) + self.skip(x))
        return out


class EncoderStage(nn.Module):
    """Residual blocks of one resolution, the first of which may halve that of the stage before."""

    def __init__(self, channels_in: int, channels_out: int, depth: int, stride: int) -> None:
        super().__init__()
        first = EncoderBlock(channels_in, channels_out, stride)
        self.blocks = nn.Sequential(first, *[EncoderBlock(channels_out, channels_out) for _ in range(depth - 1)])

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels_in, z, y, x) to (batch, channels_out, z / stride, y / stride, x / stride)."""
        out: Tensor = self.blocks(x)
        return out


class Encoder(nn.Module):
    """A stem and stages of residual blocks; each stage after the first halves the resolution.

    Args:
        channels_in: Channels of the input.
        widths: Channels of each stage, finest first.
        depths: Residual blocks of each stage.
    """

    def __init__(self, channels_in: int, widths: Sequence[int], depths: Sequence[int]) -> None:
        super().__init__()
        self.stem = LayerStack(channels_in, widths[0])
        before = (widths[0], *widths)
        self.stages = nn.Sequential(
            *[
                EncoderStage(before[stage], width, depth, stride=1 if stage == 0 else 2)
                for stage, (width, depth) in enumerate(zip(widths, depths, strict=True))
            ]
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (batch, channels_in, z, y, x) to the features of every stage, finest first."""
        x = self.stem(x)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class Decoder(nn.Module):
    """Goes up by transposed convolutions, joins the encoder's features, and has a head at every resolution.

    Args:
        encoder: The encoder, which is known here under a second name.
        widths: Channels of each of its stages, finest first.
        channels_out: Channels of each head.
    """

    def __init__(self, encoder: Encoder, widths: Sequence[int], channels_out: int) -> None:
        super().__init__()
        self.encoder = encoder
        steps = list(pairwise(reversed(widths)))
        self.stages = nn.ModuleList(LayerStack(2 * fine, fine) for _, fine in steps)
        self.transpconvs = nn.ModuleList(nn.ConvTranspose3d(coarse, fine, 2, stride=2) for coarse, fine in steps)
        self.seg_layers = nn.ModuleList(nn.Conv3d(fine, channels_out, 1) for _, fine in steps)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Map features of the encoder's stages, finest first, to those of the decoder's, coarsest first."""
        x = features[-1]
        decoded = []
        for up, stage, skip in zip(self.transpconvs, self.stages, features[-2::-1], strict=True):
            x = stage(cat((up(x), skip), dim=1))
            decoded.append(x)
        return decoded


class ResidualEncoderUNet(nn.Module):
    """The network; sides of the input are multiples of ``2 ** (len(widths) - 1)`` and at least one is twice that.

    The state dict holds aliases (see the module). Loading needs only one name of each tensor.

    Args:
        channels_in: Channels of the input.
        channels_out: Channels of each head.
        widths: Channels of each stage, finest first.
        depths: Residual blocks of each encoder stage.
    """

    def __init__(self, channels_in: int, channels_out: int, widths: Sequence[int], depths: Sequence[int]) -> None:
        super().__init__()
        self.channels_in, self.channels_out = channels_in, channels_out
        self.widths, self.depths = tuple(widths), tuple(depths)
        self.encoder = Encoder(channels_in, widths, depths)
        self.decoder = Decoder(self.encoder, widths, channels_out)
        self.apply(_initialise)
        self.register_load_state_dict_pre_hook(_fill_aliases)  # type: ignore[no-untyped-call]

    def heads(self, x: Tensor) -> list[Tensor]:
        """Return the prediction of every head, for deep supervision.

        Args:
            x: (batch, channels_in, z, y, x).

        Returns:
            Logits (batch, channels_out, ...) at full resolution, at half of it, and so on.
        """
        features = self.decoder(self.encoder(x))
        return [head(f) for head, f in zip(self.decoder.seg_layers, features, strict=True)][::-1]

    def full_resolution(self, x: Tensor) -> Tensor:
        """Return the first of ``heads`` alone: (batch, channels_in, z, y, x) to (batch, channels_out, z, y, x)."""
        out: Tensor = self.decoder.seg_layers[-1](self.decoder(self.encoder(x))[-1])
        return out

    def forward(self, x: Tensor) -> Tensor:
        """Return logits at full resolution: (batch, channels_in, z, y, x) to (batch, channels_out, z, y, x)."""
        return self.full_resolution(x)


def aliases(network: nn.Module) -> dict[str, str]:
    """Return every second name of a tensor in the network's state dict, with the first name of that tensor."""
    first: dict[int, str] = {}
    return {
        name: first[id(parameter)]
        for name, parameter in network.named_parameters(remove_duplicate=False)
        if first.setdefault(id(parameter), name) != name
    }


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
        nn.init.kaiming_normal_(module.weight, a=SLOPE)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _fill_aliases(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Give the names that a state dict lacks the tensor of their first name, before it is loaded."""
    for alias, name in aliases(module).items():
        if prefix + name in state:
            state.setdefault(prefix + alias, state[prefix + name])
