"""Which format reads or writes a file. Content decides what a file is; names only where the content says nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bedside.core.errors import FormatError
from bedside.core.image import Image
from bedside.core.registry import Registry
from bedside.core.walking import check_ordinary
from bedside.io.foreign import reject_foreign
from bedside.io.packing import Head, read_head


@dataclass(frozen=True)
class ReadOptions:
    """What the caller asked for.

    Attributes:
        series: Number, description or UID of a DICOM series.
        volume: Which of several volumes in a file, from 0.
        labels: The file is read as a label map: values are names and are neither converted nor inverted.
    """

    series: str | None = None
    volume: int | None = None
    labels: bool = False


@dataclass(frozen=True)
class Reader:
    """A format that can be read.

    Attributes:
        title: Its name for people.
        suffixes: Lower case, with the dot; the longest that fits a name wins.
        read: Makes an image of a path. Errors of the library behind it are translated by the caller.
        recognises: Whether a file that begins with these bytes is of this format; at least ``packing.HEAD_BYTES``
            of them where the file has so many, unpacked where it is compressed as a whole.
        folders: Whether it reads a folder; None where it reads none.
        takes_series: Whether ``ReadOptions.series`` means something to it.
        unpacks: Whether it reads files that are compressed as a whole by itself; else they are unpacked for it.
        isolate: Whether its library can end the process on a damaged file, so that uploads are read in another one;
            False only where all of the reading is Python and NumPy.
    """

    title: str
    suffixes: tuple[str, ...]
    read: Callable[[Path, ReadOptions], Image]
    recognises: Callable[[bytes], bool] | None = None
    folders: Callable[[Path], bool] | None = None
    takes_series: bool = False
    unpacks: bool = False
    isolate: bool = True


@dataclass(frozen=True)
class Writer:
    """A format that can be written.

    Attributes:
        title: Its name for people.
        suffixes: Lower case, with the dot.
        write: Writes an image to a path, which is a temporary one; the flag says that it is a label map.
        dimensions: Spatial axes that it can hold.
        names: Whether it keeps the names of labels, which a label map has in its metadata under "label_names".
    """

    title: str
    suffixes: tuple[str, ...]
    write: Callable[[Path, Image, bool], None]
    dimensions: tuple[int, ...] = (2, 3)
    names: bool = False


READERS: Registry[Reader] = Registry("reader", "bedside.io.formats", Reader)
WRITERS: Registry[Writer] = Registry("writer", "bedside.io.formats", Writer)

Format = TypeVar("Format", Reader, Writer)


def _by_suffix(path: Path, formats: Iterable[Format]) -> Format | None:
    name = path.name.lower()
    fitting = [(len(s), f) for f in formats for s in f.suffixes if name.endswith(s)]
    return max(fitting, key=lambda pair: pair[0])[1] if fitting else None


def all_suffixes(formats: Iterable[Reader] | Iterable[Writer]) -> str:
    """Return the suffixes of several formats as a list for a message."""
    return ", ".join(dict.fromkeys(s for f in formats for s in f.suffixes))


def find_reader(path: Path) -> tuple[Reader, Head]:
    """Return the format of an existing file or folder, and how the file begins.

    Raises:
        FormatError: No format knows it, or it is a named pipe or a device.
    """
    formats = [reader for _, reader in READERS.items()]
    if path.is_dir():
        folders = [r for r in formats if r.folders is not None and r.folders(path)]
        if folders:
            return folders[0], Head(b"")
        head = Head(b"")
    else:
        check_ordinary(path)
        head = read_head(path)
        found = next((r for r in formats if r.recognises is not None and r.recognises(head.content)), None)
        if found is None:
            found = _by_suffix(path, formats)
            reject_foreign(str(path), head.content, named=found is not None)
        if found is not None:
            return found, head
    packed = f" of what is packed by {head.packing}" if head.packing else ""
    raise FormatError(
        f"{path}: unknown format{packed}", expected=f"the content of one of {all_suffixes(formats)}, or a DICOM file"
    )


def find_writer(path: Path) -> Writer:
    """Return the format that a file's suffix names.

    Raises:
        FormatError: No format that can be written has that suffix.
    """
    formats = [writer for _, writer in WRITERS.items()]
    found = _by_suffix(path, formats)
    if found is None:
        raise FormatError(f"{path}: cannot write this format", expected=f"one of {all_suffixes(formats)}")
    return found
