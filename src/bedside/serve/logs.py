"""What the server says of itself, one JSON object a line, without anything that a request, a file or a name told."""

from __future__ import annotations

import json
import logging
import traceback
from datetime import UTC, datetime

FIELDS = ("protocol", "method", "path", "status", "seconds", "received", "sent")
"""What is said of a request; see ``metering``."""


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON.

    Messages are told by their pattern and errors by their kind and where they arose: what stands in a message may be a
    path, and a path may be a name.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        told: dict[str, object] = {"time": when, "level": record.levelname.lower(), "logger": record.name}
        given = record.args if isinstance(record.args, tuple) else ()
        error = record.exc_info[1] if record.exc_info else next((a for a in given if isinstance(a, Exception)), None)
        own = record.name.startswith("bedside") and record.msg != "%s"
        told["event"] = str(record.msg) if own else "message"
        told |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if error is not None:
            told["error"] = type(error).__name__
            frames = traceback.extract_tb(error.__traceback__)
            told["at"] = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames[-5:]]
        return json.dumps(told)


def log_as_json() -> None:
    """Write everything that is logged from now on as lines of JSON to stderr, requests of clients among it."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        other = logging.getLogger(name)
        other.handlers[:], other.propagate = [], True
    logging.getLogger("bedside.serve").setLevel(logging.INFO)


def are_json() -> bool:
    """Return whether ``log_as_json`` was called."""
    return any(isinstance(handler.formatter, JsonLines) for handler in logging.getLogger().handlers)
