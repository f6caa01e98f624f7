"""Opening segmentations made elsewhere onto an image."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import UploadFile

from bedside.core.files import scratch_folder
from bedside.core.image import Image
from bedside.io.dicom.segments import SegmentSet
from bedside.io.label_lists import LabelEntry
from bedside.serve.cleaning import UNPACKED
from bedside.serve.errors import named_as
from bedside.serve.messages import Change
from bedside.serve.opened import OpenImage
from bedside.serve.places import absolute
from bedside.serve.routes.common import PROBLEMS, ServiceOf
from bedside.serve.routes.sent import receive, sent_file, sent_files, upload_body
from bedside.serve.segmentation_messages import SegmentationRequest
from bedside.serve.service import Service
from bedside.session.priors import read_of_prior
from bedside.session.segmentations import read_file

router = APIRouter(prefix="/api/images/{image}", tags=["objects"], responses=PROBLEMS)


@router.post("/segmentation", openapi_extra=upload_body(SegmentationRequest))
async def open_segmentation(
    service: ServiceOf,
    image: int,
    request: Request,
    prior: Annotated[str | None, Query(max_length=4096)] = None,
    prior_series: Annotated[str | None, Query(max_length=200)] = None,
    prior_volume: Annotated[int | None, Query(ge=0, le=1_000_000)] = None,
) -> Change:
    """Open a segmentation onto an image: every label becomes an object that prompts and brush correct.

    It is a label map (NIfTI, NRRD, MetaImage, PNG, ...), a DICOM SEG or an RTSTRUCT, named by its path on this machine
    or sent. Objects have its names, colours and numbers; ``opened`` of the answer says which they are. A list of labels
    (JSON, or a file of ITK-SNAP or 3D Slicer) names and colours the objects that there are, and begins the others.
    What was drawn on a ``prior`` of the patient, an image at a path on this machine, is carried over by rigid
    registration; ``notes`` say how far it moved. Beside files the prior is named in the address.
    """
    opened = await service.hub.get(image)
    volume = service.item(opened.item).volume
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        async with sent_files(request) as files:
            other = await _prior(service, prior, prior_series, prior_volume)
            what, found = await service.hub.call(_received, files, opened, volume, service.folder / UNPACKED, other)
    else:
        try:
            asked = SegmentationRequest.model_validate_json(await request.body())
        except ValidationError as error:
            raise RequestValidationError(error.errors()) from error
        path = absolute(asked.path)
        # What came from a PACS lies there, and is trusted no more than what a browser sends.
        sent = path.resolve().is_relative_to(service.folder.resolve())
        other = await _prior(service, asked.prior, asked.prior_series, asked.prior_volume)
        found = await service.hub.call(partial(_read, path, opened, volume, other, sent=sent))
        what = str(path)
    change: Change = await service.hub.change(image, lambda opened: opened.take(found, what))
    return change


async def _prior(service: Service, path: str | None, series: str | None, volume: int | None) -> Image | None:
    return None if path is None else await service.read_beside(absolute(path), series, volume)


def _read(
    path: Path, opened: OpenImage, volume: int | None, prior: Image | None, *, sent: bool = False
) -> SegmentSet | tuple[LabelEntry, ...]:
    if prior is not None:
        return read_of_prior(path, opened.image, prior, sent=sent)
    return read_file(path, opened.image, volume=volume, sent=sent)


def _received(
    files: list[UploadFile], opened: OpenImage, volume: int | None, folder: Path, prior: Image | None
) -> tuple[str, SegmentSet | tuple[LabelEntry, ...]]:
    """Read what was sent, of which no copy is kept: the objects are in the workspace."""
    with scratch_folder(folder) as scratch:
        receive(files, scratch)
        path = sent_file(scratch)
        name = path.name if path.is_file() else "upload"
        with named_as(path, name):
            return name, _read(path, opened, volume, prior, sent=True)
