"""Training of nnInteractive's network with dynamic prompts (arXiv 2510.03189), from its weights or from nothing.

Each step has a random number of clicks: for each of them the network predicts without gradient and the click
goes into the error of that prediction; then it predicts once more, with gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from bedside.core.errors import InputError
from bedside.data.store import Store
from bedside.engines.nninteractive.network import DEPTHS, NAME, WIDTHS, NNInteractive
from bedside.engines.nninteractive.settings import DECAY, InteractionSettings, Painting
from bedside.engines.nninteractive.training.rounds import ClickRule, begin_play, play_rounds
from bedside.engines.nninteractive.training.sampling import CropSampler
from bedside.train.activation import checkpoint_stage, measure_stages, plan_memory
from bedside.train.config import TrainingConfig
from bedside.train.losses import dynamic_prompt_loss
from bedside.train.memory import check_memory, weight_bytes
from bedside.train.precision import autocast
from bedside.train.processes import current_processes
from bedside.train.stages import Stage
from bedside.train.task import Batch, Task
from bedside.train.validation import grid_dice
from bedside.weights.card import WeightsCard

SMALL_GRID = 64
"""Side by which a large network is measured and traced; memory and work grow with the cells."""


@dataclass(frozen=True)
class Options:
    """Settings of the task.

    Attributes:
        grid: Cells along each side of the network's input, a multiple of 32, 64 at least.
        micro_batch: Samples that go together; the gradients of ``batch / micro_batch`` such are averaged in a step.
        round_probabilities: Probability of 0, 1, 2, ... clicks.
        dice_weight: Weight of the soft Dice loss beside the cross-entropy.
        decay: Factor by which each new prompt makes older ones fainter.
        clicks: "exact" for the competition's rule on the CPU, "fast" for the deepest error by erosions on the device.
        click_share: Share of samples that start from a click instead of a box.
        painting: "fading" paints prompts as nnInteractive does; "solid" as the public code of the method, which also
            draws every file as often as any other. Then nothing fades.
        train_share: Share of the volumes, chosen by a checksum of their names, that is trained on.
        validation_clicks: Clicks after the first prediction in a validation.
        widths: Channels of the network's stages.
        depths: Residual blocks of its stages.
    """

    grid: int = 192
    micro_batch: int = 2
    round_probabilities: tuple[float, ...] = (0.5, 0.5)
    dice_weight: float = 10.0
    decay: float = DECAY
    clicks: ClickRule = "exact"
    click_share: float = 0.0
    painting: Painting = "fading"
    train_share: float = 1.0
    validation_clicks: int = 5
    widths: tuple[int, ...] = WIDTHS
    depths: tuple[int, ...] = DEPTHS

    def __post_init__(self) -> None:
        chances = self.round_probabilities
        checks = {
            "grid": (self.grid >= 64 and self.grid % 32 == 0, "a multiple of 32, 64 at least"),
            "micro_batch": (self.micro_batch >= 1, "at least 1"),
            "round_probabilities": (
                bool(chances) and min(chances) >= 0 and abs(sum(chances) - 1) <= 1e-6,
                "probabilities that add up to 1",
            ),
            "dice_weight": (0 <= self.dice_weight < float("inf"), "0 or more"),
            "decay": (0 < self.decay <= 1, "above 0, 1 at most"),
            "clicks": (self.clicks in get_args(ClickRule), "exact or fast"),
            "click_share": (0 <= self.click_share <= 1, "between 0 and 1"),
            "painting": (self.painting in get_args(Painting), "fading or solid"),
            "train_share": (0 < self.train_share <= 1, "above 0, 1 at most"),
            "validation_clicks": (self.validation_clicks >= 0, "0 or more"),
            "widths": (len(self.widths) == len(DEPTHS) and min(self.widths) > 0, f"{len(DEPTHS)} whole numbers"),
            "depths": (len(self.depths) == len(DEPTHS) and min(self.depths) > 0, f"{len(DEPTHS)} whole numbers"),
        }
        for name, (sound, expected) in checks.items():
            if not sound:
                raise InputError(f"training setting options.{name}", expected=expected, got=getattr(self, name))


class CropDataset(Dataset[dict[str, Any]]):
    """Samples by number, as arrays."""

    def __init__(self, sampler: CropSampler) -> None:
        self._sampler = sampler

    def __getitem__(self, index: int) -> dict[str, Any]:
        return vars(self._sampler.sample(index))


class DynamicTask(Task):
    """See the module.

    Args:
        config: Settings; ``options`` is an ``Options``.
        store: Training store; the held-out sets in it serve for validation only.
        device: Where to train.

    Raises:
        InputError: The store has no volume to train on, the model is another, or the batch cannot be divided.
    """

    def __init__(self, config: TrainingConfig, store: Store, device: torch.device) -> None:
        options: Options = config.options or Options()
        if config.model != NAME:
            raise InputError("model for dynamic prompts", expected=NAME, got=f"'{config.model}'")
        if config.batch % options.micro_batch:
            raise InputError(
                "training setting batch", expected=f"a multiple of {options.micro_batch}", got=config.batch
            )
        count = current_processes().count
        if options.micro_batch % count:
            raise InputError(
                "training setting options.micro_batch",
                expected=f"a multiple of {count}, the number of processes",
                got=options.micro_batch,
            )
        self.micro_batch = options.micro_batch
        self.settings = interaction_settings(options.decay, options.painting)
        self._config, self._options, self._device = config, options, device
        kept, held = store.divide(config.held_out)
        self._sampler = CropSampler(
            kept, options.grid, config.seed, options.click_share, options.painting, options.train_share
        )
        usable = any(item.axes == 3 and item.info.variant == "image" and len(item.objects) for item in held.items)
        self._held = CropSampler(held, options.grid, 1, painting=options.painting) if usable else None

    def build(self) -> NNInteractive:
        """Return the network with initial weights."""
        return NNInteractive(self._options.widths, self._options.depths)

    def stages(self) -> list[Stage]:
        """Return one stage, with as many batches a step as make up the batch of the settings."""
        config, micro_batch = self._config, self._options.micro_batch
        return [Stage(0, config.steps, self._options.grid, micro_batch, 0, config.batch // micro_batch)]

    def dataset(self, stage: Stage) -> CropDataset:
        """Return objects in their adaptive crops."""
        del stage
        return CropDataset(self._sampler)

    def fit_memory(self, network: nn.Module, memory_gb: float | None) -> str | None:
        """Choose how many samples go at once and which stages of the network are computed twice."""
        if memory_gb is None:
            return None
        check_memory(memory_gb)
        assert isinstance(network, NNInteractive)
        stages = [network.encoder.stem, *network.encoder.stages, *network.decoder.stages]
        inputs = torch.zeros((1, 1 + self.settings.channels, *(SMALL_GRID,) * 3), device=self._device)
        measured, rest = measure_stages(network, stages, inputs, self._config.precision)
        factor = (self._options.grid / SMALL_GRID) ** 3
        # Beside what is saved a sample's own input is there, and a copy that the next round begins with.
        own = 2 * inputs.numel() * inputs.element_size()
        plan = plan_memory(
            [stage.scaled(factor) for stage in measured],
            round((rest + own) * factor),
            weight_bytes(network),
            self._options.micro_batch,
            memory_gb,
        )
        self.micro_batch = plan.micro_batch
        for number in plan.checkpointed:
            checkpoint_stage(stages[number])
        if plan.micro_batch == self._options.micro_batch and not plan.checkpointed:
            return None
        twice = f", {len(plan.checkpointed)} of {len(stages)} stages computed twice" if plan.checkpointed else ""
        return f"samples are taken {plan.micro_batch} at a time{twice} to stay below the memory"

    def losses(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> Iterator[Tensor]:
        """Yield cross-entropy and soft Dice after a random number of clicks; the parts' size changes neither."""
        config, options = self._config, self._options
        probabilities = torch.tensor(options.round_probabilities)
        rounds = int(torch.multinomial(probabilities, 1, generator=generator))
        play = begin_play(batch, self.settings)
        play_rounds(
            network,
            play,
            batch,
            rounds,
            self.settings,
            generator,
            rule=options.clicks,
            precision=config.precision,
            micro_batch=self.micro_batch,
        )
        truth = batch["truth"].float()
        for first in range(0, len(truth), self.micro_batch):
            part = slice(first, first + self.micro_batch)
            with autocast(self._device, config.precision):
                logits = network(play.inputs[part])[:, 0].float()
            share = len(logits) / (current_processes().count * len(truth))
            yield dynamic_prompt_loss(logits, truth[part], options.dice_weight) * share

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return mean DSC on the grid over fixed samples of the held-out sets, with a box and after each click."""
        config, options = self._config, self._options
        if self._held is None:
            return {}
        generator = torch.Generator().manual_seed(0)
        scores: list[list[float]] = [[] for _ in range(1 + options.validation_clicks)]
        for number in range(config.validation_samples):
            sample = vars(self._held.sample(number))
            batch = {name: torch.from_numpy(np.asarray(v)[None]).to(self._device) for name, v in sample.items()}
            play = begin_play(batch, self.settings)
            answers = play_rounds(
                network, play, batch, len(scores), self.settings, generator, precision=config.precision
            )
            for score, logits in zip(scores, answers, strict=True):
                score.extend(grid_dice(logits > 0, batch["truth"] > 0).tolist())
        return {f"dsc_round_{n}": float(np.mean(score)) for n, score in enumerate(scores)}

    def card_entries(self) -> dict[str, Any]:
        """Return how the engine is to give prompts, as in a checkpoint's own file, and in which windows."""
        return {
            "interactions": {
                "point_radius": self.settings.point_radius,
                "preferred_scribble_thickness": list(self.settings.scribble_thickness),
                "interaction_decay": self.settings.decay,
                "supported_interactions": dict(self.settings.supported),
                "painting": self.settings.painting,
            },
            "patch": self._options.grid,
            "window": "adaptive-crop",
        }

    def export(self, network: nn.Module, folder: Path, card: WeightsCard) -> None:
        """Write the files of inference."""
        from bedside.runtime.export import export_weights

        export_weights(network, folder, card, grid=SMALL_GRID)


def create(config: TrainingConfig, store: Store, device: torch.device) -> DynamicTask:
    """Return the task of a run; see ``task.TaskModule``."""
    return DynamicTask(config, store, device)


def interaction_settings(decay: float, painting: Painting = "fading") -> InteractionSettings:
    """Return those of the public weights, with boxes that are more than one slice thick."""
    settings = InteractionSettings(decay=1.0 if painting == "solid" else decay, painting=painting)
    return replace(settings, supported={**settings.supported, "bbox3d": True})
