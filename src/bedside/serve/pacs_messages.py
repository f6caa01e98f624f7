"""What page and server say of a PACS. Names, numbers and days of patients are in bodies alone, never in an address."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bedside.serve.message import Message
from bedside.serve.messages import Problem

Wanted = Annotated[str, Field(max_length=200)]
Uid = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[0-9.]+$")]


class StudyQuery(Message):
    """Search for studies; an empty field stands for anything.

    Attributes:
        patient_name: FAMILY^GIVEN, with ``*`` and ``?``.
        patient_id: As the hospital writes it.
        accession: Accession number.
        date: YYYYMMDD, or a range YYYYMMDD-YYYYMMDD of which one end may be missing.
        modality: As "CT".
        identify: Whether the answer says who the patients are and when they were seen.
    """

    patient_name: Wanted = ""
    patient_id: Wanted = ""
    accession: Wanted = ""
    date: Annotated[str, Field(pattern=r"^([0-9]{8}(-([0-9]{8})?)?|-[0-9]{8})?$")] = ""
    modality: Annotated[str, Field(max_length=16, pattern=r"^[A-Za-z0-9]*$")] = ""
    identify: bool = False


class PacsStudy(Message):
    """A study that the PACS holds.

    Attributes:
        study: StudyInstanceUID.
        description: Without name, number and days of the patient, unless they were asked for.
        series: How many; None where the PACS does not say.
        instances: How many; None where the PACS does not say.
        date: YYYYMMDD; "" unless asked for, as name and id.
    """

    study: str
    modalities: list[str]
    description: str
    series: int | None
    instances: int | None
    date: str
    patient_name: str
    patient_id: str


class PacsStudies(Message):
    """The studies that were found, the newest first where dates were asked for."""

    studies: list[PacsStudy]


class SeriesQuery(Message):
    """Ask for the series of a study."""

    study: Uid
    identify: bool = False


class PacsSeries(Message):
    """A series that the PACS holds; ``series`` is its SeriesInstanceUID."""

    study: str
    series: str
    modality: str
    number: str
    description: str
    instances: int | None


class PacsSeriesList(Message):
    """The series of a study, in the order of their numbers."""

    series: list[PacsSeries]


class FetchRequest(Message):
    """Fetch a series; modality and number are for the name of its folder."""

    study: Uid
    series: Uid
    modality: Annotated[str, Field(max_length=16)] = ""
    number: Annotated[str, Field(max_length=16)] = ""


class StoreRequest(Message):
    """Store the objects of an image, which is from DICOM files."""

    image: int
    format: Literal["dicom-seg", "rtstruct"] = "dicom-seg"


class TransferInfo(Message):
    """Files on their way from or to the PACS.

    Attributes:
        transfer: Its number.
        done: Instances that are there.
        total: Instances that there will be; None until it is known.
        path: Where what was fetched lies, to be opened; None until it is there.
        notes: What to know of it, a sentence each.
        problem: Why it failed; None unless it did.
    """

    transfer: int
    kind: Literal["fetch", "store"]
    state: Literal["running", "done", "stopped", "failed"]
    done: int
    total: int | None
    path: str | None
    notes: list[str]
    problem: Problem | None
