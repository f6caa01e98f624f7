"""OME-Zarr 0.4 and 0.5, read only: one time point and channel of a 2D or 3D image, at all levels of its pyramid."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bedside.core.errors import FormatError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.io.bounds import check_memory
from bedside.io.lazy import AT_ONCE, StoredLevel, image_array, need_zarr
from bedside.io.registry import READERS, Reader, ReadOptions
from bedside.io.samples import pick_volume
from bedside.io.units import millimetres

MARKS = ("zarr.json", ".zattrs", ".zgroup", ".zarray")
"""Files by which a folder is a zarr group or array."""

_MOST_VOLUMES = 100_000
_FEW_BLOCKS = 10_000
"""Blocks of an image that is read at once of which all may be missing, which stands for an even background."""


def is_zarr(path: Path) -> bool:
    """Return whether a folder is stored by zarr."""
    return any((path / name).is_file() for name in MARKS)


@dataclass(frozen=True)
class _Pyramid:
    """One image of a group, in levels.

    Attributes:
        multiscale: How it is described.
        axes: What is said of each axis.
        levels: Its arrays, the finest first.
        colour: Axis of red, green and blue; None where it has none.
        others: Axes of time points and channels.
        names: Of each time point and channel that can be chosen.
    """

    multiscale: Mapping[str, Any]
    axes: list[Mapping[str, Any]]
    levels: list[Any]
    colour: int | None
    others: list[int]
    names: list[str]

    @property
    def order(self) -> list[str]:
        """Names of the axes."""
        return [str(axis["name"]).lower() for axis in self.axes]

    def image(self, path: Path, number: int) -> Image:
        """Return one of its time points and channels."""
        shape, axes = [int(n) for n in self.levels[0].shape], self.order
        chosen: list[int | None] = [None] * len(axes)
        if self.others:
            values = np.unravel_index(number, [shape[axis] for axis in self.others])
            for axis, value in zip(self.others, values, strict=True):
                chosen[axis] = int(value)
        spatial = [axes.index(name) for name in ("x", "y", "z") if name in axes]
        stored = [StoredLevel(level, chosen, self.colour, spatial[::-1]) for level in self.levels]
        steps, origin = _place(path, self.multiscale, self.axes, spatial)
        size = [shape[axis] for axis in spatial[::-1]]
        metadata = {"volume": self.names[number]} if self.others else {}
        return Image(image_array(stored, len(spatial)), Geometry.create(size, steps, origin), metadata=metadata)


def _read(path: Path, options: ReadOptions) -> Image:
    zarr = need_zarr("OME-Zarr")
    group = _open(zarr, path)
    multiscales = _multiscales(path, group)
    found = [_pyramid(path, group, multiscale) for multiscale in multiscales]
    places = [(pyramid, number) for pyramid in found for number in range(len(pyramid.names))]
    # By the specification the first one counts where none is chosen.
    if options.volume is None and len(found[0].names) == 1:
        image = found[0].image(path, 0)
        if len(places) > 1:
            image.metadata["notes"] = [
                f"{path} holds {len(places)} images, of which the first is read; choose another with --volume "
                f"1 to {len(places) - 1} (volume= in Python)"
            ]
        return image
    titles = [str(multiscale.get("name") or f"image {n}") for n, multiscale in enumerate(multiscales)]
    names = [
        ", ".join(filter(None, (title if len(found) > 1 else "", name)))
        for title, pyramid in zip(titles, found, strict=True)
        for name in pyramid.names
    ]
    index = pick_volume(path, len(places), options.volume, "volumes", [f"{n}: {text}" for n, text in enumerate(names)])
    pyramid, number = places[index]
    return pyramid.image(path, number)


def _pyramid(path: Path, group: Any, multiscale: Mapping[str, Any]) -> _Pyramid:
    described = _axes(path, multiscale)
    axes = [str(axis["name"]).lower() for axis in described]
    levels = [group[str(dataset["path"])] for dataset in multiscale["datasets"]]
    shape = [int(n) for n in levels[0].shape]
    if len(axes) != len(shape):
        raise FormatError(f"{path}: axes", expected=f"{len(shape)} for the shape {shape}", got=", ".join(axes))
    if "y" not in axes or "x" not in axes:
        raise FormatError(f"{path}: axes", expected="y and x at least", got=", ".join(axes))
    colour = axes.index("c") if _is_colour(axes, shape, levels[0].dtype, group) else None
    others = [a for a, name in enumerate(axes) if name not in ("z", "y", "x") and a != colour]
    count = math.prod(shape[a] for a in others)
    if count > _MOST_VOLUMES:
        raise FormatError(f"{path}: time points and channels", expected=f"at most {_MOST_VOLUMES:,}", got=count)
    for level in levels:
        _check_blocks(path, level)
    choices = itertools.product(*(range(shape[a]) for a in others))
    return _Pyramid(multiscale, described, levels, colour, others, [_name(axes, others, c, group) for c in choices])


def _open(zarr: Any, path: Path) -> Any:
    group = zarr.open(str(path), mode="r")
    if not hasattr(group, "groups"):
        raise FormatError(f"{path}", expected="an OME-Zarr image", got="a zarr array without a description")
    return group


def _attributes(group: Any) -> Mapping[str, Any]:
    """Return the description: under "ome" from version 0.5 on."""
    attributes = dict(group.attrs)
    found: Mapping[str, Any] = attributes.get("ome", attributes)
    return found


def _multiscales(path: Path, group: Any) -> list[Mapping[str, Any]]:
    attributes = _attributes(group)
    images = attributes.get("multiscales")
    if images:
        return list(images)
    what = (
        "a plate" if "plate" in attributes else "a collection" if "bioformats2raw.layout" in attributes else "no image"
    )
    inside = ", ".join(sorted(str(name) for name, _ in group.groups())[:8])
    raise FormatError(
        f"{path}", expected="an OME-Zarr image", got=f"{what}{f' (it holds {inside})' if inside else ''}",
        fix="give the folder of one image in it",
    )  # fmt: skip


def _check_blocks(path: Path, level: Any) -> None:
    """Hold the blocks of a level against the files: each is in memory whole, and looked for whether it is there or not.

    Raises:
        FormatError: One that is too large, or hardly any of very many in an image that is read at once.
    """
    size = getattr(level, "shards", None) or level.chunks
    check_memory(f"{path}: a block", math.prod(size) * level.dtype.itemsize)
    count = math.prod(-(-n // max(1, step)) for n, step in zip(level.shape, size, strict=True))
    if math.prod(level.shape) * level.dtype.itemsize > AT_ONCE or count <= _FEW_BLOCKS:
        return
    there = sum(1 for _ in itertools.islice((path / level.path).rglob("*"), count))
    if count > _FEW_BLOCKS + 10 * there:
        raise FormatError(f"{path}: fewer blocks than its shape asks for", expected=f"{count:,}", got=f"{there:,}")


def _is_colour(axes: Sequence[str], shape: Sequence[int], dtype: Any, group: Any) -> bool:
    """Return whether three channels of bytes are a picture's red, green and blue."""
    if "c" not in axes or shape[axes.index("c")] != 3 or str(dtype) != "uint8":
        return False
    if "z" in axes and shape[axes.index("z")] > 1:
        return False
    colours = [str(c.get("color", "")).upper() for c in _attributes(group).get("omero", {}).get("channels", ())]
    return "z" not in axes and colours in ([], ["FF0000", "00FF00", "0000FF"])


