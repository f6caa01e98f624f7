"""The images in memory, within a budget; who listens to them; and the way of every change through the worker."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from bedside.core.errors import BedsideError, InputError, StoppedError
from bedside.core.placed import PlacedPrompt
from bedside.core.stopping import Stop, stoppable
from bedside.serve.errors import NotFoundError
from bedside.serve.leaving import when_gone
from bedside.serve.listeners import Listener, Origin
from bedside.serve.messages import Change, Superseded
from bedside.serve.opened import OpenImage, Outcome
from bedside.serve.opening import Opener
from bedside.serve.places import Mark, mark_of
from bedside.serve.requests import Content, progress, settle, tell, was_stopped
from bedside.serve.socket_messages import SocketBusy, SocketChanged, SocketProgress
from bedside.serve.worker import Job, Worker
from bedside.session.workspace import ItemRecord, Workspace

BUDGET = 2 * 2**30
"""Bytes of memory for images; the one opened last stays whatever it takes."""
READERS = 2

log = logging.getLogger("bedside.serve")


class Hub:
    """Images in memory, by their numbers. Lives in the event loop's thread; the work is done in others.

    Args:
        workspace: Where the work is kept.
        opener: Reads images.
        worker: Changes them.
        budget: Bytes that images may take; the least recently used are dropped, and opened again when asked for.
        limit: Seconds that an answer may take, without its waiting; None for any.
    """

    def __init__(
        self, workspace: Workspace, opener: Opener, worker: Worker, budget: int = BUDGET, limit: float | None = None
    ) -> None:
        self.workspace = workspace
        self._limit = limit
        self._jobs: dict[Job, OpenImage] = {}
        self._opener, self._worker, self._budget = opener, worker, budget
        self._open: OrderedDict[int, OpenImage] = OrderedDict()
        self._marks: dict[int, Mark] = {}
        self._opening: dict[int, asyncio.Task[OpenImage]] = {}
        self._listeners: dict[int, set[Listener]] = {}
        self.readers = ThreadPoolExecutor(READERS, thread_name_prefix="bedside-read")

    # Images

    @property
    def images(self) -> list[OpenImage]:
        """Those in memory, the least recently used first."""
        return list(self._open.values())

    def ready(self, image: int | None) -> bool:
        """Return whether an image is in memory."""
        return image in self._open

    async def open_item(self, item: ItemRecord, shown: bool = True) -> OpenImage:
        """Return the image at an item, read if it is not in memory.

        Args:
            item: The item.
            shown: False for one that is prepared before somebody asks for it: it may not drive others out.

        Raises:
            BedsideError: It cannot be opened; the item keeps the reason.
        """
        opened = self._open.get(item.image) if item.image is not None else None
        held = opened is not None
        # At another place the same samples may be known better: masks refer to DICOM files only there.
        if opened is None or (shown and (opened.item != item.id or await self.call(self._is_replaced, item))):
            opened = await self._read(item)
        if shown:
            await self.call(self.workspace.touch, item.id)
            opened.item = item.id
        if shown or not held:
            self._admit(opened, shown)
        return opened

    async def get(self, image: int) -> OpenImage:
        """Return an image by its number, opened again if it was dropped.

        Raises:
            NotFoundError: There is no such image.
            BedsideError: Its file is gone, or holds another image now.
        """
        if image in self._open:
            self._open.move_to_end(image)
            return self._open[image]
        places = await self.call(self.workspace.places, image)
        if not places:
            raise NotFoundError("image", expected="the number of an image that was opened", got=image)
        failure: BedsideError | None = None
        for place in places:
            try:
                opened = await self._read(place)
            except BedsideError as error:
                failure = failure or error
                continue
            self._admit(opened, opened.id == image)
            if opened.id == image:
                return opened
        raise failure or NotFoundError(
            f"image {image} is no longer at {places[0].path}", got="another image", fix="open the file again"
        )

    def drop(self, image: int) -> None:
        """Let go of an image; its work is in the workspace. One that is being worked on stays."""
        opened = self._open.get(image)
        if opened is not None and not opened.pending:
            del self._open[image]

    async def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run what may wait for the disk in a thread of the readers."""
        return await asyncio.get_running_loop().run_in_executor(self.readers, function, *arguments)

    async def _read(self, item: ItemRecord) -> OpenImage:
        """Read an item; those who ask for it while it is read wait for the same."""
        task = self._opening.get(item.id)
        if task is None:
            task = asyncio.create_task(self.call(self._try_open, item))
            self._opening[item.id] = task
            task.add_done_callback(lambda _: self._opening.pop(item.id, None))
        opened = await asyncio.shield(task)
        # The same image may have come from another path, or by another request, in the meantime.
        held = self._open.setdefault(opened.id, opened)
        if held is not opened:
            held.found_at(opened)
        return held

    def _is_replaced(self, item: ItemRecord) -> bool:
        """Return whether other files lie at an item than when it was read."""
        return self._marks.get(item.id) != mark_of(Path(item.path))

    def _try_open(self, item: ItemRecord) -> OpenImage:
        # Before it is read: what comes while it is read is seen the next time.
        self._marks[item.id] = mark_of(Path(item.path))
        try:
            return self._opener.open(item)
        except BedsideError as error:
            self.workspace.set_problem(item.id, str(error))
            raise

    def _admit(self, opened: OpenImage, shown: bool) -> None:
        if shown:
            self._open.move_to_end(opened.id)
        else:
            self._open.move_to_end(opened.id, last=False)
        excess = sum(image.nbytes for image in self._open.values()) - self._budget
        for image in list(self._open.values())[:-1]:
            if excess <= 0:
                break
            if not image.pending:
                excess -= image.nbytes
                del self._open[image.id]

    # Changes

    async def change(self, image: int, work: Callable[[OpenImage], Any], asks: bool = False) -> Any:
        """Have the worker do something to an image; a ``Change`` is told to all who listen.

        Args:
            image: The image.
            work: What to do.
            asks: Whether the network is asked. Then it ends when the client goes; what a hand has painted is kept.

        Raises:
            StoppedError: It was stopped; nothing has changed.
        """
        opened = await self.get(image)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        job, _ = self._submit(opened, lambda _: [work(opened)], Content(settle(future)), asks=asks)
        return await self._outcome(job, future)

    async def prompt(self, image: int, number: int | None, prompt: PlacedPrompt, answers: bool) -> Change | Superseded:
        """Add a prompt and wait for what becomes of it.

        Raises:
            StoppedError: It was stopped; nothing has changed.
        """
        opened = await self.get(image)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        job, _ = self._submit_prompt(opened, number, answers, Content(settle(future), None, prompt))
        result: Change | Superseded = await self._outcome(job, future)
        return result

    async def _outcome(self, job: Job, future: asyncio.Future[Any]) -> Any:
        with when_gone(lambda: self._give_up(job)):
            return await future

    def request(
        self,
        opened: OpenImage,
        origin: Origin,
        number: int | None,
        work: Callable[[], Any] | tuple[PlacedPrompt, bool],
        asks: bool = False,
    ) -> None:
        """Have the worker do what a listener asked for; the answer goes to all who listen."""
        if isinstance(work, tuple):
            prompt, asks = work
            _, ahead = self._submit_prompt(opened, number, asks, Content(tell(origin), origin, prompt))
        else:
            _, ahead = self._submit(opened, lambda _: [work()], Content(tell(origin), origin), asks=asks)
        origin.listener.tell(
            SocketBusy(request=origin.request, object=number, ahead=ahead, limit=self._limit if asks else None)
        )

    def _submit_prompt(self, opened: OpenImage, number: int | None, answers: bool, content: Content) -> tuple[Job, int]:
        target = opened.snapshot.current if number is None else number

        def work(queue: Sequence[Job]) -> list[Outcome]:
            prompts = [(job.content.prompt, job.answers) for job in queue]
            return opened.add_prompts(number, prompts, queue[-1].waited)

        return self._submit(opened, work, content, (opened.id, target), answers, answers)

    def _submit(
        self,
        opened: OpenImage,
        work: Callable[[Sequence[Job]], list[Any]],
        content: Content,
        key: tuple[int, int | None] | None = None,
        answers: bool = True,
        asks: bool = False,
    ) -> tuple[Job, int]:
        loop = asyncio.get_running_loop()

        def run(group: Sequence[Job]) -> None:
            try:
                if opened.broken:
                    # It holds what the workspace does not: another was opened in its place, or will be.
                    raise InputError("the image was closed after a failure", fix="try again: it opens again")
                with stoppable(*(job.stop for job in group)):
                    outcomes = work(group)
            except Exception as error:
                outcomes = [error] * len(group)
            if any(job.stop.asked for job in group):
                # One was to end, and with it those that were done together with it: these are begun again.
                stopped = [job for job, outcome in zip(group, outcomes, strict=True) if was_stopped(outcome)]
                again = self._worker.put_back(stopped)
                told = [(job, o) for job, o in zip(group, outcomes, strict=True) if job not in again]
                group, outcomes = [job for job, _ in told], [outcome for _, outcome in told]
            for place, job in enumerate(group):
                # Whoever asked in time is told so, also where no change was to be taken or the prompt was wrong.
                if not job.stop.close() and not isinstance(outcomes[place], Change | Superseded):
                    outcomes[place] = StoppedError()
            loop.call_soon_threadsafe(self._done, opened, group, outcomes)

        opened.pending += 1
        job = Job(opened.id, run, key, answers, asks, content, stop=Stop(self._limit))
        if content.origin is not None:
            job.stop.told = progress(content.origin)
        self._jobs[job] = opened
        return job, self._worker.submit(job)

    def _done(self, opened: OpenImage, group: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
        for job, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, Exception) and not isinstance(outcome, BedsideError):
                log.error("a request failed", exc_info=outcome)
            self._settle(job, outcome)
            if isinstance(outcome, Change):
                self._publish(outcome, job.content.origin)
        if opened.broken and self._open.get(opened.id) is opened:
            del self._open[opened.id]

    def _settle(self, job: Job, outcome: Outcome) -> None:
        self._jobs.pop(job).pending -= 1
        job.content.settle(outcome)

    # Ends

    def cancel(self, image: int) -> int:
        """Stop all answers of an image that are under way or wait; returns how many, without those already taken."""
        return self._cancel(lambda job: job.image == image and job.asks)

    def cancel_request(self, image: int, listener: Listener, request: str | None) -> None:
        """Stop what a listener asked for: one request by its name, or all its answers; what was answered stays."""

        def wanted(job: Job) -> bool:
            origin = job.content.origin
            if job.image != image or origin is None or origin.listener is not listener:
                return False
            return bool(job.asks if request is None else origin.request == request)

        self._cancel(wanted)

    def leave(self, image: int, listener: Listener) -> None:
        """Tell ``listener`` nothing more, and stop the answers that it waited for."""
        self.forget(image, listener)
        self.cancel_request(image, listener, None)

    def _cancel(self, wanted: Callable[[Job], bool]) -> int:
        return sum(self._end(job) for job in [job for job in self._jobs if wanted(job)])

    def _give_up(self, job: Job) -> None:
        self._cancel(lambda other: other is job and job.asks)

    def _end(self, job: Job) -> bool:
        """Have a job end; returns whether it does: one whose change was taken does not."""
        # One that runs is settled when it has ended.
        if self._worker.remove(job):
            self._settle(job, StoppedError())
        return job.stop.asked

    # Listeners

    def listen(self, image: int, listener: Listener) -> None:
        """Tell ``listener`` of every change of an image from now on."""
        self._listeners.setdefault(image, set()).add(listener)

    def forget(self, image: int, listener: Listener) -> None:
        """Tell ``listener`` nothing more."""
        self._listeners.get(image, set()).discard(listener)

    def reporter(self, image: int, what: Literal["find-like", "propagate"]) -> Callable[[int, int | None], None]:
        """Return what any thread may call with progress, to be told to all who listen."""
        loop = asyncio.get_running_loop()

        def tell(text: str) -> None:
            for listener in self._listeners.get(image, set()):
                listener.tell_text(text)

        def report(done: int, total: int | None) -> None:
            message = SocketProgress(what=what, done=done, total=total)
            loop.call_soon_threadsafe(tell, message.model_dump_json())

        return report

    def _publish(self, change: Change, origin: Origin | None) -> None:
        others = SocketChanged(change=change).model_dump_json() if self._listeners.get(change.image) else ""
        for listener in self._listeners.get(change.image, set()):
            if origin is None or listener is not origin.listener:
                listener.tell_text(others)
