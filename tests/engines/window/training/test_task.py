from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import bedside.engines.window.sampling.plane_sampler
import bedside.engines.window.sampling.volume_sampler
from bedside.core.errors import InputError, WeightsError
from bedside.data.store import Item, Store
from bedside.engines.window.blocks.pretrained_unet import PretrainedUNet
from bedside.engines.window.sampling.packed_table import PackedTable
from bedside.engines.window.training.task import TABLE, WindowTask, create
from bedside.train.config import TrainingConfig
from bedside.train.memory import OVERHEAD, activation_bytes, weight_bytes
from bedside.train.stages import Stage
from bedside.train.trainer import Trainer
from bedside.train.validation import grid_dice

CPU = torch.device("cpu")
TOLERANCE = 1e-3
"""Of losses on another machine: sums in another order, over six steps."""
LOSSES = {
    (32, 0.0): [1.2105167, 1.4335207, 1.0453498, 1.3866892, 1.3419211, 1.2428650],
    (64, 0.5): [1.3285258, 1.2425405, 1.3311107, 1.0985913, 0.9701602, 1.1429478],
}
"""By grid and share of coarse steps, noted when appearance began to be changed in whole batches."""


def drawn_batch(task: WindowTask, stage: Stage, numbers: Iterable[int]) -> dict[str, PackedTable]:
    """The samples of a batch, as the loader draws them."""
    dataset: Any = task.dataset(stage)
    batch: dict[str, PackedTable] = dataset.__getitems__(list(numbers))
    return batch


def losses_of(config: TrainingConfig, store: Store, folder: Path, steps_of: Callable[[Trainer], None]) -> list[float]:
    made = Trainer(config, store, folder, CPU, report=lambda _: None)
    losses: list[float] = []
    original = made._log.step

    def record(step: int, config: TrainingConfig, **figures: Any) -> None:
        losses.append(figures["loss"])
        original(step, config, **figures)

    made._log.step = record  # type: ignore[method-assign]
    steps_of(made)
    return losses


@pytest.mark.parametrize(("grid", "coarse_share"), LOSSES)
def test_losses_are_those_that_were_noted(
    config: TrainingConfig, store: Store, tmp_path: Path, grid: int, coarse_share: float
) -> None:
    config = config.with_overrides({"batch": 3, "sampling.grid": grid, "coarse_share": coarse_share})
    losses = losses_of(config, store, tmp_path, lambda made: made.run())
    assert losses == pytest.approx(LOSSES[grid, coarse_share], rel=TOLERANCE)


class TestParts:
    @staticmethod
    def batch(task: WindowTask, size: int) -> Any:
        return drawn_batch(task, task.stages()[0], range(size))

    @pytest.mark.parametrize("chances", [(1.0,), (0.0, 1.0)])
    def test_parts_give_the_gradient_of_the_whole_batch(
        self, config: TrainingConfig, store: Store, chances: tuple[float, ...]
    ) -> None:
        config = dataclasses.replace(config, batch=5, round_probabilities=chances)
        gradients, losses, counts = [], [], []
        for size in (5, 2):
            task = create(config, store, CPU)
            torch.manual_seed(0)
            network = task.build()
            task.micro_batch = size
            task.begin(task.stages()[0], network)
            batch = self.batch(task, 5)
            # Where the shares of cells inside the image differ, a mean of the parts' means would be wrong.
            batch[TABLE].unpack()["inside"][0, :, :25] = False
            parts = list(task.losses(network, batch, torch.Generator().manual_seed(1)))
            counts.append(len(parts))
            torch.stack(parts).sum().backward()
            losses.append(float(torch.stack(parts).sum().detach()))
            gradients.append(torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]))
        assert counts == [1, 3]
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
        assert float((gradients[0] - gradients[1]).norm() / gradients[0].norm()) < 1e-4

    def test_coarse_stages_take_more_samples_at_once(self, config: TrainingConfig, volume_store: Store) -> None:
        overrides = {"model": "bedside-3d", "batch": 8, "coarse_share": 0.5, "sampling.grid": 64}
        task = create(config.with_overrides(overrides), volume_store, CPU)
        task.micro_batch = 1
        parts = []
        for stage in task.stages():
            task.begin(stage, torch.nn.Identity())
            parts.append(task._part)
        assert parts == [8, 1]

    def test_memory_sets_the_parts(self, config: TrainingConfig, store: Store) -> None:
        task = create(dataclasses.replace(config, batch=8), store, CPU)
        network = task.build()
        assert task.fit_memory(network, None) is None
        assert task.micro_batch == 8
        each = OVERHEAD * activation_bytes(network, torch.zeros(1, 8, 32, 32), config.precision)
        line = task.fit_memory(network, (weight_bytes(network) + 3.5 * each) / 1e9)
        assert line == "each step takes its 8 samples 3 at a time to stay below the memory"
        assert task.micro_batch == 3


