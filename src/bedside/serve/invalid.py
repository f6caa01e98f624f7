"""What is said of a request whose form is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bedside.serve.messages import Problem


def invalid_body(errors: Sequence[Mapping[str, Any]]) -> Problem:
    """Return the first of a validation's errors as a problem."""
    first = errors[0] if errors else {"loc": (), "msg": "unreadable"}
    where = ".".join(str(part) for part in first.get("loc", ()) if part != "body") or "request"
    expected = str(first.get("msg", "")).rstrip(".")
    got = None if first.get("type") == "missing" else repr(first.get("input"))[:80]
    message = f"{where}: {expected}" + (f", got {got}" if got else "")
    return Problem(kind="InvalidRequest", what=where, expected=expected, got=got, message=" ".join(message.split()))
