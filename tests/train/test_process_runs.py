"""Trainings in several processes, which ``torchrun`` starts: what they have in common with those in one."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from bedside.data.store import write_store
from bedside.engines.nninteractive.training.task import Options
from bedside.train.checkpoint import CHECKPOINT
from bedside.train.config import TrainingConfig
from bedside.train.log import LOSSES, VALIDATION, read_last_validation, read_losses
from bedside.train.recipes import load_recipe
from tests.support import process_runs
from tests.support.process_runs import PlannedRun, train_all, write_plan
from tests.support.training import make_item, make_volume, tiny_config

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="signals of POSIX systems"),
]
TOLERANCE = 2e-4
"""Of losses: sums in another order differ in the last digits, and the optimiser makes more of it."""
STEPS, PART, MORE = 10, 4, 7


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("processes")
    for name, make in (("discs", make_item), ("balls", make_volume)):
        write_store(made / name, [make(of, number) for of in ("one", "two", "held") for number in range(2)])
    return made


@pytest.fixture(scope="module")
def config() -> TrainingConfig:
    """Ten steps of four samples."""
    return dataclasses.replace(tiny_config(), steps=STEPS, batch=4, validate_every=6)


def varied() -> dict[str, TrainingConfig]:
    """What the kinds of training do beside the plainest, each with samples for two processes."""
    plain = tiny_config()
    # Coarse, fine and late steps, and a process's samples in parts.
    steps = {"steps": 4, "batch": 8, "accumulate": 2, "coarse_share": 0.25, "fine_every": 2, "late_share": 0.25}
    window = plain.with_overrides({**steps, "sampling.grid": 64, "late": {"sampling.jitter": 0.1}})
    small = {"model": "bedside-3d", "architecture": {"widths": [8] * 5, "depths": [1] * 5}}
    volumes = plain.with_overrides({**small, "steps": 2, "held_out": [], "slice_teacher_weight": 0.5})
    options = Options(
        grid=64,
        clicks="fast",
        validation_clicks=1,
        widths=(2, 2, 4, 4, 4, 4),
        depths=(1,) * 6,
        round_probabilities=(0.0, 1.0),
    )
    dynamic = dataclasses.replace(
        load_recipe("dynamic-prompts"),
        steps=2,
        batch=4,
        precision="fp32",
        workers=0,
        held_out=(),
        log_every=1,
        options=options,
    )
    return {"window": window, "volumes": volumes, "dynamic": dynamic, "boxes": boxes("mask_decoder")}


def boxes(*parts: str) -> TrainingConfig:
    """Training of these parts of a network of the SAM family, whose encoder has batch normalisation."""
    options = {"kind": "fine-tune", "batch": 2, "accumulate": 2, "train": parts, "learning_rate": 1e-3}
    loop = {
        "steps": 2,
        "batch": 2,
        "warmup_steps": 0,
        "ema_decay": 0.0,
        "precision": "fp32",
        "workers": 0,
        "log_every": 1,
    }
    settings = {
        "model": "lite-medsam",
        "task": "sam",
        "options": {**options, "sampling": {"side": 32, "enlargement": 1}},
    }
    return TrainingConfig.from_dict({**loop, **settings})


@pytest.fixture(scope="module")
def alone(folder: Path, config: TrainingConfig) -> Path:
    """The runs in one process."""
    out = folder / "alone"
    out.mkdir()
    split = dataclasses.replace(config, accumulate=4)
    runs = [planned(config, folder, out / "plain"), planned(split, folder, out / "accumulate")]
    runs += [planned(c, folder, out / name, store_of(name)) for name, c in varied().items()]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    train_all(runs, out)
    torch.set_num_threads(threads)
    return out


@pytest.fixture(scope="module")
def together(folder: Path, config: TrainingConfig) -> dict[int, Path]:
    """The same in two and in four processes, and one run that begins in two, goes on in one and ends in four."""
    out = {count: folder / f"by-{count}" for count in (1, 2, 4)}
    moving = planned(config, folder, folder / "moving")
    for path in out.values():
        path.mkdir()
    two = [planned(config, folder, out[2] / "plain"), dataclasses.replace(moving, until=PART)]
    two += [planned(c, folder, out[2] / name, store_of(name)) for name, c in varied().items()]
    two.append(planned(boxes("image_encoder"), folder, out[2] / "normalised"))
    launch(2, two, out[2])
    train_all([dataclasses.replace(moving, until=MORE)], out[1])
    launch(4, [moving, dataclasses.replace(planned(config, folder, out[4] / "apart"), apart=True)], out[4])
    return out


def store_of(name: str) -> str:
    return "discs" if name in ("window", "boxes") else "balls"


def planned(config: TrainingConfig, folder: Path, out: Path, store: str = "discs") -> PlannedRun:
    return PlannedRun(config.to_dict(), str(folder / store), str(out))


def torchrun(count: int, *arguments: str, restarts: int = 0) -> list[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    return [sys.executable, *launcher, f"--max-restarts={restarts}", *arguments]


def launch(count: int, runs: Sequence[PlannedRun], out: Path) -> None:
    write_plan(out / "plan", runs)
    arguments = torchrun(count, process_runs.__file__, str(out / "plan"))
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr


def assert_same_run(one: Path, other: Path) -> None:
    """Every loss, the validation, and the weights, whose difference is small beside what was learnt."""
    losses = [read_losses(path / LOSSES) for path in (one, other)]
    assert losses[0].keys() == losses[1].keys()
    assert losses[1] == pytest.approx(losses[0], abs=TOLERANCE)
    states = [torch.load(path / CHECKPOINT, weights_only=True) for path in (one, other)]
    assert states[0]["step"] == states[1]["step"]
    assert torch.equal(states[0]["generator"], states[1]["generator"])
    for kind in ("network", "average"):
        for name, values in states[0][kind].items():
            torch.testing.assert_close(states[1][kind][name], values, atol=2e-3, rtol=1e-3, msg=name)
    scores = [read_last_validation(path / VALIDATION) for path in (one, other)]
    assert scores[1] == pytest.approx(scores[0], abs=0.02)


def test_parts_of_a_process_change_nothing(alone: Path) -> None:
    assert_same_run(alone / "plain", alone / "accumulate")


def test_two_processes_train_as_one(alone: Path, together: dict[int, Path]) -> None:
    assert_same_run(alone / "plain", together[2] / "plain")


def test_four_processes_train_as_one_and_one_of_them_writes(alone: Path, together: dict[int, Path]) -> None:
    assert_same_run(alone / "plain", together[4] / "apart" / "0")
    for rank in (1, 2, 3):
        assert not list((together[4] / "apart" / str(rank)).iterdir())


@pytest.mark.parametrize("kind", list(varied()))
def test_all_kinds_of_training_do(alone: Path, together: dict[int, Path], kind: str) -> None:
    assert_same_run(alone / kind, together[2] / kind)


def test_a_run_goes_on_with_any_number_of_processes(folder: Path, alone: Path, together: dict[int, Path]) -> None:
    steps = {count: notes(together[count])[0][-1 if count == 1 else {2: 1, 4: 0}[count]]["step"] for count in (2, 1, 4)}
    assert steps == {2: PART, 1: MORE, 4: STEPS}
    assert_same_run(alone / "plain", folder / "moving")


def test_all_processes_hold_the_same_weights(together: dict[int, Path]) -> None:
    for count in (2, 4):
        found = notes(together[count])
        assert len(found) == count
        assert all(of_one == found[0] for of_one in found)


def notes(out: Path) -> list[list[dict[str, Any]]]:
    """What each process ended its runs with."""
    return [json.loads(path.read_text()) for path in sorted(out.glob("*.json"))]


class TestCommand:
    """``torchrun -m bedside train``."""

    @pytest.fixture
    def command(self, folder: Path, config: TrainingConfig, tmp_path: Path) -> Callable[..., list[str]]:
        values = json.loads(json.dumps({**config.to_dict(), "workers": 1}))
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(values))

        def make(*more: str, restarts: int = 0) -> list[str]:
            train = ["-m", "bedside", "train", str(tmp_path / "recipe.yaml"), "--initial", "none"]
            paths = ["--data", str(folder / "discs"), "--out", str(tmp_path / "out"), "--threads", "1"]
            return torchrun(2, *train, *paths, *more, restarts=restarts)

        return make

    @pytest.fixture
    def running(self) -> Iterator[Callable[[list[str]], subprocess.Popen[str]]]:
        begun: list[subprocess.Popen[str]] = []

        def begin(arguments: list[str]) -> subprocess.Popen[str]:
            begun.append(subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
            return begun[-1]

        yield begin
        for process in begun:
            if process.poll() is None:
                process.kill()
            process.wait()

    def test_a_killed_process_comes_back_and_the_run_ends_as_if_nothing_had_been(
        self,
        command: Callable[..., list[str]],
        running: Callable[[list[str]], subprocess.Popen[str]],
        alone: Path,
        tmp_path: Path,
    ) -> None:
        # With --restart, too, which must not be obeyed again.
        process = running(command("--restart", "--set", "validate_every=2", restarts=1))
        wait_for_step(tmp_path / "out", 3)
        first, second = children(process.pid)
        os.kill(first if rank_of(first) == 0 else second, signal.SIGKILL)
        printed, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
        assert len(own_lines(said)) == 1
        assert own_lines(said)[0].startswith("bedside: error: another process of the training ended: got ")
        assert printed.count("going on from step ") == 1
        assert "going on from step 0" not in printed
        assert printed.count("step 10/10 ") == 1
        losses = read_losses(tmp_path / "out" / LOSSES)
        assert losses == pytest.approx(read_losses(alone / "plain" / LOSSES), abs=TOLERANCE)
        starts = json.loads((tmp_path / "out" / "manifest.json").read_text())["starts"]
        assert [start["processes"] for start in starts] == [2, 2]

    def test_one_packs_and_the_signal_to_end_leaves_a_checkpoint_and_one_line(
        self,
        command: Callable[..., list[str]],
        running: Callable[[list[str]], subprocess.Popen[str]],
        make_data: Callable[..., Path],
        tmp_path: Path,
    ) -> None:
        data = make_data(tmp_path / "data" / "train").parent
        process = running(command("--data", str(data), "--steps", "1000", "--set", "held_out=[deep]"))
        wait_for_step(tmp_path / "out", 3)
        process.terminate()
        printed, said = process.communicate(timeout=300)
        assert own_lines(said) == ["bedside: interrupted"]
        assert printed.count("packing ") == 1
        step = torch.load(tmp_path / "out" / CHECKPOINT, weights_only=True)["step"]
        assert f"stopped at step {step} of 1000" in printed

    def test_what_all_reject_is_said_once(
        self, command: Callable[..., list[str]], running: Callable[[list[str]], subprocess.Popen[str]], tmp_path: Path
    ) -> None:
        process = running(command("--set", "batch=3"))
        _, said = process.communicate(timeout=300)
        assert process.returncode != 0
        (line,) = own_lines(said)
        assert line.startswith("bedside: error: batch: expected a multiple of 2 (2 processes, accumulate 1), got 3")
        assert not (tmp_path / "out").exists()


def own_lines(said: str) -> list[str]:
    """Those that are not torchrun's."""
    return [line for line in said.splitlines() if line.startswith("bedside: ")]


def wait_for_step(out: Path, step: int) -> None:
    for _ in range(3000):
        if max(read_losses(out / LOSSES), default=0) >= step:
            return
        time.sleep(0.05)
    raise AssertionError(f"step {step} was not reached")


def children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=True)
    return [int(number) for number in listed.stdout.split()]


def rank_of(pid: int) -> int:
    listed = subprocess.run(["ps", "eww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return int(listed.stdout.partition(" RANK=")[2].split()[0])
