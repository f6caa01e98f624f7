from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from bedside.core.errors import InputError
from bedside.engines.nninteractive.network import NNInteractive
from bedside.train.activation import StageBytes, checkpoint_stage, measure_stages, plan_memory
from bedside.train.memory import OVERHEAD, activation_bytes

WIDTHS, DEPTHS = (2, 4, 4, 4, 4, 4), (1,) * 6
GB = 1e9


def stages_of(network: NNInteractive) -> list[nn.Module]:
    return [network.encoder.stem, *network.encoder.stages, *network.decoder.stages]


def test_stages_and_the_rest_are_all_that_is_saved() -> None:
    network = NNInteractive(WIDTHS, DEPTHS)
    inputs = torch.zeros(1, 8, 64, 64, 64)
    stages, rest = measure_stages(network, stages_of(network), inputs, "fp32")
    assert sum(s.saved for s in stages) + rest == activation_bytes(network, inputs, "fp32")
    # The finest stages take most: 8 channels in and at least one tensor of two channels for each layer.
    # The stem's output is the first stage's input; that of a decoder's stage is nobody's and counted with it.
    assert stages[0].given == inputs.numel() * 4
    assert stages[1].given == 64**3 * 4 * WIDTHS[0]
    assert stages[-1].given == 64**3 * 4 * 3 * WIDTHS[0]
    assert max(range(len(stages)), key=lambda n: stages[n].saved) in (0, 1, len(stages) - 1)
    assert all(s.saved > 0 and s.given > 0 for s in stages)


def test_gradients_are_the_same_when_stages_are_computed_twice() -> None:
    network = NNInteractive(WIDTHS, DEPTHS)
    twice = copy.deepcopy(network)
    names = list(twice.state_dict())
    for stage in stages_of(twice):
        checkpoint_stage(stage)
    assert list(twice.state_dict()) == names
    inputs = torch.randn((1, 8, 64, 64, 64), generator=torch.Generator().manual_seed(0))
    before = torch.get_rng_state()
    for one in (network, twice):
        one(inputs).square().mean().backward()
    assert torch.equal(before, torch.get_rng_state())
    for a, b in zip(network.parameters(), twice.parameters(), strict=True):
        assert (a.grad is None) == (b.grad is None)
        assert a.grad is None or b.grad is None or torch.equal(a.grad, b.grad)
    measured, rest = measure_stages(network, stages_of(network), inputs, "fp32")
    kept = activation_bytes(twice, inputs, "fp32")
    assert kept < 0.7 * activation_bytes(network, inputs, "fp32")
    # What the plan counts on.
    assert kept <= rest + sum(stage.given for stage in measured)
    with torch.no_grad():
        assert torch.equal(network(inputs), twice(inputs))


STAGES = [StageBytes(8_000_000_000, 1_000_000_000), StageBytes(2_000_000_000, 500_000_000)]


@pytest.mark.parametrize(
    ("room", "micro_batch", "checkpointed"),
    [
        (None, 4, ()),
        (100.0, 4, ()),
        (2.1 * 11, 2, ()),
        (11.0, 1, ()),
        # Both twice: their inputs, the larger while it is computed again, and the rest.
        (10.99, 1, (0, 1)),
        (10.5, 1, (0, 1)),
        (10.49, 0, ()),
    ],
)
def test_the_fewest_stages_then_the_most_samples(
    room: float | None, micro_batch: int, checkpointed: tuple[int, ...]
) -> None:
    memory = None if room is None else OVERHEAD * room + 1.0 + 1e-6
    if micro_batch:
        plan = plan_memory(STAGES, 1_000_000_000, 1_000_000_000, 4, memory)
        assert (plan.micro_batch, plan.checkpointed) == (micro_batch, checkpointed)
    else:
        with pytest.raises(InputError, match=r"memory: expected at least .* GB for one sample"):
            plan_memory(STAGES, 1_000_000_000, 1_000_000_000, 4, memory)


def test_large_stages_are_computed_twice_first() -> None:
    stages = [StageBytes(n * 1_000_000_000, 100_000_000) for n in (3, 5, 4, 1)]
    needed = [13.0, 8 + 0.1 + 5, 4 + 0.2 + 5, 1 + 0.3 + 5, 0.4 + 5]
    assert plan_memory(stages, 0, 0, 1, OVERHEAD * (needed[0] + 0.01)).checkpointed == ()
    # One stage alone saves nothing, as it is there again while its gradient is taken.
    assert plan_memory(stages, 0, 0, 1, OVERHEAD * (needed[2] + 0.01)).checkpointed == (1, 2)
    assert plan_memory(stages, 0, 0, 1, OVERHEAD * (needed[3] + 0.01)).checkpointed == (0, 1, 2)
    plan = plan_memory(stages, 0, 0, 9, OVERHEAD * (needed[4] + 0.01))
    assert (plan.micro_batch, plan.checkpointed) == (1, (0, 1, 2, 3))
    assert stages[0].scaled(2.0) == StageBytes(6_000_000_000, 200_000_000)
