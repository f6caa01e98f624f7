"""MedficientSAM: EfficientViT-SAM in three sizes, the winner of the laptop challenge."""

from __future__ import annotations

from bedside.engines.sam.blocks.efficientvit import EPS, EfficientViT, Size
from bedside.engines.sam.blocks.sam import PromptableNetwork
from bedside.engines.sam.blocks.sam_mask_decoder import MaskDecoder
from bedside.engines.sam.blocks.sam_prompt_encoder import PromptEncoder

CARDS = [
    {
        "name": "medficientsam-l0",
        "family": "sam",
        "summary": "EfficientViT-SAM L0 distilled from MedSAM, then trained with augmentation.",
        "parameters": 34_792_784,
        "dimensions": 2,
        "grid": 512,
        "prompt_kinds": ("box",),
        "negative_kinds": (),
        "licence": "Apache-2.0",
        "source": "github.com/hieplpvip/medficientsam",
    },
    {
        "name": "medficientsam-l1",
        "family": "sam",
        "summary": "EfficientViT-SAM L1: first in the 2024 laptop challenge.",
        "parameters": 47_650_128,
        "dimensions": 2,
        "grid": 512,
        "prompt_kinds": ("box",),
        "negative_kinds": (),
        "licence": "Apache-2.0",
        "source": "github.com/hieplpvip/medficientsam",
    },
    {
        "name": "medficientsam-l2",
        "family": "sam",
        "summary": "EfficientViT-SAM L2, the largest of the three.",
        "parameters": 61_328_592,
        "dimensions": 2,
        "grid": 512,
        "prompt_kinds": ("box",),
        "negative_kinds": (),
        "licence": "Apache-2.0",
        "source": "github.com/hieplpvip/medficientsam",
    },
]

SIZES: dict[str, Size] = {"medficientsam-l0": "l0", "medficientsam-l1": "l1", "medficientsam-l2": "l2"}


def build(name: str = "medficientsam-l1") -> PromptableNetwork:
    """Return the network called ``name``, with initial weights: images (b, 3, 512, 512), logits (n, 1, 256, 256)."""
    return PromptableNetwork(EfficientViT(SIZES[name]), PromptEncoder(image_size=512), MaskDecoder(epsilon=EPS))
