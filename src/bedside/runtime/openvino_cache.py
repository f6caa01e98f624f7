"""Compiled models kept on disk, each with its checksum: OpenVINO believes the numbers in them, whatever a disk made of
them.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from bedside.core.files import write_text_atomically
from bedside.core.paths import cache_folder
from bedside.runtime.backend import Shape
from bedside.weights.card import file_sha256
from bedside.weights.store import WeightsFiles


def compiled_folder(weights: WeightsFiles, shape: Shape, precision: str) -> Path | None:
    """Return the folder of what was compiled of a network for one shape and precision, with whole files alone in it.

    What is damaged, was not written to its end or has no checksum is removed, and compiled again.

    Returns:
        None where the cache cannot be written, which costs time and nothing else.
    """
    root = cache_folder() / "openvino"
    sides = sorted(shape.items()) if hasattr(shape, "items") else list(shape)
    key = hashlib.sha256(repr((weights.card.sha256, weights.part, sides, precision)).encode()).hexdigest()[:16]
    folder = root / f"{weights.name}-{key}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for compiled in folder.glob("*.blob"):
            if not _is_whole(compiled):
                compiled.unlink(missing_ok=True)
        # Before there were checksums all models lay together.
        for compiled in root.glob("*.blob"):
            compiled.unlink(missing_ok=True)
    except OSError:
        return None
    return folder


def seal(folder: Path) -> None:
    """Write the checksum of each file that has none, right after it was compiled."""
    for compiled in folder.glob("*.blob"):
        with contextlib.suppress(OSError):
            if not _checksum(compiled).exists():
                write_text_atomically(_checksum(compiled), file_sha256(compiled))


def _is_whole(compiled: Path) -> bool:
    try:
        known = _checksum(compiled).read_text(encoding="ascii")
    except (OSError, ValueError):
        known = ""
    whole = known == file_sha256(compiled)
    if not whole:
        # So that what is compiled next under the same name gets one of its own.
        _checksum(compiled).unlink(missing_ok=True)
    return whole


def _checksum(compiled: Path) -> Path:
    return compiled.with_suffix(".sha256")
