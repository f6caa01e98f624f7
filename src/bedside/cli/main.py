"""The command ``bedside``: runs a verb, and turns errors into one line and an exit status."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from bedside.core.errors import BedsideError, ChoiceError, ToldError

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141

_USERS_ERRORS = frozenset(
    {errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENOSPC, errno.EROFS, errno.EDQUOT}
    | {errno.ENAMETOOLONG, errno.EFBIG, errno.EIO}
)
"""System errors that tell of the user's files and disk and not of a bug."""


def execute(arguments: Sequence[str], dispatch: Callable[[list[str]], int] | None = None) -> int:
    """Run the command line ``arguments`` (without the program's name).

    Args:
        arguments: What the user typed.
        dispatch: Runs the verb that they name; that of the command ``bedside`` where left out.

    Returns:
        The exit status: 0, 2 for bad input (one line on stderr), 130 when interrupted, 141 when the reader of the
        output went away. Any other exception is a bug and is raised.
    """
    try:
        status = (dispatch or _dispatch)(list(arguments))
        sys.stdout.flush()
    except (BedsideError, MemoryError) as error:
        return _tell(error)
    except BrokenPipeError:
        return _broken_pipe()
    except OSError as error:
        if error.errno not in _USERS_ERRORS:
            raise
        return _reject(f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror))
    except KeyboardInterrupt:
        status = EXIT_INTERRUPTED
    except SystemExit as leaving:
        # With 1, the way that Typer leaves when the reader of the output went away.
        if leaving.code != 1:
            raise
        return _broken_pipe()
    # Typer makes this status of an interruption, too.
    if status == EXIT_INTERRUPTED:
        print("bedside: interrupted", file=sys.stderr)
    return status


def run() -> NoReturn:
    """Run the command ``bedside`` and end the process with its exit status."""
    sys.exit(execute(sys.argv[1:]))


def _dispatch(arguments: list[str]) -> int:
    # Typer and the validation behind it take longer than "info" itself, which is to predict at once.
    match arguments:
        case ["info"] | ["info", "--json"]:
            from bedside.cli.inventory import print_inventory

            print_inventory(as_json=len(arguments) > 1)
            return 0
    from bedside.cli.app import invoke

    return invoke(arguments)


def _tell(error: BedsideError | MemoryError) -> int:
    if isinstance(error, MemoryError):
        return _reject("memory: expected more than there is; close other programs, or give a smaller image")
    if isinstance(error, ToldError):
        return _leave_quietly(error)
    said = str(error)
    return _reject(said.replace(f" ({error.option}= in Python)", "") if isinstance(error, ChoiceError) else said)


def _reject(message: str) -> int:
    print(f"bedside: error: {' '.join(message.split())}", file=sys.stderr)
    return EXIT_BAD_INPUT


def _leave_quietly(error: ToldError) -> int:
    return EXIT_INTERRUPTED if isinstance(error.__cause__, KeyboardInterrupt) else EXIT_BAD_INPUT


def _broken_pipe() -> int:
    # Python flushes stdout once more at exit and would complain about the same pipe.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return EXIT_BROKEN_PIPE


if __name__ == "__main__":
    run()
