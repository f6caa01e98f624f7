from __future__ import annotations

import pytest
import torch

from bedside.engines.window.training.inflation import inflate
from bedside.train.checkpoint import load_weights
from bedside.weights.models import build_model, model_card


def flat_state(seed: int) -> dict[str, torch.Tensor]:
    """Weights of bedside-2d without a zero in them, so that every path counts."""
    generator = torch.Generator().manual_seed(seed)
    state = build_model("bedside-2d").state_dict()
    return {
        name: torch.randn(value.shape, generator=generator) * (0.5 if value.ndim < 2 else value[0].numel() ** -0.5)
        for name, value in state.items()
    }


@pytest.mark.parametrize("seed", [0, 1])
def test_a_volume_constant_along_z_is_answered_as_its_slices(seed: int) -> None:
    state = flat_state(seed)
    flat, deep = build_model("bedside-2d").eval(), build_model("bedside-3d").eval()
    load_weights(flat, state)
    load_weights(deep, inflate(state, side_share=0.0))
    generator = torch.Generator().manual_seed(seed)
    slice_ = torch.randn((1, len(model_card("bedside-3d").channels), 32, 64), generator=generator)
    volume = slice_[:, :, None].expand(-1, -1, 32, -1, -1)
    coloured = torch.cat([slice_[:, :1].expand(-1, 3, -1, -1), slice_[:, 1:]], dim=1)
    with torch.no_grad():
        expected, answer = flat(coloured)[0, 0], deep(volume)[0, 0]
    assert float(expected.std()) > 0.01
    for plane in answer:
        torch.testing.assert_close(plane, expected, atol=2e-4, rtol=1e-3)


def test_with_neighbours_the_middle_slices_are_answered_alike() -> None:
    state = flat_state(0)
    deep = build_model("bedside-3d").eval()
    load_weights(deep, inflate(state))
    for name, value in inflate(state).items():
        if value.shape[2:] == (3, 3, 3):
            shares = value.sum(dim=(0, 1, 3, 4)) / value.sum()
            torch.testing.assert_close(shares, torch.tensor([0.1, 0.8, 0.1]), atol=1e-3, rtol=1e-2)
            assert name


def test_what_has_no_axes_is_copied() -> None:
    state = flat_state(0)
    inflated = inflate(state)
    assert inflated.keys() == state.keys()
    for name, value in state.items():
        if value.ndim < 4:
            assert torch.equal(inflated[name], value)
            assert inflated[name].data_ptr() != value.data_ptr()