def test_a_pretrained_encoder_is_trained_from_its_own_weights_and_more_slowly(
    config: TrainingConfig, store: Store, tmp_path: Path
) -> None:
    config = config.with_overrides({"architecture": {"encoder": "efficientnet-lite0"}, "fine_every": 2, "steps": 4})
    made = Trainer(config, store, tmp_path, CPU, report=lambda _: None)
    assert {group["scale"] for group in made.optimiser.param_groups} == {0.4, 1.0}
    network = made.network
    assert isinstance(network, PretrainedUNet)
    encoder = {name: torch.zeros_like(network.state_dict()[name]) for name in network.encoder_names()}
    started = Trainer(config, store, tmp_path, CPU, initial=encoder, report=lambda _: None)
    for name, value in started.network.state_dict().items():
        assert torch.equal(value, encoder.get(name, network.state_dict()[name]))
    with pytest.raises(WeightsError):
        Trainer(config, store, tmp_path, CPU, initial=dict(list(encoder.items())[1:]), report=lambda _: None)
    made.run()
    assert made.samples == 3 * config.batch


LATE_CHANGES = {"late_share": 0.5, "late": {"sampling.superpixel_share": 1.0, "round_probabilities": [1.0, 0.0]}}


class TestLateSteps:
    def test_samples_and_rounds_change(
        self, config: TrainingConfig, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = config.with_overrides({"sampling.superpixel_share": 0.0, **LATE_CHANGES})
        task = create(config, store, CPU)
        variants: list[str] = []
        original = bedside.engines.window.sampling.plane_sampler._draw_object

        def draw(item: Item, generator: np.random.Generator) -> Any:
            variants.append(item.info.variant)
            return original(item, generator)

        monkeypatch.setattr(bedside.engines.window.sampling.plane_sampler, "_draw_object", draw)
        for stage, variant, rounds in zip(
            task.stages(), ("image", "superpixel"), ((0.3, 0.7), (1.0, 0.0)), strict=True
        ):
            task.begin(stage, torch.nn.Identity())
            assert task._rounds == rounds
            variants.clear()
            drawn_batch(task, stage, stage.samples_from(0))
            assert set(variants) == {variant}

    def test_a_run_that_was_stopped_in_them_ends_bit_for_bit_as_one_that_was_not(
        self, config: TrainingConfig, store: Store, tmp_path: Path
    ) -> None:
        config = config.with_overrides({"steps": 6, "fine_every": 2, "batch": 4, "validate_every": 9, **LATE_CHANGES})
        whole = Trainer(config, store, tmp_path / "whole", CPU, report=lambda _: None)
        whole.run()
        (tmp_path / "parts").mkdir()
        for stop in (2, 4, 5):
            part = Trainer(config, store, tmp_path / "parts", CPU, report=lambda _: None)
            assert part.resume() == (stop > 2)
            steps = part.steps()
            while next(steps) < stop:
                pass
            part.save()
        last = Trainer(config, store, tmp_path / "parts", CPU, report=lambda _: None)
        assert last.resume()
        last.run()
        for a, b in zip(whole.average.parameters(), last.average.parameters(), strict=True):
            assert torch.equal(a, b)


class TestPrivacy:
    def test_held_out_sets_are_never_sampled_for_training(
        self, config: TrainingConfig, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        drawn = self.record(bedside.engines.window.sampling.plane_sampler, monkeypatch)
        task = create(config, store, CPU)
        drawn_batch(task, task.stages()[0], range(80))
        assert set(drawn) == {"one", "two"}
        drawn.clear()
        assert task.validate(task.build())
        assert set(drawn) == {"held"}

    def test_held_out_volumes_are_never_sampled_for_training(
        self, config: TrainingConfig, volume_store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        drawn = self.record(bedside.engines.window.sampling.volume_sampler, monkeypatch)
        task = create(volumes(config, extruded=0.3), volume_store, CPU)
        drawn_batch(task, task.stages()[0], range(30))
        assert set(drawn) == {"one", "flat"}
        drawn.clear()
        assert task.validate(task.build())
        assert set(drawn) == {"held"}

    @staticmethod
    def record(module: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The sets of the objects that are drawn from now on."""
        drawn: list[str] = []
        original = module._draw_object

        def draw(item: Any, generator: np.random.Generator) -> Any:
            drawn.append(item.info.set_name)
            return original(item, generator)

        monkeypatch.setattr(module, "_draw_object", draw)
        return drawn


def volumes(config: TrainingConfig, extruded: float = 0.0) -> TrainingConfig:
    """Settings for volumes on a tiny grid."""
    sampling = {"sampling.superpixel_share": 0.2, "sampling.synthetic_share": 0.2, "sampling.extruded_share": extruded}
    return config.with_overrides({"model": "bedside-3d", "sampling.grid": 32, **sampling})


class TestVolumes:
    def test_a_run_that_was_stopped_ends_bit_for_bit_as_one_that_was_not(
        self, config: TrainingConfig, volume_store: Store, tmp_path: Path
    ) -> None:
        config = dataclasses.replace(volumes(config, 0.25), steps=4, validate_every=2)
        whole = Trainer(config, volume_store, tmp_path / "whole", CPU, report=lambda _: None)
        whole.run()

        def interrupt(step: int) -> None:
            if step == 1:
                signal.raise_signal(signal.SIGINT)

        first = Trainer(config, volume_store, tmp_path / "parts", CPU, report=lambda _: None, advance=interrupt)
        with pytest.raises(KeyboardInterrupt):
            first.run()
        second = Trainer(config, volume_store, tmp_path / "parts", CPU, report=lambda _: None)
        assert second.resume()
        assert second.progress.step == 1
        second.run()
        for a, b in zip(whole.average.parameters(), second.average.parameters(), strict=True):
            assert torch.equal(a, b)
        tables = [(tmp_path / name / "validation.csv").read_text() for name in ("whole", "parts")]
        assert tables[0] == tables[1]
        assert len(tables[0].splitlines()) == 3

    @pytest.mark.slow
    def test_the_loss_falls_and_held_out_balls_are_found(
        self, config: TrainingConfig, volume_store: Store, tmp_path: Path
    ) -> None:
        config = dataclasses.replace(
            volumes(config), steps=60, batch=2, warmup_steps=5, learning_rate=2e-3, validate_every=60, ema_decay=0.9
        )
        config = config.with_overrides({"sampling.synthetic_share": 0.0, "sampling.close_share": 0.0})
        losses = losses_of(config, volume_store, tmp_path, lambda made: made.run())
        assert np.mean(losses[-10:]) < 0.75 * np.mean(losses[:10])
        row = (tmp_path / "validation.csv").read_text().splitlines()[-1].split(",")
        assert max(float(score) for score in row[1:]) > 0.5


class OneDevice(TorchDispatchMode):
    """Rejects operations between devices: each would let one of the two wait."""

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: Any = (), options: dict[str, Any] | None = None
    ) -> Any:
        result = function(*arguments, **(options or {}))
        tensors = [v for v in tree_leaves((arguments, options, result)) if isinstance(v, Tensor)]
        devices = {t.device.type for t in tensors}
        assert len(devices) < 2, f"{function} between {devices}"
        return result


class TestBatches:
    """What is done to whole batches, where the network is trained."""

    def test_a_run_that_was_stopped_ends_bit_for_bit_as_one_that_was_not(
        self, config: TrainingConfig, store: Store, tmp_path: Path
    ) -> None:
        config = config.with_overrides({"sampling.grid": 64, "coarse_share": 0.5, "validate_every": 3, "steps": 6})
        config = dataclasses.replace(config, batch=3)
        whole = Trainer(config, store, tmp_path / "whole", CPU, report=lambda _: None)
        whole.run()
        (tmp_path / "parts").mkdir()
        stopped = Trainer(config, store, tmp_path / "parts", CPU, report=lambda _: None)
        steps = stopped.steps()
        assert [next(steps) for _ in range(2)] == [1, 2]
        stopped.save()
        # Whoever draws the samples, they are the same.
        resumed = Trainer(dataclasses.replace(config, workers=2), store, tmp_path / "parts", CPU, report=lambda _: None)
        assert resumed.resume()
        resumed.run()
        for a, b in zip(whole.average.parameters(), resumed.average.parameters(), strict=True):
            assert torch.equal(a, b)
        rows = [(tmp_path / name / "validation.csv").read_text().splitlines() for name in ("whole", "parts")]
        assert rows[0] == rows[1]
        assert len(rows[0]) == 3

    @pytest.mark.parametrize("dimensions", [2, 3])
    def test_nothing_is_read_back_from_the_device_nor_sent_to_it(
        self, config: TrainingConfig, store: Store, volume_store: Store, dimensions: int
    ) -> None:
        count = 160
        config = volumes(config, 0.03) if dimensions == 3 else config
        config = dataclasses.replace(config, batch=count, round_probabilities=(0.0, 0.0, 1.0), precision="fp32")
        # Tensors without values: whatever asks for one fails.
        meta = torch.device("meta")
        task = create(config, volume_store if dimensions == 3 else store, meta)
        network = task.build().to(meta)
        stage = task.stages()[0]
        task.micro_batch = 60
        task.begin(stage, network)
        table = drawn_batch(task, stage, range(count))[TABLE]
        # There are changes of every kind but those of colours.
        assert {name for name, values in table.unpack().items() if not len(values)} <= {"mixed", "mixing", "saturation"}
        batch: Any = {TABLE: table.to(meta)}
        with OneDevice():
            losses = list(task.losses(network, batch, torch.Generator().manual_seed(0)))
        assert [loss.shape for loss in losses] == [(), (), ()]

    @pytest.mark.slow
    def test_the_loss_falls(self, config: TrainingConfig, store: Store, tmp_path: Path) -> None:
        config = dataclasses.replace(config, batch=3, steps=60, warmup_steps=5, learning_rate=2e-3, validate_every=60)
        losses = losses_of(config, store, tmp_path, lambda made: made.run())
        assert np.mean(losses[-10:]) < 0.85 * np.mean(losses[:10])


def test_other_models_are_rejected(config: TrainingConfig, store: Store) -> None:
    for model in ("lite-medsam", "nninteractive"):
        with pytest.raises(InputError, match="expected one of family window"):
            create(dataclasses.replace(config, model=model), store, CPU)


def test_a_store_without_volumes_is_rejected(config: TrainingConfig, store: Store) -> None:
    with pytest.raises(InputError, match="expected at least one volume with an object"):
        create(volumes(config), store, CPU)


def test_images_have_no_teacher_of_slices(config: TrainingConfig, store: Store) -> None:
    with pytest.raises(InputError, match=r"slice_teacher_weight: expected 0 for bedside-2d, got 0\.5"):
        create(dataclasses.replace(config, slice_teacher_weight=0.5), store, CPU)


def test_dividing_a_store_copies_nothing(store: Store) -> None:
    kept, held = store.divide(("held",))
    assert {i.info.set_name for i in kept.items} == {"one", "two"}
    assert {i.info.set_name for i in held.items} == {"held"}
    assert len(kept.items) + len(held.items) == len(store.items)
    assert kept.items[0].image is store.items[0].image


def test_dice_of_every_sample() -> None:
    truth = torch.zeros(3, 4, 4, dtype=torch.bool)
    truth[:, :2] = True
    prediction = truth.clone()
    prediction[1, 2:] = True
    prediction[2] = False
    assert grid_dice(prediction, truth).tolist() == pytest.approx([1.0, 2 / 3, 0.0])
    assert float(grid_dice(truth[:1] & False, truth[:1] & False)) == 0
