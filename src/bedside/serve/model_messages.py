"""What the page is told of the models."""

from __future__ import annotations

from bedside.serve.message import Message
from bedside.serve.messages import Tools


class ModelInfo(Message):
    """A model of the registry.

    Attributes:
        available: Whether it can be chosen.
        reason: Why not; None where it can.
        loaded: Whether it answers without loading first.
    """

    name: str
    family: str
    summary: str
    parameters: int
    licence: str
    available: bool
    reason: str | None
    loaded: bool
    tools: Tools


class ModelList(Message):
    """All models, and the one that is used where none is chosen."""

    default: str
    models: list[ModelInfo]
