"""The threads that change sessions: a queue for each image, in turns, in which a newer prompt supersedes older ones.

Jobs of one image are done one after the other, in their order. Those of different images are done at the same time, but
one alone asks the network: the image whose last turn is longest ago is next, however many wait for others.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bedside.core.stopping import Stop

THREADS = 4
"""Images that are worked on at the same time: one has the network, and others are painted on, undone and saved."""

log = logging.getLogger("bedside.serve")


@dataclass(eq=False)
class Job:
    """Work on one image.

    Attributes:
        image: The image; jobs of one image are done in their order.
        run: Does the job, together with those before it that it supersedes (oldest first, itself last).
        key: Jobs of one key may be done together; None for a job that is done by itself.
        answers: Whether the job asks for an answer; one that does not supersedes nothing.
        asks: Whether the network has to be asked for it.
        content: What ``run`` needs to know of the jobs that it supersedes.
        queued: When it was handed in (``time.perf_counter``).
        stop: Ends it while it runs.
    """

    image: int
    run: Callable[[Sequence[Job]], None]
    key: tuple[int, int | None] | None = None
    answers: bool = True
    asks: bool = False
    content: Any = None
    queued: float = field(default_factory=time.perf_counter)
    stop: Stop = field(default_factory=Stop)

    @property
    def waited(self) -> float:
        """Seconds since it was handed in."""
        return time.perf_counter() - self.queued


class Worker:
    """Runs jobs in threads of its own, which do not keep the process from ending.

    Args:
        threads: How many; each is started when it is first needed.
    """

    def __init__(self, threads: int = THREADS) -> None:
        # Images that wait for their turn, in the order of the turns; one that is worked on is not among them.
        self._turns: OrderedDict[int, deque[Job]] = OrderedDict()
        self._behind: dict[int, deque[Job]] = {}
        self._running: dict[int, list[Job]] = {}
        self._change = threading.Condition()
        self._stopping = False
        self._most = threads
        self._threads: list[threading.Thread] = []

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        with self._change:
            return sum(len(jobs) for jobs in (*self._turns.values(), *self._behind.values()))

    def submit(self, job: Job) -> int:
        """Hand in a job.

        Returns:
            How many are before it: those of its own image, and the one for another that has the network.
        """
        with self._change:
            if self._stopping:
                return 0
            queue = self._queue(job.image)
            others = [image for image, group in self._running.items() if image != job.image and _asks(group)]
            ahead = len(queue) + len(self._running.get(job.image, ())) + (len(others) if job.asks else 0)
            queue.append(job)
            self._wake()
        return ahead

    def put_back(self, jobs: Sequence[Job]) -> list[Job]:
        """Put jobs that were begun and ended for another's sake before all others of their image.

        Called by what ran them, so that nothing else of their image comes in between.

        Returns:
            Those that are to run again: all that nobody asked to end in the meantime.
        """
        with self._change:
            again = [job for job in jobs if not job.stop.asked]
            for job in reversed(again):
                job.stop = job.stop.again()
                self._queue(job.image).appendleft(job)
        return again

    def remove(self, job: Job) -> bool:
        """Take out a job that waits, or have one that runs end where it looks next.

        Returns:
            Whether it waited, so that it is out and will not run.
        """
        with self._change:
            job.stop.ask()
            for queues in (self._turns, self._behind):
                queue = queues.get(job.image)
                if queue is not None and job in queue:
                    queue.remove(job)
                    if not queue:
                        del queues[job.image]
                    return True
        return False

    def stop(self, patience: float) -> bool:
        """Take no further job, forget those that wait, and wait for those under way.

        Args:
            patience: Seconds to wait.

        Returns:
            Whether all threads have ended.
        """
        with self._change:
            self._stopping = True
            self._turns.clear()
            self._behind.clear()
            self._change.notify_all()
        until = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _queue(self, image: int) -> deque[Job]:
        """Return the queue of an image; the caller holds the lock."""
        queues = self._behind if image in self._running else self._turns
        return queues.setdefault(image, deque())

    def _wake(self) -> None:
        """Have a thread look at the queues; the caller holds the lock."""
        if len(self._threads) < self._most and len(self._threads) - len(self._running) < len(self._ready()):
            name = f"bedside-worker-{len(self._threads) + 1}"
            self._threads.append(threading.Thread(target=self._work, name=name, daemon=True))
            self._threads[-1].start()
        self._change.notify_all()

    def _ready(self) -> list[int]:
        """Return the images that may have their turn now, in the order of the turns; the caller holds the lock."""
        taken = any(_asks(group) for group in self._running.values())
        return [image for image, queue in self._turns.items() if not (taken and queue[0].asks)]

    def _work(self) -> None:
        while (group := self._next()) is not None:
            try:
                group[-1].run(group)
            except Exception:
                # The jobs that follow are other people's work.
                log.exception("a job failed")
            self._finish(group[0].image)

    def _next(self) -> list[Job] | None:
        """Wait for the image whose turn it is, and take what is to be done for it; None where all is to end."""
        with self._change:
            while not (ready := self._ready()) and not self._stopping:
                self._change.wait()
            if self._stopping:
                return None
            image = ready[0]
            queue = self._turns.pop(image)
            group = take_group(queue)
            self._running[image] = group
            if queue:
                self._behind[image] = queue
            return group

    def _finish(self, image: int) -> None:
        """Let an image wait for its next turn, behind all others."""
        with self._change:
            del self._running[image]
            behind = self._behind.pop(image, None)
            if behind:
                self._turns[image] = behind
            self._change.notify_all()


def _asks(group: Sequence[Job]) -> bool:
    return any(job.asks for job in group)


def take_group(jobs: deque[Job]) -> list[Job]:
    """Take the first job out of an image's queue with all that are to be done together with it, oldest first.

    These are the later ones of its key up to the last that asks for an answer, unless something else is to happen to
    the image in between.
    """
    first = jobs.popleft()
    group = [first]
    if first.key is None or not first.answers:
        return group
    for job in jobs:
        if job.image != first.image:
            continue
        if job.key is None:
            break
        if job.key == first.key:
            group.append(job)
    while not group[-1].answers:
        group.pop()
    for job in group[1:]:
        jobs.remove(job)
    return group
