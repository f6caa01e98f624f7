from __future__ import annotations

import dataclasses
import itertools
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import bedside.data.sampling
import bedside.train.trainer
from bedside.core.errors import InputError, WeightsError
from bedside.data.store import Store
from bedside.train.config import TrainingConfig
from bedside.train.losses import segmentation_loss
from bedside.train.trainer import (
    CHECKPOINT,
    SampleDataset,
    Trainer,
    changed_settings,
    learning_rate,
    load_weights,
)

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

        monkeypatch.setattr(bedside.train.trainer, "segmentation_loss", fail_once)
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
        assert changed_settings(config.to_dict(), config.to_dict()) == []

    def test_what_cannot_be_resumed(self, config: TrainingConfig, store: Store, tmp_path: Path) -> None:
        made = trainer(config, store, tmp_path)
        made.save()
        good = torch.load(tmp_path / CHECKPOINT, weights_only=True)
        for change, error, message in (
            ({"config": {**good["config"], "model": "other"}}, WeightsError, "one of other"),
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
    def batch(made: Trainer, size: int) -> dict[str, Tensor]:
        samples = [SampleDataset(made._train_sampler)[n] for n in range(size)]
        return {k: torch.from_numpy(np.stack([s[k] for s in samples])) for k in samples[0]}

    @pytest.mark.parametrize("chances", [(1.0,), (0.0, 1.0)])
    def test_micro_batches_give_the_gradient_of_the_whole_batch(
        self, config: TrainingConfig, store: Store, tmp_path: Path, chances: tuple[float, ...]
    ) -> None:
        config = dataclasses.replace(config, batch=5, round_probabilities=chances)
        gradients, losses = [], []
        for size in (5, 2):
            made = trainer(config, store, tmp_path)
            made.micro_batch = size
            batch = self.batch(made, 5)
            # Where the shares of cells inside the image differ, a mean of the parts' means would be wrong.
            batch["inside"][0, :, :25] = False
            losses.append(made._backward(batch))
            gradients.append(torch.cat([p.grad.flatten() for p in made.network.parameters() if p.grad is not None]))
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
        assert float((gradients[0] - gradients[1]).norm() / gradients[0].norm()) < 1e-4

    def test_a_step_that_is_not_finite_is_left_out(
        self, config: TrainingConfig, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = trainer(config, store, tmp_path)
        before = [p.clone() for p in made.network.parameters()]
        batch = self.batch(made, 2)
        with monkeypatch.context() as patch:
            patch.setattr(bedside.train.trainer, "segmentation_loss", lambda logits, *_: logits.sum() * torch.nan)
            made._step(batch, 0.0)
        assert made.progress.step == 1
        assert all(torch.equal(a, b) for a, b in zip(before, made.network.parameters(), strict=True))
        made._step(batch, 0.0)
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

    @pytest.mark.slow
    def test_the_loss_falls(self, config: TrainingConfig, store: Store, tmp_path: Path) -> None:
        config = dataclasses.replace(config, steps=50, batch=4, warmup_steps=5, validate_every=100)
        lines: list[str] = []
        trainer(config, store, tmp_path, report=lines.append).run()
        losses = [float(line.split("loss ")[1].split()[0]) for line in lines if "loss" in line]
        assert len(losses) == 50
        assert np.mean(losses[-10:]) < 0.75 * np.mean(losses[:10])


class TestPrivacy:
    def test_held_out_sets_are_never_sampled_for_training(
        self, config: TrainingConfig, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        drawn: list[str] = []
        original = bedside.data.sampling._draw_object

        def record(item: Any, generator: np.random.Generator) -> Any:
            drawn.append(item.info.set_name)
            return original(item, generator)

        monkeypatch.setattr(bedside.data.sampling, "_draw_object", record)
        made = trainer(config, store, tmp_path)
        for number in range(80):
            made._train_sampler.sample(number)
        assert set(drawn) == {"one", "two"}
        drawn.clear()
        made.validate()
        assert set(drawn) == {"held"}

    def test_without_held_out_sets_there_is_no_validation(
        self, config: TrainingConfig, store: Store, tmp_path: Path
    ) -> None:
        assert trainer(dataclasses.replace(config, held_out=()), store, tmp_path).validate() == []
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
        def fail(self: SampleDataset, index: int) -> dict[str, Any]:
            raise InputError("training store", expected="objects large enough to sample", got="20 misses")

        monkeypatch.setattr(SampleDataset, "__getitem__", fail)
        for workers in (0, 1):
            with pytest.raises(InputError) as caught:
                trainer(dataclasses.replace(config, workers=workers), store, tmp_path).run()
            assert str(caught.value) == "training store: expected objects large enough to sample, got 20 misses"


def test_validation_is_the_same_every_time(config: TrainingConfig, store: Store, tmp_path: Path) -> None:
    made = trainer(config, store, tmp_path)
    first = made.validate()
    assert len(first) == 4
    assert made.validate() == first
    rows = (tmp_path / "validation.csv").read_text().splitlines()
    assert rows[0] == "step,dsc_round_0,dsc_round_1,dsc_round_2,dsc_round_3"
    assert rows[1] == rows[2]


def test_learning_rate_rises_stays_and_falls_to_zero(config: TrainingConfig) -> None:
    config = dataclasses.replace(config, steps=100, warmup_steps=10, cooldown=0.5, learning_rate=1.0)
    rates = [learning_rate(config, step) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9:51] == [1.0] * 42
    assert rates[75] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0.0)
    assert all(a >= b for a, b in itertools.pairwise(rates[50:]))


def test_starting_weights_must_fit(config: TrainingConfig, store: Store, tmp_path: Path) -> None:
    made = trainer(config, store, tmp_path)
    weights = {name: value.half() for name, value in made.network.state_dict().items()}
    other = trainer(dataclasses.replace(config, seed=8), store, tmp_path, initial=weights)
    for name, value in other.average.state_dict().items():
        assert torch.equal(value, weights[name].float())
    name = next(iter(weights))
    with pytest.raises(WeightsError, match="differing in"):
        load_weights(made.network, {k: v for k, v in weights.items() if k != name})
    with pytest.raises(WeightsError, match=f"weights '{name}'"):
        load_weights(made.network, {**weights, name: torch.zeros(2)})
