"""Engines: what makes masks from prompts, one folder a kind of network, behind one protocol.

Names are imported when they are first used, so that an engine's ``spec`` can be read without loading anything else.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bedside.engines.load import load_segmenter
    from bedside.engines.protocol import Capabilities, Prediction, Segmenter

_HOMES = {
    "Capabilities": "bedside.engines.protocol",
    "Prediction": "bedside.engines.protocol",
    "Segmenter": "bedside.engines.protocol",
    "load_segmenter": "bedside.engines.load",
}

__all__ = ["Capabilities", "Prediction", "Segmenter", "load_segmenter"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'bedside.engines' has no attribute '{name}'")
