"""Whatever libraries raise on damaged files becomes one error of ours; all functions that read go through here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bedside.core.errors import BedsideError, FormatError, GeometryError, PromptError
from bedside.io.quiet import reason


@contextmanager
def translated(path: Path, title: str = "") -> Iterator[None]:
    """Turn each exception that is none of ours into a ``FormatError``.

    Args:
        path: What is read.
        title: What it is read as: "TIFF", "a challenge case"; "" where that is not known yet.

    Raises:
        FormatError: In place of any other exception, and of a grid or prompt that a file has no right to hold.
    """
    try:
        yield
    except (GeometryError, PromptError) as error:
        raise FormatError(f"{path}: {error}") from error
    except BedsideError:
        raise
    # Six libraries raise whatever they like on damaged files, some of it derived from Exception alone.
    except Exception as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else reason(error)
        raise FormatError(
            f"{path} cannot be read{f' as {title}' if title else ''}",
            got=said,
            fix="the file is damaged, incomplete or not what its name says" if title else None,
        ) from error
