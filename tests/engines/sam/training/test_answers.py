from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from bedside.core.modality import MODALITIES
from bedside.engines.sam.networks.mcp_medsam import CLIP_WIDTH
from bedside.engines.sam.training.answers import answer, answer_loss, mask_scores
from bedside.engines.sam.training.losses import LossWeights
from bedside.engines.sam.training.networks import logits_side, seeded_network


def batch_of(side: int, logits: int, masks: int = 2) -> dict[str, Tensor]:
    """Two images with two boxes each, and all that any network takes."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.zeros(2, masks, logits, logits, dtype=torch.uint8)
    truth[:, :, 2:6, 2:6] = 1
    scribble = torch.zeros(2, masks, 1, logits, logits)
    scribble[..., 4, 2:6] = 1
    return {
        "image": torch.rand(2, 3, side, side, generator=generator),
        "boxes": torch.tensor([2.0, 2, 6, 6]).repeat(2, masks, 1) * (side / logits),
        "truth": truth,
        "points": torch.rand(2, masks, 4, 2, generator=generator) * side,
        "scribble": scribble,
        "crops": torch.rand(2, masks, 3, logits // 4, logits // 4, generator=generator),
        "features": torch.randn(2, masks, CLIP_WIDTH, generator=generator),
        "modality": torch.tensor([[0] * masks, [7] * masks]),
    }


@pytest.mark.usefixtures("light")
def test_scores_are_dsc_on_the_grid() -> None:
    class Echo(torch.nn.Module):
        """Draws the upper half of the truth's square for the first box of an image, and nothing for the second."""

        def encode_image(self, image: Tensor) -> Tensor:
            return image

        def decode(self, features: Tensor, boxes: Tensor) -> Any:
            del features
            logits = torch.full((len(boxes), 1, 32, 32), -1.0)
            logits[::2, :, 2:4, 2:6] = 1
            return type("Masks", (), {"logits": logits, "iou": torch.zeros(len(boxes), 1)})

    batch = {name: value for name, value in batch_of(32, 32).items() if name in ("image", "boxes", "truth")}
    assert mask_scores(Echo(), batch) == pytest.approx([1 / 3, 1 / 3])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lite-medsam", "swin-lite-medsam", "mcp-medsam"])
def test_each_kind_of_prompts_reaches_its_network(name: str) -> None:
    network = seeded_network(name, 32, 0)
    batch = batch_of(32, logits_side(network))
    if name != "swin-lite-medsam":
        batch = {key: value for key, value in batch.items() if key not in ("points", "scribble")}
    text = torch.randn(len(MODALITIES), CLIP_WIDTH, generator=torch.Generator().manual_seed(1))
    masks = answer(network, batch, text)
    assert masks.logits.shape == (4, 1, 32, 32)
    weights = LossWeights(contrastive=0.01, modality=0.01)
    loss = answer_loss(network, batch, weights, text)
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)
    parts = {key.partition(".")[0] for key, p in network.named_parameters() if p.grad is not None and p.grad.any()}
    assert parts == {"image_encoder", "prompt_encoder", "mask_decoder"}
    for key in ("boxes", *(("points", "scribble") if "points" in batch else ())):
        moved = {**batch, key: batch[key].flip(-1) + 1}
        assert not torch.allclose(answer(network.eval(), moved, text).logits, answer(network, batch, text).logits)
    if name == "mcp-medsam":
        plain = answer_loss(network, batch, LossWeights(), text)
        assert answer_loss(network, batch, weights, text) > plain
        for key in ("crops", "features", "modality"):
            moved = {**batch, key: batch[key].flip(0)}
            assert not torch.allclose(answer(network, moved, text).logits, answer(network, batch, text).logits)
