"""A pool of processes that loses no work: one that ends before its time costs its mask, and is replaced."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from bedside.batch.record import Made, Settings
from bedside.batch.worker import BEGUN, Failed, Order, work
from bedside.core.errors import WorkerError
from bedside.runtime.backend import THREADS_VARIABLE

THREAD_VARIABLES = (THREADS_VARIABLE, "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""What says to the libraries of a worker how many threads it may take."""
BYTES_OF_A_WORKER = 1_500_000_000
"""Memory that a worker with a model and a volume of usual size takes."""
MOST_ENDS = 3
"""Workers that may end one after another before they begin, after which starting more is no use."""


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usual_workers(items: int) -> int:
    """Return how many workers to start for so many masks: one a core, as far as memory and work reach."""
    by_memory = max(1, _memory() // BYTES_OF_A_WORKER)
    return max(1, min(items, cores(), by_memory))


def _memory() -> int:
    with suppress(AttributeError, ValueError, OSError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return sys.maxsize


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    order: Order | None = None
    begun: bool = False


class Pool:
    """Processes that make masks.

    Args:
        workers: How many.
        settings: How masks are made.
        threads: Threads of each; by default the machine's cores, divided.
    """

    def __init__(self, workers: int, settings: Settings, threads: int | None = None) -> None:
        self._count = max(1, workers)
        self._settings = settings
        self._threads = threads or max(1, cores() // self._count)
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._returned: deque[Order] = deque()
        self._ends = 0

    def run(self, orders: Iterable[Order]) -> Iterator[tuple[Order, Made | Failed]]:
        """Yield each order with what became of it, as they are finished; an order is taken only when a worker is free.

        Raises:
            WorkerError: Workers end before they begin.
        """
        waiting = iter(orders)
        try:
            while True:
                while len(self._busy()) < self._count and (order := self._next(waiting)) is not None:
                    self._give(order)
                if not self._busy():
                    return
                for worker in self._ready():
                    answered = self._answer(worker)
                    if answered is not None:
                        yield answered
        finally:
            self.close()

    def close(self) -> None:
        """End all workers; what they were at stays as it was, because masks get their names when they are complete."""
        for worker in self._workers:
            if worker.order is not None:
                worker.process.terminate()
            else:
                with suppress(OSError):
                    worker.pipe.send(None)
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join(5)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._workers.clear()

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.order is not None]

    def _next(self, waiting: Iterator[Order]) -> Order | None:
        return self._returned.popleft() if self._returned else next(waiting, None)

    def _give(self, order: Order) -> None:
        """Give an order to a free worker, started where there is none."""
        worker = next((w for w in self._workers if w.order is None), None)
        if worker is None:
            worker = self._start()
        try:
            worker.pipe.send(order)
        except OSError:
            self._returned.append(order)
            self._lose(worker)
        else:
            worker.order = order

    def _start(self) -> _Worker:
        here, there = self._context.Pipe()
        process = self._context.Process(target=work, args=(there, self._settings), daemon=True)
        with _interruptions_kept_back(), _environment(dict.fromkeys(THREAD_VARIABLES, str(self._threads))):
            process.start()
        # The worker's end lives in the worker alone, so that its end is seen here, and this one's there.
        there.close()
        worker = _Worker(process, here)
        self._workers.append(worker)
        return worker

    def _ready(self) -> list[_Worker]:
        busy = self._busy()
        ready = wait([worker.pipe for worker in busy])
        return [worker for worker in busy if worker.pipe in ready]

    def _answer(self, worker: _Worker) -> tuple[Order, Made | Failed] | None:
        """Return an order with what became of it; None where a worker has begun, or ended before it could begin."""
        order = worker.order
        assert order is not None
        try:
            answer = worker.pipe.recv()
        except (EOFError, OSError):
            how = self._lose(worker)
            if not worker.begun:
                self._returned.append(order)
                return None
            fix = "the file is damaged, or memory ran out: take fewer --workers"
            return order, Failed(f"the process that made this mask ended: got {how}; {fix}")
        if answer == BEGUN:
            worker.begun = True
            self._ends = 0
            return None
        worker.order = None
        return order, answer

    def _lose(self, worker: _Worker) -> str:
        """Let go of a worker that ended; return how it did.

        Raises:
            WorkerError: It could not begin, nor could those before it.
        """
        self._workers.remove(worker)
        worker.pipe.close()
        worker.process.join(5)
        status = worker.process.exitcode
        how = f"status {status}"
        if status is not None and status < 0:
            with suppress(ValueError):
                how = signal.Signals(-status).name
        if not worker.begun:
            self._ends += 1
            if self._ends >= MOST_ENDS:
                raise WorkerError("processes of the batch end before they begin", got=how, fix="see what they print")
        return how


@contextmanager
def _interruptions_kept_back() -> Iterator[None]:
    """Hold Ctrl+C back while a process starts: it would end a worker, with a traceback, before it looks away."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables for processes that are started in the block; what the user has set stays."""
    added = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
