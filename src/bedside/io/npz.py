"""NumPy archives from strangers: arrays of numbers as they are, objects only of plain kinds."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from bedside.core.errors import FormatError

# What an object array of dicts, lists, strings and numbers is pickled with, under old and new names of NumPy.
_ALLOWED = {
    (module, name)
    for package in ("numpy.core", "numpy._core")
    for module, name in (
        (f"{package}.multiarray", "_reconstruct"),
        (f"{package}.multiarray", "scalar"),
        (f"{package}.numeric", "_frombuffer"),
    )
} | {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}


class _PlainUnpickler(pickle.Unpickler):
    """Builds NumPy arrays, containers and numbers, and nothing that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is rejected for safety")
        return super().find_class(module, name)


def load_members(path: Path, wanted: Collection[str] | None = None) -> dict[str, Any]:
    """Return the arrays of an archive by name.

    Args:
        path: A .npz file.
        wanted: Names to load if they are there; None for all.

    Raises:
        FormatError: A member that is no array, or holds objects other than plain containers and numbers.
    """
    members = {}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            key = info.filename.removesuffix(".npy")
            if key == info.filename or (wanted is not None and key not in wanted):
                continue
            with archive.open(info) as stream:
                is_objects = _holds_objects(stream)
                members[key] = _unpickle(stream, path, key) if is_objects else None
            if not is_objects:
                with archive.open(info) as stream:
                    members[key] = npy.read_array(stream, allow_pickle=False)
    return members


def member_names(path: Path) -> list[str]:
    """Return names of the arrays of an archive, without reading them."""
    with zipfile.ZipFile(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


def _holds_objects(stream: IO[bytes]) -> bool:
    """Return whether the array whose header is read from ``stream`` holds Python objects."""
    version = npy.read_magic(stream)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    return bool(read_header(stream)[2].hasobject)


def _unpickle(stream: IO[bytes], path: Path, key: str) -> Any:
    try:
        value = _PlainUnpickler(stream).load()
    except pickle.UnpicklingError as error:
        raise FormatError(f"{path}: '{key}'", expected="plain lists, dicts and numbers", got=str(error)) from error
    # A single object stored by itself, such as a list of ragged lists.
    return value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value
