from __future__ import annotations

import dataclasses
import json
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import bedside.engines.nninteractive.training.sampling
import bedside.engines.nninteractive.training.task
from bedside.core.errors import InputError
from bedside.data.catalogue import find_data_sets
from bedside.data.prepare import object_table
from bedside.data.store import Item, ItemInfo, Store, write_store
from bedside.engines.nninteractive.settings import InteractionSettings
from bedside.engines.nninteractive.training.task import DynamicTask, Options, create
from bedside.train.config import TrainingConfig
from bedside.train.initial import read_start
from bedside.train.losses import dynamic_prompt_loss
from bedside.train.memory import OVERHEAD, activation_bytes, weight_bytes
from bedside.train.recipes import load_recipe
from bedside.train.run import run_training
from bedside.train.trainer import Trainer
from bedside.weights.store import WeightsFiles

CPU = torch.device("cpu")
SMALL = {"widths": [2, 2, 4, 4, 4, 4], "depths": [1] * 6}
DATA = Path(__file__).parents[5] / "shared" / "data" / "train" / "3d"
PUBLIC_LICENCE = "CC-BY-NC-SA-4.0"


@pytest.fixture
def small() -> TrainingConfig:
    """Three steps of two samples, one at a time, with a network that is nnInteractive's but for its widths."""
    return TrainingConfig.from_dict(
        {
            **load_recipe("dynamic-prompts").to_dict(),
            **{"steps": 3, "batch": 2, "learning_rate": 1e-3, "precision": "fp32", "workers": 0, "held_out": ["held"]},
            **{"log_every": 1, "validate_every": 3, "validation_samples": 1},
            "options": {"grid": 64, "micro_batch": 1, "validation_clicks": 1, **SMALL},
        }
    )


def trainer(config: TrainingConfig, store: Store, folder: Path, **options: Any) -> Trainer:
    return Trainer(config, store, folder, CPU, **{"report": lambda _: None, **options})


def batch_of(task: DynamicTask, size: int) -> dict[str, Tensor]:
    dataset = task.dataset(task.stages()[0])
    samples = [dataset[n] for n in range(size)]
    return {k: torch.from_numpy(np.stack([s[k] for s in samples])) for k in samples[0]}


