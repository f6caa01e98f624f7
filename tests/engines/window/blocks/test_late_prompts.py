from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from bedside.engines.window.blocks.late_prompts import LatePromptUNet


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small(dimensions: int) -> LatePromptUNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LatePromptUNet(dimensions, 1, 5, widths=(8, 16, 24), depths=(1, 1, 1))


@pytest.mark.parametrize("dimensions", [2, 3])
def test_every_parameter_takes_part(dimensions: int) -> None:
    network = small(dimensions)
    x = torch.randn((2, 6, *(32,) * dimensions), generator=torch.Generator().manual_seed(0))
    logits = network(x)
    assert logits.shape == (2, 1, *(32,) * dimensions)
    logits.square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_an_image_is_encoded_without_its_prompts() -> None:
    network = small(2).eval()
    generator = torch.Generator().manual_seed(0)
    image = torch.randn((1, 1, 32, 32), generator=generator)
    with torch.inference_mode():
        features = network.encode(image)
        for _ in range(2):
            prompts = torch.randn((1, 5, 32, 32), generator=generator)
            whole = network(torch.cat([image, prompts], dim=1))
            torch.testing.assert_close(network.decode(features, prompts), whole)
