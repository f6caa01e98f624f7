"""Decoding the samples of DICOM frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import FormatError
from bedside.io.dicom.series import Frame
from bedside.io.itk import array_of
from bedside.io.quiet import reason, silent_stderr
from bedside.io.samples import native, rescale


def read_frames(frames: Sequence[Frame], labels: bool) -> NDArray[Any]:
    """The samples of frames of one size, rescaled: (frame, y, x), or (frame, y, x, 3) for colour.

    Integers stay integers where every slope is 1 and the intercepts are whole and equal.

    Raises:
        FormatError: Samples that cannot be decoded, or frames of different kinds.
    """
    stacked: NDArray[Any] | None = None
    loaded: tuple[Path, NDArray[Any]] | None = None
    for place, frame in enumerate(frames):
        if loaded is None or loaded[0] != frame.path:
            loaded = frame.path, _decode(frame, labels)
        samples = loaded[1][frame.index]
        if stacked is None:
            # The only frame of its file needs no second array.
            if len(frames) == 1:
                stacked = samples[None]
                break
            stacked = np.empty((len(frames), *samples.shape), samples.dtype)
        if samples.shape != stacked.shape[1:]:
            raise FormatError(f"{frame.path}", expected=f"samples of shape {stacked.shape[1:]}", got=samples.shape)
        if not np.can_cast(samples.dtype, stacked.dtype):
            stacked = stacked.astype(np.promote_types(samples.dtype, stacked.dtype))
        stacked[place] = samples
    if stacked is None:
        raise FormatError("DICOM", expected="at least one frame", got="none")
    return stacked if labels else _rescale(stacked, frames)


def _rescale(stacked: NDArray[Any], frames: Sequence[Frame]) -> NDArray[Any]:
    scales = {(f.slope, f.intercept) for f in frames}
    if stacked.ndim == 4:  # Colours have no units.
        return stacked
    if len(scales) == 1:
        return rescale(stacked, *scales.pop())
    # Each slice of a PET scan may use its own scale.
    slopes, intercepts = (np.array([getattr(f, k) for f in frames], np.float32) for k in ("slope", "intercept"))
    scaled = stacked.astype(np.float32)
    scaled *= slopes[:, None, None]
    scaled += intercepts[:, None, None]
    return scaled


def _decode(frame: Frame, labels: bool) -> NDArray[Any]:
    """All stored samples of a file, (frame, y, x) or (frame, y, x, 3), with white the largest."""
    from pydicom import dcmread
    from pydicom.pixels.processing import apply_color_lut, apply_modality_lut

    dataset = dcmread(frame.path, force=True)
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = _guess_transfer_syntax(dataset)
    array = native(_stored(dataset, frame))
    photometric = str(dataset.get("PhotometricInterpretation", ""))
    colour = int(dataset.get("SamplesPerPixel", 1)) == 3
    if photometric == "PALETTE COLOR" and not labels:
        colour = True
        # The second decoder has looked the colours up already.
        if array.shape[-1] != 3 or array.ndim == 2:
            array = apply_color_lut(array, dataset)[..., :3]
        array = (array >> 8).astype(np.uint8) if array.dtype == np.uint16 else array
    elif photometric == "MONOCHROME1" and not labels:
        array = _invert(array, dataset)
    if dataset.get("ModalityLUTSequence") and not labels:
        array = apply_modality_lut(array, dataset)
    frames = int(dataset.get("NumberOfFrames") or 1)
    channels = (3,) if colour else ()
    return array.reshape(frames, *frame.shape, *channels)


def _stored(dataset: Any, frame: Frame) -> NDArray[Any]:
    from pydicom.pixels.utils import pixel_array

    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        with silent_stderr():
            return np.asarray(pixel_array(dataset))
    # Decoders raise what they like; the second one knows more codes (JPEG lossless, JPEG-LS, 12 bit JPEG).
    except Exception as error:
        if not syntax.is_compressed:
            raise FormatError(f"{frame.path}: samples cannot be decoded", got=reason(error)) from error
        try:
            return _stored_by_itk(frame, dataset)
        except RuntimeError as second:
            raise FormatError(
                f"{frame.path}: samples cannot be decoded",
                got=f"{syntax.name}",
                fix="convert it to an uncompressed transfer syntax, e.g. with dcmdjpeg or gdcmconv --raw",
            ) from second


def _stored_by_itk(frame: Frame, dataset: Any) -> NDArray[Any]:
    import SimpleITK as sitk  # noqa: N813 - the name that all its users know

    with silent_stderr():
        array = array_of(sitk.ReadImage(str(frame.path), imageIO="GDCMImageIO"))
    if frame.slope == 1 and frame.intercept == 0:
        return array
    # ITK rescales by itself; what was stored is wanted here, so that all files go the same way afterwards.
    stored = np.rint((array.astype(np.float64) - frame.intercept) / frame.slope)
    signed = "int" if dataset.PixelRepresentation else "uint"
    return np.asarray(stored.astype(f"{signed}{max(8, int(dataset.BitsAllocated))}"))


def _invert(array: NDArray[Any], dataset: Any) -> NDArray[Any]:
    """Samples of which the smallest is white, turned over within the bits that are used."""
    if int(dataset.get("PixelRepresentation", 0)):
        # -1 - v turns the range of a signed number over.
        array = np.bitwise_not(array)
    elif array.dtype.kind == "f":
        array = array.max() + array.min() - array
    else:
        array = array.dtype.type(2 ** int(dataset.BitsStored) - 1) - array
    return array


def _guess_transfer_syntax(dataset: Any) -> Any:
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    return ImplicitVRLittleEndian if dataset.original_encoding[0] else ExplicitVRLittleEndian
