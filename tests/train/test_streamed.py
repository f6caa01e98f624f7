from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from bedside.core.errors import InputError
from bedside.data.store_manifest import read_manifest
from bedside.data.streaming import StreamedStore, Streaming
from bedside.engines.window.training.task import make_sampler
from bedside.train.config import TrainingConfig
from bedside.train.packing import open_store, summarise
from bedside.train.trainer import Trainer
from tests.support.sharded import MakeStore, make_sharded

CPU = torch.device("cpu")


def quiet(line: str) -> None:
    del line


def streaming(address: Path, shards: float = 9) -> Streaming:
    return Streaming(shards * max(s.unpacked for s in read_manifest(address).shards), 0.2, 3)


@pytest.fixture
def streamed_config(config: TrainingConfig) -> TrainingConfig:
    return dataclasses.replace(config, steps=12, validate_every=5)


def test_what_fits_is_unpacked_in_whole(sharded: MakeStore, tmp_path: Path) -> None:
    lines: list[str] = []
    whole = open_store(sharded(), tmp_path, lines.append)
    assert not isinstance(whole, StreamedStore)
    assert len(whole.items) == 36
    assert lines[0].startswith("unpacking 18 shards")
    roomy = open_store(sharded(), tmp_path, quiet, streaming=streaming(sharded(), 99))
    assert roomy.sha256 == whole.sha256
    assert open_store(tmp_path, tmp_path / "none", quiet).sha256 == whole.sha256
    many, some = summarise(whole, tmp_path)[1:]
    assert (many.licence, many.cases, some.cases) == ("licence of many", 24, 10)


def test_what_does_not_fit_is_streamed(sharded: MakeStore, tmp_path: Path) -> None:
    store = open_store(sharded(), tmp_path, quiet, streaming=streaming(sharded()))
    assert isinstance(store, StreamedStore)
    assert [s.cases for s in summarise(store, tmp_path)] == [2, 24, 10]
    assert store.sha256 == read_manifest(sharded()).sha256


def test_a_run_depends_on_its_store(sharded: MakeStore, tmp_path: Path) -> None:
    make_sharded(tmp_path / "other", {"many": 6})
    open_store(sharded(), tmp_path / "run", quiet, keep=True)
    with pytest.raises(InputError, match="data differ from those the run began with"):
        open_store(tmp_path / "other" / "store", tmp_path / "run", quiet, keep=True)
    replaced = open_store(tmp_path / "other" / "store", tmp_path / "run", quiet)
    assert {item.info.set_name for item in replaced.items} == {"many"}


def test_samples_are_the_same_whoever_draws_them(sharded: MakeStore, tmp_path: Path, config: TrainingConfig) -> None:
    def drawn(folder: str, numbers: list[int]) -> dict[int, np.ndarray]:  # type: ignore[type-arg]
        store = open_store(sharded(), tmp_path / folder, quiet, streaming=streaming(sharded()))
        sampler = make_sampler(store, config)
        return {number: sampler.draw([number])["image"] for number in numbers}

    numbers = list(range(0, 24))
    whole = drawn("whole", numbers)
    # As two processes that take turns, one of them backward.
    parts = drawn("even", numbers[::2]) | drawn("odd", numbers[1::2][::-1])
    for number in numbers:
        np.testing.assert_array_equal(whole[number], parts[number])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_streamed_run_goes_on_exactly(
    sharded: MakeStore, tmp_path: Path, streamed_config: TrainingConfig, workers: int
) -> None:
    def trainer(folder: str, workers: int) -> Trainer:
        store = open_store(sharded(), tmp_path / folder / "store", quiet, streaming=streaming(sharded()))
        config = dataclasses.replace(streamed_config, workers=workers)
        return Trainer(config, store, tmp_path / folder, CPU, report=quiet)

    whole = trainer("whole", 0)
    whole.run()
    stopped = trainer("stopped", workers)
    for step in stopped.steps():
        if step == 7:
            break
    stopped.save()
    resumed = trainer("stopped", workers)
    assert resumed.resume()
    resumed.run()
    for name, values in whole.network.state_dict().items():
        torch.testing.assert_close(resumed.network.state_dict()[name], values, rtol=0, atol=0)
