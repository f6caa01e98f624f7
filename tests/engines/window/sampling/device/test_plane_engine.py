from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from bedside.core.errors import InputError
from bedside.data.store import Store
from bedside.engines.window.sampling.device.plane_engine import PlaneEngine
from bedside.train.sampling import SamplingConfig

CPU = torch.device("cpu")
CONFIG = SamplingConfig(grid=32, superpixel_share=0.2, wide_share=0.3, close_share=0.2, inserted_share=0.2)


def made(engine: PlaneEngine, numbers: list[int]) -> dict[str, Tensor]:
    drawn = engine.records.draw(np.array(numbers))
    return engine.make({name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in drawn.items()})


@pytest.fixture(scope="module")
def engine(store: Store) -> PlaneEngine:
    return PlaneEngine(store, CONFIG, 7, CPU)


def test_synthetic_shapes_are_rejected(store: Store) -> None:
    with pytest.raises(InputError, match=r"sampling\.synthetic_share of images: expected 0 with sampling\.on_device"):
        PlaneEngine(store, replace(CONFIG, synthetic_share=0.1), 7, CPU)


def test_samples_have_the_form_that_training_takes(engine: PlaneEngine) -> None:
    batch = made(engine, list(range(64)))
    forms = {name: (tuple(values.shape[1:]), values.dtype) for name, values in batch.items()}
    assert forms == {
        "image": ((3, 32, 32), torch.float32),
        "previous": ((32, 32), torch.float32),
        "prompts": ((4, 32, 32), torch.float32),
        "truth": ((32, 32), torch.uint8),
        "inside": ((32, 32), torch.bool),
        "key": ((), torch.int64),
    }
    assert all(bool(values.isfinite().all()) for values in batch.values() if values.is_floating_point())
    started = batch["prompts"].flatten(1).any(dim=1) | batch["previous"].flatten(1).any(dim=1)
    assert bool(started.all())
    assert (batch["truth"].sum(dim=(1, 2)) > 0).float().mean() > 0.95
    known = batch["image"][batch["inside"][:, None].expand(-1, 3, -1, -1)]
    assert float(known.mean()) == pytest.approx(0, abs=0.01)
    assert not batch["image"][~batch["inside"][:, None].expand(-1, 3, -1, -1)].any()


def test_a_sample_is_of_its_seed_and_number_alone(engine: PlaneEngine, store: Store) -> None:
    whole = made(engine, list(range(24)))
    for numbers in ([5], [23, 2, 11]):
        part = made(engine, numbers)
        for name, values in part.items():
            torch.testing.assert_close(values, whole[name][numbers], rtol=0, atol=2e-4)
    again = made(PlaneEngine(store, CONFIG, 7, CPU), list(range(24)))
    assert all(torch.equal(again[name], whole[name]) for name in whole)
    other = made(PlaneEngine(store, CONFIG, 8, CPU), list(range(24)))
    assert not torch.equal(other["truth"], whole["truth"])
    assert len({tuple(row.flatten().tolist()) for row in whole["image"]}) == 24


def test_a_smaller_grid_shows_the_same_windows(engine: PlaneEngine, store: Store) -> None:
    plain = PlaneEngine(store, replace(CONFIG, augment=False, grid=64), 7, CPU)
    fine, coarse = made(plain, list(range(16))), made(plain.on_grid(32), list(range(16)))
    assert coarse["truth"].shape == (16, 32, 32)
    shares = [b["truth"].float().mean(dim=(1, 2)) for b in (fine, coarse)]
    # What is too small for a coarse grid is drawn again.
    same = (shares[0] - shares[1]).abs() < 0.03
    assert same.float().mean() > 0.8


def test_a_sample_without_an_object_has_no_loss(engine: PlaneEngine) -> None:
    drawn = engine.records.draw(np.arange(4))
    table = {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in drawn.items()}
    assert not len(table["inserted"])
    table["target"][2] = 999
    batch = engine.make(table)
    assert batch["inside"].flatten(1).any(dim=1).tolist() == [True, True, False, True]
    assert not batch["truth"][2].any()
    assert bool(batch["image"].isfinite().all())


def test_samples_of_every_kind_may_be_without_an_object(engine: PlaneEngine) -> None:
    drawn = engine.records.draw(np.arange(256))
    table = {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in drawn.items()}
    assert all(len(values) for values in table.values())
    table["target"].fill_(999)
    table["inserted_object"].zero_()
    batch = engine.make(table)
    assert not batch["truth"].any()
    assert not batch["inside"].any()
    for name in ("image", "previous", "prompts"):
        assert bool(batch[name].isfinite().all())


def test_shapes_take_the_place_of_objects_in_their_share(engine: PlaneEngine, store: Store) -> None:
    assert len(engine.records.draw(np.arange(1200))["inserted"]) / 1200 == pytest.approx(0.2, abs=0.035)
    numbers = np.arange(240)
    plain = replace(CONFIG, augment=False)
    with_shapes = made(PlaneEngine(store, plain, 7, CPU), numbers.tolist())
    without = made(PlaneEngine(store, replace(plain, inserted_share=0.0), 7, CPU), numbers.tolist())
    changed = (with_shapes["image"] != without["image"]).flatten(1).any(dim=1)
    rows = torch.from_numpy(PlaneEngine(store, plain, 7, CPU).records.draw(numbers)["inserted"])
    assert bool(changed[rows].all())
    others = torch.ones(240, dtype=torch.bool).index_fill(0, rows, False)
    # Below a shape, windows need not hold an object that is large enough.
    assert changed[others].float().mean() < 0.05
    assert torch.equal(with_shapes["truth"][others & ~changed], without["truth"][others & ~changed])
    lost = ~with_shapes["inside"][rows].flatten(1).any(dim=1)
    assert lost.float().mean() < 0.1


def test_nothing_of_a_shape_is_meant_outside_the_image(engine: PlaneEngine) -> None:
    numbers = list(range(256))
    rows = torch.from_numpy(engine.records.draw(np.array(numbers))["inserted"])
    batch = made(engine, numbers)
    inside, truth = batch["inside"][rows], batch["truth"][rows].bool()
    assert bool(truth.any())
    assert bool((~inside).any())
    assert not (truth & ~inside).any()


def test_shapes_are_drawn_for_the_grid(engine: PlaneEngine, store: Store) -> None:
    fine = PlaneEngine(store, replace(CONFIG, grid=64), 7, CPU)
    coarse = fine.on_grid(32)
    assert fine.records.draw(np.arange(40))["inserted_coverage"].shape[1:] == (64, 64)
    drawn, same = coarse.records.draw(np.arange(40)), engine.records.draw(np.arange(40))
    for name, values in same.items():
        np.testing.assert_array_equal(values, drawn[name])
