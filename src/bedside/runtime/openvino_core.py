"""The one OpenVINO core of a process: it holds the plugins and the cache of compiled models."""

from __future__ import annotations

import functools
from typing import Any

from bedside.runtime.backend import thread_limit


@functools.cache
def shared_core() -> Any:
    """Return the one Core of the process: two that are freed in another order than made crash at the next Ctrl+C."""
    import openvino

    core, threads = openvino.Core(), thread_limit()
    if threads is not None:
        # Each of several processes would pin its threads to the same first cores.
        core.set_property("CPU", {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False})
    return core
