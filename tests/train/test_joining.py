from __future__ import annotations

import threading

import pytest
import torch.distributed as dist

from bedside.core.errors import InputError
from bedside.train.joining import joined_processes, name_of_start
from bedside.train.processes import ALONE, current_processes


def test_without_torchrun_a_process_is_alone() -> None:
    for environment in ({}, {"WORLD_SIZE": "1", "RANK": "0"}):
        with joined_processes(environment) as processes:
            assert processes == current_processes() == ALONE


def test_a_process_that_was_started_again_says_so() -> None:
    with joined_processes({"WORLD_SIZE": "1", "TORCHELASTIC_RESTART_COUNT": "1"}) as processes:
        assert processes.repeated
        assert current_processes() is processes
    assert not current_processes().repeated


def test_an_environment_that_lacks_something_is_rejected() -> None:
    with (
        pytest.raises(InputError, match=r"expected MASTER_ADDR, MASTER_PORT, got none; start them by torchrun"),
        joined_processes({"WORLD_SIZE": "2", "RANK": "0"}),
    ):
        pass


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_all_processes_of_a_start_have_one_name_that_no_other_start_has(order: tuple[int, ...]) -> None:
    store = dist.HashStore()
    names = [start(store, order) for _ in range(3)]
    assert all(len(set(of_one)) == 1 for of_one in names)
    assert len({of_one[0] for of_one in names}) == 3


def start(store: dist.Store, order: tuple[int, ...]) -> list[str]:
    """The names that processes find, which come one after the other."""
    found: list[str] = []
    threads = [threading.Thread(target=lambda r=r: found.append(name_of_start(store, r, len(order)))) for r in order]
    for thread in threads:
        thread.start()
        thread.join(timeout=0.7)
    for thread in threads:
        thread.join(timeout=20)
    assert len(found) == len(order)
    return found
