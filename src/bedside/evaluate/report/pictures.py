"""Pictures of single objects: the image around one, with outlines, prompts and clicks, as PNG and SVG."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from scipy import ndimage

from bedside.core.image import Image
from bedside.core.prompts import Box, Lasso, Point, Prompt, Scribble
from bedside.core.region import Region
from bedside.data.objects import SliceReference
from bedside.evaluate.cases import TargetObject, View, slice_image
from bedside.evaluate.results import PackedMask, Trace

SIDE = 240
"""Pixels of a picture along its longer side."""
TRUTH_COLOUR, PREDICTION_COLOUR = (0, 229, 255), (255, 214, 0)
POSITIVE_COLOUR, NEGATIVE_COLOUR = "#3ddc6b", "#ff4d5e"
MARGIN = 0.35
"""Image shown around the object, in parts of its longer side."""


@dataclass(frozen=True)
class Mark:
    """An element of SVG, in the picture's pixels.

    Attributes:
        tag: "circle", "path", "rect", "polyline" or "polygon".
        attributes: By name; a template escapes the values.
    """

    tag: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class ObjectPicture:
    """An object before and after the corrections.

    Attributes:
        width: Width of the pictures in pixels.
        height: Height of the pictures in pixels.
        image: PNG of the image around the object.
        first: Transparent PNG with the outlines of truth and first prediction.
        last: The same with the last prediction.
        first_marks: What the first prompt is drawn as.
        last_marks: What all prompts are drawn as.
    """

    width: int
    height: int
    image: bytes
    first: bytes
    last: bytes
    first_marks: tuple[Mark, ...]
    last_marks: tuple[Mark, ...]


def draw_object(view: View, target: TargetObject, trace: Trace) -> ObjectPicture:
    """Draw an object of ``view``; one of a volume is shown in the slice where it is largest."""
    plane = _largest_plane(target)
    image, truth = view.image, target.mask
    region, first, last = target.region, trace.first, trace.last
    if plane is not None:
        image = slice_image(view.image, plane)
        inner = SliceReference(plane.axis, plane.index - target.region.start[plane.axis])
        truth, region = inner.of(target.mask), _flatten(target.region, plane)
        first, last = _flatten_mask(trace.first, plane), _flatten_mask(trace.last, plane)
    shown = _surroundings(region.union(last.region), image.shape)
    aspect = image.geometry.array_spacing
    height, width = _picture_size(shown, aspect)
    scale = (height / shown.shape[0], width / shown.shape[1])
    outline = PackedMask.pack(truth, region).within(shown)
    marks = [_mark(prompt, shown, scale, plane) for prompt in trace.prompts]
    return ObjectPicture(
        width,
        height,
        _image_png(image, shown, (width, height)),
        _outlines_png(outline, first.within(shown), (width, height)),
        _outlines_png(outline, last.within(shown), (width, height)),
        marks[0],
        tuple(mark for of_prompt in marks for mark in of_prompt),
    )


def data_uri(png: bytes) -> str:
    """Write a PNG as the address of an image within a page."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _largest_plane(target: TargetObject) -> SliceReference | None:
    if target.mask.ndim == 2:
        return None
    return SliceReference(0, int(np.argmax(target.mask.sum(axis=(1, 2)))) + target.region.start[0])


def _flatten(region: Region, plane: SliceReference) -> Region:
    return Region(plane.drop(region.start), plane.drop(region.stop))


def _flatten_mask(mask: PackedMask, plane: SliceReference) -> PackedMask:
    """Cut a mask to one slice of the volume."""
    start, stop = list(mask.region.start), list(mask.region.stop)
    start[plane.axis], stop[plane.axis] = plane.index, plane.index + 1
    slab = Region(tuple(start), tuple(stop))
    return PackedMask.pack(mask.within(slab).squeeze(plane.axis), _flatten(slab, plane))


def _surroundings(region: Region, shape: tuple[int, ...]) -> Region:
    margin = max(6, math.ceil(MARGIN * max(region.shape)))
    return Region(tuple(a - margin for a in region.start), tuple(b + margin for b in region.stop)).clip(shape)


def _picture_size(region: Region, aspect: tuple[float, ...]) -> tuple[int, int]:
    height, width = (n * a for n, a in zip(region.shape, aspect, strict=True))
    factor = SIDE / max(height, width)
    return max(24, round(height * factor)), max(24, round(width * factor))


