"""What makes an evaluation repeatable: versions, command, candidates and the hashes of the data."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import shlex
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bedside
from bedside.data.catalogue import DataSet

LIBRARIES = ("numpy", "scipy", "openvino", "onnxruntime", "scikit-image", "nibabel", "pillow")


def create_manifest(sets: Iterable[DataSet], seed: int) -> dict[str, Any]:
    """Return versions, host, command line, seed, and sha256 of every file of ``sets``."""
    return {
        "bedside": bedside.__version__,
        "python": platform.python_version(),
        "libraries": library_versions(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed,
        "data": {f"{s.split}/{s.name}" if s.split else s.name: data_hashes(s) for s in sets},
    }


def library_versions() -> dict[str, str]:
    """Versions of what a prediction can depend on; a library that is not installed is left out."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def data_hashes(data_set: DataSet) -> dict[str, dict[str, str]]:
    """For each case of a set the sha256 of its image and its labels, as they are on disk."""
    return {c.id: {"image": _sha256(c.image_path), "labels": _sha256(c.labels_path)} for c in data_set.cases}


def set_digest(hashes: dict[str, dict[str, str]]) -> str:
    """Return one sha256 for a whole set, from those of its files."""
    lines = [f"{case} {pair['image']} {pair['labels']}\n" for case, pair in sorted(hashes.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
