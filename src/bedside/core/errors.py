"""Every error Bedside raises on purpose: one line that says what was expected, what came, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self


class BedsideError(Exception):
    """Base of all errors that a caller may catch.

    Args:
        what: The thing that went wrong, as a short clause without a full stop.
        expected: What would have been right.
        got: What came instead.
        fix: What the reader can do about it.

    Attributes:
        what: As it was given.
        expected: As text; None where it was not said.
        got: As text; None where it was not said.
        fix: As it was given.
    """

    def __init__(self, what: str, *, expected: object = None, got: object = None, fix: str | None = None) -> None:
        self.what = what
        self.expected = None if expected is None else str(expected)
        self.got = None if got is None else str(got)
        self.fix = fix
        message = what
        if expected is not None:
            message += f": expected {expected}"
        if got is not None:
            message += f"{',' if expected is not None else ':'} got {got}"
        if fix is not None:
            message += f"; {fix}"
        # One line always: the command line prints it as it is.
        super().__init__(" ".join(message.split()))


class InputError(BedsideError, ValueError):
    """An argument or option that cannot be used."""


class FormatError(BedsideError, ValueError):
    """A file that cannot be read or written as what it claims to be."""


class StorageError(FormatError, OSError):
    """A file that cannot be written where it is to go: the disk is full, or the place is read-only, or there is none.

    Attributes:
        errno: The system's number of the failure.
    """


class ChoiceError(FormatError):
    """A file that holds several images, of which one has to be chosen.

    Args:
        what: What there is.
        option: Name of the option that chooses, as Python has it; the command line has it as ``--option``.
        choices: What it may be; "" where that was said already.
        expected: What would have been right.
        got: What came instead.
        fix: What to do, where there are no ``choices`` to be made.
        count: How many there are to choose from, where they are numbered from 0.
        names: Of each of these, where they have names.

    Attributes:
        option: As it was given.
        count: As it was given.
        names: As they were given.
    """

    def __init__(
        self,
        what: str,
        *,
        option: str = "volume",
        choices: str = "",
        expected: object = None,
        got: object = None,
        fix: str | None = None,
        count: int | None = None,
        names: Sequence[str] = (),
    ) -> None:
        if choices:
            fix = f"choose with --{option} {choices} ({option}= in Python)"
        super().__init__(what, expected=expected, got=got, fix=fix)
        self.option = option
        self.count = count
        self.names = tuple(names)


class GeometryError(BedsideError, ValueError):
    """A grid whose spacing, origin or direction is unusable, or two grids that do not match."""


class PromptError(BedsideError, ValueError):
    """A prompt that the image or the model cannot take."""


class WeightsError(BedsideError):
    """Weights that are missing, damaged, or not of the network they are loaded into."""


class BackendError(BedsideError):
    """A runtime that cannot load or run a graph."""


class WorkerError(BedsideError):
    """A process that works for this one, or with it, ended before its time."""


class ToldError(BedsideError):
    """An error that another process has told the user already; its cause is this process's own."""


class ArchiveError(BedsideError):
    """An archive (PACS) that rejects, fails, or does not hold what was asked for; the same again would fail again."""


class UnreachableError(ArchiveError):
    """An archive that cannot be reached or is busy; the same may work later."""


class DependencyError(BedsideError, ImportError):
    """An optional dependency that is not installed."""


class StoppedError(BedsideError):
    """Work that somebody stopped before it was done; nothing has changed."""

    def __init__(self, what: str = "stopped before there was an answer", **said: str | None) -> None:
        super().__init__(what, **{"fix": "nothing has changed; ask again", **said})


class TimeLimitError(StoppedError):
    """Work that took longer than it may; nothing has changed."""

    @classmethod
    def after(cls, limit: float) -> Self:
        """Return the error of a limit in seconds."""
        more = "nothing has changed; allow more time (--time-limit), or mark less at once"
        return cls("no answer in time", expected=f"one within {limit:g} s", got="none yet", fix=more)