class Nothing(nn.Module):
    """Answers that there is no object, and counts its answers with and without gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.tensor(-1.0))
        self.passes: Counter[bool] = Counter()

    def forward(self, x: Tensor) -> Tensor:
        self.passes[torch.is_grad_enabled()] += 1
        return torch.zeros_like(x[:, :1]) + self.bias


def test_the_recipe_is_the_published_one() -> None:
    config = load_recipe("dynamic-prompts")
    assert (config.model, config.task) == ("nninteractive", "dynamic-prompts")
    assert (config.learning_rate, config.weight_decay) == (1e-4, 1e-5)
    assert (config.warmup_steps, config.cooldown, config.gradient_clip) == (0, 0, 0)
    options = config.options
    assert (options.grid, options.round_probabilities, options.dice_weight) == (192, (0.5, 0.5), 10)
    assert (config.batch, options.micro_batch) == (16, 2)
    assert (options.widths, options.depths) == ((32, 64, 128, 256, 320, 320), (1, 3, 4, 6, 6, 6))


class TestLoss:
    def test_it_is_cross_entropy_of_two_classes_and_ten_times_the_dice_loss(self) -> None:
        generator = torch.Generator().manual_seed(0)
        logits = torch.randn((3, 2, 5, 6, 7), generator=generator)
        truth = (torch.rand((3, 5, 6, 7), generator=generator) > 0.6).long()
        truth[2] = 0
        expected = nn.functional.cross_entropy(logits, truth)
        probability = (logits[:, 1] - logits[:, 0]).sigmoid()
        dice = []
        for p, t in zip(probability, truth.float(), strict=True):
            dice.append((2 * (p * t).sum() + 1e-3) / (p.sum() + t.sum() + 1e-3))
        expected = expected + 10 * (1 - torch.stack(dice).mean())
        ours = dynamic_prompt_loss(logits[:, 1] - logits[:, 0], truth.float(), 10.0)
        torch.testing.assert_close(ours, expected)

    def test_the_parts_of_a_batch_make_up_the_whole(self) -> None:
        generator = torch.Generator().manual_seed(0)
        logits = torch.randn((5, 4, 4, 4), generator=generator)
        truth = (torch.rand((5, 4, 4, 4), generator=generator) > 0.5).float()
        parts = [dynamic_prompt_loss(logits[p], truth[p], 10.0) * n for p, n in ((slice(2), 0.4), (slice(2, 5), 0.6))]
        torch.testing.assert_close(torch.stack(parts).sum(), dynamic_prompt_loss(logits, truth, 10.0))


class TestRounds:
    def test_the_number_of_clicks_follows_its_probabilities_whatever_was_clicked(
        self, small: TrainingConfig, volume_store: Store
    ) -> None:
        """A click of the published code seeds the generator that the next number comes from: always 1 after a tie."""
        options = dataclasses.replace(small.options, round_probabilities=(0.5, 0.3, 0.2))
        task = create(dataclasses.replace(small, options=options), volume_store, CPU)
        batch = batch_of(task, 1)
        generator = torch.Generator().manual_seed(0)
        counts: Counter[int] = Counter()
        following: Counter[tuple[int, int]] = Counter()
        before = None
        for _ in range(120):
            network = Nothing()
            losses = list(task.losses(network, batch, generator))
            assert len(losses) == network.passes[True] == 1
            rounds = network.passes[False]
            counts[rounds] += 1
            if before is not None:
                following[before > 0, rounds > 0] += 1
            before = rounds
        assert [counts[n] / 120 for n in range(3)] == pytest.approx([0.5, 0.3, 0.2], abs=0.12)
        after_clicks = following[True, True] / (following[True, True] + following[True, False])
        assert 0.25 < after_clicks < 0.75

    def test_micro_batches_give_the_gradient_of_the_whole_batch(
        self, small: TrainingConfig, volume_store: Store
    ) -> None:
        options = dataclasses.replace(small.options, micro_batch=3, round_probabilities=(0.0, 1.0))
        config = dataclasses.replace(small, batch=3, options=options)
        gradients, losses = [], []
        for size in (3, 2):
            task = create(config, volume_store, CPU)
            torch.manual_seed(0)
            network = task.build()
            task.micro_batch = size
            parts = list(task.losses(network, batch_of(task, 3), torch.Generator().manual_seed(1)))
            assert len(parts) == (1 if size == 3 else 2)
            torch.stack(parts).sum().backward()
            losses.append(float(torch.stack(parts).sum().detach()))
            gradients.append(torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]))
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
        assert float((gradients[0] - gradients[1]).norm() / gradients[0].norm()) < 1e-3


class TestRun:
    def test_a_run_that_was_stopped_ends_bit_for_bit_as_one_that_was_not(
        self, small: TrainingConfig, volume_store: Store, tmp_path: Path
    ) -> None:
        small = dataclasses.replace(small, steps=2, validate_every=2)
        whole = trainer(small, volume_store, tmp_path / "whole")
        whole.run()
        assert whole.samples == 4

        def interrupt(step: int) -> None:
            if step == 1:
                signal.raise_signal(signal.SIGINT)

        first = trainer(small, volume_store, tmp_path / "parts", advance=interrupt)
        with pytest.raises(KeyboardInterrupt):
            first.run()
        second = trainer(small, volume_store, tmp_path / "parts")
        assert second.resume()
        assert second.progress.step == 1
        second.run()
        for a, b in zip(whole.network.parameters(), second.network.parameters(), strict=True):
            assert torch.equal(a, b)
        # Without an average the weights that are kept are the last ones.
        for a, b in zip(second.average.parameters(), second.network.parameters(), strict=True):
            assert torch.equal(a, b)
        tables = [(tmp_path / name / "validation.csv").read_text() for name in ("whole", "parts")]
        assert tables[0] == tables[1]
        assert tables[0].splitlines()[0] == "step,dsc_round_0,dsc_round_1"

    def test_a_step_that_is_not_finite_is_skipped(
        self, small: TrainingConfig, volume_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = trainer(small, volume_store, tmp_path)
        before = [p.clone() for p in made.network.parameters()]
        stage = made.task.stages()[0]
        batches = [batch_of(made.task, 1)] * 2  # type: ignore[arg-type]
        with monkeypatch.context() as patch:
            patch.setattr(
                bedside.engines.nninteractive.training.task,
                "dynamic_prompt_loss",
                lambda logits, *_: logits.sum() * torch.nan,
            )
            made._step(iter(batches), stage)
        assert made.progress.step == 1
        assert all(torch.equal(a, b) for a, b in zip(before, made.network.parameters(), strict=True))
        made._step(iter(batches), stage)
        assert any(not torch.equal(a, b) for a, b in zip(before, made.network.parameters(), strict=True))

    def test_bfloat16_takes_a_step(self, small: TrainingConfig, volume_store: Store, tmp_path: Path) -> None:
        config = dataclasses.replace(small, steps=1, precision="bf16", held_out=())
        made = trainer(config, volume_store, tmp_path)
        before = [p.clone() for p in made.network.parameters()]
        made.run()
        assert any(not torch.equal(a, b) for a, b in zip(before, made.network.parameters(), strict=True))
        assert all(bool(p.isfinite().all()) for p in made.network.parameters())

    def test_held_out_sets_are_never_sampled_for_training(
        self, small: TrainingConfig, volume_store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        drawn: list[str] = []
        original = bedside.engines.nninteractive.training.sampling.CropSampler._crop

        def record(sampler: Any, item: Any) -> Any:
            drawn.append(item.info.set_name)
            return original(sampler, item)

        monkeypatch.setattr(bedside.engines.nninteractive.training.sampling.CropSampler, "_crop", record)
        task = create(small, volume_store, CPU)
        batch_of(task, 12)
        assert set(drawn) == {"one"}
        drawn.clear()
        scores = task.validate(Nothing())
        assert set(drawn) == {"held"}
        assert scores == {"dsc_round_0": 0.0, "dsc_round_1": 0.0}
        assert create(dataclasses.replace(small, held_out=()), volume_store, CPU).validate(Nothing()) == {}

    @pytest.mark.slow
    def test_the_loss_falls(self, small: TrainingConfig, volume_store: Store, tmp_path: Path) -> None:
        assert _loss_falls(small, volume_store, tmp_path)

    @pytest.mark.slow
    @pytest.mark.skipif(not (DATA / "mr3d_msd_hippocampus").is_dir(), reason="needs ../shared/data")
    def test_the_loss_falls_on_real_volumes(self, small: TrainingConfig, tmp_path: Path) -> None:
        items = []
        for case in find_data_sets(DATA / "mr3d_msd_hippocampus")[0].cases[:3]:
            read = case.load()
            maps = read.labels.astype(np.uint16)[None]
            info = ItemInfo(case.id, case.set_name, "image", case.modality, None, ("label",))
            items.append(Item(info, read.image.array, maps, object_table(maps)))
        write_store(tmp_path / "store", items)
        config = dataclasses.replace(small, held_out=())
        assert _loss_falls(config, Store(tmp_path / "store"), tmp_path / "out")


def _loss_falls(config: TrainingConfig, store: Store, folder: Path) -> bool:
    options = dataclasses.replace(config.options, widths=(4, 8, 8, 8, 8, 8), round_probabilities=(0.8, 0.2))
    config = dataclasses.replace(config, steps=30, batch=1, learning_rate=1e-2, validate_every=30, options=options)
    lines: list[str] = []
    trainer(config, store, folder, report=lines.append).run()
    losses = [float(line.split("loss ")[1].split()[0]) for line in lines if "loss" in line]
    assert len(losses) == 30
    return bool(np.mean(losses[-5:]) < 0.95 * np.mean(losses[:5]))


class TestMemory:
    def test_samples_then_stages_are_given_up(self, small: TrainingConfig, volume_store: Store) -> None:
        options = dataclasses.replace(small.options, micro_batch=2, widths=(8,) * 6)
        config = dataclasses.replace(small, batch=2, options=options)
        task = create(config, volume_store, CPU)
        network = task.build()
        assert task.fit_memory(network, None) is None
        assert task.fit_memory(network, 100.0) is None
        assert task.micro_batch == 2
        inputs = torch.zeros(1, 8, 64, 64, 64)
        before = activation_bytes(network, inputs, "fp32")
        each = OVERHEAD * (before + 2 * inputs.numel() * 4)
        fixed = weight_bytes(network)
        assert task.fit_memory(network, (fixed + 1.5 * each) / 1e9) == (
            "samples are taken 1 at a time to stay below the memory"
        )
        line = task.fit_memory(network, (fixed + 0.9 * each) / 1e9)
        assert line is not None
        assert "1 at a time, 3 of 12 stages computed twice to stay below the memory" in line
        assert activation_bytes(network, inputs, "fp32") < 0.8 * before
        with pytest.raises(InputError, match=r"memory: expected at least .* GB for one sample"):
            task.fit_memory(network, (fixed + 0.5 * each) / 1e9)
        for memory in (0.0, -1.0, float("inf")):
            with pytest.raises(InputError, match="expected a positive number of GB"):
                task.fit_memory(network, memory)


class TestWeights:
    @pytest.fixture
    def data(self, volume_store: Store, tmp_path: Path) -> Path:
        write_store(tmp_path / "packed", volume_store.items)
        return tmp_path / "packed"

    def test_it_starts_from_a_published_folder_and_the_result_inherits_its_licence(
        self, small: TrainingConfig, data: Path, tmp_path: Path, nninteractive_folder: Callable[..., Path]
    ) -> None:
        published = nninteractive_folder(small.options.widths, small.options.depths)
        config = dataclasses.replace(small, steps=1, learning_rate=1e-9, held_out=())
        result = run_training(
            config, data, tmp_path / "out", device="cpu", initial=str(published), report=lambda _: None
        )
        start = read_start(published, config)
        assert start.licence == PUBLIC_LICENCE
        state = torch.load(tmp_path / "out" / "checkpoint.pt", weights_only=True)["network"]
        assert all(torch.allclose(state[name], value.float(), atol=1e-6) for name, value in start.tensors.items())
        assert result.weights is not None
        files = WeightsFiles.in_folder("nninteractive", result.weights)
        assert files.complete
        card = files.card
        assert card.licence == PUBLIC_LICENCE
        assert card.training["initial"]["licence"] == PUBLIC_LICENCE
        assert card.training["initial"]["file"] == "checkpoint_final.pth"
        assert card.training["patch"] == 64
        settings = InteractionSettings.from_metadata(card.training["interactions"])
        assert settings.supported["bbox3d"]
        assert settings.pairs == InteractionSettings().pairs
        # What was made can be the start of another run.
        again = read_start(files.tensors, config)
        assert again.licence == PUBLIC_LICENCE
        assert again.tensors.keys() == start.tensors.keys()

    def test_from_nothing_the_result_is_under_this_projects_licence(
        self, small: TrainingConfig, data: Path, tmp_path: Path
    ) -> None:
        config = dataclasses.replace(small, steps=1, held_out=())
        result = run_training(config, data, tmp_path / "out", device="cpu", report=lambda _: None)
        assert result.weights is not None
        card = json.loads((result.weights / "nninteractive.json").read_text())
        assert card["licence"] == "Apache-2.0"
        assert card["training"]["samples"] == 2

    @pytest.mark.slow
    def test_the_result_answers_prompts(
        self, small: TrainingConfig, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from bedside.core.image import Image
        from bedside.core.prompts import Box, Point
        from bedside.engines.load import load_segmenter

        config = dataclasses.replace(small, steps=1, held_out=())
        result = run_training(config, data, tmp_path / "out", device="cpu", report=lambda _: None)
        monkeypatch.setenv("BEDSIDE_WEIGHTS", str(result.weights))
        segmenter = load_segmenter("nninteractive", window="adaptive-crop")
        volume = Store(data).items[0].image
        segmenter.set_image(Image.from_array(volume))
        box = Box((10.0, 8.0, 7.0), (27.0, 25.0, 24.0))
        answer = segmenter.predict([box])
        assert answer.logits.shape == (64, 64, 64)
        again = segmenter.predict([box, Point((18.0, 16.0, 15.0))], np.zeros(volume.shape, np.uint8))
        assert again.passes == 1
        assert not np.array_equal(answer.logits, again.logits)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid": 48}, r"options\.grid: expected a multiple of 32, 64 at least"),
        ({"grid": 100}, r"options\.grid"),
        ({"micro_batch": 0}, r"options\.micro_batch: expected at least 1"),
        ({"round_probabilities": [0.5, 0.6]}, "add up to 1"),
        ({"round_probabilities": []}, "add up to 1"),
        ({"dice_weight": -1}, r"options\.dice_weight"),
        ({"decay": 0}, r"options\.decay"),
        ({"clicks": "slow"}, r"options\.clicks: expected exact or fast"),
        ({"click_share": 1.5}, r"options\.click_share"),
        ({"validation_clicks": -1}, r"options\.validation_clicks"),
        ({"widths": [2, 2]}, r"options\.widths: expected 6 whole numbers"),
        ({"depths": [1, 1, 1, 1, 1, 0]}, r"options\.depths"),
        ({"grid": "many"}, r"options\.grid: expected int"),
        ({"girth": 3}, r"got options\.girth"),
    ],
)
def test_unusable_options_are_rejected_in_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_recipe("dynamic-prompts").with_overrides({f"options.{name}": value for name, value in change.items()})
    assert "\n" not in str(caught.value)
    assert load_recipe("dynamic-prompts").options == Options(round_probabilities=(0.5, 0.5))


def test_other_models_and_batches_are_rejected(small: TrainingConfig, volume_store: Store) -> None:
    with pytest.raises(InputError, match="model for dynamic prompts: expected nninteractive"):
        create(dataclasses.replace(small, model="bedside-3d"), volume_store, CPU)
    options = dataclasses.replace(small.options, micro_batch=2)
    with pytest.raises(InputError, match="training setting batch: expected a multiple of 2"):
        create(dataclasses.replace(small, batch=3, options=options), volume_store, CPU)
