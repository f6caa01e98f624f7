"""Training of the window family: prompts are input channels, and correction rounds are played on the model's masks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from bedside.core.errors import InputError
from bedside.data.store import Store
from bedside.engines.window.blocks.pretrained_unet import PretrainedUNet
from bedside.engines.window.encodings import card_encoding
from bedside.engines.window.sampling.packed_table import PackedTable
from bedside.engines.window.sampling.plane_sampler import PlaneSampler
from bedside.engines.window.sampling.sampler import Sampler
from bedside.engines.window.sampling.volume_sampler import VolumeSampler
from bedside.engines.window.training.rounds import assemble_input, play_rounds
from bedside.engines.window.training.slice_teacher import SliceTeacher, slice_loss
from bedside.train.checkpoint import load_weights
from bedside.train.clicks import CellNoise
from bedside.train.config import TrainingConfig
from bedside.train.losses import segmentation_loss
from bedside.train.memory import largest_micro_batch
from bedside.train.precision import LAST, PrecisionChoice, autocast, measure_precision
from bedside.train.processes import current_processes
from bedside.train.sampling import SamplingConfig
from bedside.train.stages import FINE_PARTS, LATE, Stage, plan_stages
from bedside.train.task import Batch, Task, decay_groups, scaled_groups
from bedside.train.validation import grid_dice
from bedside.weights.models import build_model, model_card

VALIDATION_ROUNDS = 4
MEASURED = {2: 8, 3: 2}
"""Samples by which the faster precision is found, by the network's dimensions."""
TABLE = "table"
"""Field of a batch that holds what ``Sampler.finish`` makes samples of."""
Options = None

SAMPLERS: dict[int, type[PlaneSampler] | type[VolumeSampler]] = {2: PlaneSampler, 3: VolumeSampler}
"""By the network's dimensions."""


class SampleDataset(Dataset[dict[str, PackedTable]]):
    """Drawn samples by number, those of a batch at once; those of a stage's fine steps have twice its grid."""

    def __init__(self, sampler: Sampler, stage: Stage) -> None:
        self._stage = stage
        self._sampler = sampler.on_grid(stage.grid)
        self._fine_sampler = sampler.on_grid(2 * stage.grid)

    def __getitems__(self, indices: Sequence[int]) -> dict[str, PackedTable]:
        """Return the batch of samples ``indices``, which are of one step."""
        fine = self._stage.is_fine(self._stage.step_of(indices[0]))
        sampler = self._fine_sampler if fine else self._sampler
        return {TABLE: PackedTable.pack(sampler.draw(indices))}


def keep(batch: dict[str, PackedTable]) -> dict[str, PackedTable]:
    """Return a batch as it is: ``SampleDataset`` gives whole ones."""
    return batch


