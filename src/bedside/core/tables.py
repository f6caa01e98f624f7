"""Tables as CSV whose cells no spreadsheet takes for a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

_FORMULA = tuple("=+-@\t\r\n")
"""What a cell begins with that spreadsheets calculate, which may start programs and send what other cells hold."""
_TEXT = "'"
"""What says to spreadsheets that a cell is text."""


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Return rows as CSV; text that a spreadsheet would take for a formula begins with an apostrophe."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([safe_cell(value) for value in row] for row in rows)
    return stream.getvalue()


def safe_cell(value: object) -> object:
    """Return a cell as it may be written; numbers, as text too, stay as they are. A carriage return becomes a blank,
    because the module ``csv`` writes one without quotes, which ends a row for whoever reads it.
    """
    if not isinstance(value, str):
        return value
    text = value.replace("\r", " ")
    return _TEXT + text if value.startswith(_FORMULA) and not _is_number(value) else text


def plain_cell(text: str) -> str:
    """Return the inverse of ``safe_cell``, for cells that are read back."""
    return text[1:] if text[:1] == _TEXT and safe_cell(text[1:]) == text else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
