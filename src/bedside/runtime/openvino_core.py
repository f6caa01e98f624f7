"""The one OpenVINO core of a process: it holds the plugins and the cache of compiled models."""

from __future__ import annotations

import functools
from typing import Any


@functools.cache
def shared_core() -> Any:
    """Return the one Core of the process: two that are freed in another order than made crash at the next Ctrl+C."""
    import openvino

    return openvino.Core()