class WindowTask(Task):
    """See the module.

    Args:
        config: Settings.
        store: Training store; the held-out sets in it serve for validation only.
        device: Where to train.

    Raises:
        InputError: The store has no object to train on, the model is of another kind, or the processes cannot divide
            the batch.
        WeightsError: A teacher is asked for and has no weights.
    """

    def __init__(self, config: TrainingConfig, store: Store, device: torch.device) -> None:
        card = model_card(config.model)
        if card.family != "window":
            raise InputError(f"model '{card.name}'", expected="one of family window", got=f"one of {card.family}")
        shares = {"fine_every": config.fine_every, "sampling.tile_share": config.sampling.tile_share}
        shares["sampling.mistake_share"] = config.sampling.mistake_share
        for name, value in shares.items():
            if value and card.dimensions == 3:
                raise InputError(name, expected="0 for volumes", got=value)
        self._encoding = card_encoding(card)
        self.micro_batch = _own_part(config)
        self.memory_format = LAST[2 + card.dimensions]
        self._config, self._device = config, device
        self._part = self.micro_batch
        self._precision = chosen_precision(config)
        kept, held = store.divide(config.held_out)
        self._teacher = _slice_teacher(config, device)
        self._sampler = make_sampler(kept, config)
        self._late_sampler = make_sampler(kept, config.late_config()) if config.late else self._sampler
        self._stage_sampler = self._sampler
        self._rounds = config.round_probabilities
        self._validation_sampler = _validation_sampler(held, config)
        self.collate = keep

    def build(self) -> nn.Module:
        """Return the network of the model."""
        return build_model(self._config.model, self._config.architecture)

    def stages(self) -> list[Stage]:
        """Return the stages of the run, coarse windows first."""
        return plan_stages(self._config)

    def dataset(self, stage: Stage) -> Dataset[dict[str, Any]]:
        """Return samples on the stage's grid."""
        return SampleDataset(self._late_sampler if stage.name == LATE else self._sampler, stage)

    def begin(self, stage: Stage, network: nn.Module) -> None:
        """Take the settings of a stage, and a batch that fits its grid."""
        del network
        late = self._config.late_config() if stage.name == LATE else self._config
        self._rounds = late.round_probabilities
        self._stage_sampler = self._late_sampler if stage.name == LATE else self._sampler
        cells = (self._config.sampling.grid // stage.grid) ** model_card(self._config.model).dimensions
        self._part = min(stage.batch, self.micro_batch * cells)

    @property
    def precision(self) -> PrecisionChoice:
        """Of passes; measured before the first step where the settings say "auto"."""
        return self._precision or PrecisionChoice.fixed("bf16" if self._device.type == "cuda" else "fp32")

    def measure(self, network: nn.Module) -> str | None:
        """Choose the precision where neither the settings nor the checkpoint do."""
        if self._precision is not None:
            return None
        card, stage = model_card(self._config.model), self.stages()[-1]
        samples = min(stage.batch, self.micro_batch, MEASURED[card.dimensions])
        inputs = torch.rand((samples, len(card.channels), *(stage.grid,) * card.dimensions))
        inputs = inputs.to(self._device).contiguous(memory_format=self.memory_format)
        self._precision, line = measure_precision(network, inputs)
        return line

    def state_dict(self) -> dict[str, Any]:
        """Return the precision that was measured, with which the run goes on."""
        return {"precision": dataclasses.asdict(self._precision)} if self._precision else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the precision of before where the settings leave it open."""
        if self._config.precision == "auto" and "precision" in state:
            self._precision = PrecisionChoice(**state["precision"])

    def card_entries(self) -> dict[str, Any]:
        """Return the precision of the run."""
        return {"precision": dataclasses.asdict(self.precision)}

    def load(self, network: nn.Module, state: dict[str, Tensor]) -> None:
        """Weights of the whole network, or of a pretrained encoder alone."""
        if isinstance(network, PretrainedUNet) and set(state) == network.encoder_names():
            state = {**network.state_dict(), **state}
        load_weights(network, state)

    def parameter_groups(self, network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
        """Let a pretrained encoder learn more slowly."""
        if isinstance(network, PretrainedUNet):
            return scaled_groups(network, weight_decay, network.learning_rate_scales)
        return decay_groups(network, weight_decay)

    def fit_memory(self, network: nn.Module, memory_gb: float | None) -> str | None:
        """Take a batch in parts that fit."""
        asked = self.micro_batch
        self.micro_batch = self._part = largest_micro_batch(network, self._config, self._device, memory_gb, asked)
        if self.micro_batch == asked:
            return None
        count = current_processes().count
        who = "each step" if count == 1 else "each process"
        samples = self._config.batch // count
        return f"{who} takes its {samples} samples {self.micro_batch} at a time to stay below the memory"

    def losses(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> Iterator[Tensor]:
        """Yield soft Dice and cross-entropy after a random number of correction rounds, and the slices' teacher.

        The parts' size changes neither the clicks nor the sum; of several processes each yields its part of the batch's
        losses.
        """
        config, processes = self._config, current_processes()
        probabilities = torch.tensor(self._rounds)
        rounds = int(torch.multinomial(probabilities, 1, generator=generator))
        batch = self._stage_sampler.finish(cast(PackedTable, batch[TABLE]).unpack())
        randomness = CellNoise(batch["key"], int(torch.randint(2**62, (1,), generator=generator)))
        encoding = self._encoding
        inputs = assemble_input(batch, encoding)
        # Of a fine step's samples fewer fit.
        fine = inputs.shape[-1] > config.sampling.grid
        size = max(1, self._part // FINE_PARTS) if fine else self._part
        inputs, _ = play_rounds(network, inputs, batch, rounds, self.precision.rounds, randomness, encoding, size)
        answers = self._teacher.answer(batch, generator) if self._teacher else None
        truth, inside = batch["truth"].float(), batch["inside"].float()
        samples, cells = processes.count * len(inputs), processes.sum(inside.sum()).clamp(min=1)
        for first in range(0, len(inputs), size):
            part = slice(first, first + size)
            with autocast(self._device, self.precision.gradient):
                logits = network(inputs[part])[:, 0].float()
            samples_share = len(logits) / samples
            cells_share = inside[part].sum() / cells
            # Not read back, which would keep the device waiting.
            bce_weight = config.bce_weight * cells_share
            loss = segmentation_loss(logits, truth[part], inside[part], config.dice_weight * samples_share, bce_weight)
            if answers is not None:
                loss = loss + config.slice_teacher_weight * slice_loss(logits, answers, part)
            yield loss

    @torch.no_grad()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return mean DSC on the grid over fixed samples of the held-out sets, per correction round."""
        config = self._config
        if self._validation_sampler is None:
            return {}
        generator = torch.Generator().manual_seed(0)
        scores: list[list[float]] = [[] for _ in range(VALIDATION_ROUNDS)]
        for first in range(0, config.validation_samples, config.batch):
            numbers = range(first, min(first + config.batch, config.validation_samples))
            batch = self._validation_sampler.make(numbers, self._device)
            inputs, rounds = assemble_input(batch, self._encoding), VALIDATION_ROUNDS
            precision = self.precision.rounds
            _, answers = play_rounds(network, inputs, batch, rounds, precision, generator, self._encoding)
            for score, logits in zip(scores, answers, strict=True):
                score.extend(grid_dice((logits > 0) & batch["inside"], batch["truth"] > 0).tolist())
        return {f"dsc_round_{n}": float(np.mean(score)) for n, score in enumerate(scores)}


def create(config: TrainingConfig, store: Store, device: torch.device) -> WindowTask:
    """Return the task of a run; see ``task.TaskModule``."""
    return WindowTask(config, store, device)


def chosen_precision(config: TrainingConfig) -> PrecisionChoice | None:
    """Return the precisions that the settings say, None where they are to be measured."""
    if config.precision == "auto":
        return None
    rounds = config.precision if config.round_precision == "same" else config.round_precision
    return PrecisionChoice(config.precision, rounds)


def _own_part(config: TrainingConfig) -> int:
    """Return samples that a process takes at once where the memory holds them.

    Raises:
        InputError: The processes cannot divide the batch so.
    """
    parts = current_processes().count * config.accumulate
    if config.batch % parts:
        expected = f"a multiple of {parts} ({current_processes().count} processes, accumulate {config.accumulate})"
        raise InputError("batch", expected=expected, got=config.batch, fix="take another batch, or fewer processes")
    return config.batch // parts


def make_sampler(store: Store, config: TrainingConfig) -> Sampler:
    """Return what draws the samples of a run.

    Raises:
        InputError: The store has no object to train on.
    """
    card = model_card(config.model)
    return SAMPLERS[card.dimensions](store, config.sampling, config.seed, card_encoding(card))


def _slice_teacher(config: TrainingConfig, device: torch.device) -> SliceTeacher | None:
    if not config.slice_teacher_weight:
        return None
    if model_card(config.model).dimensions != 3:
        raise InputError("slice_teacher_weight", expected=f"0 for {config.model}", got=config.slice_teacher_weight)
    return SliceTeacher.installed(device, config.precision)


def _validation_sampler(store: Store, config: TrainingConfig) -> Sampler | None:
    card = model_card(config.model)
    plain = SamplingConfig(
        grid=config.sampling.grid, superpixel_share=0.0, wide_share=0.3, close_share=0.0, augment=False
    )
    usable = any(item.axes == 3 for item in store.items) if card.dimensions == 3 else bool(store.items)
    return SAMPLERS[card.dimensions](store, plain, 1, card_encoding(card)) if usable else None
