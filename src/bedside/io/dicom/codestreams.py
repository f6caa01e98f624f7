"""Decoding compressed DICOM samples by ITK, of which only the codes are asked.

ITK rescales, inverts and orders as the header tells it, by rules of its own. So it gets a header that tells it nothing:
the same compressed frames as a secondary capture without rescaling, one file a frame.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.io.itk import array_of
from bedside.io.quiet import silent_stderr

_KEPT = (
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PlanarConfiguration",
)


def decode_by_itk(dataset: Any) -> NDArray[Any]:
    """Return the stored samples of a compressed file, (frame, y, x), or (frame, y, x, 3) for colour.

    Args:
        dataset: As pydicom read it, with its samples.

    Raises:
        Exception: Whatever the libraries raise on a code they do not know or on damaged data.
    """
    from pydicom.encaps import generate_frames

    count = int(dataset.get("NumberOfFrames") or 1)
    frames: list[NDArray[Any]] = []
    with tempfile.TemporaryDirectory(prefix="bedside-") as folder:
        for stream in generate_frames(dataset.PixelData, number_of_frames=count):
            frames.append(_decode_one(dataset, stream, Path(folder) / "frame.dcm"))
    if len(frames) != count:
        raise ValueError(f"{len(frames)} of {count} frames")
    return np.stack(frames)


def _decode_one(dataset: Any, stream: bytes, path: Path) -> NDArray[Any]:
    import SimpleITK as sitk  # noqa: N813 - the name that all its users know
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

    plain = Dataset()
    plain.file_meta = FileMetaDataset()
    plain.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    plain.file_meta.MediaStorageSOPClassUID = plain.SOPClassUID = SecondaryCaptureImageStorage
    plain.file_meta.MediaStorageSOPInstanceUID = plain.SOPInstanceUID = generate_uid()
    for name in _KEPT:
        if dataset.get(name) is not None:
            setattr(plain, name, dataset.get(name))
    colour = int(dataset.get("SamplesPerPixel") or 1) == 3
    plain.PhotometricInterpretation = dataset.PhotometricInterpretation if colour else "MONOCHROME2"
    plain.PixelData = encapsulate([stream])
    plain["PixelData"].VR = "OB"
    plain["PixelData"].is_undefined_length = True
    plain.save_as(path, enforce_file_format=True)
    with silent_stderr():
        array = array_of(sitk.ReadImage(str(path), imageIO="GDCMImageIO"))
    array = array.reshape(int(plain.Rows), int(plain.Columns), *((3,) if colour else ()))
    signed = "int" if dataset.get("PixelRepresentation") else "uint"
    return np.asarray(array.astype(f"{signed}{max(8, int(dataset.BitsAllocated))}"))
