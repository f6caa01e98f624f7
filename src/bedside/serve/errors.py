"""Errors that only a server has, and the answer that each error becomes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bedside.core.errors import (
    ArchiveError,
    BackendError,
    BedsideError,
    DependencyError,
    FormatError,
    InputError,
    StoppedError,
    StorageError,
    TimeLimitError,
    WeightsError,
)


class NotFoundError(InputError):
    """There is no such image, object, prompt or item."""


class LockedError(InputError):
    """The object is locked against changes."""


class NotOfferedError(InputError):
    """The model does not do this."""


class MethodError(InputError):
    """The address does not take this method."""


class TooLargeError(InputError):
    """More bytes than the server takes."""


class OtherSiteError(BedsideError):
    """A page of another site asks."""

    def __init__(self, got: str) -> None:
        super().__init__("request from another site", expected="this server's own page", got=got[:200])


class TokenError(BedsideError):
    """The token of this start is missing or wrong."""

    def __init__(self) -> None:
        super().__init__(
            "no access",
            expected="the token of this start",
            fix="open the address that 'bedside ui' printed, or give the token of 'bedside serve' as the bearer token",
        )


STATUSES = {
    400: "Bad input, or a file that cannot be read",
    401: "The token is missing or wrong",
    403: "A page of another site asks",
    404: "There is no such thing",
    405: "The address does not take this method",
    409: "Not in this state, or stopped before there was an answer",
    413: "More bytes than the server takes",
    422: "A request of the wrong form",
    500: "The server failed at this; its output says why",
    502: "The PACS cannot be reached, does not let us in, or fails",
    503: "A part of the server is missing: weights, a runtime, a package",
    504: "No answer within the time that the server allows",
    507: "The disk is full",
}
"""Every status of an answer that is an error, whose body is always a ``messages.Problem``."""

_STATUS: tuple[tuple[type[BedsideError], int], ...] = (
    (NotFoundError, 404),
    (MethodError, 405),
    (LockedError, 409),
    (NotOfferedError, 409),
    (TimeLimitError, 504),
    (StoppedError, 409),
    (TooLargeError, 413),
    (TokenError, 401),
    (OtherSiteError, 403),
    (WeightsError, 503),
    (BackendError, 503),
    (DependencyError, 503),
    (StorageError, 507),
    (ArchiveError, 502),
)


def status_of(error: BedsideError) -> int:
    """Return the HTTP status of an error, one of ``STATUSES``: 503 where the server's own parts fail, 4xx where the
    request can be put right.
    """
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 400)


def _without_options(text: str) -> str:
    """Return a message without the options of the command line, which a page has not: "volume" for "--volume"."""
    return re.sub(r"(?<![\w-])--([a-z][a-z-]*)", r"\1", re.sub(r" \(\w+= in Python\)", "", text))


@contextmanager
def named_as(path: Path, name: str) -> Iterator[None]:
    """Say in errors what a file is called: where it lies for a moment tells nobody anything."""
    try:
        yield
    except (FormatError, InputError) as error:
        told = [t and t.replace(f"{path}", name) for t in (error.what, error.expected, error.got, error.fix)]
        kind = FormatError if isinstance(error, FormatError) else InputError
        raise kind(told[0] or name, expected=told[1], got=told[2], fix=told[3]) from error


def problem_fields(error: Exception) -> dict[str, str | None]:
    """Return what the page is told of an error (``messages.Problem``); of one that nobody foresaw no more than that."""
    if isinstance(error, BedsideError):
        told = {"what": error.what, "expected": error.expected, "got": error.got, "fix": error.fix}
        said = {name: None if text is None else _without_options(text) for name, text in told.items()}
        return {"kind": type(error).__name__, **said, "message": _without_options(str(error))}
    what = "the server failed at this"
    fix = "see its output for the cause; the work so far is in the workspace"
    told = {"what": what, "expected": None, "got": type(error).__name__, "fix": fix}
    return {"kind": "InternalError", **told, "message": f"{what}; {fix}"}
