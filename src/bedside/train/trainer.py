"""The training loop: optimiser, schedule, average of the weights, accumulation, checkpoint, exact resume.

What differs between kinds of model is a ``task``.
"""

from __future__ import annotations

import copy
import math
import os
import re
import signal
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from bedside.core.errors import BedsideError, InputError, WeightsError, WorkerError
from bedside.data.store import Store
from bedside.train.checkpoint import CHECKPOINT, changed_settings, load_weights, read_checkpoint, write_checkpoint
from bedside.train.config import TrainingConfig
from bedside.train.interrupt import deferred_interrupt
from bedside.train.log import RunLog
from bedside.train.processes import ALONE, acting_as, current_processes
from bedside.train.stages import Stage, count_samples
from bedside.train.task import Batch, Task
from bedside.train.task_table import task_module, task_name


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

    Attributes:
        task: What differs between kinds of model.
        network: The network that is trained.
        average: The moving average of its weights, which is what is kept in the end.
        progress: How far the run has come.
        processes: Those that train the network together, each its part of every batch.
        finished: Whether the task has ended the run before its last step.

    Raises:
        InputError: The store has no object to train on, the memory does not hold one sample, the model is not one
            that the task can train, or the processes cannot divide the batch.
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
        self.config = config
        self.folder = folder
        self.device = device
        self.progress = Progress()
        self.processes = current_processes()
        self.finished = False
        self._store = store
        self._generator = torch.Generator().manual_seed(config.seed)
        self.task: Task = task_module(task_name(config.task, config.model)).create(config, store, device)
        self.processes.check_batches(self.task.stages())
        # Layers draw their initial weights from the global generator; forking it keeps the caller's as it was.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            network = self.task.build()
        if initial is not None:
            self.task.load(network, initial)
        self.network: nn.Module = network.to(device).to(memory_format=self.task.memory_format)
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        groups = self.task.parameter_groups(self.network, config.weight_decay)
        self.optimiser = torch.optim.AdamW(groups, lr=config.learning_rate)
        self._report, self._advance = report, advance
        if line := self.task.fit_memory(self.network, memory_gb):
            report(line)
        self._log = RunLog(folder, report)

    @property
    def samples(self) -> int:
        """Samples seen so far."""
        return count_samples(self.task.stages(), self.progress.step)

    def run(self, minutes: float | None = None) -> None:
        """Train to the last step, or for ``minutes`` and then stop with a checkpoint.

        Raises:
            KeyboardInterrupt: Ctrl+C was pressed or the process told to end (SIGTERM); the step under way was finished
                and the checkpoint written first.
            WorkerError: Another process of the training ended; the checkpoint was written first.
        """
        interrupted = False
        deadline = time.monotonic() + minutes * 60 if minutes is not None else math.inf
        self.folder.mkdir(parents=True, exist_ok=True)
        with deferred_interrupt() as interrupt:
            try:
                for step in self.steps():
                    self._advance(step)
                    # Asked together: nobody may take a step more than the others.
                    interrupted, late = self.processes.any(interrupt.requested, time.monotonic() >= deadline)
                    if interrupted or late:
                        break
            finally:
                self.save()
                self._log.close()
        # Whatever follows may read the checkpoint.
        self.processes.wait()
        if interrupted:
            raise KeyboardInterrupt

    def steps(self) -> Generator[int, None, None]:
        """Take step after step, each with its validation and checkpoint where they are due; the steps done.

        ``run`` does so with a limit of time and a checkpoint at the end.
        """
        self._measure()
        for stage in self.task.stages():
            if self.progress.step >= stage.last_step or self.finished:
                continue
            self.task.begin(stage, self.network)
            batches = self._batches(stage)
            while self.progress.step < stage.last_step and not self.finished:
                with _loss_of_workers_told():
                    self._step(batches, stage)
                step = self.progress.step
                if step % self.config.validate_every == 0 or step == self.config.steps:
                    self.validate()
                    self.save()
                yield step

    def _measure(self) -> None:
        line = self.processes.from_first(self.task.measure(self.network) if self.processes.writes else None)
        if line:
            self._report(line)
            if self.processes.count > 1:
                self.task.load_state_dict(self.processes.from_first(self.task.state_dict()))

    def _batches(self, stage: Stage) -> Iterator[Batch]:
        loader = DataLoader(
            self.task.dataset(stage),
            # As they come: a list of every batch of a run without an end would fill the memory.
            batch_sampler=(self.processes.own(batch) for batch in stage.batches_from(self.progress.step)),
            collate_fn=self.task.collate,
            num_workers=self.config.workers,
            prefetch_factor=4 if self.config.workers else None,
            # Without one the loader would draw a number from the global generator.
            generator=torch.Generator().manual_seed(self.config.seed),
            worker_init_fn=_leave_signals_to_the_trainer,
            pin_memory=self.device.type == "cuda",
        )
        try:
            for batch in loader:
                yield {name: values.to(self.device, non_blocking=True) for name, values in batch.items()}
        except BedsideError as error:
            # A worker's error comes with its traceback as text; the user is told the last line.
            message = str(error).rpartition(f"{type(error).__name__}: ")[2]
            raise type(error)(message) from error

    def _step(self, batches: Iterator[Batch], stage: Stage) -> None:
        began = time.monotonic()
        config = self.config
        rate = self.task.learning_rate(config, self.progress.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group.get("scale", 1.0)
        before = self._generator.get_state()
        try:
            total = sum(self._backward(next(batches), 1 / stage.accumulate) for _ in range(stage.accumulate))
            total = self.processes.sum_gradients(self.network, total)
        except BaseException:
            # What is saved now is the state at the start of this step.
            self._generator.set_state(before)
            raise
        norm = self.task.clip(self.network, config)
        # One bad batch must not poison the weights: a step that is not finite is left out.
        if math.isfinite(norm) and math.isfinite(total):
            self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.processes.average_statistics(self.network)
        self._update_average()
        self.progress.step += 1
        self.task.after_step(self.progress.step, total)
        self.progress.seconds += time.monotonic() - began
        if self.processes.writes:
            self._log.step(
                self.progress.step,
                config,
                loss=total,
                rate=rate,
                norm=norm,
                seconds=self.progress.seconds,
                samples=stage.batch_of(self.progress.step - 1) * stage.accumulate,
            )

    def _backward(self, batch: Batch, share: float = 1.0) -> float:
        """Add the gradient of a batch, which is ``share`` of the step's, part by part, and return its loss."""
        total = 0.0
        for loss in self.task.losses(self.network, batch, self._generator):
            weighted = loss * share if share != 1 else loss
            weighted.backward()  # type: ignore[no-untyped-call]
            total += float(weighted.detach())
        return total

    @torch.no_grad()
    def _update_average(self) -> None:
        # Early on the average follows closely, or it would keep the initial weights for thousands of steps.
        decay = min(self.config.ema_decay, (1 + self.progress.step) / (10 + self.progress.step))
        for kept, current in zip(self.average.parameters(), self.network.parameters(), strict=True):
            if current.requires_grad:
                kept.lerp_(current, 1 - decay)
            else:
                # Constants may be infinite, as masks of attention are, and their difference would be no number.
                kept.copy_(current)
        # Running statistics are averages already.
        for kept_buffer, buffer in zip(self.average.buffers(), self.network.buffers(), strict=True):
            kept_buffer.copy_(buffer)

    def validate(self) -> dict[str, float]:
        """Return scores of the average on the held-out sets, noted in the log; empty without such sets.

        Of several processes one validates while the others wait.
        """
        scores: dict[str, float] = {}
        if self.processes.writes:
            with torch.no_grad(), acting_as(ALONE):
                scores = self.task.validate(self.average)
            if scores:
                self._log.validation(self.progress.step, scores)
        scores, self.finished = self.processes.from_first((scores, self.task.finished))
        return scores

    def save(self) -> None:
        """Write the checkpoint that ``resume`` continues from, whatever the number of processes; one of them does."""
        if not self.processes.writes:
            return
        state = {
            "config": self.config.to_dict(),
            "store": self._store.sha256,
            "step": self.progress.step,
            "seconds": self.progress.seconds,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self._generator.get_state(),
            "task": self.task.state_dict(),
        }
        write_checkpoint(self.folder / CHECKPOINT, state)

    def resume(self) -> bool:
        """Continue from the checkpoint in the folder, bit for bit on the same machine; False where there is none.

        The number of processes may be another than before: the samples of the steps to come are the same.

        Raises:
            WeightsError: The checkpoint is of another model, or not one of ours.
            InputError: The store has changed since, or not all processes see the same checkpoint.
        """
        found = self._read_checkpoint()
        step = self.processes.from_first(self.progress.step)
        if step != self.progress.step:
            raise InputError(
                "folder of the run",
                expected="one that all machines share",
                got=f"step {self.progress.step} in process {self.processes.rank} and {step} in process 0",
            )
        return found

    def _read_checkpoint(self) -> bool:
        path = self.folder / CHECKPOINT
        if not path.exists():
            return False
        state = read_checkpoint(path, self.device)
        if state["config"]["model"] != self.config.model:
            raise WeightsError(
                str(path), expected=f"a checkpoint of {self.config.model}", got=f"one of {state['config']['model']}"
            )
        before = task_name(state["config"].get("task", ""), self.config.model)
        if before != (now := task_name(self.config.task, self.config.model)):
            raise InputError(str(path), expected=f"a checkpoint of the task {now}", got=f"one of {before}")
        if state["store"] != self._store.sha256:
            raise InputError(
                "training store differs from the one the run began with", fix="use another --out or the same store"
            )
        load_weights(self.network, state["network"])
        load_weights(self.average, state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self._generator.set_state(state["generator"].cpu())
        self.task.load_state_dict(state.get("task", {}))
        self.finished = self.task.finished
        self.progress = Progress(int(state["step"]), float(state["seconds"]))
        for line in changed_settings(state["config"], self.config.to_dict()):
            self._report(f"setting changed since the checkpoint: {line}")
        return True


@contextmanager
def _loss_of_workers_told() -> Iterator[None]:
    """Say in one line that a process which makes samples ended; torch raises that anywhere in a step.

    Raises:
        WorkerError: One did.
    """
    try:
        yield
    except RuntimeError as error:
        found = re.search(
            r"DataLoader worker \(pid.*?\) (?:is )?(killed by signal: \w+|exited unexpectedly)", str(error)
        )
        if found is None:
            raise
        raise WorkerError(
            "a process that makes training samples ended",
            got=found.group(1),
            fix="take fewer workers (--set workers=N) and run it again: it goes on from the checkpoint",
        ) from error


def _leave_signals_to_the_trainer(worker: int) -> None:
    # A terminal sends Ctrl+C to the workers, too, and torchrun SIGTERM; one that dies would take the run with it.
    del worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "setpgrp"):
        os.setpgrp()
