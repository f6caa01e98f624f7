"""The packed training store: images, label maps and the objects in them, in a few files that NumPy opens alone.

A store is a folder of ``part-NNN.npz`` files. A part holds whole items; each item has an image, one or more maps of
objects, and a table with one row an object, so that training never scans a map to find what is in it.

Arrays are not compressed, so that they are mapped into memory and a store may be larger than that: what is read of an
image is what a window shows. Compressed parts, as earlier versions wrote them, are read whole.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import FormatError
from bedside.core.files import move_set_into_place, scratch_folder

FORMAT_VERSION = 1
MAP_KINDS = ("label", "part", "instance", "superpixel", "supervoxel")
"""What a value of a map means: a label's whole extent, one connected part of it, one of many objects of a kind, one
superpixel or one supervoxel."""
OBJECT_COLUMNS = ("map", "value", "size")
"""First columns of the object table; the start and stop of the bounding region follow, in array order."""
ALIGNMENT = 64
"""Bytes; the first value of each array lies at a multiple of it."""
LOCAL_HEADER, NAME_LENGTH = 30, 26
"""Bytes before a member's name in a zip, and where the lengths of its name and of what follows are (PKWARE APPNOTE,
4.3.7)."""


@dataclass(frozen=True)
class ItemInfo:
    """What an item is.

    Attributes:
        name: "<set>/<case>", unique in the store together with ``variant``.
        set_name: Dataset, by which sampling is balanced.
        variant: "image", or "superpixel" or "supervoxel" for a reduced copy that carries those.
        modality: As the dataset states it.
        spacing: mm in array order, or None where unknown.
        map_kinds: Kind of each map, of ``MAP_KINDS``.
    """

    name: str
    set_name: str
    variant: str
    modality: str
    spacing: tuple[float, ...] | None
    map_kinds: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Item:
    """One image with its objects.

    Attributes:
        info: What it is.
        image: (y, x), (y, x, 3) or (z, y, x), uint8 or int16 or float32.
        maps: uint16 (maps, [z,] y, x).
        objects: int32 (objects, 3 + 2 * axes), see ``OBJECT_COLUMNS``.
    """

    info: ItemInfo
    image: NDArray[Any]
    maps: NDArray[np.uint16]
    objects: NDArray[np.int32]

    @property
    def axes(self) -> int:
        """Spatial axes, 2 or 3."""
        return self.maps.ndim - 1


def write_store(folder: Path, items: Iterable[Item], part_bytes: int = 256_000_000) -> list[Path]:
    """Write items into parts of about ``part_bytes``; once all are, they replace the store in ``folder``.

    Returns:
        The paths of the parts.
    """
    made: list[Path] = []
    iterator = iter(items)
    item = next(iterator, None)
    with scratch_folder(folder) as scratch:
        while item is not None:
            made.append(scratch / f"part-{len(made):03d}.npz")
            item = _write_part(made[-1], item, iterator, part_bytes)
        paths = [folder / path.name for path in made]
        move_set_into_place(zip(made, paths, strict=True))
    for surplus in set(folder.glob("part-*.npz")) - set(paths):
        surplus.unlink()
    return paths


def _write_part(path: Path, item: Item | None, rest: Iterator[Item], part_bytes: int) -> Item | None:
    """Fill one part, starting with ``item``; returns the item that no longer fits."""
    infos: list[dict[str, Any]] = []
    with zipfile.ZipFile(path, "w") as archive:
        while item is not None:
            for field in ("image", "maps", "objects"):
                _write_array(archive, f"{len(infos)}/{field}.npy", np.ascontiguousarray(getattr(item, field)))
            infos.append(asdict(item.info))
            item = next(rest, None)
            if archive.fp is not None and archive.fp.tell() >= part_bytes:
                break
        header = {"format": "bedside-store", "version": FORMAT_VERSION, "items": infos}
        # writestr would note the time of writing, and the same items would not give the same file.
        with archive.open("header.json", "w") as file:
            file.write(json.dumps(header).encode("utf-8"))
    return item


def _write_array(archive: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    """Write an array in NumPy's format 1.0, its header filled up with spaces to ``ALIGNMENT``."""
    with archive.open(name, "w", force_zip64=True) as file:
        assert archive.fp is not None
        magic = np.lib.format.magic(1, 0)
        text = repr(np.lib.format.header_data_from_array_1_0(array)).encode("latin1")
        begin = archive.fp.tell() + len(magic) + 2
        text += b" " * (-(begin + len(text) + 1) % ALIGNMENT) + b"\n"
        file.write(magic + struct.pack("<H", len(text)) + text)
        file.write(array.tobytes())


