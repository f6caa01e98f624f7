"""Which stages of a network to compute twice, so that a training step stays below a memory.

A stage that is checkpointed keeps its input alone and is run again for its gradient (arXiv 1604.06174).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bedside.core.errors import InputError
from bedside.train.memory import OVERHEAD
from bedside.train.precision import autocast


@dataclass(frozen=True)
class StageBytes:
    """What one sample takes in a stage.

    Attributes:
        saved: Bytes saved for the backward pass.
        given: Bytes of the stage's input, and of its output where that is not another stage's input: what is kept when
            the stage is computed twice.
    """

    saved: int
    given: int

    def scaled(self, factor: float) -> StageBytes:
        """Return the same for a sample of ``factor`` times as many cells."""
        return StageBytes(round(self.saved * factor), round(self.given * factor))


@dataclass(frozen=True)
class MemoryPlan:
    """How a step is to stay below a memory.

    Attributes:
        micro_batch: Samples at once.
        checkpointed: Numbers of the stages to compute twice.
    """

    micro_batch: int
    checkpointed: tuple[int, ...]


def measure_stages(
    network: nn.Module, stages: Sequence[nn.Module], inputs: Tensor, precision: str
) -> tuple[list[StageBytes], int]:
    """Run the network once and say what each stage saves, and what is saved outside of them.

    Args:
        network: Runs all of ``stages``, each once.
        stages: Modules of it with one input.
        inputs: One sample.
        precision: See ``rounds.autocast``.
    """
    weights = {p.data_ptr() for p in network.parameters()}
    seen: set[int] = set()
    saved = [0] * (len(stages) + 1)
    given = [0] * len(stages)
    answers: dict[int, Tensor] = {}
    taken: set[int] = set()
    current = [len(stages)]

    def pack(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in weights | seen:
            seen.add(tensor.data_ptr())
            saved[current[0]] += tensor.numel() * tensor.element_size()
        return tensor

    def enter(number: int) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def note(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            del module
            given[number] = arguments[0].numel() * arguments[0].element_size()
            taken.add(id(arguments[0]))
            current[0] = number

        return note

    def leave(module: nn.Module, arguments: tuple[Tensor, ...], answer: Tensor) -> None:
        del module, arguments
        answers[current[0]] = answer
        current[0] = len(stages)

    hooks = [stage.register_forward_pre_hook(enter(number)) for number, stage in enumerate(stages)]
    hooks += [stage.register_forward_hook(leave) for stage in stages]
    try:
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t), autocast(inputs.device, precision):
            # Kept until the hooks are gone: what is freed may give its address to another tensor.
            answer = network(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    del answer
    for number, out in answers.items():
        if id(out) not in taken:
            given[number] += out.numel() * out.element_size()
    return [StageBytes(s, g) for s, g in zip(saved, given, strict=False)], saved[-1]


def plan_memory(stages: Sequence[StageBytes], rest: int, fixed: int, batch: int, memory_gb: float | None) -> MemoryPlan:
    """As few stages as possible computed twice, and then as many samples at once as fit.

    Taking fewer samples at once costs nothing, so that it comes first.

    Args:
        stages: What each takes.
        rest: Bytes that one sample saves outside the stages.
        fixed: Bytes that do not depend on the samples.
        batch: The most samples that are asked for.
        memory_gb: The limit, None for none.

    Raises:
        InputError: One sample does not fit with every stage computed twice.
    """
    if memory_gb is None:
        return MemoryPlan(batch, ())
    order = sorted(range(len(stages)), key=lambda n: stages[n].given - stages[n].saved)
    for count in range(len(stages) + 1):
        each = OVERHEAD * _sample_bytes(stages, rest, order[:count])
        fitting = int((memory_gb * 1e9 - fixed) // each)
        if fitting >= 1:
            return MemoryPlan(min(batch, fitting), tuple(sorted(order[:count])))
    raise InputError("memory", expected=f"at least {(fixed + each) / 1e9:.1f} GB for one sample", got=memory_gb)


def _sample_bytes(stages: Sequence[StageBytes], rest: int, checkpointed: Sequence[int]) -> int:
    kept = sum(stage.saved for number, stage in enumerate(stages) if number not in checkpointed)
    inputs = sum(stages[number].given for number in checkpointed)
    # One stage at a time is computed again.
    again = max((stages[number].saved for number in checkpointed), default=0)
    return rest + kept + inputs + again


def checkpoint_stage(stage: nn.Module) -> None:
    """Let a module with one input be computed twice wherever gradients are taken; its parameters keep their names."""
    forward: Callable[[Tensor], Tensor] = stage.forward

    def twice(x: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return forward(x)
        # Nothing in a stage is random, so that the global generator can be left alone.
        answer: Tensor = checkpoint(forward, x, use_reentrant=False, preserve_rng_state=False)
        return answer

    stage.forward = twice
