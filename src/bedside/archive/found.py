"""Searches and their answers, which both protocols put as attributes: a query's, and studies, series and instances."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from bedside.archive.contract import Instance, Query, Series, Study
from bedside.core.errors import InputError
from bedside.io.dicom.patient import scrubbed
from bedside.io.quiet import quiet


def filters_of(query: Query, level: Literal["STUDY", "SERIES"]) -> dict[str, str]:
    """Return the attributes that a query is matched by at a level; a series is searched for in its study.

    Raises:
        InputError: A series without its study, or a UID that is none.
    """
    for name, uid in (("study", query.study), ("series", query.series)):
        if uid and not (len(uid) <= 64 and all(part.isascii() and part.isdigit() for part in uid.split("."))):
            raise InputError(f"--{name}", expected="a UID: numbers with dots between them", got="something else")
    if level == "SERIES":
        if not query.study:
            raise InputError("--series", expected="the study that it is of", fix="give --study")
        fields = {"StudyInstanceUID": query.study, "SeriesInstanceUID": query.series, "Modality": query.modality}
    else:
        fields = {
            "StudyInstanceUID": query.study,
            "PatientID": query.patient_id,
            "PatientName": query.patient_name,
            "AccessionNumber": query.accession,
            "StudyDate": query.date,
            "ModalitiesInStudy": query.modality,
        }
    return {keyword: value for keyword, value in fields.items() if value}


def studies_of(answers: Iterable[Any]) -> list[Study]:
    """Return a study for each answer that names one, each once."""
    found = {}
    for answer in answers:
        if uid := _text(answer, "StudyInstanceUID"):
            modalities = answer.get("ModalitiesInStudy") or ()
            several = (modalities,) if isinstance(modalities, str) else tuple(str(m) for m in modalities)
            found[uid] = Study(
                uid,
                tuple(sorted(several)),
                _text(answer, "StudyDescription"),
                _count(answer, "NumberOfStudyRelatedSeries"),
                _count(answer, "NumberOfStudyRelatedInstances"),
                _text(answer, "StudyDate"),
                (_text(answer, "PatientName"), _text(answer, "PatientID")),
            )
    return list(found.values())


def series_of(answers: Iterable[Any], study: str) -> list[Series]:
    """Return a series for each answer that names one, each once, in the order of their numbers."""
    found = {}
    for answer in answers:
        if uid := _text(answer, "SeriesInstanceUID"):
            found[uid] = Series(
                study or _text(answer, "StudyInstanceUID"),
                uid,
                _text(answer, "Modality"),
                _text(answer, "SeriesNumber"),
                _text(answer, "SeriesDescription"),
                _count(answer, "NumberOfSeriesRelatedInstances"),
            )
    return sorted(found.values(), key=lambda s: (s.number.zfill(12), s.uid))


def instances_of(answers: Iterable[Any]) -> list[Instance]:
    """Return an instance for each answer that names one, each once."""
    found = {}
    for answer in answers:
        if uid := _text(answer, "SOPInstanceUID"):
            found[uid] = Instance(uid, _text(answer, "SOPClassUID"))
    return list(found.values())


def without_patient(content: str, study: Study) -> str:
    """Return a text, as a description, without the names, numbers and days that the archive tells of a study."""
    from pydicom import Dataset

    header = Dataset()
    header.PatientName, header.PatientID = study.patient
    header.StudyDate = study.date
    with quiet():
        return scrubbed(content, header)


def _text(answer: Any, keyword: str) -> str:
    value = answer.get(keyword)
    return "" if value is None else str(value).strip()


def _count(answer: Any, keyword: str) -> int | None:
    try:
        return int(answer.get(keyword))
    except (TypeError, ValueError):
        return None
