"""What a kind of training brings to the loop in ``trainer``: everything that differs between kinds of model.

A task is a module with what ``TaskModule`` says and a line in ``task_table.TASKS``. A recipe chooses it by ``task:``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from bedside.data.store import Store
from bedside.train.checkpoint import load_weights
from bedside.train.config import TrainingConfig
from bedside.train.schedule import learning_rate
from bedside.train.stages import Stage
from bedside.weights.card import WeightsCard
from bedside.weights.models import model_card

Batch = Mapping[str, Tensor]
"""Samples of a dataset by field, stacked, on the device of the training."""


class Task(Protocol):
    """One kind of training. Derive from it: what has a body below need not be written again.

    Attributes:
        micro_batch: Samples that the network predicts at once with gradient.
        memory_format: How the network's weights lie in memory.
        collate: Makes a batch of what the dataset gives for its samples; None stacks arrays. It is called in worker
            processes, and each value of a batch has the methods ``to`` and ``pin_memory`` of tensors.
    """

    micro_batch: int
    memory_format: torch.memory_format = torch.contiguous_format
    collate: Callable[[Any], Mapping[str, Any]] | None = None

    def build(self) -> nn.Module:
        """Return the network to train with initial weights, on the CPU.

        Layers may draw from torch's global generator: the loop seeds it before and restores it after.
        """
        ...

    def stages(self) -> list[Stage]:
        """Return the stages of the run in their order, from step 0 to the last without a gap."""
        ...

    def dataset(self, stage: Stage) -> Dataset[dict[str, Any]]:
        """Return training samples by number, each a mapping from field to array, the same for the same number.

        Numbers are those of ``stage.samples_from``. Samples are drawn in worker processes.
        """
        ...

    def losses(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> Iterator[Tensor]:
        """Return the losses of the parts of a batch, whose sum is that of the batch.

        The loop takes the gradient of each before it asks for the next, so that one part at a time is in memory.

        Args:
            network: The network that is trained.
            batch: ``stage.batch`` samples.
            generator: Source of all randomness, on the CPU; its state is part of the checkpoint.
        """
        ...

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return scores on held-out samples by name, the same names in the same order every time; empty without such
        samples.

        Args:
            network: The averaged network, which does not take gradients.
        """
        ...

    def begin(self, stage: Stage, network: nn.Module) -> None:
        """Called before the first step of a stage, and when a run goes on within it: the place to freeze parameters."""
        del stage, network

    def fit_memory(self, network: nn.Module, memory_gb: float | None) -> str | None:
        """Choose ``micro_batch`` and the like so that a step stays below a memory; None for no limit.

        Returns:
            A line about what was chosen, or None where nothing had to be.

        Raises:
            InputError: It is too little for any choice.
        """
        del network, memory_gb
        return None

    def measure(self, network: nn.Module) -> str | None:
        """Called once before the first step of a process: the place to measure what the run shall use.

        Returns:
            A line about what was chosen, or None where nothing had to be.
        """
        del network
        return None

    def load(self, network: nn.Module, state: dict[str, Tensor]) -> None:
        """Load starting weights.

        Raises:
            WeightsError: They are of another network.
        """
        load_weights(network, state)

    def parameter_groups(self, network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
        """Return groups for AdamW; a group's "scale", where it has one, multiplies its learning rate."""
        return decay_groups(network, weight_decay)

    def learning_rate(self, config: TrainingConfig, step: int) -> float:
        """Return the learning rate of a step."""
        return learning_rate(config, step)

    def clip(self, network: nn.Module, config: TrainingConfig) -> float:
        """Limit the gradients in place; their norm before, not finite where they are unusable."""
        return float(nn.utils.clip_grad_norm_(network.parameters(), config.gradient_clip or math.inf))

    def after_step(self, step: int, loss: float) -> None:
        """Called when ``step`` steps are done, with the loss of the last."""
        del step, loss

    @property
    def finished(self) -> bool:
        """Whether the run is to end before its last step; asked after every validation."""
        return False

    def state_dict(self) -> dict[str, Any]:
        """Return state of the task's own that belongs into the checkpoint: tensors and plain values."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""
        del state

    def card_entries(self) -> dict[str, Any]:
        """Return what inference has to know beside the weights; goes into ``training`` of their card."""
        return {}

    def export(self, network: nn.Module, folder: Path, card: WeightsCard) -> None:
        """Write the files of inference into ``folder``; the network may be changed."""
        from bedside.runtime.export import export_weights

        export_weights(network, folder, card, precision=model_card(card.name).stored_as)


class TaskModule(Protocol):
    """What the module of a task holds.

    Attributes:
        Options: Frozen dataclass of the settings that recipes give under ``options:``. Unknown names in a recipe are
            rejected, and values are converted to the types of its fields.
    """

    Options: Any

    def create(self, config: TrainingConfig, store: Store, device: torch.device) -> Task:
        """Return the task for a run; ``config.options`` is an ``Options``.

        Raises:
            InputError: Model, options and store do not belong together.
        """
        ...


def decay_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return weight decay for the weights of convolutions and matrices, none for biases and norms."""
    decayed = [p for p in network.parameters() if p.ndim > 1]
    free = [p for p in network.parameters() if p.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]


def scaled_groups(network: nn.Module, weight_decay: float, scales: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return ``decay_groups`` for each learning rate; ``scales`` are its factors by the first part of a parameter's
    name.
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        scale = scales.get(name.partition(".")[0], 1.0)
        groups.setdefault((scale, parameter.ndim > 1), []).append(parameter)
    return [
        {"params": members, "weight_decay": weight_decay if decays else 0.0, "scale": scale}
        for (scale, decays), members in groups.items()
    ]
