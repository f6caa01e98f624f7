"""The packed training store: images, label maps and the objects in them, in a few files that NumPy opens alone.

A store is a folder of ``part-NNN.npz`` files. A part holds whole items; each item has an image, one or more maps of
objects, and a table with one row an object, so that training never scans a map to find what is in it.

Arrays are not compressed, so that they are mapped into memory and a store may be larger than that: what is read of an
image is what a window shows. Compressed parts, the shards of ``sharding`` among them, are read whole.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

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
COMPRESSION_LEVEL = 1
"""Of deflate: higher ones take much longer for little."""


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


def write_part(path: Path, items: Iterable[Item], *, compress: bool = False) -> None:
    """Write items into one part, which is not made atomically; the same items give the same bytes.

    Args:
        path: Of the part.
        items: Taken one after the other, so that one at a time is in memory.
        compress: Whether to compress arrays by deflate; they are then read whole.
    """
    iterator = iter(items)
    _write_part(path, next(iterator, None), iterator, math.inf, compress=compress)


def _write_part(
    path: Path, item: Item | None, rest: Iterator[Item], part_bytes: float, *, compress: bool = False
) -> Item | None:
    """Fill one part, starting with ``item``; returns the item that no longer fits."""
    infos: list[dict[str, Any]] = []
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", method, compresslevel=COMPRESSION_LEVEL if compress else None) as archive:
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

    Attributes:
        items: What it holds, in the order of its parts.
        sha256: Of the bytes of its parts.

    Raises:
        FormatError: The folder holds no store, or one of another version.
    """

    items: Sequence[Item]
    sha256: str

    def __init__(self, folder: str | Path) -> None:
        paths = sorted(Path(folder).glob("part-*.npz"))
        if not paths:
            raise FormatError(
                "training store", expected=f"part-000.npz in {folder}", got="none", fix="make one with: bedside train"
            )
        items: list[Item] = []
        digest = hashlib.sha256()
        for path in paths:
            content = _mapped(path)
            digest.update(content.data)
            items.extend(_read_part(str(path), path, content))
        self.items, self.sha256 = items, digest.hexdigest()

    @classmethod
    def of(cls, items: Sequence[Item], sha256: str) -> Store:
        """Return a store of items that were read."""
        store = cls.__new__(cls)
        store.items, store.sha256 = items, sha256
        return store

    def at(self, number: int) -> Store:
        """Return the items that training sample ``number`` is drawn from: all of them, whichever it is."""
        del number
        return self

    def divide(self, held_out: Collection[str]) -> tuple[Store, Store]:
        """Return the store without the sets called ``held_out``, and with them alone; no array is copied."""
        kept, held = copy.copy(self), copy.copy(self)
        kept.items = [item for item in self.items if item.info.set_name not in held_out]
        held.items = [item for item in self.items if item.info.set_name in held_out]
        return kept, held


Made = TypeVar("Made")


class Visible(Generic[Made]):
    """What a sampler makes of the items that a sample is drawn from, made again where those change.

    Copies of a sampler share it, so that none keeps items that are not drawn from any more.

    Args:
        store: Where the items are.
        make: Makes of them what the sampler needs.
    """

    def __init__(self, store: Store, make: Callable[[Sequence[Item]], Made]) -> None:
        self._store, self._make = store, make
        self._shown = store.at(0)
        self._made = make(self._shown.items)

    def at(self, number: int) -> Made:
        """Return what was made of the items for training sample ``number``."""
        shown = self._store.at(number)
        if shown is not self._shown:
            self._shown, self._made = shown, self._make(shown.items)
        return self._made


def read_part(path: Path, *, check: bool = True) -> list[Item]:
    """Return the items of one part, mapped into memory where they are not compressed.

    Args:
        path: Of the part.
        check: Whether to compare each array with its checksum, which reads all of it.

    Raises:
        FormatError: It is damaged, no part, or of another version.
    """
    return list(_read_part(str(path), path, _mapped(path), check=check))


def read_part_bytes(content: bytes, name: str) -> Iterator[Item]:
    """Yield the items of a part that is in memory, one at a time decompressed.

    Args:
        content: Of a whole part.
        name: What errors call it.

    Raises:
        FormatError: It is damaged, no part, or of another version.
    """
    return _read_part(name, io.BytesIO(content), np.frombuffer(content, dtype=np.uint8))


def read_one(file: IO[bytes], number: int, name: str) -> Item:
    """Return one item of a compressed part; nothing is read but the part's directory and the item itself.

    Args:
        file: A part that can be sought in.
        number: Of the item, from 0.
        name: What errors call the part.

    Raises:
        FormatError: It is damaged, no part, or of another version, or has no such item.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            fields = _read_header(archive, name)[number]
            return _read_item(archive, number, fields, np.zeros(0, dtype=np.uint8), check=True)
    except _DAMAGED as error:
        raise _told(error, name) from error


def _mapped(path: Path) -> NDArray[np.uint8]:
    """Return a file's bytes, read when they are asked for; what is written to them stays in memory."""
    if not path.stat().st_size:
        # Nothing cannot be mapped.
        return np.zeros(0, dtype=np.uint8)
    return np.asarray(np.memmap(path, dtype=np.uint8, mode="c"))


_DAMAGED = (
    zipfile.BadZipFile, zlib.error, struct.error, LookupError, TypeError, ValueError, EOFError, NotImplementedError,
)  # fmt: skip
"""What reading a damaged part raises."""


def _told(error: Exception, name: str) -> FormatError:
    if isinstance(error, FormatError):
        return error
    return FormatError(name, expected="a part of a training store", got=f"{type(error).__name__}: {error}")


def _read_part(
    name: str, source: Path | IO[bytes], content: NDArray[np.uint8], *, check: bool = True
) -> Iterator[Item]:
    try:
        with zipfile.ZipFile(source) as archive:
            for number, fields in enumerate(_read_header(archive, name)):
                yield _read_item(archive, number, fields, content, check=check)
    except _DAMAGED as error:
        raise _told(error, name) from error


def _read_header(archive: zipfile.ZipFile, name: str) -> list[dict[str, Any]]:
    """Return what a part says of each of its items."""
    header = json.loads(archive.read("header.json"))
    if header.get("format") != "bedside-store" or header.get("version") != FORMAT_VERSION:
        raise FormatError(name, expected=f"a training store of version {FORMAT_VERSION}", got=header.get("version"))
    items: list[dict[str, Any]] = header["items"]
    return items


def _read_item(
    archive: zipfile.ZipFile, number: int, fields: dict[str, Any], content: NDArray[np.uint8], *, check: bool
) -> Item:
    arrays = {
        field: _read_array(archive, f"{number}/{field}.npy", content, check=check)
        for field in ("image", "maps", "objects")
    }
    spacing, kinds = fields.pop("spacing"), tuple(fields.pop("map_kinds"))
    return Item(ItemInfo(**fields, spacing=tuple(spacing) if spacing else None, map_kinds=kinds), **arrays)


def _read_array(archive: zipfile.ZipFile, name: str, content: NDArray[np.uint8], *, check: bool) -> NDArray[Any]:
    """Return an array of a part: a view of its bytes ``content``, or a copy where it is compressed."""
    member = archive.getinfo(name)
    with archive.open(member) as file:
        if member.compress_type != zipfile.ZIP_STORED:
            compressed: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
            if file.read(1):
                raise ValueError(f"{name} does not hold what its header says")
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
    if check and zlib.crc32(whole.data) != member.CRC:
        raise zipfile.BadZipFile(f"bad checksum of {name}")
    return whole[header:].view(dtype).reshape(shape)
