"""DICOM: a file, or a folder with the files of one or several series."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bedside.core.errors import FormatError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.io.dicom.pixels import read_frames
from bedside.io.dicom.series import Series, choose_series, find_series, is_dicom
from bedside.io.dicom.stack import order_frames
from bedside.io.registry import READERS, Reader, ReadOptions
from bedside.io.samples import pick_volume


def _read(path: Path, options: ReadOptions) -> Image:
    # The index of a DICOM disc stands for the folder in which it lies.
    place = path.parent if path.name.upper() == "DICOMDIR" else path
    series = choose_series(path, find_series(place), options.series)
    placed = [frame for frame in series.frames if frame.position is not None]
    if not placed:
        return _picture(path, series, options)
    if len(placed) < len(series.frames):
        lost = next(frame for frame in series.frames if frame.position is None)
        raise FormatError(
            f"{path}: {len(series.frames) - len(placed)} of {len(series.frames)} slices have no position",
            got=lost.name,
            fix="read one file, or choose a series",
        )
    return _volume(path, series, options)


def _volume(path: Path, series: Series, options: ReadOptions) -> Image:
    frames, geometry = order_frames(path, series.frames, options.volume)
    array = read_frames(frames, options.labels)
    if array.ndim == 4 and len(frames) > 1:
        raise FormatError(f"{path}: a volume of colours", expected="grey values", fix="read one of its files")
    if array.ndim == 4:
        known = geometry.spacing[:2] if geometry.spacing_known else None
        return _image(array[0], Geometry.create(geometry.shape[1:], known), series)
    return _image(array, geometry, series)


def _picture(path: Path, series: Series, options: ReadOptions) -> Image:
    """An image whose place in the patient is unknown: ultrasound, secondary capture, radiograph."""
    what = "images without positions (a film loop or several views?)"
    frames = sorted(series.frames, key=lambda f: (f.number, f.path, f.index))
    frame = frames[pick_volume(path, len(frames), options.volume, what)]
    array = read_frames([frame], options.labels)[0]
    spacing = None if frame.pixel_spacing is None else frame.pixel_spacing[::-1]
    return _image(array, Geometry.create(frame.shape, spacing), series)


def _image(array: Any, geometry: Geometry, series: Series) -> Image:
    return Image(array, geometry, series.modality, metadata=dict(series.metadata))


READERS.register("dicom")(
    Reader("DICOM", (".dcm", ".dicom", ".ima"), _read, recognises=is_dicom, folders=True, takes_series=True)
)