class Store:
    """All items of a packed store, mapped into memory where they are not compressed.

    Args:
        folder: Folder written by ``write_store``.

    Raises:
        FormatError: The folder holds no store, or one of another version.
    """

    def __init__(self, folder: str | Path) -> None:
        paths = sorted(Path(folder).glob("part-*.npz"))
        if not paths:
            raise FormatError(
                "training store", expected=f"part-000.npz in {folder}", got="none", fix="make one with: bedside train"
            )
        self.items: list[Item] = []
        digest = hashlib.sha256()
        for path in paths:
            content = _mapped(path)
            digest.update(content.data)
            self.items.extend(_read_part(path, content))
        self.sha256 = digest.hexdigest()


def _mapped(path: Path) -> NDArray[np.uint8]:
    """Return a file's bytes, read when they are asked for; what is written to them stays in memory."""
    if not path.stat().st_size:
        # Nothing cannot be mapped.
        return np.zeros(0, dtype=np.uint8)
    return np.asarray(np.memmap(path, dtype=np.uint8, mode="c"))


def _read_part(path: Path, content: NDArray[np.uint8]) -> Iterator[Item]:
    try:
        yield from _read_archive(path, content)
    except (zipfile.BadZipFile, zlib.error, struct.error, KeyError, TypeError, ValueError, EOFError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(
            str(path), expected="a part of a training store", got=f"{type(error).__name__}: {error}"
        ) from error


def _read_archive(path: Path, content: NDArray[np.uint8]) -> Iterator[Item]:
    with zipfile.ZipFile(path) as archive:
        header = json.loads(archive.read("header.json"))
        if header.get("format") != "bedside-store" or header.get("version") != FORMAT_VERSION:
            raise FormatError(
                str(path), expected=f"a training store of version {FORMAT_VERSION}", got=header.get("version")
            )
        for number, fields in enumerate(header["items"]):
            fields_read = ("image", "maps", "objects")
            arrays = {field: _read_array(archive, f"{number}/{field}.npy", content) for field in fields_read}
            spacing = fields.pop("spacing")
            kinds = tuple(fields.pop("map_kinds"))
            info = ItemInfo(**fields, spacing=tuple(spacing) if spacing else None, map_kinds=kinds)
            yield Item(info, **arrays)


def _read_array(archive: zipfile.ZipFile, name: str, content: NDArray[np.uint8]) -> NDArray[Any]:
    """Return an array of a part: a view of its bytes ``content``, or a copy where it is compressed."""
    member = archive.getinfo(name)
    with archive.open(member) as file:
        if member.compress_type != zipfile.ZIP_STORED:
            compressed: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
            return compressed
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError(f"{name} is not in NumPy's format 1.0")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        header = file.tell()
    lengths = content[member.header_offset + NAME_LENGTH :][:4].tobytes()
    begin = member.header_offset + LOCAL_HEADER + sum(struct.unpack("<HH", lengths))
    whole = content[begin : begin + member.file_size]
    if fortran or dtype.hasobject or header + math.prod(shape) * dtype.itemsize != len(whole):
        raise ValueError(f"{name} does not hold what its header says")
    if zlib.crc32(whole.data) != member.CRC:
        raise zipfile.BadZipFile(f"bad checksum of {name}")
    return whole[header:].view(dtype).reshape(shape)
