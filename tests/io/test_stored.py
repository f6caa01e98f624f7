"""Samples of NRRD and MetaImage in each way of storing them, against arithmetic on what was written and against ITK."""

from __future__ import annotations

import bz2
import gzip
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - the name that all its users know
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside import io
from bedside.core.errors import FormatError
from bedside.io import stored

DTYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8")
NRRD = dict(zip(DTYPES, ("uchar", "int8", "ushort", "short", "uint", "int", "float", "double"), strict=True))
META = dict(zip(DTYPES, ("UCHAR", "CHAR", "USHORT", "SHORT", "UINT", "INT", "FLOAT", "DOUBLE"), strict=True))
CODES: dict[str, Callable[[bytes], bytes]] = {
    "raw": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "hex": lambda raw: raw.hex().encode(),
}
SHAPE = (3, 4, 5)


def _array(dtype: str, shape: tuple[int, ...] = SHAPE) -> NDArray[Any]:
    return np.random.default_rng(7).integers(0, 100, shape).astype(dtype)


def _text(array: NDArray[Any]) -> bytes:
    return " ".join(map(str, array.ravel())).encode()


def _nrrd(dtype: str, encoding: str, *more: str, order: str = "little", shape: tuple[int, ...] = SHAPE) -> bytes:
    sizes = " ".join(map(str, shape[::-1]))
    lines = (
        *("NRRD0004", f"type: {NRRD[dtype]}", f"dimension: {len(shape)}", f"sizes: {sizes}"),
        *(f"encoding: {encoding}", f"endian: {order}", *more, "", ""),
    )
    return "\n".join(lines).encode()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("code", [*CODES, "ascii"])
@pytest.mark.parametrize("detached", [False, True])
def test_nrrd_in_each_code(tmp_path: Path, dtype: str, order: str, code: str, detached: bool) -> None:
    array = _array(dtype)
    raw = array.astype(array.dtype.newbyteorder(">" if order == "big" else "<")).tobytes()
    content = _text(array) if code == "ascii" else CODES[code](raw)
    if detached:
        (tmp_path / "a.nhdr").write_bytes(_nrrd(dtype, code, "data file: samples", order=order))
        (tmp_path / "samples").write_bytes(content)
    else:
        (tmp_path / "a.nrrd").write_bytes(_nrrd(dtype, code, order=order) + content)
    found = io.read_image(tmp_path / ("a.nhdr" if detached else "a.nrrd")).array
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype


@pytest.mark.parametrize("code", [*CODES, "ascii"])
def test_nrrd_skips_lines_and_bytes(tmp_path: Path, code: str) -> None:
    array = _array("i2")
    content = _text(array) if code == "ascii" else CODES[code](array.tobytes())
    (tmp_path / "a.nhdr").write_bytes(_nrrd("i2", code, "data file: samples", "line skip: 2"))
    (tmp_path / "samples").write_bytes(b"one\ntwo\n" + content)
    np.testing.assert_array_equal(io.read_image(tmp_path / "a.nhdr").array, array)
    if code in ("raw", "gzip", "bzip2"):
        # Bytes are skipped of what comes out of the code.
        (tmp_path / "b.nhdr").write_bytes(_nrrd("i2", code, "data file: samples", "byte skip: 6"))
        (tmp_path / "samples").write_bytes(CODES[code](b"before" + array.tobytes()))
        np.testing.assert_array_equal(io.read_image(tmp_path / "b.nhdr").array, array)


@pytest.mark.parametrize("header", ["a.nhdr", "a.mhd"])
def test_samples_may_end_with_the_file(tmp_path: Path, header: str) -> None:
    array = _array("i2")
    (tmp_path / "samples").write_bytes(b"anything before" + array.tobytes())
    (tmp_path / "a.nhdr").write_bytes(_nrrd("i2", "raw", "data file: samples", "byte skip: -1"))
    (tmp_path / "a.mhd").write_bytes(_meta("i2", "samples", "HeaderSize = -1"))
    np.testing.assert_array_equal(io.read_image(tmp_path / header).array, array)


def _meta(dtype: str, name: str, *more: str, shape: tuple[int, ...] = SHAPE) -> bytes:
    sizes = " ".join(map(str, shape[::-1]))
    lines = ("ObjectType = Image", f"NDims = {len(shape)}", f"DimSize = {sizes}", *more,
             f"ElementType = MET_{META[dtype]}", f"ElementDataFile = {name}", "")  # fmt: skip
    return "\n".join(lines).encode()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("code", ["raw", "zlib", "text"])
