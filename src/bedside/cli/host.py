"""What a manifest says of the machine and the software, found without importing any of it."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from bedside import __version__

RUNTIMES = ("openvino", "onnxruntime", "torch")
"""Distributions that can run a model, the default one first."""

EXTRAS = {
    "train": ("torch", "PyYAML", "tensorboard", "scikit-image"),
    "evaluate": ("scikit-image", "jinja2", "matplotlib"),
    "dicom": ("highdicom",),
    "slides": ("zarr", "imagecodecs"),
    "clients": ("blosc2",),
}
"""Distributions without which an optional extra is not usable."""


def installed(distribution: str) -> str | None:
    """Return version of an installed distribution; None where it is missing."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def versions() -> dict[str, str | None]:
    """Return versions of Bedside, Python, NumPy and the runtimes; None for what is not installed."""
    found = {"bedside": __version__, "python": platform.python_version()}
    return {**found, **{name: installed(name) for name in ("numpy", *RUNTIMES)}}


def host() -> dict[str, Any]:
    """Return the machine: system, processor, cores that this process may use, and memory in bytes."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory": _memory(),
    }


def extras() -> dict[str, bool]:
    """Return which optional extras are installed."""
    return {name: all(installed(d) for d in needed) for name, needed in EXTRAS.items()}


def _cpu() -> str | None:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or None


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
