"""TIFF: one page is an image, several pages are a volume."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import DependencyError, FormatError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.io.beside import check_plain
from bedside.io.bounds import check_declared
from bedside.io.itk import read_itk
from bedside.io.raster import in_strips, on_black, open_picture
from bedside.io.registry import READERS, WRITERS, Reader, ReadOptions, Writer
from bedside.io.samples import native, pick_volume, storable
from bedside.io.slides import is_lazy, open_slide
from bedside.io.tiff_bounds import check_directories, check_named
from bedside.io.tiff_calibration import OUR_VOLUME, ome_fields, voxel_steps
from bedside.io.tiff_display import (
    are_channels,
    calibrated_values,
    check_colours,
    display_values,
    has_brightness_and_colour,
    orientation_of,
    upright,
)

_SUFFIXES = (".tif", ".tiff")
_SLIDES = (".svs", ".ndpi")
_UNASSOCIATED_ALPHA = 2
_INDEX = "NDTiff.index"
_SCANNERS = ("svs", "ndpi", "scn", "bif", "philips", "qpi", "mrxs")
_TURNED = 5
"""Orientation from which on rows and columns change places."""
_SWAPPED = {"X": "Y", "Y": "X"}


def _recognises(head: bytes) -> bool:
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _read(path: Path, options: ReadOptions) -> Image:
    import tifffile

    check_directories(path)
    with tifffile.TiffFile(path) as file:
        images = _images(path, file)
        series, options = _chosen(path, images, options)
        page = series.keyframe
        steps = voxel_steps(file, file.series.index(series))
        if orientation_of(page) >= _TURNED:
            steps = {_SWAPPED.get(axis, axis): step for axis, step in steps.items()}
        slide = open_slide(path, series)
        if slide is not None:
            pick_volume(path, 1, options.volume)
            return _calibrated(Image(slide, Geometry.create(slide.shape[:2])), steps)
        check_colours(str(path), page)
        if has_brightness_and_colour(page):
            return _calibrated(_read_with_pillow(path, options), steps)
        try:
            array, axes = _samples(path, series, options.labels)
        except ValueError as error:
            # LZW, JPEG and the fax codes need a codec package that is large and not otherwise needed.
            if "imagecodecs" not in str(error):
                raise
            # Other libraries know the first image, and 16 bits of colour only as they stand.
            if series is not file.series[0] or ("S" in series.axes and orientation_of(page) != 1):
                raise DependencyError(
                    f"{path}: its code needs imagecodecs", fix="pip install 'bedside[slides]'"
                ) from error
            if "S" in series.axes and series.dtype.itemsize > 1:
                return _calibrated(_read_deep_colour(path, options), steps)
            return _calibrated(_read_with_pillow(path, options), steps)
        array = native(array)
        if array.ndim == len(axes) + 2:
            array = calibrated_values(array, file)
    if orientation_of(page) != 1:
        array = upright(array, orientation_of(page), len(axes))
    return _calibrated(_choose(path, array, axes, options), steps)


def _images(path: Path, file: Any) -> list[Any]:
    """Return the series that are images; what names other files or numbers of pages is held against what there is.

    Thumbnails, coarser levels and masks are none; what a slide has beside itself (a label, a macro) is none either.

    Raises:
        FormatError: It asks for more than the files hold, or for files of other folders.
    """
    import tifffile

    if file.is_ome:
        check_named(path, file.ome_metadata)
    names = {str(entry[1]) for entry in tifffile.read_ndtiff_index(path.with_name(_INDEX))} if file.is_ndtiff else set()
    for name in names:
        check_plain(path, name)
    full = [s for s in file.series if not (s.keyframe.is_reduced or s.keyframe.is_mask)]
    found = full or list(file.series)
    if len(found[0].levels) > 1 or any(getattr(file, f"is_{kind}", False) for kind in _SCANNERS):
        found = found[:1]
    for series in found:
        files = {page.parent.filehandle.path for page in series.pages if page is not None} | {str(path)}
        stored = sum(Path(name).stat().st_size for name in files)
        if not is_lazy(series):
            check_declared(str(path), series.size * series.dtype.itemsize, stored, "loose")
    return found


def _chosen(path: Path, images: list[Any], options: ReadOptions) -> tuple[Any, ReadOptions]:
    """Return the series to read, and what is left of the choice within it."""
    if len(images) == 1:
        return images[0], options
    counts = [_count(series) for series in images]
    choices: list[str] = []
    for series, count in zip(images, counts, strict=True):
        first = len(choices)
        size = " x ".join(map(str, series.shape))
        choices += [f"{first + k}: {size} {series.dtype} {series.name}".rstrip() for k in range(count)]
    index = pick_volume(path, sum(counts), options.volume, "images", choices)
    for series, count in zip(images, counts, strict=True):
        if index < count:
            return series, replace(options, volume=index if count > 1 else None)
        index -= count
    raise AssertionError


def _axes_of(series: Any) -> tuple[str, tuple[int, ...]]:
    """Return the axes of a series and their sizes."""
    # Files of our own kind say their shape, and one slice of a volume then remains a volume.
    squeeze = series.kind != "shaped" and OUR_VOLUME not in (series.name or "")
    axes, shape = series.get_axes(squeeze), tuple(series.get_shape(squeeze))
    if "S" in axes and are_channels(series.keyframe):
        axes = axes.replace("S", "C")
    # An array with one channel was written: its last axis is none of a picture.
    return (axes[:-1], shape[:-1]) if series.kind == "shaped" and len(shape) > 2 and shape[-1] == 1 else (axes, shape)


def _count(series: Any) -> int:
    """Return how many images or volumes a series holds."""
    axes, shape = _axes_of(series)
    leading = [(axis, size) for axis, size in zip(axes, shape, strict=True) if axis not in "YXS"]
    colour = "S" in axes or series.keyframe.photometric.name == "PALETTE"
    depth = None if colour else _depth("".join(axis for axis, _ in leading))
    count = math.prod(size for _, size in leading)
    return count if depth is None else count // next(size for axis, size in leading if axis == depth)


def _depth(axes: str) -> str | None:
    """Return which of the axes before y are slices; None where none are."""
    return next((a for a in "ZQI" if a in axes), "T" if axes == "T" else None)


def _calibrated(image: Image, steps: Mapping[str, float]) -> Image:
    """Return the image with the size of its voxels, where the file states all of it."""
    names = "XYZ"[: image.ndim]
    # A stack of moments has no third length.
    if image.metadata.pop("depth", "Z") == "T" or any(name not in steps for name in names):
        return image
    return replace(image, geometry=Geometry.create(image.shape, [steps[name] for name in names]))


def _samples(path: Path, series: Any, labels: bool) -> tuple[NDArray[Any], str]:
    """Return samples (..., y, x) or (..., y, x, 3) as they should look, and the axes before y."""
    axes, shape = _axes_of(series)
    array = series.asarray().reshape(shape)
    if "S" in axes:
        array = np.moveaxis(array, axes.index("S"), -1)
        axes = axes.replace("S", "")
        array = _colour(path, array, series.keyframe)
    elif axes.endswith("YXC"):
        array, axes = np.moveaxis(array, -1, 0), f"C{axes[:-1]}"
    return array if labels else display_values(array, series.keyframe), axes[:-2]


def _colour(path: Path, array: NDArray[Any], page: Any) -> NDArray[Any]:
    """Return samples with the channel last as grey or RGB."""
    channels = array.shape[-1]
    if channels == 1:
        return array[..., 0]
    if channels not in (2, 3, 4):
        raise FormatError(f"{path}", expected="grey, RGB or RGBA", got=f"{channels} samples in a pixel")
    if channels == 3:
        return array
    if _UNASSOCIATED_ALPHA in tuple(page.extrasamples) and array.dtype.kind == "u":
        return on_black(array)
    return array[..., 0] if channels == 2 else array[..., :3]


def _choose(path: Path, array: NDArray[Any], axes: str, options: ReadOptions) -> Image:
    """Return one image or volume of an array with the leading ``axes``, of unknown spacing."""
    colour = array.ndim == len(axes) + 3
    depth = None if colour else _depth(axes)
    if depth is not None:
        array = np.moveaxis(array, axes.index(depth), len(axes) - 1)
    kept = array.shape[len(axes) - (depth is not None) :]
    count = array.size // int(np.prod(kept))
    index = pick_volume(path, count, options.volume, f"images (axes {axes}YX)")
    chosen = array.reshape(count, *kept)[index]
    # A copy of the one lets go of the others.
    metadata = {} if depth is None else {"depth": depth}
    return Image(
        chosen.copy() if count > 1 else chosen, Geometry.create(kept[:2] if colour else kept), metadata=metadata
    )


def _read_deep_colour(path: Path, options: ReadOptions) -> Image:
    """Return colour of 16 bits, of which Pillow would keep 8."""
    image = read_itk(path, options, "TIFFImageIO")
    return Image(image.array, Geometry.create(image.shape))


def _read_with_pillow(path: Path, options: ReadOptions) -> Image:
    import PIL.ImageSequence

    with open_picture(path) as picture:
        pages = [in_strips(page, options.labels) for page in PIL.ImageSequence.Iterator(picture)]
    if any(page.shape != pages[0].shape for page in pages):
        raise FormatError(f"{path}", expected="pages of equal size", got=sorted({page.shape for page in pages}))
    return _choose(path, np.stack(pages), "Q", options) if len(pages) > 1 else _choose(path, pages[0], "", options)


def _write(path: Path, image: Image, labels: bool) -> None:  # noqa: ARG001 - masks and images are stored alike
    import tifffile

    known = image.geometry.spacing_known
    metadata = {"axes": ("ZYX" if image.ndim == 3 else "YX") + ("S" if image.is_colour else "")}
    if known:
        metadata |= ome_fields(image)
    tifffile.imwrite(
        path,
        storable(image.array),
        photometric="rgb" if image.is_colour else "minisblack",
        compression="zlib",
        ome=known,
        metadata=metadata,
    )


READERS.register("tiff")(Reader("TIFF", (*_SUFFIXES, *_SLIDES), _read, _recognises))
WRITERS.register("tiff")(Writer("TIFF", _SUFFIXES, _write))
