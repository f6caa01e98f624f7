"""What a prompt may be, as messages: for those who write to the server, and for its OpenAPI.

A prompt that comes is read by ``core.prompts``, whose errors say more than those of a schema.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from bedside.core.prompts import DEFAULT_THICKNESS
from bedside.serve.message import Message

Coordinates = Annotated[list[float], Field(min_length=2, max_length=3)]
FrameName = Literal["index", "world"]


class PointPrompt(Message):
    """A click.

    Attributes:
        position: (x, y[, z]), continuous voxels, or mm in LPS where ``frame`` is "world".
        positive: False off the object.
    """

    kind: Literal["point"]
    position: Coordinates
    positive: bool = True
    frame: FrameName = "index"


class BoxPrompt(Message):
    """A box around the object, or around a part of it.

    Attributes:
        low: Corner of the least coordinates, (x, y[, z]).
        high: The opposite corner, exclusive.
        positive: False around what must not belong to the object.
    """

    kind: Literal["box"]
    low: Coordinates
    high: Coordinates
    positive: bool = True
    frame: FrameName = "index"


class ScribblePrompt(Message):
    """A stroke.

    Attributes:
        points: Vertices, each (x, y[, z]).
        positive: False off the object.
        thickness: Width in voxels.
        connected: False for vertices that are no line.
    """

    kind: Literal["scribble"]
    points: Annotated[list[Coordinates], Field(min_length=1)]
    positive: bool = True
    frame: FrameName = "index"
    thickness: Annotated[float, Field(gt=0)] = DEFAULT_THICKNESS
    connected: bool = True


class LassoPrompt(Message):
    """A closed outline around the object.

    Attributes:
        points: Vertices, each (x, y[, z]); the last is joined to the first.
        positive: False around what must not belong to the object.
    """

    kind: Literal["lasso"]
    points: Annotated[list[Coordinates], Field(min_length=3)]
    positive: bool = True
    frame: FrameName = "index"


class MaskPrompt(Message):
    """A mask that takes the place of the object's, for prompts that follow to correct.

    Attributes:
        shape: Of the image, ([z, ]y, x).
        box: Start and stop of the box that ``bits`` fill, array order; the whole image where left out.
        bits: The mask in the box.
    """

    kind: Literal["mask"]
    shape: list[int]
    box: Annotated[list[list[int]], Field(min_length=2, max_length=2)] | None = None
    bits: str


PROMPTS = (PointPrompt, BoxPrompt, ScribblePrompt, LassoPrompt, MaskPrompt)

PromptFields = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {"oneOf": [kind.model_json_schema() for kind in PROMPTS], "discriminator": {"propertyName": "kind"}}
    ),
]
"""A prompt as it comes; the schema is that of one of ``PROMPTS``."""
