from __future__ import annotations

import operator
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from bedside.batch import pool
from bedside.batch.manifest import Row
from bedside.batch.plan import Item
from bedside.batch.pool import Pool, usual_workers
from bedside.batch.record import Made, Settings
from bedside.batch.worker import Failed, Order
from bedside.core.errors import WorkerError
from bedside.session.flags import PromptFlags


def orders(study: Path, out: Path, count: int) -> list[Order]:
    flags = PromptFlags(("24,14,56,48",))
    rows = [Row(n, study / f"p{n % 4}.png", flags, label=1) for n in range(count)]
    return [Order(Item(out / f"{row.number}.png", (row,)), "mark") for row in rows]


def end_at_work(worker: Any) -> None:
    """Stop a worker that is free, and kill it once it has the next order."""
    os.kill(worker.process.pid, signal.SIGSTOP)

    def kill() -> None:
        while worker.order is None:
            time.sleep(0.01)
        os.kill(worker.process.pid, signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX systems")
def test_a_process_that_ends_costs_one_mask(study: Path, tmp_path: Path) -> None:
    tried = Pool(1, Settings())
    answers = []
    for order, answer in tried.run(orders(study, tmp_path, 10)):
        answers.append((order.item.numbers[0], type(answer)))
        if isinstance(answer, Failed):
            assert "SIGKILL" in answer.message
        elif order.item.numbers[0] <= 2 * pool.MOST_ENDS:
            (worker,) = tried._workers
            end_at_work(worker)
    assert answers == [(n, Failed if n in (1, 3, 5, 7) else Made) for n in range(10)]
    assert tried._workers == []
    assert {path.name for path in tmp_path.glob("*.png")} == {f"{n}.png" for n in (0, 2, 4, 6, 8, 9)}


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX systems")
def test_a_process_that_ends_between_two_masks_costs_none(study: Path, tmp_path: Path) -> None:
    tried = Pool(1, Settings())
    answers = []
    for order, answer in tried.run(orders(study, tmp_path, 3)):
        answers.append((order.item.numbers[0], type(answer)))
        if len(answers) == 1:
            (worker,) = tried._workers
            os.kill(worker.process.pid, signal.SIGKILL)
            worker.process.join()
    assert answers == [(n, Made) for n in range(3)]


def test_processes_that_always_end_end_the_run(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Any function that takes two values and returns at once.
    monkeypatch.setattr(pool, "work", operator.is_)
    with pytest.raises(WorkerError, match="end before they begin: got status 0"):
        list(Pool(1, Settings()).run(orders(study, tmp_path, 20)))


def test_an_order_is_taken_only_when_a_worker_is_free(study: Path, tmp_path: Path) -> None:
    taken = []

    def lazily() -> object:
        for order in orders(study, tmp_path, 4):
            taken.append(order.item.numbers[0])
            yield order

    for done, _ in enumerate(Pool(1, Settings()).run(lazily()), start=1):  # type: ignore[arg-type]
        assert len(taken) == done


def test_workers_are_as_many_as_there_is_work_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "cores", lambda: 8)
    monkeypatch.setattr(pool, "_memory", lambda: 5 * pool.BYTES_OF_A_WORKER)
    assert [usual_workers(n) for n in (0, 1, 3, 100)] == [1, 1, 3, 5]


def test_variables_of_the_user_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("BEDSIDE_THREADS", raising=False)
    with pool._environment({"OMP_NUM_THREADS": "1", "BEDSIDE_THREADS": "1"}):
        assert (os.environ["OMP_NUM_THREADS"], os.environ["BEDSIDE_THREADS"]) == ("7", "1")
    assert "BEDSIDE_THREADS" not in os.environ
