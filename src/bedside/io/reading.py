"""Reading any format: one function for images, one for masks, one clear error for whatever is wrong."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from bedside.core.errors import ChoiceError, FormatError, InputError
from bedside.core.image import Image
from bedside.io.dicom.objects import kind_of, read_object
from bedside.io.packing import unpacked
from bedside.io.quiet import quiet
from bedside.io.registry import READERS, ReadOptions, find_reader
from bedside.io.samples import as_labels, single_channel
from bedside.io.translating import translated


def read_image(path: str | Path, *, series: str | int | None = None, volume: int | None = None) -> Image:
    """Return the image in a file, or in a folder of DICOM files.

    Args:
        path: A file of any format of ``readers``, whatever its name, or a folder of DICOM files.
        series: For DICOM, the series to read: its number, description or SeriesInstanceUID.
        volume: Which volume, from 0, of a file or series that holds several (a time series, echoes, localizers).

    Returns:
        Array (z, y, x), (y, x) or (y, x, 3); integers stay integers unless the file has a scale factor.

    Raises:
        FormatError: The file is missing, damaged, not what its name says, or ambiguous.
        InputError: ``series`` is given for a format that has none.
    """
    return _read(_named(path), ReadOptions(None if series is None else str(series), volume))


def _named(path: str | Path) -> Path:
    # Path("") is the working directory, which nobody asked for.
    if path == "":
        raise FormatError("image", expected="a path", got="an empty name")
    return Path(path)


def read_mask(
    path: str | Path, *, series: str | int | None = None, volume: int | None = None, reference: Image | None = None
) -> Image:
    """Return the label map in a file, in the formats of ``read_image``, or of a DICOM SEG or RTSTRUCT.

    Args:
        path: As ``read_image``. Of two segments that share a voxel the first has it.
        series: As ``read_image``.
        volume: As ``read_image``.
        reference: The image that a SEG or RTSTRUCT belongs to, on whose grid its label map then lies.

    Returns:
        Array uint8 or uint16, (z, y, x) or (y, x); the values of an indexed picture are its indices.

    Raises:
        FormatError: As ``read_image``, or values that are no labels (colours, fractions, negative).
        InputError: ``series`` is given for a format that has none.
    """
    place = _named(path)
    with translated(place):
        found = read_object(place, reference) if kind_of(place) is not None else None
    if found is not None:
        told = {"notes": list(found.notes)} if found.notes else {}
        return Image(found.label_map(), found.geometry, source=str(path), metadata=told)
    try:
        image = _read(place, ReadOptions(None if series is None else str(series), volume, labels=True))
    except ChoiceError as error:
        if error.option != "volume" or volume is not None:
            raise
        # Options of that name choose among the volumes of an image.
        fix = "give a file that holds one alone (volume= in Python)"
        raise ChoiceError(error.what, expected="one", fix=fix, count=error.count, names=error.names) from error
    array = single_channel(image.array, str(path)) if image.is_colour else image.array
    return replace(image, array=as_labels(array, str(path)))


def readers() -> dict[str, tuple[str, ...]]:
    """Return the formats that can be read, each with its suffixes."""
    return {name: reader.suffixes for name, reader in READERS.items()}


def _read(path: Path, options: ReadOptions) -> Image:
    with translated(path):
        if not path.exists():
            raise FormatError(f"{path}", expected="an existing file or folder", got="nothing there")
        reader, head = find_reader(path)
    if options.series is not None and not reader.takes_series:
        raise InputError("--series", expected="a DICOM folder or file", got=f"{path} ({reader.title})")
    packed = head.packing is not None and not reader.unpacks
    with translated(path, reader.title), quiet(), unpacked(path) if packed else nullcontext(path) as place:
        image = reader.read(place, options)
    return replace(image, source=str(path))
