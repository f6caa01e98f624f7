"""All that the routes need, made once at the start: workspace, models, worker, hub, and the worklist of this start."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedside.core.errors import BedsideError, ChoiceError
from bedside.core.image import Image
from bedside.serve.arriving import Arrivals
from bedside.serve.cleaning import FETCHED, UNPACKED, UPLOADS, remove_unneeded, remove_unpacked
from bedside.serve.engines import Engines
from bedside.serve.errors import NotFoundError
from bedside.serve.hub import BUDGET, Hub
from bedside.serve.messages import ImageInfo, Item
from bedside.serve.opened import OpenImage
from bedside.serve.opening import Opener
from bedside.serve.pacs import Pacs, PacsConfig
from bedside.serve.places import choices_at, find_images, is_archive, unpack
from bedside.serve.saving import UID_MAP, KeptUids
from bedside.serve.state import dicom_formats
from bedside.serve.voxels import affine_of
from bedside.serve.worker import Job, Worker
from bedside.session.workspace import ItemRecord, Workspace
from bedside.weights.defaults import IMAGES

TIME_LIMIT = 600.0
"""Seconds that an answer may take where nothing else was said: longer than any model here needs on two cores."""
PREPARE_AFTER = 1.5
"""Seconds after an image was opened before the next is prepared, so that its own page is served first."""

_CHOOSE = "choose one of them in the worklist (over REST: GET /api/worklist, then POST /api/worklist/ITEM/open)"
_NAME = "name one by 'series' or 'volume': the worklist lists them now (over REST: GET /api/worklist)"

log = logging.getLogger("bedside.serve")


@dataclass(frozen=True)
class ServiceConfig:
    """What a server is started with.

    Attributes:
        paths: Images, and folders of images, for the worklist.
        model: Answers where none was chosen for an image; None for the bundled one for images or for volumes.
        budget: Bytes of memory for images.
        prepare_after: Seconds before the next image is prepared; None for never.
        warm_up: Whether the model is loaded before anyone asks.
        limit: Seconds that an answer may take, without its waiting; None for any.
        pacs: The PACS that the page shows; None for none.
    """

    paths: tuple[Path, ...] = ()
    model: str | None = None
    budget: int = BUDGET
    prepare_after: float | None = PREPARE_AFTER
    warm_up: bool = True
    limit: float | None = TIME_LIMIT
    pacs: PacsConfig | None = None


class Service:
    """The running server's parts.

    Args:
        workspace: Where the work is kept; closed with the service.
        config: See ``ServiceConfig``.
        engines: The models.

    Attributes:
        arrivals: What clients send and nobody has accepted yet.
        pacs: The PACS; None where none is configured.
        uids: Old and new UIDs of what left without the patient.
        items: Numbers of the worklist's items, in order.
        first: The item to open at once.
        scanning: Whether a folder is still being looked through.
    """

    def __init__(self, workspace: Workspace, config: ServiceConfig, engines: Engines | None = None) -> None:
        self.workspace, self.config = workspace, config
        self.engines = engines or Engines()
        self.folder = workspace.path.with_name(workspace.path.name + ".files")
        remove_unneeded(workspace, self.folder)
        self.worker = Worker()
        self._opener = Opener(workspace, self.engines, config.model, self.folder / UNPACKED)
        self.hub = Hub(workspace, self._opener, self.worker, config.budget, config.limit)
        self.arrivals = Arrivals(self.uploads)
        self.uids = KeptUids(self.folder / UID_MAP)
        unpacked = self.folder / UNPACKED
        self.pacs = None if config.pacs is None else Pacs(config.pacs, self.folder / FETCHED, unpacked)
        self.items: list[int] = []
        self.first: int | None = None
        self.scanning = False
        self._looked_through = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin the worklist, and load the model while the page is being fetched."""
        for path in self.config.paths:
            if not path.is_dir():
                self.items.append(self.workspace.item(str(path.absolute()), name=path.name))
        self.first = self.items[0] if self.items else None
        folders = [path for path in self.config.paths if path.is_dir()]
        if folders:
            self.scanning = True
            self._spawn(self._scan(folders))
        else:
            self._looked_through.set()
            self._prepare_first()
        if self.config.warm_up:
            self._warm_up(self.config.model or IMAGES)

    async def stop(self, patience: float = 0.5) -> None:
        """End everything; what was answered is in the workspace.

        Args:
            patience: Seconds to wait for a prediction under way; what it would have answered is forgotten.
        """
        for task in self._tasks:
            task.cancel()
        if self.pacs is not None:
            self.pacs.transfers.stop()
        self.hub.readers.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self.worker.stop, patience)
        await asyncio.to_thread(remove_unpacked, self.folder)
        self.workspace.close()

    @property
    def uploads(self) -> Path:
        """Where what browsers send is kept."""
        return self.folder / UPLOADS

    # The worklist

    def forget(self, folder: Path) -> None:
        """Take what lay in a folder off the worklist, and its images from memory where they are."""
        gone = self.workspace.forget(folder.absolute())
        numbers = {record.id for record in gone}
        self.items[:] = [number for number in self.items if number not in numbers]
        for image in {record.image for record in gone if record.image is not None}:
            self.hub.drop(image)
            # One that is worked on is at another place, too: a path that a user named, or another upload.
            elsewhere = self.workspace.places(image)
            for opened in self.hub.images:
                if opened.id == image and elsewhere:
                    opened.item = elsewhere[0].id

    async def open_at(self, path: Path, series: str | None = None, volume: int | None = None) -> OpenImage:
        """Open the image at a place and put it on the worklist.

        Raises:
            BedsideError: It cannot be opened; it is not put on the list then.
        """
        number = await self.hub.call(self.workspace.item, str(path.absolute()), series, volume, path.name)
        opened = await self.open(self.item(number))
        if number not in self.items:
            self.items.append(number)
        return opened

    async def read_beside(self, path: Path, series: str | None = None, volume: int | None = None) -> Image:
        """Return the image at a place, to be shown beside an open one, and not put on the worklist.

        Raises:
            ChoiceError: There are several; they are on the worklist now, with what tells them apart.
            BedsideError: It cannot be read.
        """
        try:
            image: Image = await self.hub.call(self._opener.read, path, series, volume)
        except ChoiceError as error:
            if volume is not None:
                raise
            number = await self.hub.call(self.workspace.item, str(path.absolute()), series, volume, path.name)
            await self._offer(self.item(number), error.count)
            raise ChoiceError(error.what, fix=_NAME) from error
        return image

    async def looked_through(self, patience: float) -> None:
        """Wait a moment for folders to be looked through, so that the first answer knows the first image."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._looked_through.wait(), patience)

    def item(self, number: int) -> ItemRecord:
        """Return an item by its number.

        Raises:
            NotFoundError: There is none.
        """
        found = self.workspace.items([number])
        if not found:
            raise NotFoundError("item", expected="the number of a line of the worklist", got=number)
        return found[0]

    def next_item(self, after: int | None) -> ItemRecord | None:
        """Return the next item that is not done, from the one after ``after`` on and round; None where all are done."""
        start = self.items.index(after) + 1 if after in self.items else 0
        order = self.items[start:] + self.items[:start]
        return next((i for i in self.workspace.items(order) if i.state != "done" and i.id != after), None)

    async def open(self, item: ItemRecord) -> OpenImage:
        """Open an item, and prepare its model and the item after it in the background."""
        try:
            opened = await self.hub.open_item(item)
        except ChoiceError as error:
            if item.volume is not None:
                raise
            await self._offer(item, error.count)
            raise ChoiceError(error.what, fix=_CHOOSE) from error
        if self.config.warm_up and not self.engines.loaded(opened.model):
            self._warm_up(opened.model)
        if self.config.prepare_after is not None:
            self._spawn(self._prepare_after(item.id, self.config.prepare_after))
        return opened

    async def _offer(self, item: ItemRecord, count: int | None) -> None:
        """Put what there is to choose from at an item's place on the worklist, in its stead."""
        path = Path(item.path)
        inside = await self.hub.call(unpack, path, self.folder / UNPACKED) if is_archive(path) else path
        places = await self.hub.call(choices_at, inside, item.series, count)
        numbers = []
        for place in places:
            name = place.name.replace(inside.name, path.name, 1)
            number = await self.hub.call(self.workspace.item, str(path), place.series, place.volume, name)
            if number not in self.items:
                numbers.append(number)
        where = self.items.index(item.id) if item.id in self.items else len(self.items)
        self.items[where : where + 1] = numbers

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        # The loop holds its tasks weakly.
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _prepare_after(self, item: int, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._prepare(self.next_item(item))

    async def _prepare(self, item: ItemRecord | None) -> None:
        """Read an image before somebody asks for it."""
        if item is not None and not self.hub.ready(item.image):
            # Why it cannot be opened is kept with the item, and said to whoever opens it.
            with contextlib.suppress(BedsideError):
                await self.hub.open_item(item, shown=False)

    def _prepare_first(self) -> None:
        """Read the first image while the browser is still fetching the page."""
        if self.first is not None and self.config.prepare_after is not None:
            self._spawn(self._prepare(self.item(self.first)))

    async def _scan(self, folders: list[Path]) -> None:
        try:
            for folder in folders:
                try:
                    places = await self.hub.call(find_images, folder.absolute())
                except BedsideError as error:
                    log.warning("%s", error)
                    continue
                for place in places:
                    number = self.workspace.item(str(place.path), place.series, place.volume, place.name)
                    if number not in self.items:
                        self.items.append(number)
            self.first = self.first if self.first is not None else next(iter(self.items), None)
            self._prepare_first()
        finally:
            self.scanning = False
            self._looked_through.set()

    def _warm_up(self, model: str) -> None:
        """Load a model while nobody asks it."""

        def work(_: Sequence[Job]) -> None:
            try:
                self.engines.warm_up(model)
            except BedsideError as error:
                log.warning("%s", error)

        self.worker.submit(Job(0, work, asks=True))


def item_info(service: Service, record: ItemRecord) -> Item:
    """Return an item as the page takes it."""
    return Item(
        item=record.id,
        path=record.path,
        name=record.name,
        series=record.series,
        volume=record.volume,
        state=record.state,
        image=record.image,
        objects=service.workspace.objects(record.image) if record.image is not None else 0,
        ready=service.hub.ready(record.image),
        problem=record.problem,
    )


def image_info(service: Service, opened: OpenImage) -> ImageInfo:
    """Return an open image as the page takes it."""
    record, image, facts, seen = service.item(opened.item), opened.image, opened.facts, opened.snapshot
    geometry = image.geometry
    return ImageInfo(
        image=opened.id,
        item=record.id,
        name=record.name,
        path=record.path,
        sha256=opened.stamp.sha256,
        dimensions=image.ndim,
        shape=list(image.shape),
        spacing=list(geometry.spacing),
        spacing_known=geometry.spacing_known,
        origin=list(geometry.origin),
        direction=[list(row) for row in geometry.direction],
        affine=affine_of(geometry).tolist(),
        modality=facts.modality,
        modality_guessed=facts.guessed,
        dtype=image.array.dtype.name,
        stored_dtype=facts.stored,
        colour=image.is_colour,
        range=[facts.low, facts.high],
        percentiles=facts.percentiles,
        window=facts.window,
        presets=facts.presets,
        nbytes=int(image.array.nbytes),
        linked=opened.has_second,
        notes=list(image.metadata.get("notes", ())),
        dicom_formats=dicom_formats(image),
        state=record.state,
        model=opened.model,
        model_problem=opened.model_problem,
        policy=seen.policy,
        tools=service.engines.tools(opened.model),
        version=seen.version,
        current=seen.current,
        objects=seen.infos,
        seconds=opened.seconds,
    )
