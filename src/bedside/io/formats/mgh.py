"""FreeSurfer's MGH and MGZ, read only."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from bedside.core.image import Image
from bedside.io.formats.nifti import check_nibabel, geometry_from_affine
from bedside.io.packing import open_unpacked
from bedside.io.registry import READERS, Reader, ReadOptions
from bedside.io.samples import native, pick_volume

_VERSION = b"\0\0\0\1"
_TYPES = (0, 1, 3, 4, 10)
"""Codes of uint8, int32, float32, int16 and uint16."""


def _recognises(head: bytes) -> bool:
    if len(head) < 90 or head[:4] != _VERSION:
        return False
    *size, kind, _, good = struct.unpack(">4i2ih", head[4:30])
    return all(0 < n < 2**24 for n in size) and kind in _TYPES and good in (0, 1)


def _read(path: Path, options: ReadOptions) -> Image:
    import nibabel as nib
    from nibabel.fileholders import FileHolder

    with open_unpacked(path) as stream:
        file = nib.MGHImage.from_file_map({"image": FileHolder(fileobj=stream)})
        check_nibabel(path, file)
        shape = tuple(int(n) for n in file.shape)
        count = shape[3] if len(shape) > 3 else 1
        index = pick_volume(path, count, options.volume, f"volumes ({len(shape)}D, shape {shape})")
        raw = np.asarray(file.dataobj)
    samples = native(raw[..., index].copy(order="F") if len(shape) > 3 else raw)
    geometry = geometry_from_affine(path, shape[:3], file.affine)
    return Image(samples.T.reshape(geometry.shape), geometry)


READERS.register("mgh")(
    Reader("FreeSurfer MGH", (".mgz", ".mgh", ".mgh.gz"), _read, _recognises, unpacks=True, isolate=False)
)
