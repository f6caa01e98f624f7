"""Embeddings of slices on the disk, for folders of images that are gone through more than once.

An embedding lies under a checksum of what it was made from: the bytes that the encoder saw, which are the image after
all preprocessing, the encoder's weights and graph, and what ran them. So it is never taken for another, and a mask is
the same with and without. The folder is shared by processes: a file appears when it is complete, and one that is
damaged is made again. Switched on by ``BEDSIDE_EMBEDDINGS``, because embeddings tell of patients as images do.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from bedside.core.errors import InputError, StorageError
from bedside.core.files import write_bytes_atomically
from bedside.runtime.backend import Graph

FOLDER_VARIABLE, LIMIT_VARIABLE = "BEDSIDE_EMBEDDINGS", "BEDSIDE_EMBEDDINGS_GB"
DEFAULT_GB = 10.0
SUFFIX = ".safetensors"
LOOK_AGAIN = 0.02
"""Share of the limit that a process writes before it looks how much there is."""
ROOM = 0.9
"""Share of the limit that is left when the oldest are removed, so that it is not done at every file."""

Features = Mapping[str, NDArray[Any]]
"""What an encoder made of a slice, by name."""


@dataclass(frozen=True)
class Entry:
    """An embedding on the disk.

    Attributes:
        path: Of its file.
        bytes: Of its file.
        used: When it was last used, in nanoseconds of the file system's clock.
    """

    path: Path
    bytes: int
    used: int


class EmbeddingStore:
    """Embeddings in a folder, those used last, as many as its limit allows.

    Args:
        folder: Made when the first is kept.
        limit: Bytes of files; processes that write at once may exceed it by a fiftieth each.

    Raises:
        InputError: The limit is not above 0.
    """

    def __init__(self, folder: Path, limit: float) -> None:
        if not 0 < limit < float("inf"):
            raise InputError("limit of embeddings", expected="more than 0", got=limit)
        self.folder, self.limit = folder, limit
        self._unlooked = float("inf")

    def get(self, key: str) -> Features | None:
        """Return what is kept under a key; None where there is nothing, or nothing whole."""
        path = self._path(key)
        found = read_embedding(path)
        if found is not None:
            # Read-only folders serve too.
            with contextlib.suppress(OSError):
                os.utime(path)
        return found

    def put(self, key: str, features: Features, made_by: Mapping[str, str]) -> None:
        """Keep features under a key. A full disk or a folder that cannot be written keeps nothing and says nothing."""
        content = pack_embedding(features, made_by)
        with contextlib.suppress(StorageError, OSError):
            write_bytes_atomically(self._path(key), content)
            self._unlooked += len(content)
            if self._unlooked > LOOK_AGAIN * self.limit:
                self.prune(self.limit)

    def entries(self) -> Iterator[Entry]:
        """Yield what there is, in no order."""
        for path in self.folder.glob(f"??/*{SUFFIX}"):
            # Others remove files meanwhile.
            with contextlib.suppress(OSError):
                status = path.stat()
                yield Entry(path, status.st_size, status.st_mtime_ns)

    def prune(self, limit: float) -> int:
        """Remove what was used longest ago where there is more than ``limit`` bytes; returns the files removed."""
        self._unlooked = 0.0
        found = sorted(self.entries(), key=lambda entry: entry.used)
        held, removed = sum(entry.bytes for entry in found), 0
        if held <= limit:
            return 0
        for entry in found:
            if held <= ROOM * limit:
                break
            with contextlib.suppress(OSError):
                entry.path.unlink()
                held -= entry.bytes
                removed += 1
        return removed

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}{SUFFIX}"


def pack_embedding(features: Features, made_by: Mapping[str, str]) -> bytes:
    """Return the content of a file: safetensors, with who made it and a checksum in its header."""
    arrays = {name: np.ascontiguousarray(array) for name, array in features.items()}
    return bytes(save(arrays, {**made_by, "sha256": checksum(arrays)}))


def read_embedding(path: Path) -> Features | None:
    """Return what a file of ``pack_embedding`` holds; None where it is missing, torn or changed."""
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            stated = (file.metadata() or {}).get("sha256")
    except (OSError, SafetensorError, ValueError, KeyError):
        return None
    return arrays if checksum(arrays) == stated else None


def read_maker(path: Path) -> dict[str, str]:
    """Return who made an embedding, as ``put`` was told; empty where it cannot be read."""
    try:
        with safe_open(path, framework="numpy") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError, ValueError):
        return {}


def checksum(arrays: Features) -> str:
    """Return a checksum of arrays with their names, types and shapes."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


class KeptEncoder:
    """An encoder that looks for each image's embedding in a store first; a ``Graph`` itself.

    Args:
        encoder: Makes what is missing.
        store: Where embeddings are kept.
        made_by: What decides an embedding beside the encoder's input: weights, graph, runtime and the like.
    """

    def __init__(self, encoder: Graph, store: EmbeddingStore, made_by: Mapping[str, str]) -> None:
        self.device, self.precision = encoder.device, encoder.precision
        self._encoder, self._store, self._made_by = encoder, store, dict(made_by)
        self._own = json.dumps(self._made_by, sort_keys=True)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return outputs by name for inputs by name, from the store where it has them."""
        key = hashlib.sha256(f"{self._own}\0{checksum(inputs)}".encode()).hexdigest()
        kept = self._store.get(key)
        if kept is not None:
            return dict(kept)
        outputs = self._encoder.run(inputs)
        self._store.put(key, outputs, self._made_by)
        return outputs


def chosen_store() -> EmbeddingStore | None:
    """Return the store that ``BEDSIDE_EMBEDDINGS`` names; None where it does not.

    Raises:
        InputError: ``BEDSIDE_EMBEDDINGS_GB`` is no number above 0.
    """
    folder = os.environ.get(FOLDER_VARIABLE)
    return EmbeddingStore(Path(folder), chosen_limit()) if folder else None


def chosen_limit() -> float:
    """Return the limit in bytes that ``BEDSIDE_EMBEDDINGS_GB`` says, 10 billion where it says nothing.

    Raises:
        InputError: It is no number above 0.
    """
    text = os.environ.get(LIMIT_VARIABLE, "")
    try:
        limit = float(text) * 1e9 if text else DEFAULT_GB * 1e9
    except ValueError:
        limit = 0.0
    if not 0 < limit < float("inf"):
        raise InputError(LIMIT_VARIABLE, expected="a number above 0", got=f"'{text}'")
    return limit
