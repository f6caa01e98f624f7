"""PNG with several channels of 16 bits, written here byte by byte: ITK shifts some, and Pillow keeps 8 bits."""

from __future__ import annotations

import struct
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside import io

GREY, COLOUR, GREY_AND_OPACITY, COLOUR_AND_OPACITY = 0, 2, 4, 6
CHANNELS = {GREY: 1, COLOUR: 3, GREY_AND_OPACITY: 2, COLOUR_AND_OPACITY: 4}
NOTES = {
    "none": [],
    "gamma": [(b"gAMA", struct.pack(">I", 45_455))],
    "significant bits": [(b"sBIT", b"\x0c")],
    "resolution": [(b"pHYs", struct.pack(">IIB", 2000, 2000, 1))],
}


def filtered(rows: NDArray[np.uint8], kinds: list[int], step: int) -> bytes:
    """The bytes of rows by the filters None, Sub and Up (PNG 9.2)."""
    made = b""
    for number, row in enumerate(rows):
        kind = kinds[number % len(kinds)]
        left = np.concatenate([np.zeros(step, np.uint8), row[:-step]])
        above = rows[number - 1] if number else np.zeros_like(row)
        made += bytes([kind]) + (row - (0, left, above)[kind] if kind else row).tobytes()
    return made


def written(path: Path, array: NDArray[Any], kind: int, filters: list[int], notes: list[Any]) -> Path:
    rows = array.astype(">u2").reshape(len(array), -1).view(np.uint8)
    header = struct.pack(">IIBBBBB", array.shape[1], array.shape[0], 16, kind, 0, 0, 0)
    notes = [(name, value * CHANNELS[kind] if name == b"sBIT" else value) for name, value in notes]
    data = zlib.compress(filtered(rows, filters, 2 * CHANNELS[kind]))
    content = b"\x89PNG\r\n\x1a\n"
    for name, value in [(b"IHDR", header), *notes, (b"IDAT", data), (b"IEND", b"")]:
        content += struct.pack(">I", len(value)) + name + value + struct.pack(">I", zlib.crc32(name + value))
    path.write_bytes(content)
    return path


@settings(max_examples=80, deadline=None)
@given(
    kind=st.sampled_from(list(CHANNELS)),
    filters=st.lists(st.integers(0, 2), min_size=1, max_size=3),
    noted=st.sampled_from(list(NOTES)),
    orientation=st.sampled_from([1, 3, 6, 8]),
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
)
def test_samples_are_those_that_were_stored(
    kind: int, filters: list[int], noted: str, orientation: int, size: tuple[int, int]
) -> None:
    array = np.random.default_rng(0).integers(0, 65_536, (*size, CHANNELS[kind])).astype(np.uint16)
    if kind in (GREY_AND_OPACITY, COLOUR_AND_OPACITY):
        array[..., -1] = 65_535
    exif = PIL.Image.Exif()
    exif[274] = orientation
    notes = [*NOTES[noted], (b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))]
    with tempfile.TemporaryDirectory() as folder:
        found = io.read_image(written(Path(folder) / "a.png", array, kind, filters, notes)).array
    expected = np.rot90(array, {1: 0, 3: 2, 6: -1, 8: 1}[orientation])
    expected = expected[..., 0] if kind in (GREY, GREY_AND_OPACITY) else expected[..., :3]
    np.testing.assert_array_equal(found, expected)


def test_grey_is_laid_on_black(tmp_path: Path) -> None:
    array = np.full((3, 4, 2), 60_000, np.uint16)
    array[0, :, 1], array[1, :, 1], array[2, :, 1] = 0, 32_768, 65_535
    found = io.read_image(written(tmp_path / "a.png", array, GREY_AND_OPACITY, [0], [])).array
    assert found[:, 0].tolist() == [0, round(60_000 * 32_768 / 65_535), 60_000]


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_of_grey_are_the_values_that_are_stored(tmp_path: Path, bits: int) -> None:
    """A label map of few labels, as tools that save space write it."""
    values = np.random.default_rng(bits).integers(0, 2**bits, (9, 21), dtype=np.uint8)
    planes = np.unpackbits(values[..., None], axis=-1)[..., 8 - bits :].reshape(9, -1)
    rows = np.packbits(planes, axis=-1)
    path = tmp_path / "labels.png"
    head = struct.pack(">IIBBBBB", 21, 9, bits, GREY, 0, 0, 0)
    stored = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in ((b"IHDR", head), (b"IDAT", stored), (b"IEND", b"")):
        content += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    path.write_bytes(content)
    assert np.array_equal(io.read_mask(path).array, values)
    # A picture of black and white is shown as such.
    assert np.array_equal(io.read_image(path).array, values * (255 if bits == 1 else 1))
