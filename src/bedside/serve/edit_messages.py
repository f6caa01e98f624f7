"""What page and server say of classical tools on masks."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bedside.serve.message import Message
from bedside.serve.messages import Box, LabelPatch


class EditInfo(Message):
    """A classical tool on masks.

    Attributes:
        name: By which it is asked for.
        title: What a menu calls it.
        help: What it does.
        combines: Whether it takes another object.
        sliced: Whether it goes from slice to slice, of which a picture has none.
        unit: Of the number that it takes: "mm", "voxels" or "parts"; None where it takes none.
        default: Of that number.
        least: The smallest.
        most: The largest.
    """

    name: str
    title: str
    help: str
    combines: bool
    sliced: bool
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


class PropagateRequest(Message):
    """An object's mask on one slice to be carried along; see ``Session.propagate``.

    Attributes:
        start: The slice to begin with; by default the one on which most of the object lies.
        axis: Across which the slices lie, 0 to 2 in array order (z, y, x).
        first: Go no further down than this slice.
        last: Go no further up than this one.
        quality: Estimated DSC of a slice's mask from which on it is taken.
        overlap: Intersection over union with the slice before from which on it is taken.
    """

    start: int | None = None
    axis: int | None = None
    first: int | None = None
    last: int | None = None
    quality: float | None = None
    overlap: float | None = None


class ProposalsRequest(Message):
    """All others of the kind of a few objects to be found and shown; see ``Session.find_like``.

    Attributes:
        objects: Numbers of the objects to go by; by default all that have a voxel.
        threshold: How alike the others have to be, 0 to 1.
    """

    objects: list[int] | None = None
    threshold: float = 0.4


class Proposal(Message):
    """An object like others, which is none of the image yet.

    Attributes:
        proposal: Its number, from 1, the most alike first; its value in ``labels`` of ``Proposals``.
        score: How alike it is, 0 to 1.
    """

    proposal: int
    score: float
    voxels: int
    box: Box


class Proposals(Message):
    """What was found; ``labels`` says which is where, of the smallest box that holds all."""

    proposals: list[Proposal]
    labels: LabelPatch


class TakeRequest(Message):
    """Accept proposals; the others are dropped.

    Attributes:
        proposals: Numbers of those that are accepted; none drops all.
        name: What the objects are called, with their labels behind it.
    """

    proposals: list[int]
    name: Annotated[str, Field(min_length=1, max_length=100)] | None = None


class RemoveRequest(Message):
    """Delete objects in one change."""

    objects: Annotated[list[int], Field(min_length=1)]


class LikeRequest(Message):
    """All others of the kind of a few objects to be found and begun; see ``Session.find_like``.

    Attributes:
        objects: Numbers of the objects to go by; by default all that have a voxel.
        threshold: How alike the others have to be, 0 to 1.
        name: What they are called, with their labels behind it.
    """

    objects: list[int] | None = None
    threshold: float = 0.4
    name: Annotated[str, Field(min_length=1, max_length=100)] | None = None
