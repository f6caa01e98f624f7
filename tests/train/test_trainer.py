from __future__ import annotations

import dataclasses
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import bedside.engines.window.training.task
from bedside.core.errors import InputError, WeightsError, WorkerError
from bedside.data.store import Store
from bedside.engines.window.training.task import SampleDataset
from bedside.train.checkpoint import CHECKPOINT
from bedside.train.config import TrainingConfig
from bedside.train.losses import segmentation_loss
from bedside.train.stages import Stage
from bedside.train.trainer import Trainer

CPU = torch.device("cpu")


def quiet(line: str) -> None:
    del line


def trainer(config: TrainingConfig, store: Store, folder: Path, **options: Any) -> Trainer:
    return Trainer(config, store, folder, CPU, **{"report": quiet, **options})


def state(made: Trainer) -> dict[str, Any]:
    return {
        "network": made.network.state_dict(),
        "average": made.average.state_dict(),
        "optimiser": made.optimiser.state_dict()["state"],
        "generator": made._generator.get_state(),
        "step": made.progress.step,
    }


def assert_same(a: Any, b: Any) -> None:
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for name in a:
            assert_same(a[name], b[name])
    elif isinstance(a, Tensor):
        assert torch.equal(a, b)
    else:
        assert a == b


def interrupt_after(step: int) -> Callable[[int], None]:
    def advance(done: int) -> None:
        if done == step:
            signal.raise_signal(signal.SIGINT)

    return advance


