"""Parameters stored in fewer bits come back within their rounding."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside.weights.packed import LARGE, SCALE, StoredPrecision, pack, quantise_channels, unpack


@given(seed=st.integers(0, 2**16), channels=st.integers(1, 8), spread=st.floats(-6, 3))
@settings(max_examples=30, deadline=None)
def test_int8_is_within_half_a_step_of_every_value(seed: int, channels: int, spread: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    value = torch.randn((channels, 5, 3, 3), generator=generator) * 10**spread
    rounded, scale = quantise_channels(value)
    assert rounded.dtype is torch.int8
    restored = rounded.float() * scale.view(-1, 1, 1, 1)
    assert ((restored - value).abs() <= 0.5001 * scale.view(-1, 1, 1, 1)).all()
    assert (rounded.flatten(1).abs().amax(dim=1) == 127).all()


def test_a_channel_of_zeros_stays_zero() -> None:
    rounded, scale = quantise_channels(torch.zeros((2, 3, 3)))
    assert not rounded.any()
    assert torch.isfinite(scale).all()


def test_only_large_weights_of_convolutions_become_int8() -> None:
    state = {
        "conv.weight": torch.randn(16, 8, 3, 3, 3),
        "small.weight": torch.randn(4, 4, 1, 1),
        "linear.weight": torch.randn(64, 64),
        "norm.weight": torch.ones(8),
    }
    packed = pack(state, "int8")
    assert {name for name, value in packed.items() if value.dtype is torch.int8} == {"conv.weight"}
    assert packed["conv.weight" + SCALE].shape == (16,)
    assert state["small.weight"].numel() < LARGE
    assert packed["linear.weight"].dtype is torch.float16


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 0.0), ("float16", 2e-3), ("int8", 2e-2)])
def test_unpacking_undoes_packing(precision: StoredPrecision, tolerance: float) -> None:
    state = {"conv.weight": torch.rand(16, 8, 3, 3, 3) * 2 - 1, "norm.bias": torch.randn(8)}
    restored = unpack(pack(state, precision))
    assert restored.keys() == state.keys()
    for name, value in state.items():
        assert restored[name].dtype is torch.float32
        assert torch.allclose(restored[name], value, atol=tolerance)


def test_a_parameter_that_is_called_scale_is_kept() -> None:
    state = {"block.scale": torch.ones(4), "conv.weight": torch.randn(16, 8, 3, 3, 3)}
    assert unpack(pack(state, "int8")).keys() == state.keys()
