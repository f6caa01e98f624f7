"""A whole training from one call: data, store, trainer, manifest and weights."""

from __future__ import annotations

import copy
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from bedside.core.addresses import as_address
from bedside.core.engines import engine_spec, resolve
from bedside.core.errors import InputError
from bedside.core.files import write_text_atomically
from bedside.data.streaming import Streaming
from bedside.train.checkpoint import CHECKPOINT
from bedside.train.config import TrainingConfig
from bedside.train.devices import resolve_device
from bedside.train.digest import state_sha256
from bedside.train.initial import NONE, initial_path, read_start
from bedside.train.joining import joined_processes
from bedside.train.log import LOSSES, VALIDATION, read_last_validation
from bedside.train.manifest import MANIFEST, create_card, create_manifest, describe_start
from bedside.train.packing import check_held_out, is_store, open_shared_store, summarise
from bedside.train.processes import current_processes
from bedside.train.recipes import load_recipe, parse_overrides, recipe_names
from bedside.train.result import TrainingResult
from bedside.train.staged import DONE, StagedRecipe, StagedRun
from bedside.train.trainer import Trainer

__all__ = ["TrainingResult", "load_recipe", "parse_overrides", "recipe_names", "resolve_device", "run_training"]

STORE, WEIGHTS = "store", "weights"
"""Folders within that of the run."""


def run_training(
    recipe: str | Path | TrainingConfig | StagedRecipe,
    data: str | Path,
    out: str | Path,
    *,
    overrides: Mapping[str, Any] | None = None,
    device: str = "auto",
    minutes: float | None = None,
    memory_gb: float | None = None,
    threads: int | None = None,
    initial: str | None = None,
    restart: bool = False,
    report: Callable[[str], None] = print,
    advance: Callable[[int, int], None] = lambda _step, _steps: None,
) -> TrainingResult:
    """Train by a recipe, or go on from the checkpoint in ``out``.

    In processes that ``torchrun`` has started each takes its part of every batch, and one of them reports and writes.

    Args:
        recipe: Name of a recipe, a YAML file, or settings.
        data: Folder of datasets (its ``train`` alone where it has one), a packed store, or a sharded one in a folder or
            in object storage, see ``core.addresses``.
        out: Folder of the run: checkpoint, log, manifest, the packed store and the exported weights.
        overrides: Settings that replace the recipe's, by dotted name.
        device: "auto" (CUDA where there is any), "cpu" or "cuda".
        minutes: Time after which to stop with a checkpoint, packing not counted.
        memory_gb: Memory that a step may take in a process; batches are split to stay below it.
        threads: Threads of torch in this process, by default torch's own choice.
        initial: Starting weights, see ``initial.initial_path``, by default the recipe's; those of a 2D network start a
            3D one, inflated. Not used when going on.
        restart: Remove the checkpoint and the log in ``out`` and begin again; not once more where ``torchrun`` starts
            a process again.
        report: Called with each line of the log.
        advance: Called after each step with the steps done and their total.

    Raises:
        InputError: A name or a value cannot be used, the data must not be trained on, or the processes cannot divide
            the batch.
        FormatError: A file cannot be read.
        WeightsError: Starting weights or checkpoint do not fit the model.
        DependencyError: Something that the recipe or the packing needs is not installed.
        WorkerError: Another process ended; the checkpoint was written first.
        ToldError: In place of the error of a process that was not the first of several to fail.
        KeyboardInterrupt: Ctrl+C was pressed or the process told to end; checkpoint, manifest and weights were written
            first.
    """
    with joined_processes() as processes:
        if not processes.writes:
            report, advance = _nothing, _nothing
        loaded = load_recipe(recipe) if isinstance(recipe, str | Path) else recipe
        config = loaded.with_overrides(overrides or {})
        name = Path(recipe).stem if isinstance(recipe, str | Path) else config.model
        data, out = as_address(data), Path(out)
        _check_numbers(minutes, threads)
        if out.exists() and not out.is_dir():
            raise InputError("folder of the run", expected="a folder", got=f"the file {out}")
        where = resolve_device(device)
        source = initial_path(initial or recipe_initial(config), config.model)
        if threads is not None:
            torch.set_num_threads(threads)
        if restart and not processes.repeated:
            with processes.first_alone():
                if processes.writes:
                    _clear(out)
        if where.type == "cpu" and sys.platform == "linux" and (hint := cpu_hint(os.environ)):
            report(hint)
        keep = bool(_checkpoints(out))
        store = open_shared_store(data, out / STORE, report, processes, keep=keep, streaming=_streaming(config))
        sets = summarise(store, data if isinstance(data, Path) and is_store(data) else out / STORE)
        check_held_out(config.held_out, sets, report)
        if not isinstance(config, TrainingConfig):
            config = config.starting_from(source) if source else config
            staged = StagedRun(name, store, sets, out, where, minutes, memory_gb, report, advance)
            result: TrainingResult = resolve(engine_spec(config.engine).staged_run)(config, staged)
            return result
        start = read_start(source, config) if source else None
        trainer = Trainer(
            config,
            store,
            out,
            where,
            initial=start.tensors if start else None,
            memory_gb=memory_gb,
            report=report,
            advance=lambda step: advance(step, config.steps),
        )
        if trainer.resume():
            report(f"going on from step {trainer.progress.step} of {config.steps}")
        manifest = create_manifest(name, config, store.sha256, sets, start)
        _carry_over(manifest, out, trainer.progress.step)
        manifest["starts"].append(describe_start(trainer.progress.step, where))
        _write_manifest(manifest, out)
        try:
            trainer.run(minutes)
        except KeyboardInterrupt:
            _finish(trainer, manifest, report)
            report(f"stopped at step {trainer.progress.step} of {config.steps}; the same command goes on from there")
            raise
        return _finish(trainer, manifest, report)


