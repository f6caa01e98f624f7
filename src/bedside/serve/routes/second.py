"""A second image of the patient beside an open one: PET and CT, T1 and T2, an earlier study."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from pydantic import ValidationError
from starlette.datastructures import UploadFile

from bedside.core.files import scratch_folder
from bedside.io.isolated import read_uploaded
from bedside.serve.cleaning import UNPACKED
from bedside.serve.errors import named_as
from bedside.serve.linking import SecondImage, second_info, second_of
from bedside.serve.opened import OpenImage
from bedside.serve.places import absolute
from bedside.serve.routes.common import PROBLEMS, ServiceOf
from bedside.serve.routes.sent import receive, sent_file, sent_files, upload_body
from bedside.serve.second_messages import SecondInfo, SecondRequest
from bedside.serve.voxels import nifti_size, nifti_stream

router = APIRouter(prefix="/api/images/{image}/second", tags=["images"], responses=PROBLEMS)


@router.put("", openapi_extra=upload_body(SecondRequest))
async def link(
    service: ServiceOf, image: int, request: Request, register: Annotated[bool, Query()] = False
) -> SecondInfo:
    """Link a second image of the patient, a volume named by its path on this machine or sent, in place of any before.

    It is seen where its file places it in the world of the first, or where rigid registration does; beside files
    ``register`` is named in the address. It is no line of the worklist, and kept while the first image is in memory.
    Rejected are pictures, volumes without a known spacing, two frames of reference without registration, and a volume
    that nowhere overlaps the first.
    """
    opened = await service.hub.get(image)
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        async with sent_files(request) as files:
            found = await service.hub.call(_received, files, opened, service.folder / UNPACKED, register)
    else:
        try:
            asked = SecondRequest.model_validate_json(await request.body())
        except ValidationError as error:
            raise RequestValidationError(error.errors()) from error
        path = absolute(asked.path)
        other = await service.read_beside(path, asked.series, asked.volume)
        work = partial(second_of, opened.image, other, path.name, str(path), asked.register_)
        found = await service.hub.call(work)
    info: SecondInfo = await service.hub.change(image, lambda opened: opened.link(found))
    return info


def _received(files: list[UploadFile], opened: OpenImage, folder: Path, register: bool) -> SecondImage:
    with scratch_folder(folder) as scratch:
        receive(files, scratch)
        path = sent_file(scratch)
        name = path.name if path.is_file() else "upload"
        with named_as(path, name):
            other = read_uploaded(path)
            # What is sent lies there for a moment, and samples may be read when they are needed.
            other = replace(other, array=np.array(other.array))
            return second_of(opened.image, other, name, "", register)


@router.get("")
async def second(service: ServiceOf, image: int) -> SecondInfo:
    """Return the second image that is linked."""
    return second_info((await service.hub.get(image)).second)


@router.delete("", status_code=204)
async def unlink(service: ServiceOf, image: int) -> Response:
    """Let go of the second image; what was segmented on it stays."""
    await service.hub.change(image, lambda opened: opened.unlink())
    return Response(status_code=204)


@router.get("/image.nii", response_class=StreamingResponse)
async def voxels(service: ServiceOf, image: int) -> StreamingResponse:
    """Return the samples of the second image, on its own grid, as an uncompressed NIfTI-1 file."""
    found = (await service.hub.get(image)).second
    dtype, geometry = np.dtype(found.facts.stored), found.linked.geometry
    stream = nifti_stream(found.linked.image.array, geometry, dtype)
    headers = {"Content-Length": str(nifti_size(geometry, dtype))}
    return StreamingResponse(stream, media_type="application/octet-stream", headers=headers)


@router.get("/slice.npy", response_class=Response)
async def resampled(
    service: ServiceOf, image: int, axis: Annotated[int, Query(ge=0, le=2)], index: Annotated[int, Query(ge=0)]
) -> Response:
    """Return the second image on one slice of the first one's grid, resampled by linear interpolation.

    ``axis``, in array order (z, y, x), is the one across which the slice lies. The response is a NumPy file of float32,
    the two other axes in array order, not a number where there is no second image.
    """
    found = (await service.hub.get(image)).second
    body = await service.hub.call(_npy, found, axis, index)
    return Response(body, media_type="application/octet-stream")


def _npy(found: SecondImage, axis: int, index: int) -> bytes:
    stream = io.BytesIO()
    np.save(stream, found.linked.slice(axis, index), allow_pickle=False)
    return stream.getvalue()
