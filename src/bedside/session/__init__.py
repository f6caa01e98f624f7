"""Sessions: objects, the journal of their prompts, undo and redo, label maps, and the workspace that keeps them.

Names are imported when first used: the workspace's file is opened before anything that is slow to import is needed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bedside.session.objects import SessionObject
    from bedside.session.session import Session
    from bedside.session.workspace import Workspace

_HOMES = {
    "Session": "bedside.session.session",
    "SessionObject": "bedside.session.objects",
    "Workspace": "bedside.session.workspace",
}

__all__ = ["Session", "SessionObject", "Workspace"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'bedside.session' has no attribute '{name}'")
