from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from bedside.data.store import Store
from bedside.engines.window.sampling.device.volume_engine import VolumeEngine
from bedside.engines.window.sampling.volume_sampler import VolumeSampler
from bedside.train.sampling import SamplingConfig

CPU = torch.device("cpu")
CONFIG = SamplingConfig(
    grid=32,
    superpixel_share=0.2,
    wide_share=0.35,
    close_share=0.2,
    synthetic_share=0.1,
    extruded_share=0.15,
    inserted_share=0.1,
)


def made(engine: VolumeEngine, numbers: list[int]) -> dict[str, Tensor]:
    drawn = engine.records.draw(np.array(numbers))
    return engine.make({name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in drawn.items()})


@pytest.fixture(scope="module")
def engine(store: Store) -> VolumeEngine:
    return VolumeEngine(store, CONFIG, 7, CPU)


def test_samples_have_the_form_that_training_takes(engine: VolumeEngine) -> None:
    batch = made(engine, list(range(32)))
    forms = {name: (tuple(values.shape[1:]), values.dtype) for name, values in batch.items()}
    grid = (32, 32, 32)
    assert forms == {
        "image": ((1, *grid), torch.float32),
        "previous": (grid, torch.float32),
        "prompts": ((4, *grid), torch.float32),
        "truth": (grid, torch.uint8),
        "inside": (grid, torch.bool),
        "key": ((), torch.int64),
    }
    assert all(bool(values.isfinite().all()) for values in batch.values() if values.is_floating_point())
    started = batch["prompts"].flatten(1).any(dim=1) | batch["previous"].flatten(1).any(dim=1)
    assert bool(started.all())
    assert (batch["truth"].flatten(1).sum(dim=1) >= 20).float().mean() > 0.9
    known = batch["image"][:, 0][batch["inside"]]
    assert float(known.mean()) == pytest.approx(0, abs=0.01)
    assert float(known.std()) == pytest.approx(1, abs=0.05)
    assert not batch["image"][:, 0][~batch["inside"]].any()


@pytest.mark.parametrize(
    "shares",
    [
        pytest.param({"close_share": 0.0, "inserted_share": 0.0}, id="objects of volumes"),
        pytest.param({"superpixel_share": 0.0, "inserted_share": 1.0}, id="shapes"),
    ],
)
def test_objects_are_as_large_as_those_of_the_sampler(store: Store, shares: dict[str, float]) -> None:
    config = replace(CONFIG, synthetic_share=0.0, extruded_share=0.0, **shares)  # type: ignore[arg-type]
    engine, sampler = VolumeEngine(store, config, 1, CPU), VolumeSampler(store, config, 1)
    got = torch.cat([made(engine, list(range(n, n + 20)))["truth"].flatten(1) for n in range(0, 120, 20)])
    wanted = np.array([sampler.sample(n).truth.mean() for n in range(120)])
    ranks = [0.1, 0.3, 0.5, 0.7, 0.9]
    ours = np.quantile(np.log(got.float().mean(dim=1).clamp(min=1e-4).numpy()), ranks)
    np.testing.assert_allclose(ours, np.quantile(np.log(wanted), ranks), atol=0.5)


def test_a_sample_is_of_its_seed_and_number_alone(engine: VolumeEngine, store: Store) -> None:
    whole = made(engine, list(range(16)))
    for numbers in ([5], [15, 2, 11]):
        part = made(engine, numbers)
        for name, values in part.items():
            torch.testing.assert_close(values, whole[name][numbers], rtol=0, atol=2e-4)
    again = made(VolumeEngine(store, CONFIG, 7, CPU), list(range(16)))
    assert all(torch.equal(again[name], whole[name]) for name in whole)
    other = made(VolumeEngine(store, CONFIG, 8, CPU), list(range(16)))
    assert not torch.equal(other["truth"], whole["truth"])
    assert len({tuple(row[0, 16].flatten().tolist()) for row in whole["image"]}) == 16


def test_a_smaller_grid_shows_the_same_windows(store: Store) -> None:
    config = replace(CONFIG, augment=False, grid=64, synthetic_share=0.0, extruded_share=0.0, inserted_share=0.0)
    plain = VolumeEngine(store, config, 7, CPU)
    fine, coarse = made(plain, list(range(6))), made(plain.on_grid(32), list(range(6)))
    assert coarse["truth"].shape == (6, 32, 32, 32)
    shares = [b["truth"].float().mean(dim=(1, 2, 3)) for b in (fine, coarse)]
    # What is too small for a coarse grid is drawn again.
    assert ((shares[0] - shares[1]).abs() < 0.02).sum() >= 5


def test_samples_of_every_kind_may_be_without_an_object(engine: VolumeEngine) -> None:
    drawn = engine.records.draw(np.arange(100, 170))
    table = {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in drawn.items()}
    assert all(len(values) for values in table.values())
    table["target"].fill_(999)
    table["given_cells"].fill_(0)
    table["inserted_object"].fill_(0)
    batch = engine.make(table)
    assert not batch["truth"].any()
    assert not batch["inside"].any()
    for name in ("image", "previous", "prompts"):
        assert bool(batch[name].isfinite().all())


def test_windows_that_no_volume_holds_come_as_they_were_drawn(engine: VolumeEngine) -> None:
    drawn = engine.records.draw(np.arange(40))
    table = {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in drawn.items()}
    image, truth, inside = engine._read(table)
    rows = table["given"]
    assert len(rows) >= 2
    assert torch.equal(image[rows, 0], table["given_image"].float())
    assert torch.equal(truth[rows], table["given_cells"] % 2 == 1)
    assert torch.equal(inside[rows], table["given_cells"] >= 2)


def test_inserted_shapes_are_the_objects_and_nothing_else_of_their_windows_changes(store: Store) -> None:
    config = replace(CONFIG, inserted_share=0.3, synthetic_share=0.0, extruded_share=0.0)
    engine = VolumeEngine(store, config, 7, CPU)
    drawn = engine.records.draw(np.arange(60))
    table = {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in drawn.items()}
    rows = table["inserted"]
    assert len(rows) / 60 == pytest.approx(0.3, abs=0.15)
    image, truth, inside = engine._read(table)
    assert torch.equal(truth[rows], (table["inserted_object"] > 0) & inside[rows])
    before, objects, _ = engine._read(table | {"inserted": rows[:0], "cored": table["cored"][:0]})
    painted = table["inserted_coverage"] > 0
    painted[table["cored"]] |= table["core"] > 0
    assert torch.equal(image[rows, 0][~painted], before[rows, 0][~painted])
    changed = (image[rows, 0] != before[rows, 0]) & painted
    assert changed.sum() > 0.95 * painted.sum()
    others = np.setdiff1d(np.arange(60), rows.numpy())
    assert torch.equal(image[others], before[others])
    assert torch.equal(truth[others], objects[others])