def _nothing(*_: object) -> None:
    """Take the place of ``report`` and ``advance`` in processes that do not write."""


def _streaming(config: TrainingConfig | StagedRecipe) -> Streaming | None:
    """Return how a sharded store is streamed; trainings that go through stages read all of it."""
    if not isinstance(config, TrainingConfig):
        return None
    return Streaming(config.stream_gb * 1e9, config.stream_reuse, config.seed)


def recipe_initial(config: TrainingConfig | StagedRecipe) -> str:
    """Return the starting weights that a recipe names; those that go through stages name none."""
    return config.initial if isinstance(config, TrainingConfig) else NONE


def cpu_hint(environment: Mapping[str, str]) -> str | None:
    """Return advice for faster steps on a CPU, None where it is followed already."""
    advice = []
    if "jemalloc" not in environment.get("LD_PRELOAD", ""):
        advice.append("LD_PRELOAD=/path/to/libjemalloc.so.2")
    if environment.get("OMP_WAIT_POLICY", "").lower() != "passive":
        advice.append("OMP_WAIT_POLICY=passive")
    return f"hint: steps on a CPU are faster with {' and '.join(advice)} in the environment" if advice else None


def _check_numbers(minutes: float | None, threads: int | None) -> None:
    if minutes is not None and not minutes > 0:
        raise InputError("minutes", expected="more than 0", got=minutes)
    if threads is not None and threads < 1:
        raise InputError("threads", expected="at least 1", got=threads)


def _clear(out: Path) -> None:
    """Remove what an earlier run left in ``out``, but not its store and its weights."""
    (out / MANIFEST).unlink(missing_ok=True)
    for folder in {out, *(path.parent for path in _checkpoints(out))}:
        files = [folder / name for name in (CHECKPOINT, LOSSES, VALIDATION, DONE)]
        for path in [*files, *folder.glob("events.out.tfevents.*")]:
            path.unlink(missing_ok=True)


def _checkpoints(out: Path) -> list[Path]:
    """Return the checkpoint of the run, or of each of its stages where every stage has one."""
    return [*out.glob(CHECKPOINT), *out.glob(f"*/{CHECKPOINT}")]


def _carry_over(manifest: dict[str, Any], out: Path, step: int) -> None:
    """Take from the manifest of a run that goes on what only its beginning knows."""
    if step == 0:
        return
    try:
        before = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
        manifest.update({name: before[name] for name in ("initial", "starts")})
    except (OSError, ValueError, KeyError, TypeError):
        # Without the old manifest nobody knows what the run began with.
        manifest["initial"] = "unknown"


def _write_manifest(manifest: Mapping[str, Any], out: Path) -> None:
    if current_processes().writes:
        write_text_atomically(out / MANIFEST, json.dumps(manifest, indent=2) + "\n")


def _finish(trainer: Trainer, manifest: dict[str, Any], report: Callable[[str], None]) -> TrainingResult:
    """Complete the manifest and export the averaged weights, in one process while the others wait."""
    progress, out = trainer.progress, trainer.folder
    held_out = read_last_validation(out / VALIDATION)
    weights = out / WEIGHTS if importlib.util.find_spec("onnx") is not None else None
    if trainer.processes.writes:
        manifest["result"] = {
            "step": progress.step,
            "samples": trainer.samples,
            "seconds": progress.seconds,
            "held_out": held_out,
            # With "auto" in the settings: what a run that does the same must use.
            **{name: value for name, value in trainer.task.card_entries().items() if name == "precision"},
            "tensors": {trainer.config.model: state_sha256(trainer.average.state_dict())},
        }
        _write_manifest(manifest, out)
        if weights is None:
            report("weights are in the checkpoint only: exporting them needs onnx (pip install 'bedside[train]')")
        else:
            # The export rounds the weights in place, and the run may go on with them.
            network = copy.deepcopy(trainer.average).cpu()
            trainer.task.export(network, weights, create_card(manifest, trainer.config, trainer.task.card_entries()))
            report(f"weights of step {progress.step} are in {weights}")
    trainer.processes.wait()
    return TrainingResult(progress.step, trainer.config.steps, progress.seconds, held_out, weights)
