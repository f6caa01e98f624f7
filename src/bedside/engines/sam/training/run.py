"""A whole training of the SAM family: stage after stage, each with a checkpoint of its own, then the export."""

from __future__ import annotations

import importlib.util
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from bedside.core.errors import InputError, WeightsError
from bedside.core.files import write_text_atomically
from bedside.data.store import Store
from bedside.engines.sam.training.export import ContentFiles, export_system
from bedside.engines.sam.training.features import FeatureBank, PublishedTower, StandInTower, compute_features, describe
from bedside.engines.sam.training.networks import load_matching, read_parts, seeded_network
from bedside.engines.sam.training.plan import FRESH, PRETRAINED, TEACHER, Plan, Step, make_plan
from bedside.engines.sam.training.recipe import SamRecipe
from bedside.engines.sam.training.slices import SliceTable
from bedside.engines.sam.training.split import split_store
from bedside.engines.sam.training.task import SamTask
from bedside.engines.sam.training.teacher import Teacher, open_teacher
from bedside.train.checkpoint import CHECKPOINT, changed_settings, read_checkpoint
from bedside.train.config import TrainingConfig
from bedside.train.digest import state_sha256
from bedside.train.initial import read_tensors
from bedside.train.log import LOSSES, VALIDATION, read_last_validation, read_losses
from bedside.train.manifest import MANIFEST, create_manifest, describe_start
from bedside.train.processes import current_processes
from bedside.train.result import TrainingResult
from bedside.train.staged import DONE, StagedRun
from bedside.train.trainer import Trainer
from bedside.weights.card import file_sha256

DECISIVE = ("model", "steps", "seed", "precision", "held_out", "options")
"""Settings of the loop that decide what comes out of a stage."""
WEIGHTS = "weights"
FEATURES, EMBEDDINGS = "features.npz", "embeddings"

State = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class SystemRun:
    """A run and what all its stages share.

    Attributes:
        recipe: Settings.
        store: Training store.
        folder: Folder of the run; every stage has one within it.
        device: Where to train.
        report: Called with each line of the log.
        advance: Called after each step with the steps done in all stages so far.
        deadline: ``time.monotonic`` at which to stop.
        memory_gb: Memory that a step may take; None for no limit.
        record: What is found out for the manifest: teacher, features, and an entry for every stage.
    """

    recipe: SamRecipe
    store: Store
    folder: Path
    device: torch.device
    report: Callable[[str], None]
    advance: Callable[[int], None]
    deadline: float
    memory_gb: float | None
    record: dict[str, Any]

    def train(self) -> bool:
        """Go through the stages; False where time ran out before the last was done.

        Raises:
            KeyboardInterrupt: Ctrl+C was pressed; the checkpoint of the stage under way was written first.
        """
        plan = self.plan
        teacher: Teacher | None = None
        done = 0
        for step in plan.steps:
            folder = self.folder / step.stage
            config = self.recipe.training(step.stage, self._draws(step.stage))
            made_with = {"store": self.store.sha256, **{name: config.to_dict()[name] for name in DECISIVE}}
            if (ended := read_done(folder)) is not None:
                check_unchanged(step.stage, ended.pop("made_with"), made_with)
            else:
                if teacher is None and self._needs_teacher(step):
                    teacher = self._open_teacher()
                ended = self._train_stage(step, config, folder, teacher, done)
                if ended is None:
                    return False
                if current_processes().writes:
                    content = json.dumps({**ended, "made_with": made_with}, indent=1)
                    write_text_atomically(folder / DONE, content + "\n")
            self.record["stages"][step.stage] = ended
            done += int(ended["step"])
        return True

    @property
    def plan(self) -> Plan:
        """The recipe's plan without the stages for which there are no data."""
        plan = make_plan(self.recipe)
        left_out = {step.stage for step in plan.steps if step.stage in plan.optional and self._draws(step.stage) == 0}
        return Plan(
            tuple(step for step in plan.steps if step.stage not in left_out),
            {stem: stage for stem, stage in plan.weights.items() if stage not in left_out},
        )

    def steps(self) -> int:
        """Return steps of all stages."""
        return sum(self.recipe.stages[s.stage].total_steps(self._draws(s.stage)) for s in self.plan.steps)

    def _draws(self, stage: str) -> int:
        """Return slices or cases of a stage, 0 where there are none."""
        settings = self.recipe.stages[stage]
        kept, _ = split_store(self.store, self.recipe.held_out, settings.validation_share, settings.split_seed)
        try:
            return SliceTable(kept, settings.modalities, settings.slices).count(settings.sampling.by)
        except InputError:
            return 0

    def _needs_teacher(self, step: Step) -> bool:
        return self.recipe.stages[step.stage].kind == "distil" or TEACHER in step.begins.values()

    def _open_teacher(self) -> Teacher:
        teacher = open_teacher(self.recipe.teacher, self.recipe.seed, self.device, self.report)
        self.record["teacher"] = teacher.record
        return teacher

    def _train_stage(
        self, step: Step, config: TrainingConfig, folder: Path, teacher: Teacher | None, before: int
    ) -> dict[str, Any] | None:
        """Train one stage to its end; how it ended, None where time ran out."""
        self.report(f"stage {step.stage}: {config.steps} steps of {config.batch * config.options.accumulate} samples")
        trainer = Trainer(
            config,
            self.store,
            folder,
            self.device,
            initial=self._begin(step, config, teacher),
            memory_gb=self.memory_gb,
            report=self.report,
            advance=lambda number: self.advance(before + number),
        )
        task = cast(SamTask, trainer.task)
        if config.options.kind == "distil":
            assert teacher is not None
            with current_processes().first_alone():
                task.teach(teacher, folder / EMBEDDINGS, self.report)
        elif config.options.sampling.prompts == "content":
            with current_processes().first_alone():
                task.describe_contents(self._features(task, folder))
        if trainer.resume():
            self.report(f"going on from step {trainer.progress.step} of {config.steps} of stage {step.stage}")
        trainer.run(max(0.0, self.deadline - time.monotonic()) / 60)
        if trainer.progress.step < config.steps and not trainer.finished:
            self.report(f"stopped at step {trainer.progress.step} of {config.steps} of stage {step.stage}")
            return None
        return {
            "step": trainer.progress.step,
            "samples": trainer.samples,
            "seconds": trainer.progress.seconds,
            "begins": step.begins,
            "side": config.options.sampling.side,
            "losses": _first_and_last(read_losses(folder / LOSSES)),
            "held_out": read_last_validation(folder / VALIDATION),
            "tensors": state_sha256(stage_state(folder)),
        }

    def _begin(self, step: Step, config: TrainingConfig, teacher: Teacher | None) -> dict[str, Tensor]:
        """Return the state dict that a stage begins with, part by part."""
        network = seeded_network(config.model, config.options.sampling.side, config.seed)
        if self.recipe.pretrained and (parts := [p for p, origin in step.begins.items() if origin == PRETRAINED]):
            self._load_pretrained(network, parts)
        for part, origin in step.begins.items():
            if origin == TEACHER:
                assert teacher is not None
                load_matching(network, read_parts(teacher.network.state_dict(), [part]))
            elif origin not in (FRESH, PRETRAINED):
                load_matching(network, read_parts(stage_state(self.folder / origin), [part]))
        return network.state_dict()

    def _load_pretrained(self, network: torch.nn.Module, parts: Sequence[str]) -> None:
        path = Path(self.recipe.pretrained)
        if not path.is_file():
            raise InputError("pretrained", expected="a safetensors file", got=f"'{path}'")
        state = read_tensors(path)
        if not read_parts(state, ["image_encoder"]):
            state = {f"image_encoder.{name}": value for name, value in state.items()}
        # The heads of all systems have the same shapes: only the encoder tells whose weights they are.
        if not load_matching(network, read_parts(state, ["image_encoder"])):
            raise WeightsError(f"pretrained weights {path}", expected=f"those of an encoder of {self.recipe.model}")
        load_matching(network, read_parts(state, parts))
        self.record["pretrained"] = {"file": path.name, "sha256": file_sha256(path)}

    def _features(self, task: SamTask, folder: Path) -> FeatureBank:
        """Return what a frozen CLIP, or the stand-in, says of the stage's objects; computed once."""
        path = folder / FEATURES
        if not self.recipe.clip:
            self.report("no frozen CLIP is given: a random projection STANDS IN for it")
        if not path.is_file():
            tower = PublishedTower(Path(self.recipe.clip)) if self.recipe.clip else StandInTower()
            tables = [table for table in (task.table, task.held_table) if table is not None]
            compute_features(tower, tables, self.report).save(path)
        self.record["features"] = describe(self.recipe.clip)
        return FeatureBank.load(path)

    def export(self, manifest: Mapping[str, Any], folder: Path) -> dict[str, str]:
        """Write the files of every network that came out; the digest of each one's tensors, by stem."""
        digests = {}
        exporting = importlib.util.find_spec("onnx") is not None
        for stem, stage in self.plan.weights.items():
            state = stage_state(self.folder / stage)
            digests[stem] = state_sha256(state)
            if exporting:
                bank = self.folder / stage / FEATURES
                content = ContentFiles(FeatureBank.load(bank).text, self.recipe.clip) if bank.is_file() else None
                export_system(self.recipe.model, state, folder, stem, manifest, content)
                self.report(f"weights {stem}, of stage {stage}, are in {folder}")
        if not exporting:
            self.report("weights are in the checkpoints only: exporting them needs onnx (pip install 'bedside[train]')")
        return digests


