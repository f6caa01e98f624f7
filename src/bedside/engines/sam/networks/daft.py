"""DAFT: one EfficientViT-SAM L0 for each group of modalities, at half the usual input size."""

from __future__ import annotations

from bedside.engines.sam.blocks.efficientvit import EPS, EfficientViT
from bedside.engines.sam.blocks.sam import PromptableNetwork
from bedside.engines.sam.blocks.sam_mask_decoder import MaskDecoder
from bedside.engines.sam.blocks.sam_prompt_encoder import PromptEncoder

CARD = {
    "name": "daft",
    "family": "sam",
    "summary": "EfficientViT-SAM L0 at 256 x 256 with an expert for each group of modalities: second in the challenge.",
    "parameters": 34_792_784,
    "dimensions": 2,
    "grid": 256,
    "prompt_kinds": ("box",),
    "negative_kinds": (),
    "licence": "BSD-3-Clause",
    "source": "github.com/automl/CVPR24-MedSAM-on-Laptop",
    "variants": (
        "general",
        "3d",
        "ct",
        "x-ray",
        "us",
        "fundus",
        "endoscopy",
        "dermoscopy",
        "microscopy",
        "oct",
        "mammography",
    ),
}
"""Parameters are those of one expert: each is a network of its own, and routing chooses one by the modality."""


def build(name: str = "daft") -> PromptableNetwork:
    """Return the network of one expert, with initial weights: images (b, 3, 256, 256), logits (n, 1, 256, 256)."""
    del name
    return PromptableNetwork(EfficientViT("l0"), PromptEncoder(image_size=256), MaskDecoder(epsilon=EPS))
