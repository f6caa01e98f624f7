"""Decoding the samples of DICOM frames: what is stored, whatever the transfer syntax, then one rule for its meaning.

Decoders that rescale or invert by themselves are not asked to: a file reads the same compressed or not.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import FormatError
from bedside.io.dicom.frame import Frame, Storage
from bedside.io.dicom.headers import transfer_syntax
from bedside.io.quiet import reason, silent_stderr
from bedside.io.samples import native, rescale

_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_FILMS = tuple(f"1.2.840.10008.1.2.4.{number}" for number in (*range(100, 109), "100.1"))
"""MPEG-2, MPEG-4 and HEVC."""
_READERS = 4
"""Threads that read files at a time."""


def read_frames(frames: Sequence[Frame], labels: bool) -> NDArray[Any]:
    """Return the samples of frames of one size, rescaled: (frame, y, x), or (frame, y, x, 3) for colour.

    Integers stay integers where every slope is 1 and the intercepts are whole and equal.

    Raises:
        FormatError: Samples that cannot be decoded, or frames of different kinds.
    """
    if not frames:
        raise FormatError("DICOM", expected="at least one frame", got="none")
    for frame in frames:
        if frame.storage.problem is not None:
            raise frame.storage.problem
    if all(frame.storage.plain for frame in frames):
        stacked, limits = _read_all_plain(frames, labels)
    else:
        stacked, limits = _decode_all(frames, labels), None
    return stacked if labels else _rescale(stacked, frames, limits)


def _read_all_plain(frames: Sequence[Frame], labels: bool) -> tuple[NDArray[Any], tuple[int, int]]:
    """Return uncompressed frames, and their lowest and highest sample, found while each is at hand."""
    dtype = np.result_type(*{_plain_dtype(frame.storage) for frame in frames})
    stacked = np.empty((len(frames), *frames[0].shape), dtype)
    # Most of the time goes into copying, which leaves the interpreter to others.
    workers = min(len(frames), _READERS, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        limits = list(pool.map(lambda job: _read_plain(job[1], stacked[job[0]], labels), enumerate(frames)))
    return stacked, (min(low for low, _ in limits), max(high for _, high in limits))


def _decode_all(frames: Sequence[Frame], labels: bool) -> NDArray[Any]:
    stacked: NDArray[Any] | None = None
    loaded: tuple[Path, NDArray[Any]] | None = None
    for place, frame in enumerate(frames):
        if loaded is None or loaded[0] != frame.path:
            loaded = frame.path, _decode(frame, labels)
        samples = loaded[1][frame.index]
        # The only frame of its file needs no second array.
        if len(frames) == 1:
            return np.asarray(samples[None])
        if stacked is None:
            stacked = np.empty((len(frames), *samples.shape), samples.dtype)
        if samples.shape != stacked.shape[1:]:
            raise FormatError(f"{frame.path}", expected=f"samples of shape {stacked.shape[1:]}", got=samples.shape)
        if not np.can_cast(samples.dtype, stacked.dtype):
            stacked = stacked.astype(np.promote_types(samples.dtype, stacked.dtype))
        stacked[place] = samples
    assert stacked is not None
    return stacked


def padding_ranges(frames: Sequence[Frame]) -> tuple[tuple[float, float], ...]:
    """Return ranges of the samples that ``read_frames`` gives which the files declare to be no measurement."""
    found: dict[tuple[float, float], None] = {}
    for frame in frames:
        if frame.padding is None or frame.colour:
            continue
        ends = np.array(frame.padding)
        if frame.storage.inverted:
            ends = -1 - ends if frame.storage.signed else 2.0**frame.storage.stored - 1 - ends
        ends = np.sort(ends * frame.slope + frame.intercept)
        # Scaled samples are float32: their neighbours are the same number.
        low, high = (
            float(np.nextafter(np.float32(v), np.float32(w))) for v, w in ((ends[0], -np.inf), (ends[1], np.inf))
        )
        whole = frame.slope == 1 and float(frame.intercept).is_integer()
        found[(float(ends[0]), float(ends[1])) if whole else (low, high)] = None
    return tuple(found)


def _plain_dtype(storage: Storage) -> np.dtype[Any]:
    return np.dtype(f"{'i' if storage.signed else 'u'}{storage.bits // 8}")


def _read_plain(frame: Frame, target: NDArray[Any], labels: bool) -> tuple[int, int]:
    """Read an uncompressed frame into its place, straight from the file where nothing has to be converted.

    Returns:
        Its lowest and highest sample.
    """
    storage = frame.storage
    dtype = _plain_dtype(storage).newbyteorder("<")
    count = frame.shape[0] * frame.shape[1]
    with storage.path.open("rb", buffering=0) as file:
        file.seek(storage.offset + frame.index * count * dtype.itemsize)
        if target.dtype == dtype and target.dtype.isnative:
            complete = file.readinto(target.reshape(-1).view(np.uint8).data) == count * dtype.itemsize
        else:
            samples = np.frombuffer(file.read(count * dtype.itemsize), dtype)
            complete = len(samples) == count
            if complete:
                target[:] = samples.reshape(frame.shape)
    if not complete:
        raise FormatError(f"{frame.path}: samples cannot be decoded", got="fewer bytes than the header says")
    keep_stored_bits(target, storage, frame.padding)
    if storage.inverted and not labels:
        target[:] = _invert(target, storage.signed, storage.stored)
    return int(target.min()), int(target.max())


def keep_stored_bits(samples: NDArray[Any], storage: Storage, padding: tuple[float, float] | None = None) -> None:
    """Clear, in place, the bits that are no part of a sample (PS3.5 8.1.1), and give signed ones their sign.

    Old files keep overlays in these bits, and some leave those above a negative sample clear; in some the samples take
    the upper bits. Declared padding that does not fit into the stored bits stays as it is.

    Args:
        samples: Integers of at least ``storage.bits`` bits, as they stand in the file.
        storage: Which bits of them are used.
        padding: Lowest and highest sample that is no measurement.
    """
    if storage.stored == storage.bits:
        return
    # Headers state a high bit that is not so; what lies below it tells.
    if storage.below and not np.any(samples & samples.dtype.type(2**storage.below - 1)):
        np.right_shift(samples, storage.below, out=samples)
    low = -(2 ** (storage.stored - 1)) if storage.signed else 0
    beyond = padding is not None and not (low <= padding[0] and padding[1] < low + 2**storage.stored)
    kept = (samples >= padding[0]) & (samples <= padding[1]) if padding is not None and beyond else None
    values = samples[kept] if kept is not None else None
    # Up to the end of the word and back: what is above falls off, and the sign comes down with the shift.
    shift = 8 * samples.dtype.itemsize - storage.stored
    bits = samples.view(f"{'i' if storage.signed else 'u'}{samples.dtype.itemsize}")
    np.left_shift(bits, shift, out=bits)
    np.right_shift(bits, shift, out=bits)
    if kept is not None and values is not None:
        samples[kept] = values


def _rescale(stacked: NDArray[Any], frames: Sequence[Frame], limits: tuple[int, int] | None) -> NDArray[Any]:
    scales = {(f.slope, f.intercept) for f in frames}
    if stacked.ndim == 4:  # Colours have no units.
        return stacked
    if len(scales) == 1:
        return rescale(stacked, *scales.pop(), reuse=stacked.flags.writeable, limits=limits)
    # Each slice of a PET scan may use its own scale.
    slopes, intercepts = (np.array([getattr(f, k) for f in frames], np.float32) for k in ("slope", "intercept"))
    scaled = stacked.astype(np.float32)
    scaled *= slopes[:, None, None]
    scaled += intercepts[:, None, None]
    return scaled


def _decode(frame: Frame, labels: bool) -> NDArray[Any]:
    """Return all stored samples of a file, (frame, y, x) or (frame, y, x, 3), with white the largest."""
    from pydicom import dcmread
    from pydicom.pixels.processing import apply_color_lut, apply_modality_lut

    try:
        dataset = dcmread(frame.path, force=True)
    except Exception as error:
        raise FormatError(f"{frame.path}: samples cannot be decoded", got=reason(error)) from error
    dataset.file_meta.TransferSyntaxUID = transfer_syntax(dataset)
    photometric = str(dataset.get("PhotometricInterpretation", ""))
    colour = frame.colour
    if photometric.startswith("YBR_PARTIAL") and dataset.file_meta.TransferSyntaxUID.is_compressed:
        # What a JPEG holds has its full range, whatever an old header says.
        dataset.PhotometricInterpretation = photometric = "YBR_FULL_422"
    if colour and photometric not in _COLOURS:
        raise FormatError(
            f"{frame.path}: colours by {photometric or 'no photometric interpretation'}",
            expected="RGB, YBR_FULL, YBR_FULL_422, or what the code turns into them",
            fix="convert it to RGB first",
        )
    array = native(_stored(dataset, frame))
    if photometric == "PALETTE COLOR" and not labels:
        colour = True
        array = apply_color_lut(array, dataset)[..., :3]
        array = _bytes_of_colours(array, dataset) if array.dtype == np.uint16 else array
    elif photometric == "MONOCHROME1" and not labels:
        array = _invert(array, bool(dataset.get("PixelRepresentation", 0)), int(dataset.get("BitsStored") or 8))
    if dataset.get("ModalityLUTSequence") and not labels:
        array = apply_modality_lut(array, dataset)
    channels = (3,) if colour else ()
    return array.reshape(frame.storage.frames, *frame.shape, *channels)


def _stored(dataset: Any, frame: Frame) -> NDArray[Any]:
    from pydicom.pixels.utils import pixel_array
    from pydicom.uid import RLELossless

    from bedside.io.dicom.codestreams import decode_by_itk

    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        with silent_stderr():
            return np.asarray(pixel_array(dataset))
    # Decoders raise what they like; the second one knows more codes (JPEG lossless, JPEG-LS, 12 bit JPEG). RLE the
    # first knows whole, and what it rejects of that ends the process in the second.
    except Exception as error:
        if not syntax.is_compressed or syntax == RLELossless:
            raise FormatError(f"{frame.path}: samples cannot be decoded", got=reason(error)) from error
        try:
            return decode_by_itk(dataset)
        except Exception as second:
            raise FormatError(
                f"{frame.path}: samples cannot be decoded",
                got=f"{syntax.name}",
                fix=_remedy(syntax),
            ) from second


def _remedy(syntax: Any) -> str:
    """Return what to do with samples in a code that nothing here knows."""
    if str(syntax) in _FILMS:
        return "it is a film: take its pictures out (gdcmraw, then ffmpeg), and give these"
    return "convert it to an uncompressed transfer syntax, e.g. with dcmdjpeg or gdcmconv --raw"


def _bytes_of_colours(array: NDArray[Any], dataset: Any) -> NDArray[np.uint8]:
    """Return colours of 16 bits as bytes; some tables hold bytes although they say 16 bits."""
    names = (f"{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue"))
    tables = [np.frombuffer(dataset[name].value, "<u2") for name in names if isinstance(dataset.get(name), bytes)]
    small = bool(tables) and max(int(table.max(initial=0)) for table in tables) <= np.iinfo(np.uint8).max
    return array.astype(np.uint8) if small else (array >> 8).astype(np.uint8)


def _invert(array: NDArray[Any], signed: bool, bits: int) -> NDArray[Any]:
    """Return samples of which the smallest is white, turned over within the bits that are used."""
    if array.dtype.kind == "f":
        return np.asarray(array.max() + array.min() - array)
    # -1 - v turns the range of a signed number over.
    return np.asarray(np.bitwise_not(array) if signed else array.dtype.type(2**bits - 1) - array)