def _name(axes: Sequence[str], others: Sequence[int], choice: Sequence[int], group: Any) -> str:
    channels = _attributes(group).get("omero", {}).get("channels", ())
    parts = []
    for axis, value in zip(others, choice, strict=True):
        label = channels[value].get("label") if axes[axis] == "c" and value < len(channels) else None
        kind = {"c": "channel", "t": "time"}.get(axes[axis], axes[axis])
        parts.append(f"{kind} {label or value}")
    return ", ".join(parts)


def _axes(path: Path, multiscale: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what is said of each axis; up to version 0.3 that are names, and before them there were five.

    Raises:
        FormatError: A version that has no axes here.
    """
    stated = multiscale.get("axes")
    if stated is None and "coordinateSystems" in multiscale:
        raise FormatError(f"{path}: OME-Zarr", expected="version 0.4 or 0.5", got="a later one, with coordinateSystems")
    return [{"name": axis} if isinstance(axis, str) else axis for axis in (stated or "tczyx")]


def _place(
    path: Path, multiscale: Mapping[str, Any], axes: Sequence[Mapping[str, Any]], spatial: Sequence[int]
) -> tuple[list[float] | None, list[float] | None]:
    """Return millimetres between samples of the finest level, and where its first one lies, (x, y[, z]).

    Both are None where a scale or its unit is missing.

    Raises:
        FormatError: Numbers kept elsewhere, or too few of them.
    """
    scale, origin, scaled = [1.0] * len(axes), [0.0] * len(axes), False
    # Those of the level come first, and those of all levels are applied to what they give.
    for source in (multiscale["datasets"][0], multiscale):
        for transform in source.get("coordinateTransformations", ()):
            kind = str(transform.get("type"))
            if kind == "identity":
                continue
            if kind not in ("scale", "translation") or len(np.ravel(transform.get(kind, ()))) != len(axes):
                raise FormatError(
                    f"{path}: coordinateTransformations",
                    expected=f"scale or translation of {len(axes)} numbers",
                    got=f"{kind} with {', '.join(sorted(map(str, set(transform) - {'type'}))) or 'nothing'}",
                )
            values = [float(v) for v in transform[kind]]
            if kind == "scale":
                scaled = True
                scale = [a * b for a, b in zip(scale, values, strict=True)]
                origin = [a * b for a, b in zip(origin, values, strict=True)]
            else:
                origin = [a + b for a, b in zip(origin, values, strict=True)]
    units = [millimetres(str(axes[axis].get("unit", ""))) for axis in spatial]
    if not scaled or any(unit is None or not scale[axis] > 0 for axis, unit in zip(spatial, units, strict=True)):
        return None, None
    known = [float(unit or 1.0) for unit in units]
    return (
        [scale[axis] * unit for axis, unit in zip(spatial, known, strict=True)],
        [origin[axis] * unit for axis, unit in zip(spatial, known, strict=True)],
    )


READERS.register("omezarr")(Reader("OME-Zarr", (".zarr",), _read, folders=is_zarr))
