"""A network of the SAM family: an image is encoded once, and every prompt is decoded from its embedding."""

from __future__ import annotations

from torch import Tensor, nn

from bedside.core.errors import InputError
from bedside.engines.sam.blocks.sam_mask_decoder import Masks
from bedside.engines.sam.blocks.sam_prompt_encoder import TokenEncoder

Features = tuple[Tensor, ...]
"""What an image encoder gives: the embedding (b, 256, grid, grid), then any finer maps that its decoder takes."""


class PromptableNetwork(nn.Module):
    """Image encoder, prompt encoder and mask decoder.

    Args:
        image_encoder: (b, 3, y, x) to the embedding, or to a tuple that it begins.
        prompt_encoder: Prompts to tokens and a map.
        mask_decoder: Features, positions, tokens and map to masks.
    """

    def __init__(self, image_encoder: nn.Module, prompt_encoder: TokenEncoder, mask_decoder: nn.Module) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder

    @property
    def image_size(self) -> int:
        """Side of the input in pixels; coordinates of prompts refer to it."""
        return self.prompt_encoder.image_size

    def encode_image(self, image: Tensor) -> Features:
        """Return features of images (b, 3, image_size, image_size), each scaled to 0 to 1. They serve any number of
        prompts.

        Returns:
            The embedding (b, 256, grid, grid), then any finer maps that the decoder takes.
        """
        features = self.image_encoder(image)
        return features if isinstance(features, tuple) else (features,)

    def decode(
        self,
        features: Features,
        boxes: Tensor | None = None,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        masks: Tensor | None = None,
        *,
        multimask: bool = False,
    ) -> Masks:
        """Predict ``n`` prompts of the same make-up.

        Args:
            features: Features of ``b`` images; ``n`` is a multiple of ``b``, and each image has ``n / b`` prompts in a
            row.
            boxes: (n, 4), pixels of the input as (x0, y0, x1, y1).
            points: (n, k, 2), pixels of the input as (x, y).
            labels: (n, k): 1 positive, 0 negative, -1 no point.
            masks: (n, 1, 4 * grid, 4 * grid): logits of an earlier prediction, or a scribble drawn as 0 and 1.
            multimask: Three masks for an ambiguous prompt and not one.

        Raises:
            InputError: There is no prompt, points come without labels, or ``n`` is no multiple of ``b``.
        """
        sparse, dense = self.prompt_encoder(boxes, points, labels, masks)
        answer: Masks = self.mask_decoder(
            repeated(features, sparse.shape[0]), self.prompt_encoder.positions(), sparse, dense, multimask=multimask
        )
        return answer

    def forward(
        self,
        image: Tensor,
        boxes: Tensor | None = None,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        masks: Tensor | None = None,
    ) -> Masks:
        """Encode the images and predict the prompts; see ``encode_image`` and ``decode``."""
        return self.decode(self.encode_image(image), boxes, points, labels, masks)


def repeated(features: Features, prompts: int) -> Features:
    """Return features with one entry for each of ``prompts`` prompts.

    Raises:
        InputError: The prompts cannot be shared out evenly among the images.
    """
    images = features[0].shape[0]
    if prompts % images:
        raise InputError("prompts of a decoder", expected=f"a multiple of {images} images", got=prompts)
    return features if prompts == images else tuple(f.repeat_interleave(prompts // images, dim=0) for f in features)
