"""LiteMedSAM: the baseline of the laptop challenge, a TinyViT distilled from MedSAM."""

from __future__ import annotations

from bedside.engines.sam.blocks.sam import PromptableNetwork
from bedside.engines.sam.blocks.sam_mask_decoder import MaskDecoder
from bedside.engines.sam.blocks.sam_prompt_encoder import PromptEncoder
from bedside.engines.sam.blocks.tiny_vit import TinyViT

CARD = {
    "name": "lite-medsam",
    "family": "sam",
    "summary": "TinyViT distilled from MedSAM: the baseline of the 2024 laptop challenge.",
    "parameters": 9_791_300,
    "dimensions": 2,
    "grid": 256,
    "prompt_kinds": ("box",),
    "negative_kinds": (),
    "licence": "Apache-2.0",
    "source": "github.com/bowang-lab/MedSAM, branch LiteMedSAM",
}


def build(name: str = "lite-medsam") -> PromptableNetwork:
    """Return the network, with initial weights: images (b, 3, 256, 256), logits (n, 1, 256, 256)."""
    del name
    return PromptableNetwork(TinyViT(), PromptEncoder(image_size=256), MaskDecoder())
