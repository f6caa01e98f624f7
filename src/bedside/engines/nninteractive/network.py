"""nnInteractive: the residual-encoder U-Net "L" that predicts 3D prompts in a window of 192 voxels a side.

arXiv 2503.08373. Its published weights may be used for non-commercial purposes only and are not part of Bedside; they
are brought in with ``bedside weights import nninteractive``.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from bedside.engines.nninteractive.blocks.residual_encoder_unet import ResidualEncoderUNet

CARD = {
    "name": "nninteractive",
    "family": "nninteractive",
    "summary": "Residual-encoder U-Net for volumes, by the winners of the interactive 3D challenge; weights apart.",
    "parameters": 102_355_818,
    "dimensions": 3,
    "grid": 192,
    "channels": (
        "image",
        "previous mask",
        "box or lasso, positive",
        "box or lasso, negative",
        "click, positive",
        "click, negative",
        "scribble, positive",
        "scribble, negative",
    ),
    "prompt_kinds": ("box", "point", "scribble", "lasso", "mask"),
    "negative_kinds": ("box", "point", "scribble", "lasso"),
    "licence": "CC-BY-NC-SA-4.0",
    "source": "github.com/MIC-DKFZ/nnInteractive",
}
NAME = "nninteractive"
WIDTHS = (32, 64, 128, 256, 320, 320)
DEPTHS = (1, 3, 4, 6, 6, 6)


class NNInteractive(ResidualEncoderUNet):
    """The network as the window engine takes it: one logit a voxel.

    Its heads (``heads``) give two channels, background and object, of which the larger wins. Their difference
    is one logit with the same prediction, the same probability and the same cross-entropy.

    Args:
        widths: Channels of each stage, finest first.
        depths: Residual blocks of each encoder stage.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, depths: Sequence[int] = DEPTHS) -> None:
        super().__init__(channels_in=8, channels_out=2, widths=widths, depths=depths)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 8, z, y, x) to logits (batch, 1, z, y, x); above 0 is the object."""
        answer = self.full_resolution(x)
        return answer[:, 1:] - answer[:, :1]


def build(name: str = NAME) -> NNInteractive:
    """Return the network: (batch, 8, z, y, x) to logits (batch, 1, z, y, x); sides are multiples of 32, one at least
    64.
    """
    del name
    return NNInteractive()
