"""A small set of weights, exported once: the bundled model's network with random parameters."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bedside.weights.card import WeightsCard
from bedside.weights.packed import StoredPrecision
from bedside.weights.store import WeightsFiles

SHAPE = (1, 8, 64, 64)


def _export(folder: Path, seed: int, precision: StoredPrecision = "float16") -> WeightsFiles:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnx")
    torch.set_num_threads(1)
    from bedside.runtime.export import export_weights
    from bedside.weights.models import build_model

    generator = torch.Generator().manual_seed(seed)
    network = build_model("bedside-2d")
    with torch.no_grad():
        for parameter in network.parameters():
            # Zero-initialised branches would hide whatever is wrong behind them.
            if parameter.ndim > 1:
                fan_in = parameter[0].numel()
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * fan_in**-0.5)
            else:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    card = WeightsCard("bedside-2d", "0", "", "Apache-2.0", "random parameters of a test")
    return export_weights(network, folder, card, precision=precision)


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> WeightsFiles:
    """Weights to be read and not changed."""
    return _export(tmp_path_factory.mktemp("weights"), seed=0)


@pytest.fixture(scope="session")
def others(tmp_path_factory: pytest.TempPathFactory) -> WeightsFiles:
    """Weights of the same network with other parameters."""
    return _export(tmp_path_factory.mktemp("other-weights"), seed=1)


@pytest.fixture(scope="session")
def exported_int8(tmp_path_factory: pytest.TempPathFactory) -> WeightsFiles:
    """The weights of ``exported`` with those of convolutions as int8."""
    return _export(tmp_path_factory.mktemp("int8-weights"), seed=0, precision="int8")


@pytest.fixture
def weights(exported: WeightsFiles, tmp_path: Path) -> WeightsFiles:
    """A copy of the weights that a test may spoil."""
    folder = tmp_path / "weights"
    shutil.copytree(exported.graph.parent, folder)
    return WeightsFiles.in_folder(exported.name, folder)


@pytest.fixture
def network_input() -> NDArray[np.float32]:
    """One input of the network."""
    return np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)


@pytest.fixture(autouse=True)
def _private_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
