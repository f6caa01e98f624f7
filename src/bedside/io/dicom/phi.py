"""Taking out of DICOM what tells who a patient is: the basic profile of PS3.15, E.1.

Which attribute is removed, emptied, replaced or mapped says the table of the package dicom-anonymizer, which is made
from PS3.15's own. That package applies it to the outermost level alone; here it holds in every item of every sequence.
Attributes that the table does not name and that are names, dates, times or UIDs by their kind are treated as such, and
all that is private goes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, MutableSequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from bedside.core.errors import DependencyError, FormatError, InputError
from bedside.core.files import atomic_path
from bedside.io.dicom.patient import telling
from bedside.io.dicom.uid_map import UidMap
from bedside.io.quiet import quiet

TABLE = "dicomfields_2026c"
METHOD = "Bedside: PS3.15 2026c, basic profile"
_TEXTS = ("LO", "LT", "SH", "ST", "UT", "UC", "UR", "CS", "AE", "PN")
_TIMES = ("DA", "DT", "TM")
_KINDS = ("ClassUID", "SyntaxUID", "SchemeUID", "ContextUID", "ResourceUID")
"""Ends of the names of UIDs that say what a thing is, and not which."""
_MAY_SHOW = ("US", "OT", "XC", "ES", "SC", "SM", "DOC", "XA", "RF")
"""Modalities whose pixels often show names."""
_DUMMY = {
    **dict.fromkeys(_TEXTS, "REMOVED"),
    "UR": "http://removed.invalid",
    "AS": "000Y",
    "DA": "19000101",
    "DT": "19000101000000",
    "TM": "000000",
    "DS": "0",
    "IS": "0",
}
"""A value for each kind of attribute that must not be empty; a number is 0."""


def strip_dataset(dataset: Any, uids: UidMap) -> tuple[str, ...]:
    """Take out of a data set what tells of the patient; it is changed.

    Args:
        dataset: As pydicom reads it; with ``file_meta`` where it is a file's.
        uids: Gives new UIDs and a new id of the patient.

    Returns:
        What a user should look at, a sentence each.

    Raises:
        DependencyError: The extra ``pacs`` is not installed.
        FormatError: It holds what cannot be understood, and so may tell of the patient.
    """
    _table()
    try:
        return _stripped(dataset, uids)
    # pydicom fails in many ways on what it cannot understand. Its messages repeat values, and what is not understood
    # may tell of the patient.
    except (ValueError, TypeError, KeyError, AttributeError, NotImplementedError, EOFError, OverflowError) as error:
        raise FormatError(
            "what tells of the patient cannot be taken out",
            expected="elements that can be understood",
            got=type(error).__name__,
        ) from None


def _stripped(dataset: Any, uids: UidMap) -> tuple[str, ...]:
    with quiet():
        known = telling(dataset, deep=True)
        patient = uids.patient(str(dataset.get("PatientID") or dataset.get("PatientName") or ""))
        notes = _notes(dataset)
        dataset.remove_private_tags()
        _strip(dataset, uids)
        _scrub(dataset, known)
        dataset.PatientID = dataset.PatientName = patient
        dataset.PatientIdentityRemoved = "YES"
        dataset.DeidentificationMethod = METHOD
        dataset.LongitudinalTemporalInformationModified = "REMOVED"
        dataset.DeidentificationMethodCodeSequence = [_profile()]
        _strip_meta(dataset)
    return notes


def strip_file(source: Path, target: Path, uids: UidMap) -> tuple[str, ...]:
    """Write a file without what tells of the patient, as ``strip_dataset``.

    Raises:
        InputError: The source is no DICOM file, or the target is the source.
    """
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    if source.resolve() == target.resolve():
        raise InputError(f"{target}", expected="another file than the original", fix="originals are never overwritten")
    try:
        with quiet():
            dataset = dcmread(source)
    except InvalidDicomError as error:
        raise InputError(f"{source}", expected="a DICOM file", got="something else") from error
    notes = strip_dataset(dataset, uids)
    with atomic_path(target) as temporary, quiet():
        dataset.save_as(temporary, enforce_file_format=True)
    return notes


@cache
def _table() -> tuple[dict[int, str], tuple[tuple[int, int, str], ...]]:
    """Return the action for each attribute, and those for groups of attributes as (value, mask, action)."""
    try:
        from dicomanonymizer.simpledicomanonymizer import initialize_actions
    except ModuleNotFoundError as error:
        raise DependencyError(
            "--strip-phi needs dicom-anonymizer", fix="install it with: pip install 'bedside[pacs]'"
        ) from error
    single: dict[int, str] = {}
    groups = []
    for tag, action in initialize_actions(TABLE).items():
        if len(tag) == 2:
            single[tag[0] << 16 | tag[1]] = action.__name__
        else:
            groups.append((tag[0] << 16 | tag[1], tag[2] << 16 | tag[3], action.__name__))
    return single, tuple(groups)


def _action(tag: int) -> str | None:
    single, groups = _table()
    if tag in single:
        return single[tag]
    return next((action for value, mask, action in groups if tag & mask == value & mask), None)


def _strip(dataset: Any, uids: UidMap) -> None:
    """Apply the table to a data set and to all items within."""
    for tag in list(dataset.keys()):
        element = dataset[tag]
        action = _action(int(tag)) or _by_kind(element)
        if action is not None:
            _ACTIONS[action](dataset, element, uids)
        if tag in dataset and element.VR == "SQ":
            for item in dataset[tag].value or ():
                _strip(item, uids)


def _by_kind(element: Any) -> str | None:
    """What is done with an attribute that the table does not name."""
    if element.VR == "PN" or (element.VR in ("DS", "IS") and not _is_numbers(element.value)):
        return "empty"
    if element.VR == "UI":
        return None if element.keyword.endswith(_KINDS) else "replace_UID"
    return "delete" if element.VR in _TIMES else None


def _is_numbers(value: Any) -> bool:
    """Whether a value that should be numbers in text is that: pydicom hands over what else stands there."""
    try:
        return all(np.isfinite(float(v)) for v in (value if isinstance(value, MutableSequence) else (value or 0,)))
    except (ValueError, TypeError):
        return False


def _delete(dataset: Any, element: Any, uids: UidMap) -> None:
    del uids
    del dataset[element.tag]


def _empty(dataset: Any, element: Any, uids: UidMap) -> None:
    del dataset, uids
    element.value = [] if element.VR == "SQ" else None


def _replace(dataset: Any, element: Any, uids: UidMap) -> None:
    if element.VR == "SQ":
        # Its items are gone through as all are.
        return
    if element.VR == "UI":
        _map(dataset, element, uids)
    elif element.VR in _DUMMY:
        element.value = _DUMMY[element.VR]
    elif element.VR in ("OB", "OW", "UN", "OF", "OD", "OL", "OV"):
        element.value = b"\0\0"
    else:
        element.value = 0


def _map(dataset: Any, element: Any, uids: UidMap) -> None:
    if element.VR != "UI":
        _empty(dataset, element, uids)
    elif element.VM > 1:
        element.value = [uids.uid(str(v)) for v in element.value]
    else:
        element.value = uids.uid(str(element.value or ""))


def _refer(dataset: Any, element: Any, uids: UidMap) -> None:
    """Keep references to instances, under their new UIDs."""
    if element.VR != "SQ":
        _map(dataset, element, uids)


_ACTIONS: dict[str, Callable[[Any, Any, UidMap], None]] = {
    "delete": _delete,
    "empty": _empty,
    "replace": _replace,
    "replace_UID": _map,
    # Where the table leaves a choice, the value is one that every kind of object may have.
    "empty_or_replace": _replace,
    "delete_or_empty": _empty,
    "delete_or_replace": _replace,
    "delete_or_empty_or_replace": _replace,
    "delete_or_empty_or_replace_UID": _refer,
}


def _scrub(dataset: Any, known: re.Pattern[str] | None) -> None:
    """Replace the texts, at any depth, in which a name, number or day of the patient stands."""
    if known is None:
        return
    for element in dataset.iterall():
        value = element.value
        content = value.decode("latin-1") if element.VR == "UN" and isinstance(value, bytes) else str(value or "")
        if element.VR in (*_TEXTS, "UN") and known.search(content):
            element.value = _DUMMY.get(element.VR)


def _strip_meta(dataset: Any) -> None:
    dataset.preamble = bytes(128)
    meta = getattr(dataset, "file_meta", None)
    if meta is None:
        return
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    for element in list(meta):
        kept = ("FileMetaInformationGroupLength", "FileMetaInformationVersion", "MediaStorageSOPClassUID")
        if element.keyword not in (*kept, "MediaStorageSOPInstanceUID", "TransferSyntaxUID"):
            del meta[element.tag]


def _profile() -> Any:
    from pydicom import Dataset

    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = "113100", "DCM"
    code.CodeMeaning = "Basic Application Confidentiality Profile"
    return code


def _notes(dataset: Any) -> tuple[str, ...]:
    burned = str(dataset.get("BurnedInAnnotation") or "").upper()
    if "PixelData" not in dataset or burned == "NO":
        return ()
    if burned == "YES" or str(dataset.get("Modality") or "") in _MAY_SHOW:
        return ("the pixels may show the patient's name, and are as they were: look at them",)
    return ()
