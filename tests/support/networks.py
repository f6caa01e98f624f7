"""Networks for tests: every number of a network made to matter, without the global generator."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn


@pytest.fixture
def quiet_torch() -> Iterator[None]:
    """Initial weights from a fixed seed that does not reach other tests, on one core, without gradients."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        yield
    torch.set_num_threads(threads)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


@pytest.fixture
def stirred(quiet_torch: None, generator: torch.Generator) -> Callable[[nn.Module], nn.Module]:
    """Adds noise to all that a network holds, so that no layer is still nothing, or one, by its initial weights."""

    def stir(network: nn.Module) -> nn.Module:
        for name, value in network.state_dict().items():
            if name.endswith("running_var"):
                value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
            elif value.dtype.is_floating_point and not name.endswith("_mask"):
                value.add_(torch.randn(value.shape, generator=generator) * 0.05)
        return network.eval()

    return stir


def count_parameters(module: nn.Module) -> int:
    """Count a network's parameters, trainable or not."""
    return sum(p.numel() for p in module.parameters())
