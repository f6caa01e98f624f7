"""Finding in a text what a header says of its patient: names, numbers and days."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

HIDDEN = "[hidden]"
NUMBERS = ("PatientID", "IssuerOfPatientID", "OtherPatientIDs", "AccessionNumber", "StudyID")
_KINDS = ("PN", "DA", "DT")
_DAY = re.compile(r"(\d{4})(\d\d)(\d\d)")
_SHORT = 3
"""Letters up to which a part of a name is taken for one as a whole word alone, as it is written."""
_SHORTEST = 3
"""Characters of a number, or of a day in another form, that are looked for."""
_Element = tuple[str, str, str]


def scrubbed(content: str, header: Any) -> str:
    """Return a text without the names, numbers and days of a header, which are in its outermost elements."""
    pattern = telling(header)
    return content if pattern is None else pattern.sub(HIDDEN, content)


def telling(header: Any, *, deep: bool = False) -> re.Pattern[str] | None:
    """Return what matches a name, number or day of the header; None where it has none.

    Args:
        header: A data set.
        deep: Whether those in the items of sequences count.
    """
    elements = _of_all(header) if deep else _of_outermost(header)
    words = sorted(set(_words(elements)), key=len, reverse=True)
    return re.compile("|".join(words)) if words else None


def _of_all(header: Any) -> Iterator[_Element]:
    """Yield kind, keyword and value of every element at every depth."""
    for element in header.iterall():
        if element.VR in _KINDS or element.keyword in NUMBERS:
            yield element.VR, element.keyword, str(element.value or "")


def _of_outermost(header: Any) -> Iterator[_Element]:
    """Yield kind, keyword and value of the outermost elements; one that cannot be understood as it is stored."""
    from pydicom.datadict import dictionary_has_tag, dictionary_keyword, dictionary_VR

    for tag in list(header.keys()):
        if not dictionary_has_tag(tag):
            continue
        kind, keyword = dictionary_VR(tag), dictionary_keyword(tag)
        if kind in _KINDS or keyword in NUMBERS:
            try:
                value = str(header[tag].value or "")
            # Careless files fail in many ways.
            except Exception:
                value = _as_stored(header, tag)
            yield kind, keyword, value.strip("\0 ")


def _as_stored(header: Any, tag: Any) -> str:
    """Return an element's bytes as text; nothing where there are none, of which no text can tell either."""
    try:
        stored = header.get_item(tag).value
    except Exception:  # The library understands an element without bytes, or fails at it again.
        return ""
    return stored.decode("latin-1") if isinstance(stored, bytes) else str(stored or "")


def _words(elements: Iterable[_Element]) -> Iterator[str]:
    """Yield an expression for each name, part of a name, number and day."""
    for kind, keyword, value in elements:
        if kind == "PN":
            for name in re.split(r"', '|\\\\", value.strip("[]")):
                yield from _of_name(name.strip("' "))
        elif keyword not in NUMBERS and (day := _DAY.match(value)):
            yield "[-/.]?".join(day.groups())
        elif len(value) >= _SHORTEST:
            yield f"(?i:{re.escape(value)})"


def _of_name(name: str) -> Iterator[str]:
    if len(name) > _SHORT:
        yield f"(?i:{re.escape(name)})"
    for part in re.split(r"[\^=,\s]+", name):
        if len(part) > _SHORT:
            yield f"(?i:{re.escape(part)})"
        elif len(part) > 1:
            forms = {part, part.upper(), part.title()}
            yield rf"\b(?:{'|'.join(sorted(map(re.escape, forms)))})\b"
