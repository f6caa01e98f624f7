"""Objects, prompts, masks."""

from __future__ import annotations

from functools import partial

import numpy as np
from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from bedside.core.placed import PlacedPrompt
from bedside.core.region import Region
from bedside.serve.edit_messages import (
    EditRequest,
    LikeRequest,
    PropagateRequest,
    Proposals,
    ProposalsRequest,
    RemoveRequest,
    TakeRequest,
)
from bedside.serve.messages import (
    BrushRequest,
    Cancelled,
    Change,
    LabelPatch,
    ObjectCreate,
    ObjectList,
    ObjectUpdate,
    Patch,
    PromptList,
    PromptRequest,
    Suggestion,
    Superseded,
)
from bedside.serve.opened import OpenImage
from bedside.serve.patches import dtype_name, encode, paint_labels, whole_box
from bedside.serve.prompts import read_prompt
from bedside.serve.routes.common import PROBLEMS, ServiceOf
from bedside.serve.voxels import nifti_size, nifti_stream

router = APIRouter(prefix="/api/images/{image}", tags=["objects"], responses=PROBLEMS)


@router.get("/labels")
async def labels(service: ServiceOf, image: int) -> LabelPatch:
    """Return who is seen where, of the whole image."""
    opened = await service.hub.get(image)
    patch: LabelPatch = await service.hub.call(_label_patch, opened)
    return patch


def _label_patch(opened: OpenImage) -> LabelPatch:
    snapshot = opened.snapshot
    box = whole_box(snapshot.visible, opened.image.ndim)
    painted = paint_labels(snapshot.visible, box, snapshot.policy)
    return LabelPatch(
        version=snapshot.version,
        start=list(box.start),
        stop=list(box.stop),
        labels=encode(painted),
        dtype=dtype_name(painted),
    )


@router.get("/labels.nii", response_class=StreamingResponse)
async def labels_volume(service: ServiceOf, image: int) -> StreamingResponse:
    """Return who is seen where, as an uncompressed NIfTI-1 file."""
    opened = await service.hub.get(image)
    snapshot, geometry = opened.snapshot, opened.image.geometry
    painted = await service.hub.call(paint_labels, snapshot.visible, Region.whole(geometry.shape), snapshot.policy)
    headers = {
        "Content-Length": str(nifti_size(geometry, painted.dtype)),
        "X-Bedside-Version": str(snapshot.version),
    }
    stream = nifti_stream(painted, geometry, np.dtype(painted.dtype))
    return StreamingResponse(stream, media_type="application/octet-stream", headers=headers)


@router.get("/objects")
async def objects(service: ServiceOf, image: int) -> ObjectList:
    """Return all objects."""
    snapshot = (await service.hub.get(image)).snapshot
    return ObjectList(version=snapshot.version, current=snapshot.current, objects=snapshot.infos)


@router.post("/objects")
async def create(service: ServiceOf, image: int, request: ObjectCreate) -> Change:
    """Begin an object, which becomes the current one."""
    change: Change = await service.hub.change(image, lambda opened: opened.add_object(request))
    return change


@router.patch("/objects/{number}")
async def update(service: ServiceOf, image: int, number: int, request: ObjectUpdate) -> Change:
    """Rename, colour, show, hide, lock or unlock an object."""
    change: Change = await service.hub.change(image, lambda opened: opened.change_object(number, request))
    return change


@router.delete("/objects/{number}")
async def delete(service: ServiceOf, image: int, number: int) -> Change:
    """Delete an object."""
    change: Change = await service.hub.change(image, lambda opened: opened.delete_object(number))
    return change


@router.get("/objects/{number}/mask")
async def mask(service: ServiceOf, image: int, number: int) -> Patch:
    """Return the mask of one object."""
    opened = await service.hub.get(image)
    patch: Patch = await service.hub.call(opened.mask_patch, number)
    return patch


@router.get("/objects/{number}/prompts")
async def prompts_of(service: ServiceOf, image: int, number: int) -> PromptList:
    """Return the prompts in force of an object."""
    return (await service.hub.get(image)).snapshot.prompts(number)


@router.post("/objects/{number}/undo")
async def undo(service: ServiceOf, image: int, number: int) -> Change:
    """Undo the last prompt or removal of an object."""
    change: Change = await service.hub.change(image, lambda opened: opened.step(number, redo=False))
    return change


@router.post("/objects/{number}/redo")
async def redo(service: ServiceOf, image: int, number: int) -> Change:
    """Put back what was last undone."""
    change: Change = await service.hub.change(image, lambda opened: opened.step(number, redo=True))
    return change


