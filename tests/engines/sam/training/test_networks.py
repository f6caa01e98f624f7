from __future__ import annotations

import pytest
import torch

from bedside.core.errors import InputError, WeightsError
from bedside.engines.sam.blocks.vit import ViT
from bedside.engines.sam.training.networks import (
    fit_positions,
    load_matching,
    load_served,
    logits_side,
    read_parts,
    sam_network,
    seeded_network,
)
from bedside.weights.models import build_model, model_cards

STUDENTS = [card.name for card in model_cards() if card.family == "sam" and card.name != "medsam"]


@pytest.mark.parametrize("name", STUDENTS)
def test_a_smaller_network_holds_the_same_weights(name: str) -> None:
    with torch.device("meta"):
        small, own = sam_network(name, 64), build_model(name)
    assert {k: v.shape for k, v in small.state_dict().items()} == {k: v.shape for k, v in own.state_dict().items()}


@pytest.mark.parametrize(("name", "side", "logits"), [("lite-medsam", 64, 64), ("daft", 32, 32)])
def test_a_smaller_network_answers_on_a_smaller_grid(name: str, side: int, logits: int) -> None:
    network = seeded_network(name, side, 0).eval()
    assert logits_side(network) == logits
    with torch.no_grad():
        masks = network(torch.rand(2, 3, side, side), torch.tensor([[1.0, 1, 9, 9]] * 2))
    assert masks.logits.shape == (2, 1, logits, logits)


def test_positions_of_a_vision_transformer_are_fitted_to_another_size() -> None:
    small = ViT(image_size=24, patch=4, width=16, depth=2, heads=2, side=3, whole=(1,))
    large = ViT(image_size=48, patch=4, width=16, depth=2, heads=2, side=3, whole=(1,))
    along = torch.linspace(0, 1, 11)
    state = small.state_dict() | {
        "pos_embed": torch.linspace(0, 1, 6)[None, :, None, None].expand(1, 6, 6, 16),
        "blocks.1.attn.rel_pos_h": along[:, None].expand(11, 8),
    }
    fitted = fit_positions(state, large)
    assert {name: value.shape for name, value in fitted.items()} == {k: v.shape for k, v in large.state_dict().items()}
    # What rises steadily still does; the outermost offsets stay what they are.
    torch.testing.assert_close(fitted["blocks.1.attn.rel_pos_h"], torch.linspace(0, 1, 23)[:, None].expand(23, 8))
    rows = fitted["pos_embed"][0, :, 0, 0]
    assert bool((rows.diff()[1:-1] > 0).all())
    assert float(rows[6]) + float(rows[5]) == pytest.approx(1)
    torch.testing.assert_close(fitted["pos_embed"][0, :, 0], fitted["pos_embed"][0, :, 7])
    others = [name for name in state if name not in ("pos_embed", "blocks.1.attn.rel_pos_h", "blocks.1.attn.rel_pos_w")]
    assert all(fitted[name] is state[name] for name in others)
    same = fit_positions(state, small)
    assert all(same[name] is state[name] for name in state)
    assert load_matching(large, state) == len(state)


def test_medsam_can_be_small() -> None:
    with torch.device("meta"):
        assert logits_side(sam_network("medsam", 64)) == 16


def test_what_is_no_network_of_the_family_is_rejected() -> None:
    with torch.device("meta"), pytest.raises(InputError, match="one of the family sam"):
        sam_network("bedside-2d", 64)
    with torch.device("meta"), pytest.raises(InputError, match="a part of 512"):
        sam_network("medficientsam-l0", 100)


def test_initial_weights_depend_on_the_seed_and_leave_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    first, again, other = (seeded_network("lite-medsam", 32, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_weights_are_loaded_part_by_part() -> None:
    teacher, student = seeded_network("lite-medsam", 32, 1), seeded_network("rep-medsam", 32, 2)
    before = {name: value.clone() for name, value in student.state_dict().items()}
    state = read_parts(teacher.state_dict(), ["mask_decoder"])
    assert {name.partition(".")[0] for name in state} == {"mask_decoder"}
    assert load_matching(student, state) == len(state)
    after = student.state_dict()
    assert all(torch.equal(after[name], state[name]) for name in state)
    assert all(torch.equal(after[name], before[name]) for name in after if name not in state)


def test_served_weights_may_lack_counters_and_nothing_else() -> None:
    network = seeded_network("lite-medsam", 32, 1)
    state = {k: v.half() for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    load_served(network, state, "weights")
    assert network.state_dict()["prompt_encoder.no_mask_embed.weight"].dtype == torch.float32
    name = "mask_decoder.iou_token.weight"
    for wrong in (
        {k: v for k, v in state.items() if k != name},
        {**state, name: torch.zeros(1, 2)},
        {**state, "odd": torch.zeros(1)},
    ):
        with pytest.raises(WeightsError, match="weights: expected those of its network, got a difference in"):
            load_served(network, wrong, "weights")
