"""A client of another program: one image and one object at a time, on the sessions that everybody shares."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError, PromptError
from bedside.core.files import scratch_folder
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.mask import PackedMask
from bedside.core.placed import PlacedPrompt
from bedside.core.prompts import Prompt
from bedside.core.region import Region
from bedside.core.stopping import unstoppable
from bedside.io import write_image
from bedside.serve.allowance import Allowance
from bedside.serve.errors import NotFoundError, TooLargeError
from bedside.serve.leases import LeaseError, Leases
from bedside.serve.messages import Change
from bedside.serve.opened import OpenImage
from bedside.serve.places import keep_upload
from bedside.serve.service import Service
from bedside.weights.defaults import IMAGES, volume_model

Difference = tuple[Region, NDArray[np.uint8]]
"""Where a mask has changed since the client last heard of it, and what it is there, 0/1."""


class Client:
    """What one client works with. Image, object, prompts and masks are the service's; this knows their numbers.

    A volume of one slice is a picture to the service; the client goes on seeing three axes.

    Args:
        service: The sessions.
        title: What the client's objects are called.
        allowance: What it may take.

    Attributes:
        lock: Held during each of its requests, so that they are answered in their order.
        allowance: What it may take.
    """

    def __init__(self, service: Service, title: str, allowance: Allowance | None = None) -> None:
        self._service, self._title = service, title
        self.allowance = allowance or Allowance()
        self.lock = asyncio.Lock()
        self._image: int | None = None
        self._object: int | None = None
        self._shape: tuple[int, ...] = ()
        self._thin: int | None = None
        self._told = PackedMask.empty(3)

    @property
    def image(self) -> int:
        """Number of its image.

        Raises:
            InputError: It has sent none.
        """
        return self._number()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the image as the client has it, three axes.

        Raises:
            InputError: It has sent none.
        """
        if self._image is None:
            raise InputError("no image", expected="an image before anything else", fix="send the image first")
        return self._shape

    @property
    def spatial(self) -> tuple[int, ...]:
        """Shape of the image as the service has it.

        Raises:
            InputError: The client has sent none.
        """
        return self.without_thin(self.shape)

    def without_thin(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """Return one value an axis of the service's image, of one an axis of the client's."""
        if len(values) != 3:
            raise PromptError("coordinates", expected="three, one an axis", got=len(values))
        return tuple(value for axis, value in enumerate(values) if axis != self._thin)

    def flat(self, mask: NDArray[Any]) -> NDArray[Any]:
        """Return a mask with the axes of the service's image."""
        if mask.ndim != 3 or (self._thin is not None and mask.shape[self._thin] != 1):
            raise PromptError("mask", expected=f"three axes, as the image {self.shape} has", got=mask.shape)
        return mask if self._thin is None else np.take(mask, 0, axis=self._thin)

    async def set_image(self, array: NDArray[Any], spacing: Sequence[float] | None) -> None:
        """Take an image, and work on another object of it from now on.

        Args:
            array: Grey samples of three axes, any real dtype.
            spacing: Millimetres along each axis; None where they are not known.

        Raises:
            BedsideError: It cannot be used; the image before it stays.
        """
        thin = next((axis for axis, n in enumerate(array.shape) if n == 1), None)
        samples = array if thin is None else np.take(array, 0, axis=thin)
        kept = None if spacing is None else [s for axis, s in enumerate(spacing) if axis != thin][::-1]
        # Checked before anything is written.
        image = Image(samples, Geometry.create(samples.shape, kept))
        self.allowance.take(images=1, bytes=samples.nbytes)
        place = await self._service.hub.call(_keep, image, self._service.uploads, self._title)
        opened = await self._service.open_at(place)
        self._image, self._shape, self._thin = opened.id, array.shape, thin
        self.begin()

    async def open(self, place: Path, most: int) -> None:
        """Take an image in a file that was sent, or in a folder of DICOM files.

        Args:
            place: The file or folder.
            most: Bytes that its samples may take; of a file that is compressed nobody knows before.

        Raises:
            BedsideError: It cannot be used; the image before it stays.
        """
        opened = await open_sent(self._service, place, most)
        self.allowance.take(images=1, bytes=opened.image.array.nbytes)
        shape = opened.image.shape
        self._image, self._thin = opened.id, None if len(shape) > 2 else 0
        self._shape = shape if len(shape) > 2 else (1, *shape)
        self.begin()

    def begin(self) -> None:
        """Begin another object with the next prompt; the one before stays in the workspace."""
        self._object = None
        self._told = PackedMask.empty(0 if self._image is None else len(self.spatial))

    async def prompt(self, prompt: Prompt, predict: bool, known: PackedMask | None = None) -> Difference | None:
        """Add a prompt; returns what changed, None for nothing.

        Args:
            prompt: On the service's image.
            predict: False for one that waits for the next.
            known: What the client takes the object's mask to be from now on; what it was told by default.

        Raises:
            BedsideError: Image or model cannot take it; nothing has changed then.
        """
        self.allowance.take(prompts=1)
        number = self._object

        def work(opened: OpenImage) -> Change:
            placed = PlacedPrompt.of(prompt, opened.image.geometry)
            if number is None:
                return opened.begin_with(self._title, placed, predict)
            return _added(opened, number, placed, predict)

        change: Change = await self._service.hub.change(self._number(), work, asks=True)
        self._object = change.object
        self._told = self._told if known is None else known
        return await self._difference()

    async def predict(self) -> tuple[bool, Difference | None]:
        """Answer the prompts that wait; returns whether any did, and what changed."""
        number = self._object

        def work(opened: OpenImage) -> Change | None:
            prompts = () if number is None else opened.snapshot.object(number).prompts
            if number is None or not prompts or prompts[-1].predict or prompts[-1].prompt.kind == "mask":
                return None
            # A part of the answer only, which may still be ended afterwards.
            with unstoppable():
                opened.step(number, redo=False)
            try:
                return _added(opened, number, PlacedPrompt.of(prompts[-1].prompt, opened.image.geometry), True)
            except BaseException:
                with unstoppable():
                    opened.step(number, redo=True)
                raise

        change = await self._service.hub.change(self._number(), work, asks=True)
        return change is not None, None if change is None else await self._difference()

    async def undo(self) -> tuple[bool, Difference | None]:
        """Undo the last prompt; returns whether there was one, and what changed."""
        number = self._object

        def work(opened: OpenImage) -> Change | None:
            if number is None or not opened.snapshot.object(number).info.can_undo:
                return None
            return opened.step(number, redo=False)

        change = await self._service.hub.change(self._number(), work)
        return change is not None, None if change is None else await self._difference()

    async def mask(self) -> NDArray[np.uint8]:
        """Return the whole mask of the object, 0/1, with the client's axes; empty where none was begun."""
        opened = await self._service.hub.get(self._number())
        if self._object is None:
            return np.zeros(self.shape, dtype=np.uint8)
        kept = opened.snapshot.object(self._object).mask
        whole: NDArray[np.uint8] = await self._service.hub.call(kept.patch, Region.whole(self.spatial))
        return whole.reshape(self.shape)

    def _number(self) -> int:
        _ = self.shape
        assert self._image is not None
        return self._image

    async def _difference(self) -> Difference | None:
        """Return what changed since the client last heard of its object, with the client's axes."""
        if self._object is None:
            raise NotFoundError("object", got="none")
        now = (await self._service.hub.get(self._number())).snapshot.object(self._object).mask
        before, self._told = self._told, now
        region = before.changed(now)
        if region.is_empty:
            return None
        patch = now.patch(region.union(now.region))
        patch = patch[region.shift([-a for a in region.union(now.region).start]).slices]
        if self._thin is None:
            return region, patch
        start, stop = list(region.start), list(region.stop)
        start.insert(self._thin, 0)
        stop.insert(self._thin, 1)
        return Region(tuple(start), tuple(stop)), np.expand_dims(patch, self._thin)


async def open_sent(service: Service, place: Path, most: int) -> OpenImage:
    """Open an image that was sent as a file.

    Args:
        service: The sessions.
        place: The file, or a folder of DICOM files.
        most: Bytes that its samples may take.

    Raises:
        TooLargeError: They take more; it is not kept in memory.
        BedsideError: It cannot be opened.
    """
    opened = await service.open_at(place)
    if opened.image.array.nbytes > most:
        service.hub.drop(opened.id)
        raise TooLargeError("image", expected=f"at most {most} bytes", got=opened.image.array.nbytes)
    return opened


def _added(opened: OpenImage, number: int, prompt: PlacedPrompt, predict: bool) -> Change:
    outcome = opened.add_prompts(number, [(prompt, predict)], 0.0)[0]
    if isinstance(outcome, Exception):
        raise outcome
    assert isinstance(outcome, Change)
    return outcome


def _keep(image: Image, folder: Path, title: str) -> Path:
    """Write an image to a folder named by its content; returns where it is."""
    # NIfTI says that the spacing is not known; MHA keeps every digit of one that is.
    suffix = "mha" if image.geometry.spacing_known else "nii"
    name = f"{title} {' x '.join(map(str, image.shape[::-1]))}.{suffix}"
    with scratch_folder(folder) as scratch:
        inside = scratch / "files"
        inside.mkdir()
        write_image(inside / name, image)
        return keep_upload(inside, folder) / name


@contextlib.asynccontextmanager
async def leased(leases: Leases[Client], token: str | None) -> AsyncIterator[Client]:
    """Yield what a lease holds, to one request at a time; the lease does not end in the meantime.

    Raises:
        LeaseError: It is not in force.
    """
    lease = leases.get(token)
    lease.busy += 1
    try:
        async with lease.holds.lock:
            yield lease.holds
    finally:
        lease.busy -= 1
        # The time that an answer took is not idle.
        with contextlib.suppress(LeaseError):
            leases.get(lease.token)


def offered_kinds(service: Service) -> tuple[list[str], frozenset[str], bool]:
    """Return what clients are offered before there is an image.

    Returns:
        The models that answer, for pictures and for volumes; the kinds of prompts that both take; and whether a box in
        a volume must be flat. May load them.
    """
    names = [service.config.model or name for name in (IMAGES, volume_model())]
    offered = [service.engines.capabilities(name) for name in names]
    kinds = frozenset[str].intersection(*(can.prompt_kinds for can in offered))
    return names, kinds, any(can.flat_boxes for can in offered)


def spacing_of(value: object, axes: int) -> list[float] | None:
    """Return a spacing that a client sent; None where it sent none.

    Raises:
        InputError: It is not ``axes`` numbers above 0.
    """
    if value is None:
        return None
    numbers = value if isinstance(value, list) else []
    good = len(numbers) == axes and all(
        isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n) and n > 0 for n in numbers
    )
    if not good:
        raise InputError("spacing", expected=f"{axes} numbers above 0", got=repr(value)[:80])
    return [float(n) for n in numbers]
