from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from bedside.core.errors import WeightsError
from bedside.engines.nninteractive.blocks.residual_encoder_unet import ResidualEncoderUNet, aliases
from bedside.train.checkpoint import changed_settings, load_weights, read_checkpoint, write_checkpoint

CPU = torch.device("cpu")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "c.pt", {"step": 3, "network": {"w": torch.arange(3.0)}})
    state = read_checkpoint(tmp_path / "c.pt", CPU)
    assert state["step"] == 3
    assert torch.equal(state["network"]["w"], torch.arange(3.0))


def test_other_files_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    write_checkpoint(path, {"network": {"w": torch.zeros(5000)}})
    content = path.read_bytes()
    for damaged in (b"", b"no checkpoint", content[: len(content) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(WeightsError, match="expected a checkpoint"):
            read_checkpoint(path, CPU)
    torch.save({"format": "else"}, path)
    with pytest.raises(WeightsError, match="something else"):
        read_checkpoint(path, CPU)


def test_changed_settings_are_named_with_both_values() -> None:
    before = {"a": 1, "b": {"c": 2, "d": 3}, "gone": 1}
    after = {"a": 5, "b": {"c": 2, "d": 4}, "new": 1}
    assert changed_settings(before, after) == ["a: 1 to 5", "b.d: 3 to 4"]
    assert changed_settings(before, before) == []


def test_weights_must_fit_name_for_name() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    weights = {name: torch.randn_like(value).half() for name, value in network.state_dict().items()}
    load_weights(network, weights)
    assert all(torch.equal(value, weights[name].float()) for name, value in network.state_dict().items())
    with pytest.raises(WeightsError, match=r"differing in '0\.bias'"):
        load_weights(network, {name: value for name, value in weights.items() if name != "0.bias"})
    with pytest.raises(WeightsError, match="differing in 'other'"):
        load_weights(network, {**weights, "other": torch.zeros(1)})
    with pytest.raises(WeightsError, match=r"weights '0\.bias': expected \(3,\), got \(2,\)"):
        load_weights(network, {**weights, "0.bias": torch.zeros(2)})


def test_one_name_of_a_tensor_is_enough() -> None:
    network = ResidualEncoderUNet(2, 2, widths=(4, 6), depths=(1, 1))
    second = aliases(network)
    weights = {name: torch.randn_like(value) for name, value in network.state_dict().items() if name not in second}
    assert len(weights) < len(network.state_dict())
    load_weights(network, weights)
    for name, value in network.state_dict().items():
        assert torch.equal(value, weights[second.get(name, name)])
    missing = next(iter(weights))
    with pytest.raises(WeightsError, match="differing in"):
        load_weights(network, {name: value for name, value in weights.items() if name != missing})
