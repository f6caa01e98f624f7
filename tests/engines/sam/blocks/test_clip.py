"""The frozen CLIP, against layers of torch that were written for the same thing by others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bedside.engines.sam.blocks.clip import DEVIATION, MEAN, Clip, ClipLayer
from bedside.engines.sam.convert.parts import TowerPart
from bedside.engines.sam.networks.mcp_medsam import CLIP_SIDE, CLIP_WIDTH

pytestmark = pytest.mark.usefixtures("quiet_torch")
Stir = Callable[[nn.Module], nn.Module]


def small() -> Clip:
    return Clip(features=16, widths=(128, 64), depth=2, side=64, patch=32, words=50)


def reference(layer: ClipLayer, width: int, heads: int) -> nn.TransformerEncoderLayer:
    """torch's own layer with the same parameters."""
    other = nn.TransformerEncoderLayer(
        width, heads, 4 * width, dropout=0.0, activation=lambda x: x * torch.sigmoid(1.702 * x), batch_first=True,
        norm_first=True,
    )  # fmt: skip
    own = layer.self_attn
    joined = [
        torch.cat([getattr(p, kind) for p in (own.q_proj, own.k_proj, own.v_proj)]) for kind in ("weight", "bias")
    ]
    other.self_attn.in_proj_weight.copy_(joined[0])
    other.self_attn.in_proj_bias.copy_(joined[1])
    for mine, its in (
        (own.out_proj, other.self_attn.out_proj), (layer.mlp.fc1, other.linear1), (layer.mlp.fc2, other.linear2),
        (layer.layer_norm1, other.norm1), (layer.layer_norm2, other.norm2),
    ):  # fmt: skip
        its.load_state_dict(mine.state_dict())
    return other.train()


@pytest.mark.parametrize("causal", [False, True])
def test_a_layer_answers_as_that_of_torch(causal: bool, stirred: Stir, generator: torch.Generator) -> None:
    layer: Any = stirred(ClipLayer(64, 4))
    x = torch.randn(2, 5, 64, generator=generator)
    mask = torch.full((5, 5), float("-inf")).triu(1) if causal else None
    torch.testing.assert_close(layer(x, mask), reference(layer, 64, 4)(x, src_mask=mask), rtol=1e-4, atol=1e-5)


def test_pictures_are_normalised_cut_and_told_by_the_first_token(stirred: Stir, generator: torch.Generator) -> None:
    clip: Any = stirred(small())
    pictures = torch.rand(3, 3, 64, 64, generator=generator)
    tower = clip.vision_model
    normal = (pictures - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None]
    patches = [
        (tower.embeddings.patch_embedding.weight.flatten(1) @ normal[:, :, y : y + 32, x : x + 32].flatten(1).T).T
        for y in (0, 32) for x in (0, 32)
    ]  # fmt: skip
    tokens: Tensor = torch.stack([tower.embeddings.class_embedding.expand(3, -1), *patches], dim=1)
    tokens = tower.pre_layrnorm(tokens + tower.embeddings.position_embedding.weight)
    for layer in tower.encoder.layers:
        tokens = reference(layer, 128, 2)(tokens)
    expected = tower.post_layernorm(tokens[:, 0]) @ clip.visual_projection.weight.T
    torch.testing.assert_close(clip.image_features(pictures), expected, rtol=1e-3, atol=1e-3)
    # MCP-MedSAM hands pictures over as they are.
    torch.testing.assert_close(clip.plain_features(normal), expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(TowerPart(clip)(normal)[0], expected, rtol=1e-3, atol=1e-3)


def test_a_text_is_told_by_its_last_token_which_has_seen_all(stirred: Stir) -> None:
    clip: Any = stirred(small())
    found = clip.token_features([[48, 3, 7, 49], [48, 3, 49], [48, 5, 7, 49]])
    assert found.shape == (3, 16)
    torch.testing.assert_close(found[:1], clip.token_features([[48, 3, 7, 49]]))
    assert not torch.allclose(found[0], found[2], atol=1e-3)
    tower = clip.text_model
    tokens = tower.embeddings.token_embedding.weight[[48, 3, 7, 49]] + tower.embeddings.position_embedding.weight[:4]
    mask = torch.full((4, 4), float("-inf")).triu(1)
    x = tokens[None]
    for layer in tower.encoder.layers:
        x = reference(layer, 64, 1)(x, src_mask=mask)
    expected = tower.final_layer_norm(x[:, -1]) @ clip.text_projection.weight.T
    torch.testing.assert_close(found[:1], expected, rtol=1e-3, atol=1e-3)


def test_the_published_one_has_its_number_of_parameters_and_the_size_that_mcp_wants() -> None:
    with torch.device("meta"):
        clip = Clip()
    # The published count is one more: the temperature of the training.
    assert sum(p.numel() for p in clip.parameters()) == 151_277_313 - 1
    assert clip.side == CLIP_SIDE
    assert clip.visual_projection.out_features == CLIP_WIDTH
