"""Networks of the SAM family for training: at their own size or smaller, whole or part by part."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bedside.core.errors import InputError, WeightsError
from bedside.engines.sam.blocks.efficientvit import EfficientViT
from bedside.engines.sam.blocks.sam import PromptableNetwork
from bedside.engines.sam.blocks.sam_mask_decoder import MaskDecoder
from bedside.engines.sam.blocks.sam_prompt_encoder import PromptEncoder
from bedside.engines.sam.blocks.vit import ViT
from bedside.engines.sam.networks.mcp_medsam import McpMedSAM
from bedside.weights.models import build_model

MEDSAM = "medsam"
PARTS = ("image_encoder", "prompt_encoder", "mask_decoder")
POSITIONS = ("pos_embed", "rel_pos_h", "rel_pos_w")
"""Ends of the names of tables that have a row for every patch of the image, or for every offset between two."""
LOGITS = 4
"""Cells of the logits for each cell of the embedding, along an axis."""
PATCH = 16
"""Side of the teacher's patches."""
COUNTERS = "num_batches_tracked"
"""What normalisations count and no prediction depends on; exported weights do not hold it."""

SamNetwork = PromptableNetwork | McpMedSAM


def sam_network(name: str, side: int) -> SamNetwork:
    """Return the network called ``name`` for inputs of ``side``, with initial weights.

    Their weights are the same at any size, so that what a smaller one learns serves at the network's own; MedSAM's
    tables of positions are brought there by ``fit_positions``.

    Raises:
        InputError: The model is of another family, or cannot be made that small.
    """
    network = _sized_medsam(side) if name == MEDSAM else build_model(name)
    if not isinstance(network, PromptableNetwork | McpMedSAM):
        raise InputError(f"model '{name}'", expected="one of the family sam", got=type(network).__name__)
    prompts = network.prompt_encoder
    if side * prompts.grid % prompts.image_size:
        raise InputError("side of the input", expected=f"a part of {prompts.image_size}", got=side)
    prompts.grid = prompts.grid * side // prompts.image_size
    prompts.image_size = side
    encoder = network.image_encoder
    if isinstance(encoder, EfficientViT):
        encoder.neck.grid = prompts.grid
    return network


def _sized_medsam(side: int) -> PromptableNetwork:
    return PromptableNetwork(ViT(image_size=side), PromptEncoder(side, side // PATCH), MaskDecoder())


def logits_side(network: SamNetwork) -> int:
    """Return side of the masks that a network draws."""
    return LOGITS * network.prompt_encoder.grid


def read_parts(state: Mapping[str, Tensor], parts: Collection[str]) -> dict[str, Tensor]:
    """Return the tensors of some parts of a network."""
    return {name: value for name, value in state.items() if name.partition(".")[0] in parts}


def fit_positions(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Return weights whose tables of positions are interpolated to the size of those of ``network``; all else as it is.

    Tables are ``pos_embed`` (1, y, x, width), of patches, and ``rel_pos_h`` and ``rel_pos_w`` (2 * side - 1, width), of
    offsets, the outermost of which stay the outermost.
    """
    own = network.state_dict()
    fitted = dict(state)
    for name, value in state.items():
        if not name.endswith(POSITIONS) or name not in own or (shape := own[name].shape) == value.shape:
            continue
        table = value.float()
        if table.ndim == 2:
            fitted[name] = F.interpolate(table.T[None], shape[0], mode="linear", align_corners=True)[0].T.contiguous()
        else:
            planes = F.interpolate(
                table.permute(0, 3, 1, 2), (shape[1], shape[2]), mode="bilinear", align_corners=False
            )
            fitted[name] = planes.permute(0, 2, 3, 1).contiguous()
    return fitted


def load_matching(network: nn.Module, state: Mapping[str, Tensor]) -> int:
    """Load every tensor that the network has by the same name and, once positions fit, shape; how many there were."""
    own = network.state_dict()
    fitted = fit_positions(state, network)
    found = {name: value.float() for name, value in fitted.items() if name in own and own[name].shape == value.shape}
    network.load_state_dict(found, strict=False)
    return len(found)


def load_served(network: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Load exported or imported weights, which must be those of the network; only counters may be missing.

    Raises:
        WeightsError: A tensor is missing, odd, or of another shape.
    """
    wanted = network.state_dict()
    odd = sorted(state.keys() - wanted.keys())
    missing = sorted(name for name in wanted.keys() - state.keys() if not name.endswith(COUNTERS))
    shapes = sorted(name for name in state.keys() & wanted.keys() if state[name].shape != wanted[name].shape)
    for name in (*odd, *missing, *shapes):
        raise WeightsError(what, expected="those of its network", got=f"a difference in {name}")
    network.load_state_dict({name: value.float() for name, value in state.items()}, strict=False)


def seeded_network(name: str, side: int, seed: int) -> SamNetwork:
    """Return ``sam_network`` with initial weights that depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return sam_network(name, side)
