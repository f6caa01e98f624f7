"""Bedside: promptable segmentation of medical images, 2D and 3D, on a laptop CPU.

Names are imported when first used, so that ``import bedside`` costs nothing and never loads a runtime.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from bedside.core.errors import BedsideError
    from bedside.core.geometry import Geometry
    from bedside.core.image import Image
    from bedside.core.prompts import Box, InitialMask, Lasso, Point, Scribble
    from bedside.engines import load_segmenter
    from bedside.io import read_image, read_mask, write_image, write_mask
    from bedside.session import Session

_HOMES = {
    "BedsideError": "bedside.core.errors",
    "Box": "bedside.core.prompts",
    "Geometry": "bedside.core.geometry",
    "Image": "bedside.core.image",
    "InitialMask": "bedside.core.prompts",
    "Lasso": "bedside.core.prompts",
    "Point": "bedside.core.prompts",
    "Scribble": "bedside.core.prompts",
    "Session": "bedside.session",
    "load_segmenter": "bedside.engines",
    "read_image": "bedside.io",
    "read_mask": "bedside.io",
    "write_image": "bedside.io",
    "write_mask": "bedside.io",
}

__all__ = [
    "BedsideError",
    "Box",
    "Geometry",
    "Image",
    "InitialMask",
    "Lasso",
    "Point",
    "Scribble",
    "Session",
    "__version__",
    "load_segmenter",
    "read_image",
    "read_mask",
    "write_image",
    "write_mask",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'bedside' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
