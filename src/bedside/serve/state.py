"""What the page asks for first, as it takes it."""

from __future__ import annotations

from bedside.io.registry import WRITERS
from bedside.serve.messages import Item, Message, WindowPreset


class SaveFormat(Message):
    """A format that masks are saved in.

    Attributes:
        format: What to ask ``/export`` for: the suffix without its first dot.
        title: Its name for people.
        dimensions: Axes of the images whose masks it holds.
    """

    format: str
    title: str
    dimensions: list[int]


class ServerState(Message):
    """What the page asks for first.

    Attributes:
        first: Item to open at once, where the command named one image or a folder; None for the empty state.
        recent: Items opened before, the last first, for the empty state.
        presets: Display windows for CT.
        readers: Formats that open, with their suffixes.
        writers: Formats that are saved, with their suffixes.
        formats: The same, one entry a suffix, for a choice.
        sample: Whether ``POST /api/sample`` has a picture to try things on.
    """

    version: str
    workspace: str
    default_model: str
    first: int | None
    recent: list[Item]
    presets: list[WindowPreset]
    readers: dict[str, list[str]]
    writers: dict[str, list[str]]
    formats: list[SaveFormat]
    sample: bool
    upload_limit: int


def save_formats() -> list[SaveFormat]:
    """Return every format that masks are saved in, one entry a suffix."""
    return [
        SaveFormat(format=suffix.removeprefix("."), title=writer.title, dimensions=list(writer.dimensions))
        for _, writer in WRITERS.items()
        for suffix in writer.suffixes
    ]
