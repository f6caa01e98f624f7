from __future__ import annotations

import json
import mmap
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.core.errors import FormatError
from bedside.data.store import ALIGNMENT, FORMAT_VERSION, Item, ItemInfo, Store, write_store


def item(number: int, shape: tuple[int, ...] = (20, 30), dtype: str = "uint8") -> Item:
    generator = np.random.default_rng(number)
    axes = 2 if shape[2:] == (3,) else len(shape)
    maps = generator.integers(0, 3, (2, *shape[:axes])).astype(np.uint16)
    spacing = tuple(0.5 + a for a in range(axes)) if number % 2 else None
    info = ItemInfo(f"set/{number}", "set", "image", "CT", spacing, ("label", "part"))
    objects = generator.integers(0, 9, (number, 3 + 2 * axes)).astype(np.int32)
    return Item(info, generator.integers(0, 200, shape).astype(dtype), maps, objects)


ITEMS = [item(1), item(2, (8, 20, 30), "int16"), item(3, (20, 30, 3)), item(4, (8, 9, 10), "float32"), item(0)]


def test_round_trip(tmp_path: Path) -> None:
    write_store(tmp_path, ITEMS)
    store = Store(tmp_path)
    assert len(store.items) == len(ITEMS)
    for read, written in zip(store.items, ITEMS, strict=True):
        assert read.info == written.info
        assert read.axes == written.axes
        for name in ("image", "maps", "objects"):
            a, b = getattr(read, name), getattr(written, name)
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


def test_arrays_that_are_not_contiguous(tmp_path: Path) -> None:
    turned = Item(ITEMS[0].info, ITEMS[0].image.T, ITEMS[0].maps.transpose(0, 2, 1), ITEMS[0].objects)
    write_store(tmp_path, [turned])
    np.testing.assert_array_equal(Store(tmp_path).items[0].image, ITEMS[0].image.T)


def test_parts_hold_whole_items_in_order(tmp_path: Path) -> None:
    whole = write_store(tmp_path / "whole", ITEMS)
    each = write_store(tmp_path / "each", ITEMS, part_bytes=1)
    some = write_store(tmp_path / "some", ITEMS, part_bytes=12_000)
    assert [len(paths) for paths in (whole, each)] == [1, len(ITEMS)]
    assert 1 < len(some) < len(ITEMS)
    assert [p.name for p in each] == [f"part-{n:03d}.npz" for n in range(len(ITEMS))]
    names = [[i.info.name for i in Store(tmp_path / kind).items] for kind in ("whole", "each", "some")]
    assert names == [[i.info.name for i in ITEMS]] * 3


def test_an_older_store_is_replaced_with_all_its_parts(tmp_path: Path) -> None:
    write_store(tmp_path, ITEMS, part_bytes=1)
    write_store(tmp_path, ITEMS[:2])
    assert [i.info.name for i in Store(tmp_path).items] == ["set/1", "set/2"]
    assert [p.name for p in tmp_path.iterdir()] == ["part-000.npz"]


def test_the_hash_depends_on_the_content_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_store(tmp_path / "a", ITEMS)
    # Writers of archives like to note the time.
    monkeypatch.setattr("time.time", lambda: 1e9)
    write_store(tmp_path / "b", ITEMS)
    write_store(tmp_path / "c", [*ITEMS[:-1], item(6)])
    a, b, c = (Store(tmp_path / name).sha256 for name in "abc")
    assert a == b != c


def test_no_store(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"training store: expected part-000\.npz"):
        Store(tmp_path)


@pytest.mark.parametrize(
    ("header", "got"),
    [({"version": FORMAT_VERSION + 1}, f"got {FORMAT_VERSION + 1}"), ({"format": "else"}, "a training store")],
)
def test_another_version_or_format_is_rejected(tmp_path: Path, header: dict[str, object], got: str) -> None:
    whole = {"format": "bedside-store", "version": FORMAT_VERSION, "items": [], **header}
    with zipfile.ZipFile(tmp_path / "part-000.npz", "w") as archive:
        archive.writestr("header.json", json.dumps(whole))
    with pytest.raises(FormatError, match=got):
        Store(tmp_path)


@pytest.mark.parametrize("kind", ["empty", "short", "foreign", "changed"])
def test_damaged_parts_are_rejected(tmp_path: Path, kind: str) -> None:
    path = write_store(tmp_path, ITEMS)[0]
    content = path.read_bytes()
    if kind == "foreign":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.npy", b"")
    else:
        changed = content[:200] + bytes(b ^ 0xFF for b in content[200:220]) + content[220:]
        path.write_bytes({"empty": b"", "short": content[:300], "changed": changed}[kind])
    with pytest.raises(FormatError, match="expected a part of a training store"):
        Store(tmp_path)


def test_arrays_are_mapped_and_lie_where_a_processor_likes_them(tmp_path: Path) -> None:
    (path,) = write_store(tmp_path, ITEMS)
    before = path.read_bytes()
    for read in Store(tmp_path).items:
        for array in (read.image, read.maps, read.objects):
            base = array
            while isinstance(base.base, np.ndarray):
                base = base.base
            assert isinstance(base.base, mmap.mmap)
            assert array.ctypes.data % ALIGNMENT == 0 or not array.size
        # What is changed in memory stays there.
        read.image[:] = 0
    assert path.read_bytes() == before


def test_parts_of_earlier_versions_are_read(tmp_path: Path) -> None:
    (path,) = write_store(tmp_path, ITEMS)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    for read, written in zip(Store(tmp_path).items, ITEMS, strict=True):
        assert read.info == written.info
        for name in ("image", "maps", "objects"):
            np.testing.assert_array_equal(getattr(read, name), getattr(written, name))


@given(
    shape=st.lists(st.integers(0, 5), min_size=2, max_size=4).map(tuple),
    kind=st.sampled_from(["uint8", "int16", "float32"]),
)
def test_numpy_alone_opens_a_part(tmp_path_factory: pytest.TempPathFactory, shape: tuple[int, ...], kind: str) -> None:
    image = np.arange(np.prod(shape)).reshape(shape).astype(kind)
    (path,) = write_store(
        tmp_path_factory.mktemp("part"), [Item(ITEMS[0].info, image, ITEMS[0].maps, ITEMS[0].objects)]
    )
    with np.load(path) as part:
        np.testing.assert_array_equal(part["0/image"], image)
        assert part["0/image"].dtype == kind
    np.testing.assert_array_equal(Store(path.parent).items[0].image, image)


@pytest.mark.parametrize("place", ["header", "values"])
def test_a_changed_byte_is_noticed(tmp_path: Path, place: str) -> None:
    (path,) = write_store(tmp_path, ITEMS)
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("1/image.npy")
    content = bytearray(path.read_bytes())
    at = {"header": 60, "values": member.file_size - 5}[place]
    content[member.header_offset + 62 + at] ^= 1
    path.write_bytes(content)
    with pytest.raises(FormatError, match="expected a part of a training store"):
        Store(tmp_path)