@router.post("/objects/{number}/suggest")
async def suggest(service: ServiceOf, image: int, number: int) -> Suggestion:
    """Return where to click next."""
    suggestion: Suggestion = await service.hub.change(image, lambda opened: opened.suggest(number), asks=True)
    return suggestion


@router.post("/objects/{number}/edit")
async def edit(service: ServiceOf, image: int, number: int, request: EditRequest) -> Change:
    """Change an object's mask by a classical tool, one of ``/api/edits``; undo takes it back."""
    change: Change = await service.hub.change(image, lambda opened: opened.edit(number, request))
    return change


@router.post("/objects/{number}/propagate")
async def propagate(service: ServiceOf, image: int, number: int, request: PropagateRequest) -> Change:
    """Carry an object's mask on one slice along the slices, or frames, on both sides; undo takes all of it back."""
    report = service.hub.reporter(image, "propagate")
    change: Change = await service.hub.change(
        image, lambda opened: opened.propagate(number, request, report), asks=True
    )
    return change


@router.post("/find-like")
async def find_like(service: ServiceOf, image: int, request: LikeRequest) -> Change:
    """Find all others of the kind of a few objects and begin an object for each; ``opened`` says which they are.

    They share no voxel with each other, nor with an object that was there. What is wrong is deleted as any object.
    """
    report = service.hub.reporter(image, "find-like")
    change: Change = await service.hub.change(image, lambda opened: opened.find_like(request, report), asks=True)
    return change


@router.post("/proposals")
async def propose(service: ServiceOf, image: int, request: ProposalsRequest) -> Proposals:
    """Find all others of the kind of a few objects, and change nothing: ``proposals/take`` begins those accepted.

    They share no voxel with each other, nor with an object that was there. They are kept while the image is in memory,
    until the next search.
    """
    report = service.hub.reporter(image, "find-like")
    found: Proposals = await service.hub.change(image, lambda opened: opened.propose(request, report), asks=True)
    return found


@router.post("/proposals/take")
async def take_proposals(service: ServiceOf, image: int, request: TakeRequest) -> Change:
    """Begin an object for each proposal that is accepted; ``opened`` says which they are.

    The others are dropped with that. Removing just these objects in one change (``objects/remove``) brings all
    proposals back, so that they can be taken again.
    """
    change: Change = await service.hub.change(image, lambda opened: opened.take_proposals(request))
    return change


@router.post("/objects/remove")
async def remove_objects(service: ServiceOf, image: int, request: RemoveRequest) -> Change:
    """Delete several objects in one change, as those that a search has begun."""
    change: Change = await service.hub.change(image, lambda opened: opened.remove_objects(request.objects))
    return change


@router.post("/objects/{number}/next-candidate")
async def next_candidate(service: ServiceOf, image: int, number: int) -> Change:
    """Show the next mask that an object's first click may mean, of another size; the prompts stay.

    After the last comes the model's own again. Undo takes the pick back; where there is one mask only nothing changes.
    """
    change: Change = await service.hub.change(image, lambda opened: opened.show_next_candidate(number), asks=True)
    return change


@router.post("/prompts")
async def add_prompt(service: ServiceOf, image: int, request: PromptRequest) -> Change | Superseded:
    """Add a prompt and answer it."""
    opened = await service.hub.get(image)
    prompt = read_prompt(request.prompt, opened.image)
    if request.on == "second":
        work = partial(_on_second, number=request.object, prompt=prompt)
        change: Change = await service.hub.change(image, work, asks=True)
        return change
    return await service.hub.prompt(image, request.object, prompt, request.predict)


def _on_second(opened: OpenImage, number: int | None, prompt: PlacedPrompt) -> Change:
    return opened.prompt_on_second(number, prompt)


@router.delete("/prompts/{prompt}")
async def remove_prompt(service: ServiceOf, image: int, prompt: int) -> Change:
    """Delete one prompt, wherever it stands."""
    change: Change = await service.hub.change(image, lambda opened: opened.remove_prompt(prompt), asks=True)
    return change


@router.post("/cancel")
async def cancel(service: ServiceOf, image: int) -> Cancelled:
    """Stop all answers that are under way or wait for this image, whoever asked.

    Each of those requests is told so (status 409, or ``cancelled`` over the WebSocket); their prompts are nowhere, and
    nothing has changed. The network is stopped between two of its passes, or what its last one said is dropped. One
    whose change is taken already is not counted, and stays.
    """
    await service.hub.get(image)
    return Cancelled(image=image, cancelled=service.hub.cancel(image))


@router.post("/brush")
async def brush(service: ServiceOf, image: int, request: BrushRequest) -> Change:
    """Replace a box of an object's mask by what was painted."""
    change: Change = await service.hub.change(image, lambda opened: opened.brush(request))
    return change
