"""The one thread that changes sessions and asks models. In its queue a newer prompt supersedes older ones."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

log = logging.getLogger("bedside.serve")


@dataclass(eq=False)
class Job:
    """Work on one image.

    Attributes:
        image: The image; jobs of one image are done in their order.
        run: Does the job, together with those before it that it supersedes (oldest first, itself last).
        key: Jobs of one key may be done together; None for a job that is done by itself.
        answers: Whether the job asks for an answer; one that does not supersedes nothing.
        content: What ``run`` needs to know of the jobs that it supersedes.
        queued: When it was handed in (``time.perf_counter``).
    """

    image: int
    run: Callable[[Sequence[Job]], None]
    key: tuple[int, int | None] | None = None
    answers: bool = True
    content: Any = None
    queued: float = field(default_factory=time.perf_counter)

    @property
    def waited(self) -> float:
        """Seconds since it was handed in."""
        return time.perf_counter() - self.queued


class Worker:
    """Runs jobs one after the other in a thread of its own, which does not keep the process from ending."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._change = threading.Condition()
        self._stopping = False
        self._running = 0
        self._thread = threading.Thread(target=self._work, name="bedside-worker", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> int:
        """Hand in a job.

        Returns:
            How many are before it.
        """
        with self._change:
            ahead = len(self._jobs) + self._running
            self._jobs.append(job)
            self._change.notify()
        return ahead

    def stop(self, patience: float) -> bool:
        """Take no further job, forget those that wait, and wait for the one under way.

        Args:
            patience: Seconds to wait.

        Returns:
            Whether the thread has ended.
        """
        with self._change:
            self._stopping = True
            self._jobs.clear()
            self._change.notify()
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while True:
            with self._change:
                while not self._jobs and not self._stopping:
                    self._change.wait()
                if self._stopping:
                    return
                group = take_group(self._jobs)
                self._running = 1
            try:
                group[-1].run(group)
            except Exception:
                # The jobs that follow are other people's work.
                log.exception("a job failed")
            with self._change:
                self._running = 0


def take_group(jobs: deque[Job]) -> list[Job]:
    """Take the first job out of the queue with all that are to be done together with it, oldest first.

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