def _first_and_last(losses: Mapping[int, float]) -> dict[str, float]:
    return {"first": losses[min(losses)], "last": losses[max(losses)]} if losses else {}


def stage_state(folder: Path) -> State:
    """Return the weights that a stage ended with: the best where it kept them, else the last.

    Raises:
        WeightsError: The stage has no checkpoint.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        raise WeightsError(f"checkpoint {path}", expected="that of a finished stage", got="none", fix="use --restart")
    state = read_checkpoint(path, torch.device("cpu"))
    best: State = state["task"]["best"]["network"]
    last: State = state["average"]
    return best or last


def check_unchanged(stage: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """A stage that has ended must have been made with the settings and data that are asked for now.

    Raises:
        InputError: It was not.
    """
    # What was read from a file has lists where settings have tuples.
    if changes := changed_settings(before, json.loads(json.dumps(now))):
        fix = "use the same settings, another --out, or --restart"
        raise InputError(f"stage {stage} has ended with other settings: {'; '.join(changes)}", fix=fix)


def read_done(folder: Path) -> dict[str, Any] | None:
    """Return how a stage ended; None where it has not."""
    try:
        ended: dict[str, Any] = json.loads((folder / DONE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return ended


def run_system(recipe: SamRecipe, staged: StagedRun) -> TrainingResult:
    """Train by a recipe of the SAM family, or go on where that was stopped; see ``train.run.run_training``."""
    out, report = staged.out, staged.report
    manifest = create_manifest(staged.name, recipe, staged.store.sha256, staged.sets, None)
    before = _read_manifest(out / MANIFEST)
    for entry in ("starts", "teacher", "features", "pretrained"):
        manifest[entry] = before.get(entry, manifest.get(entry))
    manifest["stages"] = {}
    total = 0
    deadline = math.inf if staged.minutes is None else time.monotonic() + staged.minutes * 60

    def advanced(done: int) -> None:
        staged.advance(done, total)

    run = SystemRun(recipe, staged.store, out, staged.device, report, advanced, deadline, staged.memory_gb, manifest)
    total = run.steps()
    at = sum(int(ended["step"]) for step in run.plan.steps if (ended := read_done(out / step.stage)))
    manifest["starts"].append(describe_start(at, staged.device))
    out.mkdir(parents=True, exist_ok=True)
    _write_result(manifest, out)
    weights = None
    try:
        complete = run.train()
    except KeyboardInterrupt:
        report("stopped; the same command goes on from there")
        raise
    finally:
        _write_result(manifest, out)
    if complete:
        weights = out / WEIGHTS
        if current_processes().writes:
            manifest["result"]["tensors"] = run.export(manifest, weights)
            _write_manifest(manifest, out)
        current_processes().wait()
    else:
        report("the same command goes on from there; weights are exported when all stages are done")
    result = manifest["result"]
    return TrainingResult(result["step"], total, result["seconds"], result["held_out"], weights)


def _write_result(manifest: dict[str, Any], out: Path) -> None:
    """Sum up the stages that have ended, the last validation of a network that predicts boxes included."""
    stages = manifest["stages"].values()
    followed = [ended["held_out"] for ended in stages if "dsc" in ended["held_out"]]
    manifest["result"] = {
        "step": sum(int(ended["step"]) for ended in stages),
        "samples": sum(int(ended["samples"]) for ended in stages),
        "seconds": sum(float(ended["seconds"]) for ended in stages),
        "held_out": followed[-1] if followed else {},
    }
    _write_manifest(manifest, out)


def _write_manifest(manifest: Mapping[str, Any], out: Path) -> None:
    if current_processes().writes:
        write_text_atomically(out / MANIFEST, json.dumps(manifest, indent=2) + "\n")


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        before: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return before
