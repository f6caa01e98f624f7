"""What each of several processes takes; trainings in real ones are in ``test_process_runs``."""

from __future__ import annotations

import dataclasses
import os

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bedside.core.errors import InputError, WorkerError
from bedside.data.store import Store
from bedside.engines.window.training.task import create
from bedside.train.clicks import correction_clicks
from bedside.train.config import TrainingConfig
from bedside.train.devices import resolve_device
from bedside.train.processes import ALONE, Processes, acting_as, current_processes, loss_of_processes_told
from bedside.train.stages import plan_stages

CPU = torch.device("cpu")


@given(count=st.integers(1, 8), each=st.integers(1, 6))
def test_the_parts_are_the_batch(count: int, each: int) -> None:
    batch = list(range(10, 10 + count * each))
    parts = [Processes(rank, count).own(batch) for rank in range(count)]
    assert [n for part in parts for n in part] == batch
    assert {len(part) for part in parts} == {each}
    tensors = [Processes(rank, count).own(torch.tensor(batch)) for rank in range(count)]
    assert torch.cat(tensors).tolist() == batch


def test_one_process_leaves_all_as_it_is() -> None:
    network = torch.nn.Linear(2, 1)
    network.weight.grad = torch.ones(1, 2)
    values = torch.tensor([1.5])
    assert ALONE.sum(values) is values
    assert ALONE.sum_gradients(network, 2.5) == 2.5
    assert network.bias.grad is None
    assert ALONE.any(True, False) == [True, False]
    assert ALONE.from_first("x") == "x"
    assert ALONE.writes


def test_who_takes_part_holds_for_a_block() -> None:
    assert current_processes() == ALONE
    with acting_as(Processes(1, 2)):
        assert current_processes() == Processes(1, 2)
        with acting_as(ALONE):
            assert current_processes() == ALONE
        assert not current_processes().writes
    assert current_processes() == ALONE


def test_batches_that_cannot_be_divided_are_rejected() -> None:
    config = TrainingConfig("bedside-2d", batch=8, fine_every=3)
    for count in (1, 2):
        Processes(0, count).check_batches(plan_stages(config))
    with pytest.raises(InputError, match=r"^batch of the fine steps \(fine_every\): expected a multiple of 4.*got 2"):
        Processes(0, 4).check_batches(plan_stages(config))
    with pytest.raises(InputError, match=r"^batch: expected a multiple of 3, the number of processes, got 8; take"):
        Processes(0, 3).check_batches(plan_stages(dataclasses.replace(config, fine_every=0)))
    Processes(0, 4).check_batches(plan_stages(dataclasses.replace(config, fine_every=0)))


def test_parts_of_parts_are_rejected_where_they_are_not_whole(config: TrainingConfig, store: Store) -> None:
    with pytest.raises(InputError, match=r"accumulate.*: expected at least 1"):
        dataclasses.replace(config, accumulate=0)
    with pytest.raises(InputError, match=r"batch: expected a multiple of accumulate \(3\), got 2"):
        dataclasses.replace(config, accumulate=3)
    config = dataclasses.replace(config, batch=4, accumulate=4)
    with acting_as(Processes(1, 2)), pytest.raises(InputError, match=r"a multiple of 8 \(2 processes, accumulate 4\)"):
        create(config, store, CPU)
    with acting_as(Processes(1, 2)):
        assert create(dataclasses.replace(config, accumulate=2), store, CPU).micro_batch == 1


def test_clicks_are_those_of_the_whole_batch() -> None:
    error = torch.rand((6, 12, 12), generator=torch.Generator().manual_seed(1)) < 0.4
    whole, _ = correction_clicks(error, torch.Generator().manual_seed(2))
    for rank in range(3):
        with acting_as(Processes(rank, 3)):
            own, _ = correction_clicks(error[2 * rank : 2 * rank + 2], torch.Generator().manual_seed(2))
        assert torch.equal(own, whole[2 * rank : 2 * rank + 2])


def test_a_lost_process_is_told_in_one_line() -> None:
    said = "[/a/b.cc:1] Read error [127.0.0.1]:1: Connection reset by peer. This is why.\nMore lines"
    with pytest.raises(WorkerError) as caught, loss_of_processes_told():
        raise RuntimeError(said)
    told = "another process of the training ended: got Read error [127.0.0.1]:1: Connection reset by peer; "
    assert str(caught.value) == told + "the same command goes on from the checkpoint"


def test_each_process_has_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    environment = {**os.environ, "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "3"}
    assert resolve_device("auto", environment) == torch.device("cuda", 1)
    assert chosen == [torch.device("cuda", 1)]
    with pytest.raises(InputError, match=r"expected at most 2, one a GPU, got 3; start fewer"):
        resolve_device("auto", {**environment, "LOCAL_RANK": "2"})
    assert resolve_device("cpu", {**environment, "LOCAL_RANK": "2"}).type == "cpu"
