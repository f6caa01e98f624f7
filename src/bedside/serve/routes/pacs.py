"""The PACS: search, fetch, store, and how transfers stand. Searches are bodies: an address is logged and kept."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter

from bedside.archive.contract import Query, Series
from bedside.core.errors import InputError
from bedside.serve.cleaning import UNPACKED
from bedside.serve.errors import NotOfferedError, problem_fields
from bedside.serve.messages import Problem
from bedside.serve.pacs import Pacs
from bedside.serve.pacs_messages import (
    FetchRequest,
    PacsSeries,
    PacsSeriesList,
    PacsStudies,
    PacsStudy,
    SeriesQuery,
    StoreRequest,
    StudyQuery,
    TransferInfo,
)
from bedside.serve.routes.common import PROBLEMS, ServiceOf
from bedside.serve.saving import Writing, drawn_objects
from bedside.serve.service import Service
from bedside.serve.state import DICOM_OBJECTS, dicom_formats
from bedside.serve.transfers import Transfer

router = APIRouter(prefix="/api/pacs", tags=["pacs"], responses=PROBLEMS)


@router.post("/studies")
async def studies(service: ServiceOf, query: StudyQuery) -> PacsStudies:
    """Return the studies that fit; names, ids and dates are empty, and hidden in descriptions, unless asked for."""
    asked = Query(
        patient_id=query.patient_id,
        patient_name=query.patient_name,
        accession=query.accession,
        date=query.date,
        modality=query.modality.upper(),
    )
    found = await service.hub.call(_pacs(service).find_studies, asked, query.identify)
    told = [
        PacsStudy(
            study=s.uid,
            modalities=list(s.modalities),
            description=s.description,
            series=s.series,
            instances=s.instances,
            date=s.date,
            patient_name=s.patient[0],
            patient_id=s.patient[1],
        )
        for s in sorted(found, key=lambda s: s.date, reverse=True)
    ]
    return PacsStudies(studies=told)


@router.post("/series")
async def series(service: ServiceOf, query: SeriesQuery) -> PacsSeriesList:
    """Return the series of a study."""
    found = await service.hub.call(_pacs(service).find_series, query.study, query.identify)
    told = [
        PacsSeries(
            study=s.study,
            series=s.uid,
            modality=s.modality,
            number=s.number,
            description=s.description,
            instances=s.instances,
        )
        for s in found
    ]
    return PacsSeriesList(series=told)


@router.post("/fetch", status_code=202)
async def fetch(service: ServiceOf, request: FetchRequest) -> TransferInfo:
    """Begin to fetch a series, or go on where an earlier fetch of it stopped; ask ``/transfers`` how it stands."""
    wanted = Series(request.study, request.series, request.modality, request.number)
    return _info(_pacs(service).fetch(wanted))


@router.post("/store", status_code=202)
async def store(service: ServiceOf, request: StoreRequest) -> TransferInfo:
    """Begin to store the objects of an image as a DICOM SEG or RTSTRUCT, in the study that the image is from."""
    pacs = _pacs(service)
    opened = await service.hub.get(request.image)
    if request.format not in dicom_formats(opened.image):
        raise InputError(
            f"{DICOM_OBJECTS[request.format]} of this image",
            expected="an image from DICOM files, with its place in the patient",
            got="another image",
        )
    objects = drawn_objects(opened.snapshot)
    volume = service.item(opened.item).volume
    writing = Writing(opened, request.format, "dcm", volume, service.folder / UNPACKED)

    def write(path: Path) -> tuple[str, ...]:
        return writing.to(path, objects)

    return _info(pacs.store(write))


@router.get("/transfers/{transfer}")
async def transfer_of(service: ServiceOf, transfer: int) -> TransferInfo:
    """Return how a transfer stands."""
    return _info(_pacs(service).transfers.transfer(transfer))


@router.post("/transfers/{transfer}/cancel")
async def cancel(service: ServiceOf, transfer: int) -> TransferInfo:
    """Stop a transfer after the instance that is on its way; what came is kept, and fetching again goes on there."""
    found = _pacs(service).transfers.transfer(transfer)
    found.end()
    return _info(found)


def _pacs(service: Service) -> Pacs:
    if service.pacs is None:
        raise NotOfferedError(
            "no PACS is configured", fix="start `bedside ui` with its address in the variable BEDSIDE_PACS"
        )
    return service.pacs


def _info(transfer: Transfer) -> TransferInfo:
    problem = transfer.problem
    return TransferInfo(
        transfer=transfer.number,
        kind=transfer.kind,
        state=transfer.state,
        done=transfer.done,
        total=transfer.total,
        path=None if transfer.path is None else str(transfer.path),
        notes=list(transfer.notes),
        problem=None if problem is None else Problem.model_validate(problem_fields(problem)),
    )
