"""What the page asks for first: the server's state, the models, and the worklist."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Query, Response

from bedside import __version__
from bedside.edits import EDITS, Edit
from bedside.io import readers, writers
from bedside.serve.beside import save_beside
from bedside.serve.edit_messages import EditInfo, EditList
from bedside.serve.errors import NotFoundError
from bedside.serve.facts import CT_WINDOWS
from bedside.serve.messages import ImageInfo, Item, ItemUpdate, SavedBeside, Worklist
from bedside.serve.model_messages import ModelList
from bedside.serve.routes.common import PROBLEMS, ServiceOf
from bedside.serve.security import UPLOAD_LIMIT
from bedside.serve.service import image_info, item_info
from bedside.serve.state import ServerState, save_formats
from bedside.weights.defaults import IMAGES

RECENT = 20
PATIENCE = 1.0
"""Seconds that the first answer waits for a folder to be looked through."""

router = APIRouter(prefix="/api", tags=["start"], responses=PROBLEMS)


@router.get("/state")
async def state(service: ServiceOf) -> ServerState:
    """Return the server, and what to show first."""
    await service.looked_through(PATIENCE)
    recent = [item_info(service, record) for record in service.workspace.recent(RECENT)]
    return ServerState(
        version=__version__,
        workspace=str(service.workspace.path),
        default_model=service.config.model or IMAGES,
        first=service.first,
        recent=recent,
        presets=list(CT_WINDOWS),
        readers={name: list(suffixes) for name, suffixes in readers().items()},
        writers={name: list(suffixes) for name, suffixes in writers().items()},
        formats=save_formats(),
        sample=True,
        upload_limit=UPLOAD_LIMIT,
        pacs=None if service.pacs is None else service.pacs.address,
    )


@router.get("/models")
async def models(service: ServiceOf) -> ModelList:
    """Return the models, and why one cannot be chosen."""
    return ModelList(default=service.config.model or IMAGES, models=await service.hub.call(service.engines.models))


@router.get("/edits")
async def edits() -> EditList:
    """Return the classical tools on masks."""
    return EditList(edits=[_edit_info(name, edit) for name, edit in EDITS.items()])


def _edit_info(name: str, edit: Edit) -> EditInfo:
    told = EditInfo(name=name, title=edit.title, help=edit.help, combines=edit.combines, sliced=edit.sliced)
    if edit.value is not None:
        told.unit, told.default = edit.value.unit, edit.value.default
        told.least, told.most = edit.value.least, edit.value.most
    return told


@router.get("/worklist")
async def worklist(service: ServiceOf) -> Worklist:
    """Return the images of this start, in order."""
    items = [item_info(service, record) for record in service.workspace.items(service.items)]
    counts = dict.fromkeys(("new", "in progress", "done"), 0)
    for item in items:
        counts[item.state] += 1
    return Worklist(items=items, scanning=service.scanning, counts=counts)


@router.post("/worklist/next")
async def next_item(service: ServiceOf, after: int | None = Query(None)) -> Item:
    """Return the next item that is not done."""
    found = service.next_item(after)
    if found is None:
        raise NotFoundError("all other images are done")
    return item_info(service, found)


@router.post("/worklist/{item:int}/open")
async def open_item(service: ServiceOf, item: int) -> ImageInfo:
    """Open the image of an item."""
    return image_info(service, await service.open(service.item(item)))


@router.post("/worklist/{item:int}/save")
async def save(service: ServiceOf, item: int) -> SavedBeside:
    """Write the masks of an image, and the list of its labels, beside it, as ``bedside export`` does.

    The files of the last time are replaced; any other file in their place is left alone, and said.
    """
    record = service.item(item)
    opened = await service.hub.open_item(record)
    folder, notes = await service.hub.call(save_beside, service.workspace, opened, Path(record.path), service.folder)
    return SavedBeside(folder=str(folder), notes=list(notes))


@router.patch("/worklist/{item:int}")
async def set_state(service: ServiceOf, item: int, update: ItemUpdate) -> Item:
    """Set how far the work on an item is."""
    service.item(item)
    await service.hub.call(service.workspace.set_state, item, update.state)
    return item_info(service, service.item(item))


@router.delete("/worklist/{item:int}", status_code=204)
async def take_off(service: ServiceOf, item: int) -> Response:
    """Take an item off the list; file and work stay."""
    service.item(item)
    if item in service.items:
        service.items.remove(item)
    return Response(status_code=204)