@pytest.mark.parametrize("detached", [False, True])
def test_metaimage_in_each_code(tmp_path: Path, dtype: str, big: bool, code: str, detached: bool) -> None:
    array = _array(dtype)
    raw = array.astype(array.dtype.newbyteorder(">" if big else "<")).tobytes()
    content = {"raw": raw, "zlib": zlib.compress(raw), "text": _text(array)}[code]
    said = (f"BinaryData = {code != 'text'}", f"BinaryDataByteOrderMSB = {big}", f"CompressedData = {code == 'zlib'}")
    path = tmp_path / ("a.mhd" if detached else "a.mha")
    header = _meta(dtype, "samples" if detached else "LOCAL", *said)
    (tmp_path / "samples").write_bytes(content)
    path.write_bytes(header if detached else header + content)
    found = io.read_image(path).array
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype
    # ITK reads the other codes only as its own writer puts them.
    if code == "raw":
        np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(path))), array)


@pytest.mark.parametrize("listed", ["LIST", "pattern", "numbered"])
@pytest.mark.parametrize("header", ["a.nhdr", "a.mhd"])
def test_a_file_for_each_slice(tmp_path: Path, header: str, listed: str) -> None:
    array = _array("u2")
    names = [f"s{n:03d}.raw" for n in (2, 4, 6)] if listed == "pattern" else [f"s{n}.raw" for n in (1, 2, 3)]
    for name, plane in zip(names, array, strict=True):
        (tmp_path / name).write_bytes(plane.tobytes())
    said = {"LIST": "\n".join(["LIST", *names]), "pattern": "s%03d.raw 2 6 2", "numbered": "s%d.raw 1 3 1"}[listed]
    (tmp_path / "a.nhdr").write_bytes(_nrrd("u2", "raw").rstrip(b"\n") + f"\ndata file: {said}\n".encode())
    (tmp_path / "a.mhd").write_bytes(_meta("u2", said))
    np.testing.assert_array_equal(io.read_image(tmp_path / header).array, array)
    if header == "a.mhd":
        np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / header))), array)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_one_volume_of_four_axes(tmp_path: Path, suffix: str, compressed: bool) -> None:
    array = _array("i2", (4, *SHAPE))
    image = sitk.JoinSeries([sitk.GetImageFromArray(volume) for volume in array])
    sitk.WriteImage(image, str(tmp_path / f"a{suffix}"), useCompression=compressed)
    for number, volume in enumerate(array):
        np.testing.assert_array_equal(io.read_image(tmp_path / f"a{suffix}", volume=number).array, volume)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(DTYPES),
    st.lists(st.integers(1, 6), min_size=2, max_size=3),
    st.sampled_from([1, 2, 3, 4]),
    st.booleans(),
    st.sampled_from([".nrrd", ".mha", ".mhd", ".nhdr"]),
    st.lists(st.floats(0.01, 90), min_size=3, max_size=3),
)
def test_what_itk_writes_is_what_itk_reads(
    tmp_path: Path, dtype: str, shape: list[int], components: int, compressed: bool, suffix: str, spacing: list[float]
) -> None:
    array = _array(dtype, (*shape, *([components] if components > 1 else [])))
    image = sitk.GetImageFromArray(array, isVector=components > 1)
    image.SetSpacing(spacing[: len(shape)])
    image.SetOrigin(spacing[: len(shape)][::-1])
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(image, str(path), useCompression=compressed)
    seen = sitk.ReadImage(str(path))
    colour = len(shape) == 2 and components in (3, 4)
    found = io.read_image(path, volume=components - 1 if components > 1 and not colour else None)
    expected = sitk.GetArrayFromImage(seen)
    expected = expected[..., :3] if colour else expected[..., -1] if components > 1 else expected
    np.testing.assert_array_equal(found.array, expected)
    assert found.geometry.spacing == pytest.approx(seen.GetSpacing())
    assert found.geometry.origin == pytest.approx(seen.GetOrigin())


@pytest.mark.parametrize("code", ["gzip", "bzip2"])
def test_samples_that_cannot_be_unpacked_are_rejected(tmp_path: Path, code: str) -> None:
    content = CODES[code](_array("u2").tobytes())
    for damaged in (content[:-20], content[:20] + bytes(20) + content[40:], b"no code at all"):
        (tmp_path / "a.nrrd").write_bytes(_nrrd("u2", code) + damaged)
        with pytest.raises(FormatError, match=r"unpacked|fewer|cannot be read|expected bzip2"):
            io.read_image(tmp_path / "a.nrrd")


def test_members_of_gzip_follow_each_other(tmp_path: Path) -> None:
    array = _array("u2")
    raw = array.tobytes()
    (tmp_path / "a.nrrd").write_bytes(_nrrd("u2", "gzip") + gzip.compress(raw[:33]) + gzip.compress(raw[33:]))
    np.testing.assert_array_equal(io.read_image(tmp_path / "a.nrrd").array, array)


def test_pieces_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = _array("u2", (7, 33, 65))
    for code in ("raw", "gzip", "bzip2"):
        (tmp_path / f"{code}.nrrd").write_bytes(_nrrd("u2", code, shape=array.shape) + CODES[code](array.tobytes()))
        for size in (1000, 4096, 2**20):
            monkeypatch.setattr(stored, "_PIECE", size)
            np.testing.assert_array_equal(io.read_image(tmp_path / f"{code}.nrrd").array, array)
