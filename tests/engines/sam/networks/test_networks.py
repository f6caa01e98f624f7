"""What all networks that encode an image once have in common, and what is particular to some."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bedside.core.errors import InputError
from bedside.core.modality import MODALITIES
from bedside.engines.sam.blocks.sam import PromptableNetwork
from bedside.engines.sam.blocks.sam_mask_decoder import MaskDecoder
from bedside.engines.sam.blocks.sam_prompt_encoder import PromptEncoder
from bedside.engines.sam.networks.mcp_medsam import CLIP_WIDTH, Content, McpMedSAM
from bedside.engines.sam.networks.swin_lite_medsam import UnusedPrompt
from bedside.weights.keys import skeleton
from bedside.weights.models import build_model, model_cards

pytestmark = pytest.mark.usefixtures("quiet_torch")

Stir = Callable[[nn.Module], nn.Module]
CARDS = [card for card in model_cards() if card.family == "sam"]
GRID = 64
BOXES = ((8.0, 8.0, 30.0, 40.0), (20.0, 10.0, 60.0, 50.0))


def content(n: int, grid: int, generator: torch.Generator | None = None) -> Content:
    def random(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    return Content(
        random(n, 3, grid, grid), random(n, CLIP_WIDTH), random(n, CLIP_WIDTH), torch.arange(n) % len(MODALITIES)
    )


def prompts(card: Any, n: int, generator: torch.Generator | None = None) -> dict[str, Any]:
    """Prompts as each network takes them."""
    boxes = torch.tensor(BOXES)[:n]
    if card.name == "mcp-medsam":
        return {"boxes": boxes, "content": content(n, GRID, generator)}
    if card.name == "swin-lite-medsam":
        scribble = torch.zeros(n, 1, 4 * GRID, 4 * GRID)
        scribble[..., 40:44, 40:80] = 1
        points = boxes.reshape(n, 2, 2).repeat(1, 2, 1)
        return {"boxes": boxes, "points": points, "labels": torch.ones(n, 4), "masks": scribble}
    return {"boxes": boxes}


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_shapes_at_full_size(card: Any) -> None:
    network: Any = skeleton(card.name).eval()
    assert network.image_size == card.grid
    # Two images, one box each. On the meta device shapes are all that is computed.
    with torch.device("meta"):
        features = network.encode_image(torch.zeros(2, 3, card.grid, card.grid))
        answer = network.decode(features, **prompts(card, 2))
    assert features[0].shape == (2, 256, GRID, GRID)
    assert answer.logits.shape == (2, 1, 4 * GRID, 4 * GRID)
    assert answer.iou.shape == (2, 1)


def small(name: str) -> Any:
    """The network for an image of 64 x 64 with an embedding of 16 x 16, of its real widths."""
    network: Any = build_model(name)
    encoder = network.prompt_encoder
    encoder.image_size, encoder.grid = 64, 16
    return network


@pytest.mark.parametrize("name", ["lite-medsam", "rep-medsam", "daft"])
def test_an_image_encoded_once_serves_every_prompt(name: str, generator: torch.Generator, stirred: Stir) -> None:
    network: Any = small(name)
    if name == "daft":
        network.image_encoder.neck.grid = 16
    network = stirred(network)
    image = torch.rand(1, 3, 64, 64, generator=generator)
    features = network.encode_image(image)
    together = network.decode(features, boxes=torch.tensor(BOXES))
    assert together.logits.shape == (2, 1, 64, 64)
    for number in range(2):
        alone = network(image, boxes=torch.tensor(BOXES[number : number + 1]))
        torch.testing.assert_close(alone.logits, together.logits[number : number + 1], rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(alone.iou, together.iou[number : number + 1], rtol=1e-3, atol=1e-3)
    assert not torch.allclose(together.logits[0], together.logits[1], atol=1e-3)


@pytest.fixture
def tiny(stirred: Stir) -> Any:
    """Only the prompt encoder and the decoder are real: the image's first channels are its embedding."""

    class Encoder(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return image.repeat(1, 86, 1, 1)[:, :256, ::4, ::4]

    return stirred(PromptableNetwork(Encoder(), PromptEncoder(image_size=32, grid=8), MaskDecoder()))


@pytest.fixture
def image(generator: torch.Generator) -> Tensor:
    return torch.rand(2, 3, 32, 32, generator=generator)


def test_every_kind_of_prompt_changes_the_answer(tiny: Any, image: Tensor) -> None:
    box = torch.tensor([[4.0, 4.0, 20.0, 20.0]])
    point = {"points": torch.tensor([[[10.0, 10.0]]]), "labels": torch.ones(1, 1)}
    scribble = torch.zeros(1, 1, 32, 32)
    scribble[..., 8:10, 8:20] = 1
    features = tiny.encode_image(image[:1])
    answers = [
        tiny.decode(features, **given).logits
        for given in (
            {"boxes": box},
            {"boxes": box + 4},
            point,
            {**point, "labels": torch.zeros(1, 1)},
            {"boxes": box, **point},
            {"boxes": box, "masks": scribble},
            {"masks": scribble},
        )
    ]
    for i, a in enumerate(answers):
        assert torch.isfinite(a).all()
        for b in answers[:i]:
            assert not torch.allclose(a, b, atol=1e-4)


def test_each_image_has_its_own_prompts_in_a_row(tiny: Any, image: Tensor) -> None:
    boxes = torch.rand(6, 4, generator=torch.Generator().manual_seed(3)) * 30
    together = tiny(image, boxes=boxes).logits
    second = tiny(image[1:], boxes=boxes[3:]).logits
    torch.testing.assert_close(together[3:], second, rtol=1e-4, atol=1e-4)
    with pytest.raises(InputError, match="a multiple of 2 images, got 3"):
        tiny(image, boxes=boxes[:3])


def test_three_masks_for_an_ambiguous_prompt(tiny: Any, image: Tensor) -> None:
    features = tiny.encode_image(image[:1])
    box = torch.tensor([[4.0, 4.0, 20.0, 20.0]])
    one, three = tiny.decode(features, box), tiny.decode(features, box, multimask=True)
    assert (three.logits.shape, three.iou.shape) == ((1, 3, 32, 32), (1, 3))
    assert not any(torch.equal(one.logits[:, 0], three.logits[:, i]) for i in range(3))


def test_rep_medsam_answers_the_same_when_fused(generator: torch.Generator, stirred: Stir) -> None:
    network: Any = stirred(small("rep-medsam"))
    image, box = torch.rand(1, 3, 64, 64, generator=generator), torch.tensor(BOXES[:1])
    before = network(image, box)
    network.fuse()
    after = network(image, box)
    scale = before.logits.abs().max()
    assert float((after.logits - before.logits).abs().max() / scale) < 1e-4
    torch.testing.assert_close(after.iou, before.iou, rtol=1e-3, atol=1e-3)


def test_swin_draws_with_all_its_maps_and_never_with_the_unused(generator: torch.Generator, stirred: Stir) -> None:
    network: Any = stirred(small("swin-lite-medsam"))
    features = network.encode_image(torch.rand(1, 3, 64, 64, generator=generator))
    assert [tuple(f.shape[1:]) for f in features] == [
        (256, 16, 16),
        (128, 32, 32),
        (160, 16, 16),
        (320, 16, 16),
        (320, 16, 16),
    ]
    box = torch.tensor(BOXES[:1])
    before = network.decode(features, box).logits
    for number in range(len(features)):
        changed = tuple(f + (n == number) for n, f in enumerate(features))
        assert not torch.allclose(network.decode(changed, box).logits, before, atol=1e-4)
    for module in network.modules():
        if isinstance(module, UnusedPrompt):
            assert not any(p.requires_grad for p in module.parameters())
            for p in module.parameters():
                p.fill_(torch.nan)
    assert torch.equal(network.decode(features, box).logits, before)


class TestMcpMedSAM:
    @pytest.fixture
    def network(self, stirred: Stir) -> Any:
        return stirred(McpMedSAM(image_size=64, grid=16))

    @pytest.fixture
    def features(self, network: Any, generator: torch.Generator) -> Any:
        return network.encode_image(torch.rand(1, 3, 64, 64, generator=generator))

    def test_it_answers_with_a_mask_and_a_modality(
        self, network: Any, features: Any, generator: torch.Generator
    ) -> None:
        answer = network.decode(features, torch.tensor(BOXES), content(2, 16, generator))
        assert answer.logits.shape == (2, 1, 64, 64)
        assert answer.modality_logits.shape == (2, len(MODALITIES))
        assert answer.content_token.shape == answer.content_map.shape == (2, 256)

    @pytest.mark.parametrize("field", Content._fields)
    def test_every_part_of_the_content_changes_the_mask(
        self, network: Any, features: Any, field: str, generator: torch.Generator
    ) -> None:
        given = content(1, 16, generator)
        before = network.decode(features, torch.tensor(BOXES[:1]), given).logits
        other = given._replace(**{field: getattr(given, field) + 1})
        assert not torch.allclose(network.decode(features, torch.tensor(BOXES[:1]), other).logits, before, atol=1e-4)

    def test_tokens_are_corners_content_and_modality(self, network: Any, generator: torch.Generator) -> None:
        given, boxes = content(1, 16, generator), torch.tensor(BOXES[:1])
        encoder = network.prompt_encoder
        tokens, dense = encoder(boxes, given)
        assert (tokens.shape, dense.shape) == ((1, 4, 256), (1, 256, 16, 16))
        torch.testing.assert_close(tokens[:, :2], encoder.box_tokens(boxes))
        by_image, _ = encoder(boxes, given._replace(image_features=given.image_features + 1))
        assert [torch.equal(by_image[:, i], tokens[:, i]) for i in range(4)] == [True, True, False, True]
        by_modality, _ = encoder(boxes, given._replace(modality=given.modality + 1))
        assert [torch.equal(by_modality[:, i], tokens[:, i]) for i in range(4)] == [True, True, True, False]
