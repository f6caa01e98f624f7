"""A picture of a result: the image, the objects in colour with their outlines, and the prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageColor, ImageDraw, ImageFilter

from bedside.core.image import Image
from bedside.core.no_data import Ranges, absent
from bedside.core.prompts import Box, InitialMask, Lasso, Point, Prompt, Scribble

PALETTE = ("#ff4d4d", "#4da6ff", "#ffd24d", "#4dff88", "#c44dff", "#ff944d", "#4dffff", "#ff4dc4")
"""Colours of objects without one of their own, by label."""

POSITIVE, NEGATIVE = "#00e676", "#ff1744"
FILL = 0.35
"""Opacity of an object's colour inside its outline."""

SMALLEST, LARGEST = 512, 1600
"""Limits of the picture's longer side in pixels."""


def draw_overlay(
    image: Image, labels: NDArray[Any], prompts: Sequence[Prompt], colours: Mapping[int, str] | None = None
) -> Picture.Image:
    """Return the picture of a 2D image, or of that slice of a volume in which the objects are largest.

    Args:
        image: What was segmented.
        labels: Label map of the image's spatial shape.
        prompts: In the frame ``index`` of the image.
        colours: "#rrggbb" by label, where an object has a colour of its own.

    Returns:
        RGB, with square pixels whatever the spacing, the patient's left at the right and posterior at the bottom
        where the slice lies that way.
    """
    z = None if image.ndim == 2 else _best_slice(labels, prompts)
    sheet = _Sheet(image, z)
    plane = labels if z is None else labels[z]
    for label in np.unique(plane[plane > 0]).tolist():
        colour = (colours or {}).get(label, PALETTE[(label - 1) % len(PALETTE)])
        sheet.fill(plane == label, colour)
    for prompt in prompts:
        sheet.draw(prompt)
    return sheet.finished()


def _best_slice(labels: NDArray[Any], prompts: Sequence[Prompt]) -> int:
    areas = np.count_nonzero(labels, axis=(1, 2))
    if areas.any():
        return int(areas.argmax())
    drawn = [p.vertices()[:, 2].mean() for p in prompts if not isinstance(p, InitialMask)]
    middle = drawn[0] if drawn else labels.shape[0] / 2
    return int(np.clip(round(middle), 0, labels.shape[0] - 1))


class _Sheet:
    """One slice as a picture, scaled to square pixels, and the way from voxel coordinates to it."""

    def __init__(self, image: Image, z: int | None) -> None:
        plane = image.array if z is None else image.array[z]
        height, width = plane.shape[:2]
        step = np.asarray(image.geometry.spacing[:2]) / min(image.geometry.spacing[:2])
        extent = np.asarray([width, height]) * step
        extent *= np.clip(extent.max(), SMALLEST, LARGEST) / extent.max()
        self._size = (max(1, round(extent[0])), max(1, round(extent[1])))
        self._scale = np.asarray(self._size) / (width, height)
        self._z = z
        self._flips = [image.ndim == 3 and image.geometry.direction[axis][axis] < 0 for axis in (0, 1)]
        grey = Picture.fromarray(_displayed(plane, image.no_data)).convert("RGB")
        self._picture = grey.resize(self._size, Picture.Resampling.BILINEAR)

    def fill(self, mask: NDArray[np.bool_], colour: str) -> None:
        """Colour ``mask``, lightly inside and fully along its edge."""
        area = Picture.fromarray(mask.astype(np.uint8) * 255).resize(self._size, Picture.Resampling.NEAREST)
        inside = area.filter(ImageFilter.MinFilter(5))
        edge = Picture.fromarray(np.asarray(area) & ~np.asarray(inside))
        self._picture.paste(colour, mask=area.point([round(v * FILL) for v in range(256)]))
        self._picture.paste(colour, mask=edge)

    def draw(self, prompt: Prompt) -> None:
        """Draw what of ``prompt`` lies on the slice."""
        draw = ImageDraw.Draw(self._picture)
        colour = ImageColor.getrgb(POSITIVE if prompt.positive else NEGATIVE)
        if isinstance(prompt, InitialMask):
            return
        vertices = prompt.vertices()
        if isinstance(prompt, Box):
            if self._z is None or vertices[0, 2] <= self._z <= vertices[1, 2]:
                draw.rectangle([*self._at(vertices[0]), *self._at(vertices[1])], outline=colour, width=2)
            return
        here = vertices if self._z is None else vertices[np.abs(vertices[:, 2] - self._z) <= 0.5]
        spots = [self._at(vertex) for vertex in here]
        if isinstance(prompt, Lasso) and len(spots) > 1:
            draw.line([*spots, spots[0]], fill=colour, width=2)
        elif isinstance(prompt, Scribble) and prompt.connected and len(spots) > 1:
            draw.line(spots, fill=colour, width=max(2, round(prompt.thickness * float(self._scale.min()))))
        else:
            radius = 5 if isinstance(prompt, Point) else 1
            for x, y in spots:
                outline = "white" if isinstance(prompt, Point) else None
                draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour, outline=outline)

    def finished(self) -> Picture.Image:
        """Return the picture, turned the way a radiologist looks at it."""
        picture = self._picture
        if self._flips[0]:
            picture = picture.transpose(Picture.Transpose.FLIP_LEFT_RIGHT)
        if self._flips[1]:
            picture = picture.transpose(Picture.Transpose.FLIP_TOP_BOTTOM)
        return picture

    def _at(self, vertex: NDArray[np.float64]) -> tuple[float, float]:
        # The first voxel's centre has coordinate 0 and lies half a voxel into the picture.
        x, y = (vertex[:2] + 0.5) * self._scale
        return float(x), float(y)


def _displayed(plane: NDArray[Any], no_data: Ranges) -> NDArray[np.uint8]:
    """Return samples as uint8: bytes as they are, anything else windowed between its 0.5th and 99.5th percentile.

    Samples that are no measurement are left out of the percentiles.
    """
    if plane.dtype == np.uint8:
        return np.ascontiguousarray(plane)
    values = np.nan_to_num(plane.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    missing = absent(plane, no_data)
    measured = values if missing is None or missing.all() else values[~missing]
    low, high = np.percentile(measured, (0.5, 99.5))
    return np.asarray(np.clip((values - low) / max(high - low, 1e-6), 0, 1) * 255).astype(np.uint8)
