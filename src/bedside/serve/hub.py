"""The images in memory, within a budget; who listens to them; and the way of every change through the one worker."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bedside.core.errors import BedsideError, InputError
from bedside.core.placed import PlacedPrompt
from bedside.serve.errors import NotFoundError, problem_fields
from bedside.serve.listeners import Listener, Origin
from bedside.serve.messages import Change, Problem, Superseded
from bedside.serve.opened import OpenImage, Outcome
from bedside.serve.opening import Opener
from bedside.serve.socket_messages import SocketAnswer, SocketBusy, SocketChanged, SocketError, SocketSuperseded
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
    """

    def __init__(self, workspace: Workspace, opener: Opener, worker: Worker, budget: int = BUDGET) -> None:
        self.workspace = workspace
        self._opener, self._worker, self._budget = opener, worker, budget
        self._open: OrderedDict[int, OpenImage] = OrderedDict()
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
        if opened is None or (shown and opened.item != item.id):
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
            self._admit(opened, True)
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

    def _try_open(self, item: ItemRecord) -> OpenImage:
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

    async def change(self, image: int, work: Callable[[OpenImage], Any]) -> Any:
        """Have the worker do something to an image; a ``Change`` is told to all who listen."""
        opened = await self.get(image)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._submit(opened, lambda _: [work(opened)], _settle(future))
        return await future

    async def prompt(self, image: int, number: int | None, prompt: PlacedPrompt, answers: bool) -> Change | Superseded:
        """Add a prompt and wait for what becomes of it."""
        opened = await self.get(image)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._submit_prompt(opened, number, prompt, answers, _settle(future), None)
        result: Change | Superseded = await future
        return result

    def request(
        self, opened: OpenImage, origin: Origin, number: int | None, work: Callable[[], Any] | tuple[PlacedPrompt, bool]
    ) -> None:
        """Have the worker do what a listener asked for; the answer goes to all who listen."""
        if isinstance(work, tuple):
            ahead = self._submit_prompt(opened, number, *work, _tell(origin), origin)
        else:
            ahead = self._submit(opened, lambda _: [work()], _tell(origin), origin)
        origin.listener.tell(SocketBusy(request=origin.request, object=number, ahead=ahead))

    def _submit_prompt(
        self,
        opened: OpenImage,
        number: int | None,
        prompt: PlacedPrompt,
        answers: bool,
        settle: Callable[[Outcome], None],
        origin: Origin | None,
    ) -> int:
        target = opened.snapshot.current if number is None else number

        def work(queue: Sequence[Job]) -> list[Outcome]:
            prompts = [(job.content.prompt, job.answers) for job in queue]
            return opened.add_prompts(number, prompts, queue[-1].waited)

        return self._submit(opened, work, settle, origin, (opened.id, target), answers, prompt)

    def _submit(
        self,
        opened: OpenImage,
        work: Callable[[Sequence[Job]], list[Any]],
        settle: Callable[[Outcome], None],
        origin: Origin | None = None,
        key: tuple[int, int | None] | None = None,
        answers: bool = True,
        prompt: PlacedPrompt | None = None,
    ) -> int:
        loop = asyncio.get_running_loop()

        def run(group: Sequence[Job]) -> None:
            try:
                if opened.broken:
                    # It holds what the workspace does not: another was opened in its place, or will be.
                    raise InputError("the image was closed after a failure", fix="try again: it opens again")
                outcomes = work(group)
            except Exception as error:
                outcomes = [error] * len(group)
            loop.call_soon_threadsafe(self._done, opened, group, outcomes)

        opened.pending += 1
        return self._worker.submit(Job(opened.id, run, key, answers, _Content(settle, origin, prompt)))

    def _done(self, opened: OpenImage, group: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
        opened.pending -= len(group)
        for job, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, Exception) and not isinstance(outcome, BedsideError):
                log.error("a request failed", exc_info=outcome)
            job.content.settle(outcome)
            if isinstance(outcome, Change):
                self._publish(outcome, job.content.origin)
        if opened.broken and self._open.get(opened.id) is opened:
            del self._open[opened.id]

    # Listeners

    def listen(self, image: int, listener: Listener) -> None:
        """Tell ``listener`` of every change of an image from now on."""
        self._listeners.setdefault(image, set()).add(listener)

    def forget(self, image: int, listener: Listener) -> None:
        """Tell ``listener`` nothing more."""
        self._listeners.get(image, set()).discard(listener)

    def _publish(self, change: Change, origin: Origin | None) -> None:
        others = SocketChanged(change=change).model_dump_json() if self._listeners.get(change.image) else ""
        for listener in self._listeners.get(change.image, set()):
            if origin is None or listener is not origin.listener:
                listener.tell_text(others)


class _Content:
    """What a job carries: whom to tell, and the prompt, where it is one."""

    def __init__(self, settle: Callable[[Outcome], None], origin: Origin | None, prompt: PlacedPrompt | None) -> None:
        self.settle, self.origin, self.prompt = settle, origin, prompt


def _settle(future: asyncio.Future[Any]) -> Callable[[Outcome], None]:
    """Hand an outcome to whoever waits for it, if somebody still does."""

    def settle(outcome: Outcome) -> None:
        if future.done():
            return
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    return settle


def _tell(origin: Origin) -> Callable[[Outcome], None]:
    """Hand an outcome to the listener that asked."""

    def tell(outcome: Outcome) -> None:
        if isinstance(outcome, Exception):
            origin.listener.tell(
                SocketError(request=origin.request, problem=Problem.model_validate(problem_fields(outcome)))
            )
        elif isinstance(outcome, Superseded):
            origin.listener.tell(SocketSuperseded(request=origin.request))
        else:
            origin.listener.tell(SocketAnswer(request=origin.request, change=outcome))

    return tell
