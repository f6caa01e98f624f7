"""Headers that declare more than the file holds: rejected before memory is taken or anything is looped over."""

from __future__ import annotations

import gzip
import io as streams
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from bedside import io
from bedside.core.errors import BedsideError, FormatError
from bedside.io import bounds
from bedside.io.beside import check_plain, file_beside
from bedside.io.bounds import RATIO, bytes_of, check_declared, copy_bounded, count_bytes, most_of
from bedside.io.registry import READERS
from research.fuzz.children import read_all
from research.fuzz.seeds import Seed, make_seeds

HUGE = 60_000
"""Samples along an axis that no seed has."""


def _text(pattern: str, by: str) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        made, count = re.subn(pattern.encode(), by.encode(), path.read_bytes(), count=1)
        assert count == 1
        path.write_bytes(made)

    return edit


def _number(place: int, code: str) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        made = bytearray(path.read_bytes())
        struct.pack_into(code, made, place, HUGE if code[-1] != "h" else HUGE // 2)
        path.write_bytes(bytes(made))

    return edit


def _packed(edit: Callable[[Path], None]) -> Callable[[Path], None]:
    def both(path: Path) -> None:
        whole = path.read_bytes()
        if not whole.startswith(b"\x1f\x8b"):
            edit(path)
            return
        path.write_bytes(gzip.decompress(whole))
        edit(path)
        path.write_bytes(gzip.compress(path.read_bytes()))

    return both


def _png(path: Path) -> None:
    made = bytearray(path.read_bytes())
    struct.pack_into(">II", made, 16, HUGE, HUGE)
    struct.pack_into(">I", made, 29, zlib.crc32(made[12:29]))
    path.write_bytes(bytes(made))


def _jpeg(path: Path) -> None:
    made = bytearray(path.read_bytes())
    place = next(made.find(bytes((0xFF, code))) for code in (0xC0, 0xC2) if bytes((0xFF, code)) in made)
    struct.pack_into(">HH", made, place + 5, HUGE, HUGE)
    path.write_bytes(bytes(made))


def _npz(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    name = "imgs.npy" if "imgs.npy" in members else "segs.npy"
    header, count = re.subn(rb"\((\d+),([\d, ]+)\), \}    ", rb"(9\g<1>000,\2), }", members[name], count=1)
    assert count == 1
    assert len(header) == len(members[name])
    made = streams.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for key, value in {**members, name: header}.items():
            archive.writestr(key, value)
    path.write_bytes(made.getvalue())


def _tiff(path: Path) -> None:
    import tifffile

    with tifffile.TiffFile(path, mode="r+b") as file:
        for page in file.pages:
            page.tags["ImageLength"].overwrite(HUGE)


def _dicom(path: Path) -> None:
    from pydicom import dcmread

    dataset = dcmread(path)
    dataset.NumberOfFrames = HUGE
    dataset.save_as(path)


def _zarr(path: Path) -> None:
    array = path / "0" / ("zarr.json" if (path / "zarr.json").exists() else ".zarray")
    said = json.loads(array.read_text())
    chunks = said["chunk_grid"]["configuration"] if "chunk_grid" in said else said
    chunks["chunk_shape" if "chunk_grid" in said else "chunks"] = [HUGE, HUGE, HUGE]
    array.write_text(json.dumps(said))


EDITS: dict[str, Callable[[Path], None]] = {
    "nifti": _packed(lambda path: _number(42 if path.read_bytes()[:2] != b"\x1c\x02" else 24, "<h")(path)),
    "mgh": _packed(_number(4, ">i")),
    "nrrd": _text(r"sizes: \d+", f"sizes: {HUGE}"),
    "metaimage": _text(r"DimSize = \d+", f"DimSize = {HUGE}"),
    "npz": _npz,
    "png": _png,
    "jpeg": _jpeg,
    "bmp": _number(22, "<i"),
    "tiff": _tiff,
    "dicom": _dicom,
    "omezarr": _zarr,
}
"""How a valid file of each reader is made to declare more than it has."""


@pytest.fixture(scope="module")
def seeds() -> dict[str, list[Seed]]:
    return make_seeds()


def test_every_reader_is_in_the_table() -> None:
    assert set(EDITS) == {name for name, _ in READERS.items()}


def _read(path: Path) -> int:
    return int(io.read_image(path).array.nbytes)


@pytest.mark.parametrize("reader", sorted(EDITS))
def test_a_header_that_declares_too_much_is_rejected(tmp_path: Path, seeds: dict[str, list[Seed]], reader: str) -> None:
    valid, lying = [], []
    for number, seed in enumerate(seeds[reader]):
        folder = tmp_path / str(number)
        for name, content in seed.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        path = folder / seed.entry
        if path.is_dir() and reader != "omezarr":
            path = sorted(path.iterdir())[0]
        try:
            _read(path)
        except BedsideError:
            continue  # Of several volumes, or no image.
        valid.append(path)
        EDITS[reader](path)
        lying.append(partial(_read, path))
    assert len(valid) >= 2
    for path, result in zip(valid, read_all(lying), strict=True):
        assert result.ending == "rejected", (path, result)
        assert result.grown < 64 * 2**20, (path, result)
        with pytest.raises(FormatError, match=r"fewer|memory|incomplete|tiles or strips|frames"):
            _read(path)


@pytest.mark.parametrize("version", [2, 3])
def test_blocks_of_zarr_may_be_missing_but_not_by_the_thousand(
    tmp_path: Path, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bedside.io.formats import omezarr

    zarr = pytest.importorskip("zarr")
    monkeypatch.setattr(omezarr, "_FEW_BLOCKS", 10)
    axes = [{"name": n, "type": "space"} for n in "zyx"]
    described = {"multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    for name, blocks in (("sparse", 10), ("none", 40), ("some", 40), ("all", 40)):
        group = zarr.open_group(str(tmp_path / name), mode="w", zarr_format=version)
        made = group.create_array("0", shape=(1, 1, blocks), chunks=(1, 1, 1), dtype="u1", fill_value=7)
        group.attrs.update(described if version == 2 else {"ome": described})
        made[..., : {"some": 8, "all": 40}.get(name, 0)] = 9
    assert io.read_image(tmp_path / "sparse").array.ravel().tolist() == [7] * 10
    assert io.read_image(tmp_path / "some").array.ravel().tolist() == [9] * 8 + [7] * 32
    assert io.read_image(tmp_path / "all").array.ravel().tolist() == [9] * 40
    with pytest.raises(FormatError, match="fewer blocks"):
        io.read_image(tmp_path / "none")


@pytest.mark.parametrize("code", sorted(RATIO))
def test_bytes_are_compared_by_code(code: str) -> None:
    check_declared("a", most_of(100, code), 100, code)
    with pytest.raises(FormatError, match="fewer samples"):
        check_declared("a", most_of(100, code) + 1, 100, code)


def test_memory_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "total_memory", lambda: 1000)
    check_declared("a", 1000, 1000)
    with pytest.raises(FormatError, match="memory"):
        check_declared("a", 1001, 1001)


def test_axes_have_samples() -> None:
    assert bytes_of("a", (2, 3), 4) == 24
    with pytest.raises(FormatError, match="at least one sample"):
        bytes_of("a", (2, 0), 4)


def test_streams_are_counted() -> None:
    sink = streams.BytesIO()
    assert copy_bounded(streams.BytesIO(bytes(100)), sink, 100, "a") == 100
    assert len(sink.getvalue()) == 100
    with pytest.raises(FormatError, match="at most 99 bytes"):
        copy_bounded(streams.BytesIO(bytes(100)), streams.BytesIO(), 99, "a")
    assert count_bytes(streams.BytesIO(bytes(100)), 1000) == 100
    assert count_bytes(streams.BytesIO(bytes(100)), 10) == 10


@pytest.mark.parametrize("packing", ["gzip", "bz2", "lzma"])
@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha", ".tif", ".mgh"])
def test_even_volumes_that_pack_well_are_read(tmp_path: Path, packing: str, suffix: str) -> None:
    import importlib

    import nibabel as nib
    import SimpleITK as sitk  # noqa: N813 - the name that all its users know
    import tifffile

    array = np.zeros((120, 512, 512), np.uint8)
    path = tmp_path / f"a{suffix}"
    if suffix in (".nii", ".mgh"):
        kind = nib.Nifti1Image if suffix == ".nii" else nib.MGHImage
        nib.save(kind(array.T, np.eye(4)), path)
    elif suffix == ".tif":
        tifffile.imwrite(path, array, compression="zlib", compressionargs={"level": 9})
    else:
        sitk.WriteImage(sitk.GetImageFromArray(array), str(path), useCompression=True)
    whole = tmp_path / f"a{suffix}.packed"
    content = path.read_bytes()
    whole.write_bytes(importlib.import_module(packing).compress(content))
    for place in (path, whole):
        found = io.read_image(place)
        assert found.array.shape == array.shape
        assert not found.array.any()


@pytest.mark.parametrize("encoding", ["gzip", "bzip2"])
def test_an_even_nrrd_is_read_in_either_code(tmp_path: Path, encoding: str) -> None:
    import bz2

    header = f"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 512 512 300\nencoding: {encoding}\n\n".encode()
    packed = {"gzip": gzip.compress, "bzip2": bz2.compress}[encoding](bytes(512 * 512 * 300))
    (tmp_path / "a.nrrd").write_bytes(header + packed)
    assert io.read_image(tmp_path / "a.nrrd").array.shape == (300, 512, 512)


NAMES = ("/etc/hostname", "../secret", "a/../../secret", "sub/secret", "..\\secret", "C:secret", "C:\\secret", "..", "")


@pytest.mark.parametrize("name", NAMES)
def test_headers_name_files_beside_them(tmp_path: Path, name: str) -> None:
    with pytest.raises(FormatError, match="plain name in the folder"):
        check_plain(tmp_path / "a.mhd", name)


HEADERS = {
    "a.mhd": "NDims = 2\nDimSize = 3 4\nElementType = MET_UCHAR\nElementDataFile = {}\n",
    "a.mha": "NDims = 2\nDimSize = 3 4\nElementType = MET_UCHAR\nElementDataFile = {}\n",
    "list.mhd": "NDims = 3\nDimSize = 3 4 1\nElementType = MET_UCHAR\nElementDataFile = LIST\n{}\n",
    "pattern.mhd": "NDims = 3\nDimSize = 3 4 1\nElementType = MET_UCHAR\nElementDataFile = {}%d 1 1 1\n",
    "a.nhdr": "NRRD0004\ntype: uchar\ndimension: 2\nsizes: 3 4\nencoding: raw\ndata file: {}\n",
    "a.nrrd": "NRRD0004\ntype: uchar\ndimension: 2\nsizes: 3 4\nencoding: raw\ndata file: {}\n",
    "list.nhdr": "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 3 4 1\nencoding: raw\ndata file: LIST\n{}\n",
    "pattern.nhdr": "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 3 4 1\nencoding: raw\ndata file: {}%d 1 1 1\n",
}


@pytest.mark.parametrize("header", sorted(HEADERS))
def test_no_header_reads_a_file_of_another_folder(tmp_path: Path, header: str) -> None:
    numbered = "1" if header.startswith("pattern") else ""
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / f"good{numbered}").write_bytes(bytes(range(12)))
    (tmp_path / f"other{numbered}").write_bytes(bytes(range(12)))
    (inside / f"link{numbered}").symlink_to(tmp_path / f"other{numbered}")
    (inside / f"own{numbered}").symlink_to(inside / f"good{numbered}")
    for name in ("good", "./good", "own"):
        (inside / header).write_text(HEADERS[header].format(name))
        assert io.read_image(inside / header).array.ravel().tolist() == list(range(12)), name
    for name in ("../other", str(tmp_path / "other"), "link", "./../other", "missing"):
        (inside / header).write_text(HEADERS[header].format(name))
        with pytest.raises(FormatError, match=r"plain name|missing"):
            io.read_image(inside / header)


def test_a_folder_is_no_file_with_samples(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    with pytest.raises(FormatError, match="missing"):
        file_beside(tmp_path / "a.mhd", "samples")


@pytest.mark.parametrize("name", ["../other.tif", "sub/other.tif", "/other.tif"])
def test_ome_tiff_names_files_beside_it(tmp_path: Path, name: str) -> None:
    import tifffile

    inside = tmp_path / "inside"
    (inside / "sub").mkdir(parents=True)
    for place in (tmp_path, inside / "sub", inside):
        tifffile.imwrite(place / "other.tif", np.full((4, 5), 7, np.uint8))

    def write(named: str) -> Path:
        xml = (
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:a"><Image ID="Image:0">'
            '<Pixels ID="P" DimensionOrder="XYZCT" Type="uint8" SizeX="5" SizeY="4" SizeZ="2" SizeC="1" SizeT="1">'
            '<TiffData FirstZ="0" IFD="0" PlaneCount="1"><UUID FileName="a.ome.tif">urn:uuid:a</UUID></TiffData>'
            f'<TiffData FirstZ="1" IFD="0" PlaneCount="1"><UUID FileName="{named}">urn:uuid:b</UUID></TiffData>'
            "</Pixels></Image></OME>"
        )
        tifffile.imwrite(inside / "a.ome.tif", np.full((4, 5), 3, np.uint8), description=xml, metadata=None)
        return inside / "a.ome.tif"

    assert io.read_image(write("other.tif")).array[:, 0, 0].tolist() == [3, 7]
    with pytest.raises(FormatError, match="plain name"):
        io.read_image(write(name))


@pytest.mark.parametrize("length", [1, 2, 3])
def test_pages_of_tiff_do_not_go_in_circles(tmp_path: Path, length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import tifffile

    from bedside.io import tiff_bounds

    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((length, 4, 5), np.uint8), metadata=None, photometric="minisblack")
    tiff_bounds.check_directories(path)
    assert io.read_image(path).array.size == 20 * length
    with tifffile.TiffFile(path) as file:
        first = file.pages[0].offset
    # The file is whole: what it says of the page after the last is put in other words here.
    found = tiff_bounds._next
    monkeypatch.setattr(tiff_bounds, "_next", lambda layout, stored: found(layout, stored) or first)
    with pytest.raises(FormatError, match="circle"):
        tiff_bounds.check_directories(path)
