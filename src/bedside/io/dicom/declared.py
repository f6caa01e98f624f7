"""Frames and samples that a DICOM file declares, held against its bytes before anything loops over them."""

from __future__ import annotations

from typing import Any

from bedside.core.errors import FormatError
from bedside.io.bounds import check_declared
from bedside.io.dicom.values import first_number, text, value_of

MOST_FRAMES = 100_000
"""Frames that one file may hold."""
_JPEG = "1.2.840.10008.1.2.4."
_RLE, _DEFLATED = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.1.99"
_NATIVE = ("", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")


def check_frames(what: str, dataset: Any, size: int) -> int:
    """Hold frames, rows and columns against the bytes of the file; return how many frames there are.

    Args:
        what: The file, for the message.
        dataset: Its header.
        size: Its bytes.

    Raises:
        FormatError: Fewer samples than declared can be stored, or more frames than are handled.
    """
    frames = int(first_number(value_of(dataset, "NumberOfFrames")) or 1)
    if not 1 <= frames <= MOST_FRAMES:
        raise FormatError(f"{what}: frames", expected=f"1 to {MOST_FRAMES:,}", got=frames)
    rows, columns = (int(first_number(value_of(dataset, k)) or 0) for k in ("Rows", "Columns"))
    samples = int(first_number(value_of(dataset, "SamplesPerPixel")) or 1)
    bits = int(first_number(value_of(dataset, "BitsAllocated")) or 16)
    if min(rows, columns, samples, bits) < 0 or bits > 64:
        raise FormatError(f"{what}: samples", expected="sizes of at least 0", got=(rows, columns, samples, bits))
    code = _code(text(getattr(dataset, "file_meta", {}).get("TransferSyntaxUID")))
    # Two neighbours share the colour differences (PS3.3 C.7.6.3.1.2).
    if samples == 3 and code == "raw" and text(value_of(dataset, "PhotometricInterpretation")).endswith("_422"):
        samples = 2
    check_declared(what, -(-frames * rows * columns * samples * bits // 8), size, code)
    return frames


def _code(syntax: str) -> str:
    """Return the code of a transfer syntax, as ``bounds.RATIO`` has it."""
    if syntax in _NATIVE:
        return "raw"
    if syntax in (_RLE, _DEFLATED):
        return "packbits" if syntax == _RLE else "deflate"
    # 50 to 70 are JPEG with and without loss; JPEG-LS, JPEG 2000 and films follow.
    number = syntax.removeprefix(_JPEG)
    return "jpeg" if number != syntax and number.isdigit() and int(number) <= 70 else "loose"
