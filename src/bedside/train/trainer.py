"""The trainer of the window family: prompts simulated on the fly, correction rounds, exact resume."""

from __future__ import annotations

import copy
import math
import pickle
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from bedside.core.errors import BedsideError, InputError, WeightsError
from bedside.core.files import atomic_path
from bedside.data.sampling import Sampler, SamplingConfig
from bedside.data.store import Store
from bedside.models.registry import build_model, model_card
from bedside.train.config import TrainingConfig
from bedside.train.interrupt import deferred_interrupt
from bedside.train.log import RunLog
from bedside.train.losses import segmentation_loss
from bedside.train.memory import largest_micro_batch
from bedside.train.rounds import assemble_input, autocast, play_rounds
from bedside.train.stages import Stage, plan_stages

CHECKPOINT = "checkpoint.pt"
VALIDATION_ROUNDS = 4


class SampleDataset(Dataset[dict[str, Any]]):
    """Samples by number, as arrays."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def __getitem__(self, index: int) -> dict[str, Any]:
        return vars(self._sampler.sample(index))


@dataclass
class Progress:
    """How far a run has come."""

    step: int = 0
    seconds: float = 0.0


class Trainer:
    """Trains one network from a store.

    Args:
        config: Settings.
        store: Training store; the held-out sets in it serve for validation only.
        folder: Where checkpoint, log and weights go.
        device: Where to train.
        initial: State dict to start from, or None for initial weights.
        memory_gb: Memory that weights and activations may take; batches are split to stay below it. None for no limit.
        report: Called with each line of the log.
        advance: Called after every step with the steps done.

    Raises:
        InputError: The store has no object to train on, the memory does not hold one sample, or the model is not one
            that this trainer can train.
        WeightsError: ``initial`` is not of the model.
    """

    def __init__(
        self,
        config: TrainingConfig,
        store: Store,
        folder: Path,
        device: torch.device,
        *,
        initial: dict[str, Tensor] | None = None,
        memory_gb: float | None = None,
        report: Callable[[str], None] = print,
        advance: Callable[[int], None] = lambda _: None,
    ) -> None:
        card = model_card(config.model)
        if card.family != "window" or card.dimensions != 2:
            raise InputError(
                f"model '{card.name}'",
                expected="one of the window family in 2D",
                got=f"{card.family} {card.dimensions}D",
            )
        self.config = config
        self.folder = folder
        self.device = device
        self.progress = Progress()
        self._store = store
        self._generator = torch.Generator().manual_seed(config.seed)
        # Layers draw their initial weights from the global generator; forking it keeps the caller's as it was.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            network = build_model(config.model)
        if initial is not None:
            load_weights(network, initial)
        # The stubs of torch know the two arguments only apart.
        self.network = network.to(device).to(memory_format=memory_format(network))  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimiser = torch.optim.AdamW(
            _parameter_groups(self.network, config.weight_decay), lr=config.learning_rate
        )
        self.micro_batch = largest_micro_batch(self.network, config, device, memory_gb)
        self._part = self.micro_batch
        self._report, self._advance = report, advance
        self._log = RunLog(folder, report)
        self._train_sampler, self._validation_sampler = _samplers(store, config)

    def run(self, minutes: float | None = None) -> None:
        """Train to the last step, or for ``minutes`` and then stop with a checkpoint.

        Raises:
            KeyboardInterrupt: Ctrl+C was pressed; the step under way was finished and the checkpoint written first.
        """
        deadline = time.monotonic() + minutes * 60 if minutes is not None else math.inf
        self.folder.mkdir(parents=True, exist_ok=True)
        with deferred_interrupt() as interrupt:
            try:
                began = time.monotonic()
                for batch in self._batches():
                    self._step(batch, began)
                    began = time.monotonic()
                    step = self.progress.step
                    if step % self.config.validate_every == 0 or step == self.config.steps:
                        self.validate()
                        self.save()
                        began = time.monotonic()
                    self._advance(step)
                    if interrupt.requested or time.monotonic() >= deadline:
                        break
            finally:
                self.save()
                self._log.close()
        if interrupt.requested:
            raise KeyboardInterrupt

    def _batches(self) -> Iterator[dict[str, Tensor]]:
        for stage in plan_stages(self.config):
            if self.progress.step < stage.last_step:
                yield from self._stage_batches(stage)

    def _stage_batches(self, stage: Stage) -> Iterator[dict[str, Tensor]]:
        config = self.config
        # What fits of a sample shrinks with its cells.
        cells = (config.sampling.grid // stage.grid) ** 2
        self._part = min(stage.batch, self.micro_batch * cells)
        loader = DataLoader(
            SampleDataset(self._train_sampler.on_grid(stage.grid)),
            batch_size=stage.batch,
            sampler=stage.samples_from(self.progress.step),
            num_workers=config.workers,
            prefetch_factor=4 if config.workers else None,
            # Without one the loader would draw a number from the global generator.
            generator=torch.Generator().manual_seed(config.seed),
            worker_init_fn=_leave_interrupts_to_the_trainer,
            pin_memory=self.device.type == "cuda",
        )
        try:
            for batch in loader:
                yield {name: values.to(self.device, non_blocking=True) for name, values in batch.items()}
        except BedsideError as error:
            # A worker's error comes with its traceback as text; the user is told the last line.
            message = str(error).rpartition(f"{type(error).__name__}: ")[2]
            raise type(error)(message) from error

    def _step(self, batch: dict[str, Tensor], began: float) -> None:
        config = self.config
        rate = learning_rate(config, self.progress.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        before = self._generator.get_state()
        try:
            total = self._backward(batch)
        except BaseException:
            # What is saved now is the state at the start of this step.
            self._generator.set_state(before)
            raise
        norm = float(nn.utils.clip_grad_norm_(self.network.parameters(), config.gradient_clip))
        # One bad batch must not poison the weights: a step that is not finite is left out.
        if math.isfinite(norm) and math.isfinite(total):
            self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self._update_average()
        self.progress.step += 1
        self.progress.seconds += time.monotonic() - began
        self._log.step(
            self.progress.step,
            config,
            loss=total,
            rate=rate,
            norm=norm,
            seconds=self.progress.seconds,
            samples=len(batch["image"]),
        )

    def _backward(self, batch: dict[str, Tensor]) -> float:
        """Add the gradient of a batch, part by part, and return its loss; the parts' size changes neither."""
        config = self.config
        probabilities = torch.tensor(config.round_probabilities)
        rounds = int(torch.multinomial(probabilities, 1, generator=self._generator))
        inputs, _ = play_rounds(
            self.network, assemble_input(batch), batch, rounds, config.precision, self._generator, self._part
        )
        truth, inside = batch["truth"].float(), batch["inside"].float()
        cells = inside.sum().clamp(min=1)
        total = 0.0
        for first in range(0, len(inputs), self._part):
            part = slice(first, first + self._part)
            with autocast(self.device, config.precision):
                logits = self.network(inputs[part])[:, 0].float()
            samples_share = len(logits) / len(inputs)
            cells_share = float(inside[part].sum() / cells)
            loss = segmentation_loss(
                logits, truth[part], inside[part], config.dice_weight * samples_share, config.bce_weight * cells_share
            )
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        return total

    @torch.no_grad()
    def _update_average(self) -> None:
        # Early on the average follows closely, or it would keep the initial weights for thousands of steps.
        decay = min(self.config.ema_decay, (1 + self.progress.step) / (10 + self.progress.step))
        for kept, current in zip(self.average.parameters(), self.network.parameters(), strict=True):
            kept.lerp_(current, 1 - decay)

    @torch.no_grad()
    def validate(self) -> list[float]:
        """Mean DSC on the grid over fixed samples of the held-out sets, per correction round."""
        config = self.config
        if self._validation_sampler is None:
            return []
        generator = torch.Generator().manual_seed(0)
        scores: list[list[float]] = [[] for _ in range(VALIDATION_ROUNDS)]
        for first in range(0, config.validation_samples, config.batch):
            numbers = range(first, min(first + config.batch, config.validation_samples))
            samples = [vars(self._validation_sampler.sample(n)) for n in numbers]
            batch = {k: torch.from_numpy(np.stack([s[k] for s in samples])).to(self.device) for k in samples[0]}
            inputs = assemble_input(batch)
            _, answers = play_rounds(self.average, inputs, batch, VALIDATION_ROUNDS, config.precision, generator)
            for score, logits in zip(scores, answers, strict=True):
                score.extend(_dice((logits > 0) & batch["inside"], batch["truth"] > 0).tolist())
        means = [float(np.mean(score)) for score in scores]
        self._log.validation(self.progress.step, means)
        return means

    def save(self) -> None:
        """Write the checkpoint that ``resume`` continues from."""
        state = {
            "format": "bedside-checkpoint",
            "config": self.config.to_dict(),
            "store": self._store.sha256,
            "step": self.progress.step,
            "seconds": self.progress.seconds,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self._generator.get_state(),
        }
        with atomic_path(self.folder / CHECKPOINT) as path:
            torch.save(state, path)

    def resume(self) -> bool:
        """Continue from the checkpoint in the folder, bit for bit on the same machine; False where there is none.

        Raises:
            WeightsError: The checkpoint is of another model, or not one of ours.
            InputError: The store has changed since.
        """
        path = self.folder / CHECKPOINT
        if not path.exists():
            return False
        state = read_checkpoint(path, self.device)
        if state["config"]["model"] != self.config.model:
            raise WeightsError(
                str(path), expected=f"a checkpoint of {self.config.model}", got=f"one of {state['config']['model']}"
            )
        if state["store"] != self._store.sha256:
            raise InputError(
                "training store differs from the one the run began with", fix="use another --out or the same store"
            )
        load_weights(self.network, state["network"])
        load_weights(self.average, state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self._generator.set_state(state["generator"].cpu())
        self.progress = Progress(int(state["step"]), float(state["seconds"]))
        for line in changed_settings(state["config"], self.config.to_dict()):
            self._report(f"setting changed since the checkpoint: {line}")
        return True


def read_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """The checkpoint that ``Trainer.save`` wrote.

    Raises:
        WeightsError: The file is damaged or holds something else.
    """
    with path.open("rb") as file:
        try:
            state = torch.load(file, map_location=device, weights_only=True)
        # Of a file that was cut short, torch says "invalid argument", as the system would.
        except (RuntimeError, ValueError, OSError, EOFError, pickle.UnpicklingError) as error:
            message = str(error).partition("\n")[0]
            raise WeightsError(
                str(path), expected="a checkpoint", got=message, fix="start over with --restart"
            ) from error
    if not isinstance(state, dict) or state.get("format") != "bedside-checkpoint":
        raise WeightsError(str(path), expected="a checkpoint", got="something else", fix="start over with --restart")
    return state


def changed_settings(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Settings whose value differs, as "name: old to new"; settings that one of the two lacks are left out."""
    lines: list[str] = []
    for name in before.keys() & after.keys():
        old, new = before[name], after[name]
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            lines += changed_settings(old, new, f"{prefix}{name}.")
        elif old != new:
            lines.append(f"{prefix}{name}: {old} to {new}")
    return sorted(lines)


def memory_format(network: nn.Module) -> torch.memory_format:
    """Channels last for networks of two axes, where it saves about a fifth of a step's time on a CPU."""
    return torch.channels_last if getattr(network, "dimensions", 2) == 2 else torch.contiguous_format


def learning_rate(config: TrainingConfig, step: int) -> float:
    """Linear warm-up, then constant, then a cosine to zero over the last ``cooldown`` of the steps."""
    rate = config.learning_rate * min(1.0, (step + 1) / max(1, config.warmup_steps))
    begin = config.steps * (1 - config.cooldown)
    if step > begin:
        rate *= 0.5 * (1 + math.cos(math.pi * min(1.0, (step - begin) / max(1.0, config.steps - begin))))
    return rate


def load_weights(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Load a state dict whose names and shapes must all match; values become float32.

    Raises:
        WeightsError: A name or a shape differs.
    """
    wanted = network.state_dict()
    if set(wanted) != set(state):
        odd = sorted(set(wanted) ^ set(state))[0]
        raise WeightsError("weights", expected=f"{len(wanted)} tensors", got=f"{len(state)}, differing in '{odd}'")
    for name, tensor in wanted.items():
        if state[name].shape != tensor.shape:
            raise WeightsError(f"weights '{name}'", expected=tuple(tensor.shape), got=tuple(state[name].shape))
    network.load_state_dict({name: value.float() for name, value in state.items()})


def _leave_interrupts_to_the_trainer(worker: int) -> None:
    # A terminal sends Ctrl+C to the workers, too, and one that dies would take the run with it.
    del worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for the weights of convolutions, none for biases and norms."""
    decayed = [p for p in network.parameters() if p.ndim > 1]
    free = [p for p in network.parameters() if p.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]


def _samplers(store: Store, config: TrainingConfig) -> tuple[Sampler, Sampler | None]:
    kept, held = copy.copy(store), copy.copy(store)
    kept.items = [item for item in store.items if item.info.set_name not in config.held_out]
    held.items = [item for item in store.items if item.info.set_name in config.held_out]
    plain = SamplingConfig(
        grid=config.sampling.grid, superpixel_share=0.0, wide_share=0.3, close_share=0.0, augment=False
    )
    return Sampler(kept, config.sampling, config.seed), Sampler(held, plain, 1) if held.items else None


def _dice(prediction: Tensor, truth: Tensor) -> Tensor:
    axes = tuple(range(1, truth.ndim))
    overlap = (prediction & truth).sum(dim=axes)
    return 2 * overlap / (prediction.sum(dim=axes) + truth.sum(dim=axes)).clamp(min=1)
