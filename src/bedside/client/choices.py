"""What a client says where a file holds several images: the server lists them, and a call names one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from bedside.client.connection import Connection
from bedside.core.errors import ChoiceError

MOST = 6
"""Images that a message names; of the others it says how many there are."""


@contextmanager
def choices_told(connection: Connection, path: str | None = None, prefix: str = "") -> Iterator[None]:
    """Say in a ``ChoiceError`` of the block what there is and how a call chooses it.

    Args:
        connection: To the server, whose worklist has what there is.
        path: Where the images are; None for a file that is sent, whose place is the server's own.
        prefix: What the call's arguments ``series`` and ``volume`` begin with.
    """
    known = set() if path is not None else {item["item"] for item in _items(connection)}
    try:
        yield
    except ChoiceError as error:
        found = [i for i in _items(connection) if (i["path"] == path if path is not None else i["item"] not in known)]
        found = [i for i in found if i["series"] is not None or i["volume"] is not None]
        if not found:
            raise
        named = ", ".join(f"{_arguments(item, prefix)} ({item['name']})" for item in found[:MOST])
        more = f" and {len(found) - MOST} more" if len(found) > MOST else ""
        where = "" if path is not None else f"open {found[0]['path']!r}, where it lies now, and "
        raise ChoiceError(error.what, fix=f"{where}name one: {named}{more}") from error


def _items(connection: Connection) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = connection.ask("GET", "/api/worklist")["items"]
    return items


def _arguments(item: Mapping[str, Any], prefix: str) -> str:
    given = [f"{prefix}{name}={item[name]!r}" for name in ("series", "volume") if item[name] is not None]
    return " and ".join(given)
