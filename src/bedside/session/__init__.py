"""Sessions: objects, the journal of their prompts, undo and redo, label maps."""

from bedside.session.objects import SessionObject
from bedside.session.session import DEFAULT_MODEL, Session

__all__ = ["DEFAULT_MODEL", "Session", "SessionObject"]
