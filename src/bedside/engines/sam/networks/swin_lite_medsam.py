"""Swin-LiteMedSAM: a Swin transformer whose finer maps go to the decoder, fourth in the laptop challenge."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bedside.engines.sam.blocks.common import LayerNorm2d, embedding_neck
from bedside.engines.sam.blocks.sam import PromptableNetwork
from bedside.engines.sam.blocks.sam_mask_decoder import Masks, TokenDecoder, upscaling
from bedside.engines.sam.blocks.sam_prompt_encoder import PromptEncoder
from bedside.engines.sam.blocks.swin import Swin

CARD = {
    "name": "swin-lite-medsam",
    "family": "sam",
    "summary": "Swin transformer with skips to the decoder, prompted by box, four points and a scribble: fourth.",
    "parameters": 36_767_846,
    "dimensions": 2,
    "grid": 256,
    "prompt_kinds": ("box", "point", "scribble"),
    "negative_kinds": (),
    "licence": "MIT",
    "source": "github.com/RuochenGao/Swin_LiteMedSAM",
}
"""Of the parameters, 21,129,002 lie in ``UnusedPrompt`` and take no part in any prediction."""


class UnusedPrompt(nn.Module):
    """Parameters that the published checkpoint holds and its network never uses; here so that it loads as it is."""

    def __init__(self, channels: int, side: int, prompts: int = 5) -> None:
        super().__init__()
        self.prompt_param = nn.Parameter(torch.zeros(1, prompts, channels, side, side), requires_grad=False)
        self.linear_layer = nn.Linear(channels, prompts)
        self.conv3x3 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.requires_grad_(False)


class SkipDecoder(TokenDecoder):
    """A mask decoder that joins the image encoder's maps to the transformer's, coarse ones first.

    Args:
        width: Features of tokens and of the image embedding.
        fine: Channels of the map at twice the embedding's size.
        coarse: Channels of all maps at the embedding's size together.
    """

    def __init__(self, width: int = 256, fine: int = 128, coarse: int = 160 + 320 + 320) -> None:
        super().__init__(width)
        self.neck = embedding_neck(coarse, width)
        self.prompt1 = UnusedPrompt(width // 2, 128)
        self.output_upscaling1 = self._upscaling(2 * width, width, width // 2)
        self.output_upscaling2 = self._upscaling(width // 2 + fine, width // 4, width // 8)
        self.prompt2 = UnusedPrompt(width // 8, 256)

    @staticmethod
    def _upscaling(joined: int, hidden: int, channels_out: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(joined, hidden, 1),
            LayerNorm2d(hidden),
            nn.GELU(),
            *upscaling(hidden, channels_out, norm=False),
        )

    def forward(
        self,
        features: tuple[Tensor, ...],
        positions: Tensor,
        sparse: Tensor,
        dense: Tensor,
        *,
        multimask: bool = False,
    ) -> Masks:
        """Predict ``n`` prompts.

        Args:
            features: The image embedding (n, 256, y, x) and the maps of the four stages, the first twice as large.
            positions: (1, 256, y, x).
            sparse: Prompt tokens (n, t, 256).
            dense: Prompt maps (n, 256, y, x).
            multimask: Three masks for an ambiguous prompt and not one.
        """
        embedding, fine, *coarse = features
        tokens, attended = self.attend(embedding, positions, sparse, dense)
        joined = torch.cat((attended, self.neck(torch.cat(coarse, dim=1))), dim=1)
        joined = torch.cat((self.output_upscaling1(joined), fine), dim=1)
        return self.draw(tokens, self.output_upscaling2(joined), multimask=multimask)


def build(name: str = "swin-lite-medsam") -> PromptableNetwork:
    """Return the network, with initial weights: images (b, 3, 256, 256), logits (n, 1, 256, 256).

    It was trained with all its prompts at once: the box, four positive points, one in each quarter of the box, and a
    scribble within it as ``masks``.
    """
    del name
    return PromptableNetwork(Swin(), PromptEncoder(image_size=256), SkipDecoder())
