"""Keeping the chatter of libraries off the user's terminal: what matters becomes one clear error."""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS = ("pydicom", "tifffile", "nibabel.global", "PIL")

_lock = threading.Lock()
_silencers = 0
_kept_stderr = -1


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back Python warnings and log lines below an error of the libraries that read and write files."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Send file descriptor 2 to nowhere: C and C++ decoders print there, past Python's ``sys.stderr``.

    Nested and concurrent uses share one redirection, which the last to leave takes back.
    """
    global _silencers, _kept_stderr  # noqa: PLW0603 - a process has one descriptor 2, so its state is global too
    with _lock:
        if _silencers == 0:
            _kept_stderr = _redirect()
        _silencers += 1
    try:
        yield
    finally:
        with _lock:
            _silencers -= 1
            if _silencers == 0 and _kept_stderr >= 0:
                os.dup2(_kept_stderr, 2)
                os.close(_kept_stderr)


def _redirect() -> int:
    """Point descriptor 2 at the null device; return a copy of the old one, -1 where there is none."""
    try:
        kept = os.dup(2)
    except OSError:  # Started without a standard error, as services may be.
        return -1
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)
    return kept


def reason(error: BaseException) -> str:
    """Return the part of a library's message that a reader can use: its last line, without source positions,
    shortened.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[-1] if lines else type(error).__name__
    for prefix in ("sitk::ERROR:", "ITK ERROR:", "Reason:"):
        text = text.removeprefix(prefix).strip()
    return text if len(text) <= 160 else text[:157] + "..."
