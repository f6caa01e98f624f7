"""A network of the SAM family as the two graphs that it is served by: image encoder, and prompts to masks. Needs torch.

The split is where an image's work ends: whatever does not depend on a prompt belongs to the encoder, so that every
further box costs the decoder alone. Parameters keep the names that they have in the whole network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bedside.core.errors import BackendError, InputError
from bedside.core.modality import MODALITIES
from bedside.engines.sam.blocks.clip import Clip
from bedside.engines.sam.blocks.sam import PromptableNetwork
from bedside.engines.sam.networks.mcp_medsam import CLIP_WIDTH, Content, McpMedSAM
from bedside.engines.sam.networks.rep_medsam import RepMedSAM
from bedside.engines.sam.networks.swin_lite_medsam import SkipDecoder, UnusedPrompt
from bedside.weights.models import build_model
from bedside.weights.store import TOWER

TEXT_FEATURES = "clip_text_features"
"""Name of the frozen CLIP's features of every modality's name, which MCP-MedSAM's decoder holds as a table."""
VISION = ("vision_model.", "visual_projection.")
"""What the names of the tower's tensors begin with."""
POINTS = 4
"""Points that Swin-LiteMedSAM takes with every box."""


class Part(nn.Module):
    """One graph of a network.

    Attributes:
        inputs: Names of what it takes, in order, each with its shape for one prompt.
        outputs: Names of what it gives, in order.
        per_prompt: Inputs and outputs whose first axis counts prompts.
    """

    inputs: Mapping[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    per_prompt: tuple[str, ...] = ()

    def examples(self, prompts: int) -> tuple[Tensor, ...]:
        """Return inputs of the right shapes and types for ``prompts`` prompts, of zeros."""
        return tuple(
            torch.zeros(
                (prompts if name in self.per_prompt else shape[0], *shape[1:]),
                dtype=torch.int64 if name == "modality" else torch.float32,
            )
            for name, shape in self.inputs.items()
        )


class EncoderPart(Part):
    """Images to features."""

    outputs = ("embedding",)

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.image_encoder = network.image_encoder
        self.inputs = {"image": (1, 3, network.image_size, network.image_size)}

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map (1, 3, side, side), 0 to 1, to the embedding (1, 256, 64, 64)."""
        return (self.image_encoder(image),)


class SkipEncoderPart(Part):
    """Images to the embedding and the finer maps, the coarse ones already joined as the decoder wants them."""

    outputs = ("embedding", "fine", "coarse")

    def __init__(self, network: PromptableNetwork) -> None:
        super().__init__()
        self.image_encoder = network.image_encoder
        self.mask_decoder = network.mask_decoder
        self.inputs = {"image": (1, 3, network.image_size, network.image_size)}

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map (1, 3, 256, 256), 0 to 1, to (1, 256, 64, 64), (1, 128, 128, 128) and (1, 256, 64, 64)."""
        embedding, fine, *coarse = self.image_encoder(image)
        return embedding, fine, self._neck()(torch.cat(coarse, dim=1))

    def _neck(self) -> nn.Module:
        assert isinstance(self.mask_decoder, SkipDecoder)
        return self.mask_decoder.neck


class DecoderPart(Part):
    """Boxes to masks."""

    outputs = ("logits", "iou")
    per_prompt: tuple[str, ...] = ("boxes", "logits", "iou")

    def __init__(self, network: PromptableNetwork) -> None:
        super().__init__()
        self.prompt_encoder = network.prompt_encoder
        self.mask_decoder = network.mask_decoder
        side = network.prompt_encoder.grid
        self.inputs = {"embedding": (1, 256, side, side), "boxes": (1, 4)}

    def forward(self, embedding: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Decode boxes (n, 4) in pixels on an embedding (1, 256, 64, 64): logits (n, 1, 256, 256) and iou (n, 1)."""
        sparse, dense = self.prompt_encoder(boxes)
        masks = self.mask_decoder((embedding,), self.prompt_encoder.positions(), sparse, dense)
        return masks.logits, masks.iou


class SkipDecoderPart(Part):
    """Boxes, each with four points and a scribble, to masks, by the finer maps too."""

    outputs = ("logits", "iou")
    per_prompt = ("boxes", "points", "scribble", "logits", "iou")

    def __init__(self, network: PromptableNetwork) -> None:
        super().__init__()
        self.prompt_encoder = network.prompt_encoder
        self.mask_decoder = network.mask_decoder
        self.inputs = {
            "embedding": (1, 256, 64, 64),
            "fine": (1, 128, 128, 128),
            "coarse": (1, 256, 64, 64),
            "boxes": (1, 4),
            "points": (1, POINTS, 2),
            "scribble": (1, 1, 256, 256),
        }

    def forward(
        self, embedding: Tensor, fine: Tensor, coarse: Tensor, boxes: Tensor, points: Tensor, scribble: Tensor
    ) -> tuple[Tensor, Tensor]:
        """As ``SkipDecoder.forward``, with the coarse maps joined already and all points positive."""
        decoder = self.mask_decoder
        assert isinstance(decoder, SkipDecoder)
        sparse, dense = self.prompt_encoder(boxes, points, torch.ones_like(points[..., 0]), scribble)
        tokens, attended = decoder.attend(embedding, self.prompt_encoder.positions(), sparse, dense)
        # One image, n prompts: its maps are repeated along the batch without a copy.
        n = boxes.shape[0]
        joined = decoder.output_upscaling1(torch.cat((attended, coarse.expand(n, -1, -1, -1)), dim=1))
        joined = decoder.output_upscaling2(torch.cat((joined, fine.expand(n, -1, -1, -1)), dim=1))
        masks = decoder.draw(tokens, joined, multimask=False)
        return masks.logits, masks.iou


class ContentDecoderPart(Part):
    """Boxes with their content and modality to masks."""

    outputs = ("logits", "iou")
    per_prompt = ("boxes", "crops", "image_features", "modality", "logits", "iou")
    clip_text_features: Tensor

    def __init__(self, network: McpMedSAM, text_features: Tensor | None = None) -> None:
        super().__init__()
        self.prompt_encoder = network.prompt_encoder
        self.mask_decoder = network.mask_decoder
        table = torch.zeros(len(MODALITIES), CLIP_WIDTH) if text_features is None else text_features
        self.register_buffer(TEXT_FEATURES, table)
        self.inputs = {
            "embedding": (1, 256, 64, 64),
            "boxes": (1, 4),
            "crops": (1, 3, 64, 64),
            "image_features": (1, CLIP_WIDTH),
            "modality": (1,),
        }

    def forward(
        self, embedding: Tensor, boxes: Tensor, crops: Tensor, image_features: Tensor, modality: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See ``McpMedSAM.decode``; ``modality`` (n,) int64 also chooses the features of its name."""
        content = Content(crops, image_features, self.clip_text_features[modality], modality)
        sparse, dense = self.prompt_encoder(boxes, content)
        masks = self.mask_decoder.answer(embedding, self.prompt_encoder.positions(), sparse, dense)
        return masks.logits, masks.iou


class TowerPart(Part):
    """What a box holds, as the frozen CLIP sees it."""

    outputs = ("image_features",)
    per_prompt = ("crops", "image_features")

    def __init__(self, clip: Clip) -> None:
        super().__init__()
        self.vision_model = clip.vision_model
        self.visual_projection = clip.visual_projection
        self.inputs = {"crops": (1, 3, clip.side, clip.side)}

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """Map (n, 3, 224, 224), 0 to 1, to (n, 512)."""
        # The text tower is left behind: its features are in the decoder's table.
        return (Clip.plain_features(self, crops),)  # type: ignore[arg-type]


def served_network(name: str, *, meta: bool = False) -> nn.Module:
    """Return the network called ``name`` as it is served: branches fused where it has any, in evaluation mode.

    Args:
        name: Model in the registry, of the family "sam".
        meta: On torch's meta device, shapes without numbers.

    Raises:
        InputError: No model of that family has that name.
    """
    with torch.device("meta" if meta else "cpu"):
        network = build_model(name)
        if not isinstance(network, PromptableNetwork | McpMedSAM):
            raise InputError(f"model '{name}'", expected="one of the family sam", got=type(network).__name__)
        if isinstance(network, RepMedSAM):
            network.fuse()
    return network.eval()


def split(network: nn.Module, text_features: Tensor | None = None, clip: Clip | None = None) -> dict[str, Part]:
    """Return the parts "encoder" and "decoder" of a network of the family; they share its parameters.

    Args:
        network: The network.
        text_features: The table for a network that takes modalities.
        clip: The tower for a network that takes content; it becomes a further part.
    """
    if isinstance(network, McpMedSAM):
        tower: dict[str, Part] = {TOWER: TowerPart(clip)} if clip is not None else {}
        return {"encoder": EncoderPart(network), "decoder": ContentDecoderPart(network, text_features), **tower}
    assert isinstance(network, PromptableNetwork)
    if isinstance(network.mask_decoder, SkipDecoder):
        return {"encoder": SkipEncoderPart(network), "decoder": SkipDecoderPart(network)}
    return {"encoder": EncoderPart(network), "decoder": DecoderPart(network)}


def served_state(network: nn.Module) -> dict[str, Tensor]:
    """Return what of the network's state dict a prediction needs."""
    idle = {f"{name}." for name, module in network.named_modules() if isinstance(module, UnusedPrompt)}
    return {
        name: value
        for name, value in network.state_dict(keep_vars=True).items()
        if not name.endswith("num_batches_tracked") and not any(name.startswith(prefix) for prefix in idle)
    }


def load_part(name: str, part: str, tensors: Mapping[str, Tensor]) -> Part:
    """Return one part of a network with the tensors of its weights file.

    Raises:
        BackendError: The tensors are of another network.
    """
    values = {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}
    in_tower = {key: values.pop(key) for key in list(values) if key.startswith(VISION)}
    if part == TOWER:
        return _load_tower(in_tower)
    network = served_network(name, meta=True)
    needed = served_state(network)
    text_features = values.pop(TEXT_FEATURES, None)
    wrong = sorted(needed.keys() ^ values.keys()) or [
        key for key, value in values.items() if value.shape != needed[key].shape
    ]
    if wrong:
        raise BackendError(f"tensors of '{name}'", expected="those of its network", got=f"a difference in {wrong[0]}")
    network.load_state_dict(values, strict=False, assign=True)
    # What no prediction needs is not in the file, and would stay without numbers.
    for key, value in list(network.state_dict().items()):
        if value.is_meta:
            owner, _, leaf = key.rpartition(".")
            setattr(network.get_submodule(owner), leaf, None)
    return split(network, text_features)[part].eval()


def _load_tower(tensors: Mapping[str, Tensor]) -> Part:
    with torch.device("meta"):
        clip = Clip()
    needed = {key for key in clip.state_dict() if key.startswith(VISION)}
    if wrong := sorted(needed ^ tensors.keys()):
        raise BackendError("tensors of the frozen CLIP", expected="those of its image encoder", got=wrong[0])
    clip.load_state_dict(tensors, strict=False, assign=True)
    return TowerPart(clip).eval()
