"""Workers on the machines of a Ray cluster; what they make is what those of the pool make."""

from __future__ import annotations

import os
import socket
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from bedside.batch.pool import MOST_ENDS, THREAD_VARIABLES, usual_workers
from bedside.batch.record import Made, Settings
from bedside.batch.worker import Failed, Maker, Order
from bedside.core.errors import InputError, WorkerError

MOST_TRIES = 3
"""Workers that a mask may cost before it counts as failed: a machine that goes away is not the mask's fault."""
LONGEST_START = 300.0
"""Seconds that a run waits for its first worker, while the cluster is busy with other work."""


class RayPool:
    """Ray actors that make masks: one model loaded by each, one order at a time.

    A worker that is lost, as with its machine, is replaced, and another one makes its mask. Masks get their names when
    they are complete, so that making one twice does no harm. Paths must mean the same on every machine.

    Args:
        workers: How many; None for as many as the cluster's processors allow, on this machine alone as the pool's.
        settings: How masks are made.
        threads: Threads of each, for which Ray keeps as many processors; by default one.
        address: Of a running cluster, as "auto" or "10.0.0.1:6379"; None begins one on this machine for the run.

    Raises:
        InputError: Ray is not installed, or nothing answers at the address.
    """

    def __init__(
        self, workers: int | None, settings: Settings, threads: int | None = None, address: str | None = None
    ) -> None:
        try:
            import ray
        except ImportError as error:
            fix = "install it: pip install 'bedside[ray]'"
            raise InputError("--engine ray", expected="the package ray", got="none", fix=fix) from error
        self._ray = ray
        self._threads = threads or 1
        self._settings = settings
        self._begin(address)
        if workers is None:
            share = int(ray.cluster_resources().get("CPU", 1)) // self._threads
            workers = max(1, share if address else usual_workers(share))
        self._count = workers
        self._free: deque[Any] = deque()
        self._starting: dict[Any, Any] = {}
        self._busy: dict[Any, tuple[Any, Order]] = {}
        self._returned: deque[Order] = deque()
        self._tries: Counter[Path] = Counter()
        self._ends = 0

    def _begin(self, address: str | None) -> None:
        # What workers print would mix with the run's own lines; usage is nobody's business.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        host, _, port = (address or "").rpartition("/")[2].rpartition(":")
        if host and port.isdigit():
            # Ray itself tries for minutes.
            try:
                socket.create_connection((host, int(port)), timeout=10).close()
            except (OSError, OverflowError) as error:
                raise _no_cluster(address, error) from error
        try:
            self._ray.init(
                address=address, include_dashboard=None if address else False, log_to_driver=False,
                logging_level="ERROR", configure_logging=True,
            )  # fmt: skip
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise _no_cluster(address, error) from error

    def run(self, orders: Iterable[Order]) -> Iterator[tuple[Order, Made | Failed]]:
        """Yield each order with what became of it, as they are finished; an order is taken only when a worker is free.

        Raises:
            WorkerError: Workers end before they begin, or the cluster gives none.
        """
        waiting = iter(orders)
        try:
            order = self._next(waiting)
            while order is not None or self._busy:
                while order is not None and self._free:
                    self._give(self._free.popleft(), order)
                    order = self._next(waiting)
                if order is not None and self._workers() < self._count:
                    self._start()
                else:
                    yield from self._hear()
                    order = order or self._next(waiting)
        finally:
            self.close()

    def close(self) -> None:
        """End all workers, and the cluster where it was begun for this run."""
        for worker in (*self._free, *self._starting.values(), *(worker for worker, _ in self._busy.values())):
            with suppress(Exception):
                self._ray.kill(worker)
        self._free.clear()
        self._starting.clear()
        self._busy.clear()
        self._ray.shutdown()

    def _workers(self) -> int:
        return len(self._free) + len(self._starting) + len(self._busy)

    def _next(self, waiting: Iterator[Order]) -> Order | None:
        return self._returned.popleft() if self._returned else next(waiting, None)

    def _start(self) -> None:
        variables = dict.fromkeys(THREAD_VARIABLES, str(self._threads))
        worker = self._ray.remote(Maker).options(
            num_cpus=self._threads, max_restarts=0, runtime_env={"env_vars": variables}
        ).remote(self._settings)  # fmt: skip
        self._starting[worker.begin.remote()] = worker

    def _give(self, worker: Any, order: Order) -> None:
        self._busy[worker.answer.remote(order)] = worker, order

    def _hear(self) -> Iterator[tuple[Order, Made | Failed]]:
        """Wait for one worker; yield what it made, if it made something."""
        limit = None if self._busy else LONGEST_START
        ready, _ = self._ray.wait([*self._busy, *self._starting], num_returns=1, timeout=limit)
        if not ready:
            raise WorkerError(
                "the Ray cluster gives no worker",
                got=f"none within {LONGEST_START:.0f} s",
                fix=f"each needs {self._threads} free processors: see 'ray status'",
            )
        (reference,) = ready
        if reference in self._starting:
            self._hear_start(reference)
        else:
            yield from self._hear_made(reference)

    def _hear_start(self, reference: Any) -> None:
        worker = self._starting.pop(reference)
        try:
            self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._ends += 1
            if self._ends >= MOST_ENDS:
                got = " ".join(str(error).split())[-200:]
                fix = "is the same Bedside installed on every machine of the cluster?"
                raise WorkerError("workers of the batch end before they begin", got=got, fix=fix) from error
        else:
            self._ends = 0
            self._free.append(worker)

    def _hear_made(self, reference: Any) -> Iterator[tuple[Order, Made | Failed]]:
        worker, order = self._busy.pop(reference)
        try:
            made = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            # The worker or its machine is gone: another one makes the mask.
            self._tries[order.item.output] += 1
            with suppress(Exception):
                self._ray.kill(worker)
            if self._tries[order.item.output] < MOST_TRIES:
                self._returned.append(order)
                return
            fix = "the file is damaged, or memory ran out: take fewer --workers"
            yield order, Failed(f"{MOST_TRIES} workers ended at this mask: got {type(error).__name__}; {fix}")
        else:
            self._free.append(worker)
            yield order, made


def _no_cluster(address: str | None, error: Exception) -> InputError:
    got = " ".join(str(error).split())[:200]
    fix = "start one with 'ray start --head', or leave --address out for this machine"
    return InputError(f"--address {address}", expected="a running Ray cluster", got=got, fix=fix)
