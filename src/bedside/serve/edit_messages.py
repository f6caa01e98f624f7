"""What page and server say of classical tools on masks."""

from __future__ import annotations

from bedside.serve.messages import Message


class EditInfo(Message):
    """A classical tool on masks.

    Attributes:
        name: By which it is asked for.
        title: What a menu calls it.
        help: What it does.
        combines: Whether it takes another object.
        unit: Of the number that it takes: "mm", "voxels" or "parts"; None where it takes none.
        default: Of that number.
        least: The smallest.
        most: The largest.
    """

    name: str
    title: str
    help: str
    combines: bool
    unit: str | None = None
    default: float | None = None
    least: float | None = None
    most: float | None = None


class EditList(Message):
    """All tools on masks, by name."""

    edits: list[EditInfo]


class EditRequest(Message):
    """A tool to be used on an object.

    Attributes:
        name: Of the tool.
        value: The number that it takes; its default where left out.
        other: Number of the other object, of a tool that combines two.
    """

    name: str
    value: float | None = None
    other: int | None = None
