"""An object's mask as the bytes of a file, in the form that a client of MONAI Label asked for."""

from __future__ import annotations

import gzip
from dataclasses import dataclass

import numpy as np

from bedside.core.files import scratch_folder
from bedside.io import write_mask
from bedside.io.segmentations import write_segments
from bedside.serve.cleaning import UNPACKED
from bedside.serve.opened import OpenImage
from bedside.serve.service import Service
from bedside.session.segmentations import segments_of

_HEADER_END = b"\n\n"


@dataclass(frozen=True)
class MaskForm:
    """How a mask is written.

    Attributes:
        suffix: Of the file; it says the format.
        dicom: Whether it is a DICOM SEG.
        dtype: Of the samples of a file that is no DICOM, uint8 or uint16.
        compressed: False for an NRRD file whose samples are as they are, which viewers in a browser may need.
    """

    suffix: str
    dicom: bool = False
    dtype: str = "uint8"
    compressed: bool = True


def mask_file(service: Service, opened: OpenImage, number: int, form: MaskForm) -> bytes:
    """Return an object's mask as a file, 1 where it is."""
    seen = opened.snapshot.object(number)
    found = segments_of([(1, seen.info.name, seen.info.colour, seen.mask)], opened.image, opened.model)
    with scratch_folder(service.folder / UNPACKED) as scratch:
        path = scratch / f"mask{form.suffix}"
        if form.dicom:
            write_segments(path, found, opened.image, form="dicom-seg", volume=service.item(opened.item).volume)
        else:
            (segment,) = found.segments
            labels = found.label_map().astype(np.dtype(form.dtype), copy=False)
            colours = {} if segment.colour is None else {1: segment.colour}
            write_mask(path, labels, found.geometry, {1: segment.name}, colours)
        content = path.read_bytes()
    return content if form.compressed or not form.suffix.endswith(".nrrd") else uncompressed_nrrd(content)


def uncompressed_nrrd(content: bytes) -> bytes:
    """Return an NRRD file with its samples as they are; see its definition, "encoding"."""
    head, end, samples = content.partition(_HEADER_END)
    lines = head.split(b"\n")
    if b"encoding: gzip" not in lines:
        return content
    raw = [b"encoding: raw" if line == b"encoding: gzip" else line for line in lines]
    return b"\n".join(raw) + end + gzip.decompress(samples)
