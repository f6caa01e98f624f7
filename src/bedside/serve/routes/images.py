"""Opening images, and sending their samples."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from bedside.core.errors import ChoiceError, InputError
from bedside.serve.arriving import arriving
from bedside.serve.messages import Change, ImageInfo, ImageList, ImageUpdate, OpenRequest
from bedside.serve.places import absolute
from bedside.serve.routes.common import PROBLEMS, ServiceOf
from bedside.serve.routes.sent import sent_files, upload_body
from bedside.serve.sample import write_sample
from bedside.serve.service import image_info
from bedside.serve.voxels import nifti_size, nifti_stream, picture

router = APIRouter(prefix="/api", tags=["images"], responses=PROBLEMS)


@router.get("/images")
async def images(service: ServiceOf) -> ImageList:
    """Return the images in memory, the one used last first."""
    return ImageList(images=[image_info(service, opened) for opened in reversed(service.hub.images)])


@router.post("/images")
async def open_path(service: ServiceOf, request: OpenRequest) -> ImageInfo:
    """Open an image by its path on this machine: a file, a folder of DICOM files, or a zip."""
    path = absolute(request.path)
    return image_info(service, await service.open_at(path, request.series, request.volume))


@router.post("/upload", openapi_extra=upload_body())
async def upload(service: ServiceOf, request: Request) -> ImageInfo:
    """Open what the browser sends: one file, the files of a DICOM series, or a zip. It is kept beside the workspace;
    what cannot be opened is not.
    """
    choice: ChoiceError | None = None
    async with sent_files(request) as files, arriving(service, files) as place:
        try:
            return image_info(service, await service.open_at(place))
        except ChoiceError as error:
            # What there is to choose from is on the worklist now.
            choice = error
    raise choice


@router.post("/sample")
async def sample(service: ServiceOf) -> ImageInfo:
    """Open the built-in sample volume, to try things on."""
    path = await service.hub.call(write_sample, service.folder)
    return image_info(service, await service.open_at(path))


@router.get("/images/{image}")
async def image_of(service: ServiceOf, image: int) -> ImageInfo:
    """Return an image; it is opened again if it was dropped from memory."""
    return image_info(service, await service.hub.get(image))


@router.patch("/images/{image}")
async def update(service: ServiceOf, image: int, request: ImageUpdate) -> Change:
    """Choose another model, overlap policy or current object."""
    change: Change = await service.hub.change(
        image,
        lambda opened: opened.change_image(request.model, request.policy, request.current),
        asks=request.model is not None,
    )
    return change


@router.delete("/images/{image}", status_code=204)
async def close(service: ServiceOf, image: int) -> Response:
    """Let an image go from memory; the work stays in the workspace."""
    await service.hub.get(image)
    service.hub.drop(image)
    return Response(status_code=204)


@router.get("/images/{image}/image.nii", response_class=StreamingResponse)
async def voxels(service: ServiceOf, image: int) -> StreamingResponse:
    """Return the samples as an uncompressed NIfTI-1 file."""
    opened = await service.hub.get(image)
    if opened.image.is_colour:
        raise InputError("image.nii", expected="grey values", got="colours", fix="ask for picture.png")
    dtype, geometry = np.dtype(opened.facts.stored), opened.image.geometry
    size = nifti_size(geometry, dtype)
    stream = nifti_stream(opened.image.array, geometry, dtype)
    return StreamingResponse(stream, media_type="application/octet-stream", headers={"Content-Length": str(size)})


@router.get("/images/{image}/picture.png", response_class=Response)
async def picture_of(
    service: ServiceOf,
    image: int,
    level: Annotated[float | None, Query(allow_inf_nan=False)] = None,
    width: Annotated[float | None, Query(gt=0, allow_inf_nan=False)] = None,
) -> Response:
    """Return a two-dimensional image as PNG."""
    opened = await service.hub.get(image)
    window = opened.facts.window
    body = await service.hub.call(
        picture, opened.image, window.level if level is None else level, window.width if width is None else width
    )
    return Response(body, media_type="image/png")