class TestResume:
    @pytest.mark.parametrize(("workers", "coarse_share"), [(0, 0.0), (1, 0.0), (0, 0.7)])
    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
    def test_a_run_that_was_stopped_ends_bit_for_bit_as_one_that_was_not(
        self, config: TrainingConfig, store: Store, tmp_path: Path, workers: int, coarse_share: float
    ) -> None:
        sampling = dataclasses.replace(config.sampling, grid=64)
        config = dataclasses.replace(config, coarse_share=coarse_share, sampling=sampling)
        whole = trainer(config, store, tmp_path / "whole")
        whole.run()
        config = dataclasses.replace(config, workers=workers)
        first = trainer(config, store, tmp_path / "parts", advance=interrupt_after(3))
        with pytest.raises(KeyboardInterrupt):
            first.run()
        assert first.progress.step == 3
        second = trainer(config, store, tmp_path / "parts")
        assert second.resume()
        assert_same(state(second), state(first))
        second.run()
        assert second.progress.step == 6
        assert_same(state(second), state(whole))
        changed = zip(whole.network.parameters(), trainer(config, store, tmp_path).network.parameters(), strict=True)
        assert any(not torch.equal(a, b) for a, b in changed)

    def test_an_error_within_a_step_leaves_a_checkpoint_from_before_it(
        self, config: TrainingConfig, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = trainer(config, store, tmp_path / "whole")
        whole.run()
        calls = []

        def fail_once(*arguments: Any) -> Tensor:
            calls.append(arguments)
            if len(calls) == 3:
                raise RuntimeError("out of memory")
            return segmentation_loss(*arguments)

        monkeypatch.setattr(bedside.engines.window.training.task, "segmentation_loss", fail_once)
        broken = trainer(config, store, tmp_path / "parts")
        with pytest.raises(RuntimeError, match="out of memory"):
            broken.run()
        second = trainer(config, store, tmp_path / "parts")
        assert second.resume()
        assert second.progress.step == 2
        second.run()
        assert_same(state(second), state(whole))

    def test_a_run_that_is_over_does_nothing_more(self, config: TrainingConfig, store: Store, tmp_path: Path) -> None:
        config = dataclasses.replace(config, steps=1)
        trainer(config, store, tmp_path).run()
        table = (tmp_path / "validation.csv").read_text()
        again = trainer(config, store, tmp_path)
        assert again.resume()
        before = [p.clone() for p in again.network.parameters()]
        again.run()
        assert all(torch.equal(a, b) for a, b in zip(before, again.network.parameters(), strict=True))
        assert (tmp_path / "validation.csv").read_text() == table

    def test_the_time_runs_out(self, config: TrainingConfig, store: Store, tmp_path: Path) -> None:
        made = trainer(config, store, tmp_path)
        made.run(minutes=1e-9)
        assert made.progress.step == 1
        assert (tmp_path / CHECKPOINT).is_file()

    def test_ctrl_c_works_as_before_after_the_run(self, config: TrainingConfig, store: Store, tmp_path: Path) -> None:
        trainer(dataclasses.replace(config, steps=1), store, tmp_path).run()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    def test_nothing_to_resume(self, config: TrainingConfig, store: Store, tmp_path: Path) -> None:
        assert not trainer(config, store, tmp_path).resume()

    def test_changed_settings_are_told(self, config: TrainingConfig, store: Store, tmp_path: Path) -> None:
        trainer(config, store, tmp_path).save()
        lines: list[str] = []
        changed = config.with_overrides({"steps": 9, "sampling.wide_share": 0.5})
        assert trainer(changed, store, tmp_path, report=lines.append).resume()
        begin = "setting changed since the checkpoint: "
        assert lines == [f"{begin}sampling.wide_share: 0.25 to 0.5", f"{begin}steps: 6 to 9"]

    def test_what_cannot_be_resumed(self, config: TrainingConfig, store: Store, tmp_path: Path) -> None:
        made = trainer(config, store, tmp_path)
        made.save()
        good = torch.load(tmp_path / CHECKPOINT, weights_only=True)
        for change, error, message in (
            ({"config": {**good["config"], "model": "other"}}, WeightsError, "one of other"),
            (
                {"config": {**good["config"], "task": "dynamic-prompts"}},
                InputError,
                "the task window, got one of dynamic",
            ),
            ({"store": "0" * 64}, InputError, "training store differs"),
            ({"format": "else"}, WeightsError, "something else"),
            ({"network": {"x": torch.zeros(1)}}, WeightsError, "differing in"),
        ):
            torch.save({**good, **change}, tmp_path / CHECKPOINT)
            with pytest.raises(error, match=message):
                made.resume()
        for content in (b"", b"no checkpoint", (tmp_path / CHECKPOINT).read_bytes()[:5000]):
            (tmp_path / CHECKPOINT).write_bytes(content)
            with pytest.raises(WeightsError, match="expected a checkpoint"):
                made.resume()


class TestStep:
    @staticmethod
    def batch(made: Trainer, size: int, first: int = 0) -> Any:
        dataset: Any = made.task.dataset(made.task.stages()[0])
        return dataset.__getitems__(range(first, first + size))

    @staticmethod
    def stage(batch: int, accumulate: int = 1) -> Stage:
        return Stage(0, 6, 32, batch, 0, accumulate)

    def test_accumulated_batches_give_the_gradient_of_their_mean(
        self, config: TrainingConfig, store: Store, tmp_path: Path
    ) -> None:
        config = dataclasses.replace(config, round_probabilities=(1.0,), learning_rate=1e-3, warmup_steps=0)
        made = trainer(config, store, tmp_path)
        parts = [self.batch(made, 1, n) for n in range(4)]
        losses = [made._backward(part) for part in parts]
        expected = [p.grad / 4 for p in made.network.parameters() if p.grad is not None]
        made.optimiser.zero_grad()
        seen = {}

        def record(step: int, config: TrainingConfig, **figures: float) -> None:
            seen.update(figures)

        made._log.step = record  # type: ignore[method-assign,assignment]
        gradients: list[Tensor] = []
        made.optimiser.step = lambda *_: gradients.extend(  # type: ignore[method-assign]
            p.grad.clone() for p in made.network.parameters() if p.grad is not None
        )
        made.config = dataclasses.replace(config, gradient_clip=0)
        made._step(iter(parts), self.stage(1, 4))
        assert seen["loss"] == pytest.approx(np.mean(losses))
        assert seen["samples"] == 4
        for got, wanted in zip(gradients, expected, strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-7)

    @pytest.mark.parametrize(("limit", "clipped"), [(0.0, False), (1e-3, True), (1e6, False)])
    def test_the_gradient_is_clipped_where_a_limit_is_set(
        self, config: TrainingConfig, store: Store, tmp_path: Path, limit: float, clipped: bool
    ) -> None:
        made = trainer(dataclasses.replace(config, gradient_clip=limit), store, tmp_path)
        norms: list[float] = []
        made.optimiser.step = lambda *_: norms.append(  # type: ignore[method-assign]
            float(torch.stack([p.grad.norm() for p in made.network.parameters() if p.grad is not None]).norm())
        )
        made._step(iter([self.batch(made, 2)]), self.stage(2))
        assert (norms[0] <= 1.001e-3) == clipped

    def test_groups_have_their_own_learning_rate(self, config: TrainingConfig, store: Store, tmp_path: Path) -> None:
        made = trainer(dataclasses.replace(config, warmup_steps=0), store, tmp_path)
        made.optimiser.param_groups[1]["scale"] = 0.25
        made._step(iter([self.batch(made, 2)]), self.stage(2))
        rates = [group["lr"] for group in made.optimiser.param_groups]
        assert rates == [config.learning_rate, config.learning_rate / 4]

    def test_a_step_that_is_not_finite_is_left_out(
        self, config: TrainingConfig, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = trainer(config, store, tmp_path)
        before = [p.clone() for p in made.network.parameters()]
        batch = self.batch(made, 2)
        with monkeypatch.context() as patch:
            patch.setattr(
                bedside.engines.window.training.task, "segmentation_loss", lambda logits, *_: logits.sum() * torch.nan
            )
            made._step(iter([batch]), self.stage(2))
        assert made.progress.step == 1
        assert all(torch.equal(a, b) for a, b in zip(before, made.network.parameters(), strict=True))
        made._step(iter([batch]), self.stage(2))
        assert any(not torch.equal(a, b) for a, b in zip(before, made.network.parameters(), strict=True))
        assert all(bool(p.isfinite().all()) for p in made.network.parameters())

    @pytest.mark.parametrize(("step", "decay"), [(0, 0.1), (10, 0.55), (10**6, 0.9)])
    def test_the_average_follows_the_weights(
        self, config: TrainingConfig, store: Store, tmp_path: Path, step: int, decay: float
    ) -> None:
        made = trainer(dataclasses.replace(config, ema_decay=0.9), store, tmp_path)
        made.progress.step = step
        before = [p.clone() for p in made.average.parameters()]
        with torch.no_grad():
            for parameter in made.network.parameters():
                parameter.add_(1)
        made._update_average()
        for old, new in zip(before, made.average.parameters(), strict=True):
            torch.testing.assert_close(new, old + (1 - decay))

    def test_running_statistics_are_those_of_the_weights(
        self, config: TrainingConfig, store: Store, tmp_path: Path
    ) -> None:
        made = trainer(config, store, tmp_path)
        for network in (made.network, made.average):
            network.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        made.network.get_buffer("seen").add_(3)
        made._update_average()
        assert int(made.average.get_buffer("seen")) == 3

    @pytest.mark.slow
    def test_the_loss_falls(self, config: TrainingConfig, store: Store, tmp_path: Path) -> None:
        config = dataclasses.replace(config, steps=50, batch=4, warmup_steps=5, validate_every=100)
        lines: list[str] = []
        trainer(config, store, tmp_path, report=lines.append).run()
        losses = [float(line.split("loss ")[1].split()[0]) for line in lines if "loss" in line]
        assert len(losses) == 50
        assert np.mean(losses[-10:]) < 0.75 * np.mean(losses[:10])


class TestPrivacy:
    def test_without_held_out_sets_there_is_no_validation(
        self, config: TrainingConfig, store: Store, tmp_path: Path
    ) -> None:
        assert trainer(dataclasses.replace(config, held_out=()), store, tmp_path).validate() == {}
        assert not (tmp_path / "validation.csv").exists()

    @pytest.mark.parametrize("workers", [0, 1])
    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
    def test_global_generators_are_left_alone(
        self, config: TrainingConfig, store: Store, tmp_path: Path, workers: int
    ) -> None:
        before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
        trainer(dataclasses.replace(config, steps=2, workers=workers), store, tmp_path).run()
        after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
        assert before[:2] == after[:2]
        assert torch.equal(before[2], after[2])

    def test_a_run_does_not_depend_on_global_generators(
        self, config: TrainingConfig, store: Store, tmp_path: Path
    ) -> None:
        made = []
        for seed in (0, 1):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                made.append(trainer(dataclasses.replace(config, steps=2), store, tmp_path / str(seed)))
                made[-1].run()
        assert_same(state(made[0]), state(made[1]))

    def test_an_error_in_a_worker_is_one_clear_line(
        self, config: TrainingConfig, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(self: SampleDataset, indices: list[int]) -> dict[str, Any]:
            raise InputError("training store", expected="objects large enough to sample", got="20 misses")

        monkeypatch.setattr(SampleDataset, "__getitems__", fail)
        for workers in (0, 1):
            with pytest.raises(InputError) as caught:
                trainer(dataclasses.replace(config, workers=workers), store, tmp_path).run()
            assert str(caught.value) == "training store: expected objects large enough to sample, got 20 misses"

    @pytest.mark.skipif(os.name != "posix", reason="signals of POSIX systems")
    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
    @pytest.mark.parametrize("end", ["killed", "exited"])
    def test_a_worker_that_dies_is_one_line_and_the_work_is_kept(
        self, config: TrainingConfig, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
    ) -> None:
        def die(self: SampleDataset, indices: list[int]) -> dict[str, Any]:
            if end == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            os._exit(1)

        monkeypatch.setattr(SampleDataset, "__getitems__", die)
        with pytest.raises(WorkerError, match="goes on from the checkpoint") as caught:
            trainer(dataclasses.replace(config, workers=1), store, tmp_path).run()
        assert "\n" not in str(caught.value)
        monkeypatch.undo()
        again = trainer(config, store, tmp_path)
        assert again.resume()


def test_validation_is_the_same_every_time(config: TrainingConfig, store: Store, tmp_path: Path) -> None:
    made = trainer(config, store, tmp_path)
    first = made.validate()
    assert list(first) == [f"dsc_round_{n}" for n in range(4)]
    assert made.validate() == first
    rows = (tmp_path / "validation.csv").read_text().splitlines()
    assert rows[0] == "step,dsc_round_0,dsc_round_1,dsc_round_2,dsc_round_3"
    assert rows[1] == rows[2]
