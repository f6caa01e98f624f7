"""DICOM: a file, or a folder with the files of one or several series."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bedside.core.errors import FormatError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.io.dicom.headers import looks_like_dicom
from bedside.io.dicom.partition import Volume, listing, main_volume, volumes_of
from bedside.io.dicom.pixels import padding_ranges, read_frames
from bedside.io.dicom.series import Series, choose_series, find_series
from bedside.io.dicom.stack import listed
from bedside.io.formats.omezarr import is_zarr
from bedside.io.registry import READERS, Reader, ReadOptions
from bedside.io.samples import pick_volume

_LISTED = 8
"""Parts of a series that a note names."""


def _read(path: Path, options: ReadOptions) -> Image:
    # The index of a DICOM disc stands for the folder in which it lies.
    place = path.parent if path.name.upper() == "DICOMDIR" else path
    series = choose_series(path, find_series(place), options.series)
    volumes = volumes_of(path, series.frames)
    volume, notes = _choose(path, volumes, options.volume)
    if volume.problem is not None:
        raise volume.problem
    image = _picture(series, volume, options) if volume.geometry is None else _stack(path, series, volume, options)
    if series.cut_off:
        names = listed([file.name for file in series.cut_off[:_LISTED]], len(series.cut_off))
        notes = [*notes, f"{path}: files that were cut off are left out: {names}"]
    if notes:
        image.metadata["notes"] = notes
    if volume.name:
        image.metadata["volume"] = volume.name
    return image


def _choose(path: Path, volumes: list[Volume], choice: int | None) -> tuple[Volume, list[str]]:
    """Return the volume to read, and what is to be said of the others."""
    if choice is not None:
        return volumes[pick_volume(path, len(volumes), choice)], []
    if volumes and all(v.problem is not None and v.frames[0].storage.problem is not None for v in volumes):
        return volumes[0], []
    main = main_volume(volumes)
    if main is None:
        pictures = all(v.frames[0].position is None for v in volumes)
        what = "images without positions (a film loop or several views?)" if pictures else "volumes"
        pick_volume(path, len(volumes), None, what, [] if pictures else listing(volumes))
    assert main is not None
    others = [line for line, v in zip(map(str, volumes), volumes, strict=True) if v is not main]
    if not others:
        return main, []
    aside = listed(list(dict.fromkeys(others))[:_LISTED], len(set(others)))
    return main, [f"{path}: read the {len(main.frames)} slices of the series and left aside: {aside}"]


def _stack(path: Path, series: Series, volume: Volume, options: ReadOptions) -> Image:
    geometry = volume.geometry
    assert geometry is not None
    array = read_frames(volume.frames, options.labels)
    if array.ndim == 4 and len(volume.frames) > 1:
        raise FormatError(f"{path}: a volume of colours", expected="grey values", fix="read one of its files")
    if array.ndim == 4:
        known = geometry.spacing[:2] if geometry.spacing_known else None
        return _image(array[0], Geometry.create(geometry.shape[1:], known), series, volume)
    return _image(array, geometry, series, volume)


def _picture(series: Series, volume: Volume, options: ReadOptions) -> Image:
    """Return an image whose place in the patient is unknown: ultrasound, secondary capture, radiograph."""
    frame = volume.frames[0]
    array = read_frames([frame], options.labels)[0]
    spacing = None if frame.pixel_spacing is None else frame.pixel_spacing[::-1]
    return _image(array, Geometry.create(frame.shape, spacing), series, volume)


def _image(array: Any, geometry: Geometry, series: Series, volume: Volume) -> Image:
    return Image(
        array,
        geometry,
        series.modality,
        metadata=dict(series.metadata),
        padding=padding_ranges(volume.frames) if array.dtype.kind in "uif" and array.ndim == geometry.ndim else (),
    )


READERS.register("dicom")(
    Reader(
        "DICOM",
        (".dcm", ".dicom", ".ima"),
        _read,
        recognises=looks_like_dicom,
        folders=lambda path: not is_zarr(path),
        takes_series=True,
    )
)
