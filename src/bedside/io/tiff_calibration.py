"""The size of the voxels of a TIFF, where its maker's own metadata state it, and how OME-XML states it.

A bare resolution in dots per inch speaks of printing and is not taken for millimetres. Sources: OME-XML schema 2016-06;
ImageJ's TIFF encoder; Zeiss LSM; Aperio and Hamamatsu slide scanners; Micro-Manager.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import NAMESPACE_OID, uuid5
from xml.etree import ElementTree
from zlib import crc32

import numpy as np

from bedside.core.image import Image
from bedside.io.units import length

OUR_VOLUME = "Bedside volume"
"""Name of an image of ours that is a volume, however few slices it has."""


def voxel_steps(file: Any, number: int = 0) -> dict[str, float]:
    """Return millimetres between voxels by axis, "X", "Y" and "Z"; what the file does not state is left out.

    Args:
        file: An open file of tifffile's.
        number: Of the image, where OME-XML describes several.
    """
    if file.is_ome:
        return {axis: step for axis, step in _of_ome(file, number) if step is not None}
    for states, read in (
        ("is_imagej", _of_imagej),
        ("is_lsm", _of_lsm),
        ("is_svs", _of_svs),
        ("is_ndpi", _of_scanner),
        ("is_micromanager", _of_micromanager),
    ):
        if getattr(file, states, False):
            return {axis: step for axis, step in read(file) if step is not None}
    return {}


def ome_fields(image: Image) -> dict[str, Any]:
    """Return what tifffile is to write into OME-XML of an image: the size of its voxels, and whether it is a volume.

    The identifier follows from the content, so that equal images make equal files.
    """
    content = f"{image.shape} {image.geometry.spacing} {crc32(np.ascontiguousarray(image.array).data)}"
    fields: dict[str, Any] = {
        "Name": OUR_VOLUME if image.ndim == 3 else "Bedside image",
        "UUID": str(uuid5(NAMESPACE_OID, content)),
    }
    for axis, step in zip("XYZ", image.geometry.spacing, strict=False):
        fields[f"PhysicalSize{axis}"] = step
        fields[f"PhysicalSize{axis}Unit"] = "mm"
    return fields


Steps = Iterator[tuple[str, float | None]]


def _of_ome(file: Any, number: int) -> Steps:
    root = ElementTree.fromstring(file.ome_metadata)
    images = [e for e in root.iter() if e.tag.rpartition("}")[2] == "Pixels"]
    if number >= len(images):
        return
    pixels = images[number]
    for axis in "XYZ":
        # Micrometres where no unit is named, by the schema.
        unit = pixels.get(f"PhysicalSize{axis}Unit") or "um"
        yield axis, length(pixels.get(f"PhysicalSize{axis}"), unit)


def _of_imagej(file: Any) -> Steps:
    metadata = file.imagej_metadata or {}
    unit = str(metadata.get("unit", ""))
    for axis, name in (("X", "XResolution"), ("Y", "YResolution")):
        per_unit = _ratio(file, name)
        yield axis, length(1 / per_unit, str(metadata.get(f"{axis.lower()}unit", unit))) if per_unit else None
    # ImageJ leaves out a distance of 1 between slices, and takes it for 1 where it is left out.
    depth = metadata.get("spacing", 1.0 if metadata.get("unit") else None)
    yield "Z", length(depth, str(metadata.get("zunit", unit)))


def _ratio(file: Any, name: str) -> float | None:
    tag = file.pages[0].tags.get(name)
    if tag is None:
        return None
    value = np.ravel(np.asarray(tag.value, dtype=np.float64))
    number = float(value[0] / value[1]) if len(value) == 2 and value[1] else float(value[0]) if len(value) else 0.0
    return number if np.isfinite(number) and number > 0 else None


def _of_lsm(file: Any) -> Steps:
    metadata = file.lsm_metadata or {}
    for axis in "XYZ":
        yield axis, length(metadata.get(f"VoxelSize{axis}"), "m")


def _of_svs(file: Any) -> Steps:
    description = str(file.pages[0].description)
    fields = dict(part.split("=", 1) for part in description.split("|") if "=" in part)
    value = next((v for k, v in fields.items() if k.strip() == "MPP"), None)
    for axis in "XY":
        yield axis, length(value.strip() if value else None, "um")


def _of_scanner(file: Any) -> Steps:
    tag = file.pages[0].tags.get("ResolutionUnit")
    unit = {2: "inch", 3: "cm"}.get(int(tag.value) if tag is not None else 0, "")
    for axis, name in (("X", "XResolution"), ("Y", "YResolution")):
        per_unit = _ratio(file, name)
        yield axis, length(1 / per_unit, unit) if per_unit else None


def _of_micromanager(file: Any) -> Steps:
    summary = (file.micromanager_metadata or {}).get("Summary", {})
    for axis in "XY":
        yield axis, length(summary.get("PixelSize_um"), "um")
    yield "Z", length(summary.get("z-step_um"), "um")
