"""Rep-MedSAM: a RepViT whose branches are fused for inference, third in the laptop challenge."""

from __future__ import annotations

from bedside.engines.sam.blocks.common import fuse
from bedside.engines.sam.blocks.repvit import RepViT
from bedside.engines.sam.blocks.sam import PromptableNetwork
from bedside.engines.sam.blocks.sam_mask_decoder import MaskDecoder
from bedside.engines.sam.blocks.sam_prompt_encoder import PromptEncoder

CARD = {
    "name": "rep-medsam",
    "family": "sam",
    "summary": "RepViT-M1.0 distilled from MedSAM, its branches fused for inference: third in the challenge.",
    "parameters": 10_570_092,
    "dimensions": 2,
    "grid": 256,
    "prompt_kinds": ("box",),
    "negative_kinds": (),
    "licence": "Apache-2.0",
    "source": "github.com/muxin-wei/Rep-MedSAM",
}


class RepMedSAM(PromptableNetwork):
    """The network as it is trained; ``fuse`` makes it the one that is served."""

    def __init__(self) -> None:
        super().__init__(RepViT(), PromptEncoder(image_size=256), MaskDecoder())

    def fuse(self) -> None:
        """Replace, in place, every branched or normalised convolution of the image encoder by a plain one.

        The predictions stay the same to rounding in evaluation mode. The network cannot be trained sensibly afterwards,
        and its state dict has other names: fuse after loading.
        """
        fuse(self.image_encoder)


def build(name: str = "rep-medsam") -> RepMedSAM:
    """Return the network, with initial weights: images (b, 3, 256, 256), logits (n, 1, 256, 256)."""
    del name
    return RepMedSAM()
