"""MedSAM: the ViT-B of SAM, trained on medical images; the teacher of the small networks."""

from __future__ import annotations

from bedside.engines.sam.blocks.sam import PromptableNetwork
from bedside.engines.sam.blocks.sam_mask_decoder import MaskDecoder
from bedside.engines.sam.blocks.sam_prompt_encoder import PromptEncoder
from bedside.engines.sam.blocks.vit import ViT

CARD = {
    "name": "medsam",
    "family": "sam",
    "summary": "ViT-B of SAM trained on medical images: the teacher of the laptop networks.",
    "parameters": 93_735_472,
    "dimensions": 2,
    "grid": 1024,
    "prompt_kinds": ("box",),
    "negative_kinds": (),
    "licence": "Apache-2.0",
    "source": "github.com/bowang-lab/MedSAM",
}


def build(name: str = "medsam") -> PromptableNetwork:
    """Return the network, with initial weights: images (b, 3, 1024, 1024), logits (n, 1, 256, 256)."""
    del name
    return PromptableNetwork(ViT(), PromptEncoder(image_size=1024), MaskDecoder())
