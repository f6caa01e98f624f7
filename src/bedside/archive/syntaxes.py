"""Which storage classes and transfer syntaxes an association is asked for, within the 128 that it can hold."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

LABELMAP = "1.2.840.10008.5.1.4.1.1.66.7"
"""Label Map Segmentation Storage, which pynetdicom does not know."""
MOST = 128
PLAIN = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
"""Explicit and implicit little endian, between which a sender may change without touching a sample."""
COMMON = (
    "1.2.840.10008.5.1.4.1.1.2",  # CT
    "1.2.840.10008.5.1.4.1.1.2.1",  # enhanced CT
    "1.2.840.10008.5.1.4.1.1.4",  # MR
    "1.2.840.10008.5.1.4.1.1.4.1",  # enhanced MR
    "1.2.840.10008.5.1.4.1.1.128",  # PET
    "1.2.840.10008.5.1.4.1.1.1",  # CR
    "1.2.840.10008.5.1.4.1.1.1.1",  # DX
    "1.2.840.10008.5.1.4.1.1.1.2",  # MG
    "1.2.840.10008.5.1.4.1.1.6.1",  # US
    "1.2.840.10008.5.1.4.1.1.3.1",  # US multi-frame
    "1.2.840.10008.5.1.4.1.1.66.4",  # SEG
    LABELMAP,
    "1.2.840.10008.5.1.4.1.1.481.3",  # RTSTRUCT
    "1.2.840.10008.5.1.4.1.1.7",  # secondary capture
)
"""Classes that are asked for where an archive does not say which it has."""


@cache
def stored_syntaxes() -> tuple[str, ...]:
    """Return every transfer syntax that an instance may be stored in, the plain ones first."""
    from pynetdicom import ALL_TRANSFER_SYNTAXES

    others = tuple(str(s) for s in ALL_TRANSFER_SYNTAXES if str(s) not in PLAIN)
    return PLAIN + others


@cache
def all_classes() -> tuple[str, ...]:
    """Return every storage class that is known."""
    from pynetdicom import AllStoragePresentationContexts

    return (*(str(c.abstract_syntax) for c in AllStoragePresentationContexts), LABELMAP)


def retrieval_contexts(classes: Iterable[str]) -> list[Any]:
    """Return contexts for C-GET, one for each class and transfer syntax.

    In a context with several syntaxes the archive would choose one, and convert what it stores in another. Where there
    are too many, the last of the syntaxes share one.
    """
    from pynetdicom.presentation import build_context

    chosen = tuple(dict.fromkeys(c for c in classes if c)) or COMMON
    # One is left for the request itself.
    chosen = chosen[: MOST - 1]
    each = max(1, (MOST - 1) // len(chosen))
    syntaxes = stored_syntaxes()
    groups = [[s] for s in syntaxes[: each - 1]] + [list(syntaxes[each - 1 :])] if each < len(syntaxes) else None
    return [build_context(c, group) for c in chosen for group in (groups or [[s] for s in syntaxes])]