def _image_png(image: Image, region: Region, size: tuple[int, int]) -> bytes:
    crop = np.asarray(image.array[region.slices], dtype=np.float32)
    low, high = np.percentile(crop, (0.5, 99.5))
    if image.is_colour and image.array.dtype == np.uint8:
        low, high = 0.0, 255.0  # colours are shown as they are
    shades = np.clip((crop - low) / max(float(high - low), 1e-6) * 255, 0, 255).astype(np.uint8)
    picture = Picture.fromarray(shades).resize(size, Picture.Resampling.BICUBIC)
    if not image.is_colour:
        # 64 shades look the same at this size and halve the page.
        picture = picture.quantize(64)
    return _png(picture)


def _outlines_png(truth: NDArray[np.bool_], prediction: NDArray[np.bool_], size: tuple[int, int]) -> bytes:
    palette = np.zeros((size[1], size[0]), dtype=np.uint8)
    lines = [_outline(mask, size) for mask in (truth, prediction)]
    halo = ndimage.binary_dilation(lines[0] | lines[1], iterations=1)
    palette[halo] = 1
    palette[lines[0]] = 2
    palette[lines[1]] = 3
    # Where both run together, dashes show that there are two.
    both = lines[0] & lines[1]
    rows, columns = np.nonzero(both)
    dashed = (rows + columns) // 5 % 2 == 0
    palette[rows[dashed], columns[dashed]] = 2
    picture = Picture.fromarray(palette)
    picture.putpalette([0, 0, 0, 0, 0, 0, *TRUTH_COLOUR, *PREDICTION_COLOUR])
    return _png(picture, transparency=bytes([0, 110, 255, 255]))


def _outline(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    large = np.asarray(Picture.fromarray(mask.astype(np.uint8) * 255).resize(size, Picture.Resampling.BILINEAR)) >= 128
    inner: NDArray[np.bool_] = ndimage.binary_erosion(large, np.ones((3, 3), dtype=np.bool_), border_value=1)
    line: NDArray[np.bool_] = large & ~inner
    return line


def _png(picture: Picture.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True, **options)
    return file.getvalue()


def _mark(prompt: Prompt, shown: Region, scale: tuple[float, float], plane: SliceReference | None) -> tuple[Mark, ...]:
    """Draw a prompt; clicks on other slices are faint."""

    def place(position: tuple[float, ...]) -> tuple[float, float]:
        kept = position[::-1] if plane is None else plane.drop(position[::-1])
        y, x = ((c + 0.5 - s) * f for c, s, f in zip(kept, shown.start, scale, strict=True))
        return round(x, 1), round(y, 1)

    def line(points: Sequence[tuple[float, ...]]) -> str:
        return " ".join("{},{}".format(*place(p)) for p in points)

    colour = POSITIVE_COLOUR if prompt.positive else NEGATIVE_COLOUR
    if isinstance(prompt, Point):
        beyond = plane is not None and round(prompt.position[2 - plane.axis]) != plane.index
        return _click(*place(prompt.position), colour, positive=prompt.positive, faint=beyond)
    if isinstance(prompt, Box):
        (x0, y0), (x1, y1) = (place(tuple(c - 0.5 for c in corner)) for corner in (prompt.low, prompt.high))
        size = {"width": f"{x1 - x0:.1f}", "height": f"{y1 - y0:.1f}"}
        style = {"fill": "none", "stroke": "#fff", "stroke-opacity": 0.85, "stroke-dasharray": "4 3"}
        return (Mark("rect", {"x": x0, "y": y0, **size, **style}),)
    if isinstance(prompt, Scribble):
        style = {"fill": "none", "stroke": colour, "stroke-width": 3, "stroke-linecap": "round"}
        return (Mark("polyline", {"points": line(prompt.points), **style}),)
    if isinstance(prompt, Lasso):
        style = {"fill": "none", "stroke": colour, "stroke-width": 2, "stroke-dasharray": "6 3"}
        return (Mark("polygon", {"points": line(prompt.points), **style}),)
    return ()


def _click(x: float, y: float, colour: str, *, positive: bool, faint: bool) -> tuple[Mark, ...]:
    """Draw a disc with a plus or a minus."""
    opacity = {"opacity": 0.4} if faint else {}
    stem = f"M{x} {y - 2.5:.1f}V{y + 2.5:.1f}" if positive else ""
    disc = {"cx": x, "cy": y, "r": 5, "fill": colour, "stroke": "#000", "stroke-opacity": 0.6}
    sign = {"d": f"M{x - 2.5:.1f} {y}H{x + 2.5:.1f}{stem}", "stroke": "#000", "stroke-width": 1.4}
    return Mark("circle", {**disc, **opacity}), Mark("path", {**sign, **opacity})
