"""The packed training store: images, label maps and the objects in them, in a few files that NumPy opens alone.

A store is a folder of ``part-NNN.npz`` files. A part holds whole items; each item has an image, one or more maps of
objects, and a table with one row an object, so that training never scans a map to find what is in it.
"""

from __future__ import annotations

import hashlib
import json
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


def write_store(folder: Path, items: Iterable[Item], part_bytes: int = 48_000_000) -> list[Path]:
    """Write items into parts of about ``part_bytes`` compressed; once all are, they replace the store in ``folder``.

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
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        while item is not None:
            for field in ("image", "maps", "objects"):
                with archive.open(f"{len(infos)}/{field}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, np.ascontiguousarray(getattr(item, field)), allow_pickle=False)
            infos.append(asdict(item.info))
            item = next(rest, None)
            if archive.fp is not None and archive.fp.tell() >= part_bytes:
                break
        header = {"format": "bedside-store", "version": FORMAT_VERSION, "items": infos}
        # writestr would note the time of writing, and the same items would not give the same file.
        with archive.open("header.json", "w") as file:
            file.write(json.dumps(header).encode("utf-8"))
    return item


class Store:
    """All items of a packed store, in memory.

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
            digest.update(path.read_bytes())
            self.items.extend(_read_part(path))
        self.sha256 = digest.hexdigest()


def _read_part(path: Path) -> Iterator[Item]:
    try:
        yield from _read_archive(path)
    except (zipfile.BadZipFile, zlib.error, KeyError, TypeError, ValueError, EOFError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(
            str(path), expected="a part of a training store", got=f"{type(error).__name__}: {error}"
        ) from error


def _read_archive(path: Path) -> Iterator[Item]:
    with zipfile.ZipFile(path) as archive:
        header = json.loads(archive.read("header.json"))
        if header.get("format") != "bedside-store" or header.get("version") != FORMAT_VERSION:
            raise FormatError(
                str(path), expected=f"a training store of version {FORMAT_VERSION}", got=header.get("version")
            )
        for number, fields in enumerate(header["items"]):
            arrays = {}
            for field in ("image", "maps", "objects"):
                with archive.open(f"{number}/{field}.npy") as file:
                    arrays[field] = np.lib.format.read_array(file, allow_pickle=False)
            spacing = fields.pop("spacing")
            kinds = tuple(fields.pop("map_kinds"))
            info = ItemInfo(**fields, spacing=tuple(spacing) if spacing else None, map_kinds=kinds)
            yield Item(info, **arrays)
