"""What there is to read at a path, without reading the samples of a series: for lists, choosers and messages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from bedside.core.errors import ChoiceError, FormatError
from bedside.core.image import Image
from bedside.core.walking import files_below
from bedside.io.quiet import quiet
from bedside.io.registry import find_reader
from bedside.io.translating import translated


@dataclass(frozen=True)
class Content:
    """One image that can be chosen.

    Attributes:
        series: SeriesInstanceUID; None where the format has no series.
        series_title: Number, description, modality and images of the series; "" where there is none.
        volume: Its number, for the option ``volume``; None where the path holds this image alone.
        title: Size, spacing and what tells it from its neighbours.
        slices: How many slices it has; 1 where that is not known without reading it.
        problem: Why it cannot be read; None where it can.
        main: Whether it is read where no volume is chosen.
        path: File of the image within the folder that was asked about; None where that place is the image itself.
    """

    series: str | None
    series_title: str
    volume: int | None
    title: str
    slices: int
    problem: str | None = None
    main: bool = True
    path: str | None = None


LISTED = 1000
"""Files of a folder, or volumes of a file, that are listed at most."""


def contents(path: str | Path) -> list[Content]:
    """Return the images at a path: for DICOM each volume of each series, for other formats each image in the file.

    Of a folder without DICOM series, each file whose name or content is that of an image, without reading it.

    Raises:
        FormatError: There is nothing, or nothing that can be read.
    """
    place = Path(path)
    with translated(place):
        if not place.exists():
            raise FormatError(f"{place}", expected="an existing file or folder", got="nothing there")
        reader, _ = find_reader(place)
        if place.is_dir() and (files := _files_in(place)):
            return files
    with translated(place, reader.title):
        if reader.takes_series:
            with quiet():
                return _of_dicom(place)
        return _of_file(place, reader.title)


def _files_in(folder: Path) -> list[Content]:
    """List the images of a folder that holds no DICOM series; none where it holds one."""
    from bedside.io.dicom.series import find_series

    with quiet():
        if (folder / "DICOMDIR").exists() or find_series(folder):
            return []
    found: list[Content] = []
    for path in sorted(files_below(folder)):
        try:
            reader, _ = find_reader(path)
        except (FormatError, OSError):
            continue
        name = str(path.relative_to(folder))
        found.append(Content(None, "", None, f"{name}: {reader.title}", 1, path=name))
        if len(found) == LISTED:
            break
    return found


def _of_dicom(path: Path) -> list[Content]:
    from bedside.io.dicom.partition import main_volume, volumes_of
    from bedside.io.dicom.series import choose_series, find_series

    found = find_series(path.parent if path.name.upper() == "DICOMDIR" else path)
    if not found:
        choose_series(path, found, None)
    result = []
    for series in found:
        volumes = volumes_of(path, series.frames)
        main = main_volume(volumes)
        for number, volume in enumerate(volumes):
            result.append(
                Content(
                    series=series.uid,
                    series_title=str(series),
                    volume=number if len(volumes) > 1 else None,
                    title=str(volume),
                    slices=len(volume.frames),
                    problem=None if volume.problem is None else str(volume.problem),
                    main=volume is main,
                )
            )
    return result


def _of_file(path: Path, format_title: str) -> list[Content]:
    """List the image in a file, or the volumes, components or pages of which one has to be chosen."""
    from bedside.io.reading import read_image

    try:
        return [_described(read_image(path), format_title, None)]
    except ChoiceError as error:
        count, names = error.count, error.names
        if count is None:
            raise
    if names:
        told = (name.partition(": ")[2] or name for name in names[:LISTED])
        return [Content(None, "", n, f"{format_title}, {name}", 1, main=False) for n, name in enumerate(told)]
    first = _described(read_image(path, volume=0), format_title, 0)
    return [replace(first, volume=n) for n in range(min(count, LISTED))]


def _described(image: Image, format_title: str, volume: int | None) -> Content:
    spacing = " x ".join(f"{s:.4g}" for s in image.geometry.spacing) + " mm"
    parts = [
        f"{format_title}, {' x '.join(map(str, image.array.shape))} {image.array.dtype.name}",
        spacing if image.geometry.spacing_known else "spacing unknown",
        image.modality or "",
    ]
    slices = image.shape[0] if image.ndim == 3 else 1
    return Content(None, "", volume, ", ".join(p for p in parts if p), slices, main=volume is None)
