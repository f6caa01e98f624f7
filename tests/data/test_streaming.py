from __future__ import annotations

import multiprocessing
import shutil
from pathlib import Path

import numpy as np
import pytest

from bedside.core.errors import FormatError, InputError
from bedside.data.store import Item
from bedside.data.store_manifest import read_manifest
from bedside.data.streaming import PREFIX, unpack
from tests.support.sharded import MakeStore, names, streamed, unpacked


def test_a_part_is_seen_at_a_time_and_in_the_end_all(sharded: MakeStore, tmp_path: Path) -> None:
    store = streamed(sharded(), tmp_path)
    seen = [names(store.at(number)) for number in range(0, 400, 10)]
    assert max(map(len, seen)) < 36
    assert {name for part in seen for name in part} == {
        f"{set_name}/c{n:03d}" for set_name, size in (("many", 24), ("some", 10), ("held", 2)) for n in range(size)
    }
    for part in seen:
        # Each set is there at any time, because each is drawn equally often.
        assert {name.partition("/")[0] for name in part} == {"many", "some", "held"}


def test_what_is_seen_depends_on_the_number_alone(sharded: MakeStore, tmp_path: Path) -> None:
    one = streamed(sharded(), tmp_path / "one")
    forward = {number: names(one.at(number)) for number in range(0, 150, 15)}
    other = streamed(sharded(), tmp_path / "other")
    backward = {number: names(other.at(number)) for number in reversed(range(0, 150, 15))}
    assert forward == backward
    assert len({tuple(part) for part in forward.values()}) > 5
    assert names(streamed(sharded(), tmp_path / "one", seed=1).at(135)) != forward[135]


def test_items_are_those_that_were_packed_and_are_mapped(sharded: MakeStore, tmp_path: Path) -> None:
    for item in streamed(sharded(), tmp_path).at(77).items:
        number = int(item.info.name[-3:])
        expected = np.zeros((40, 40), np.uint16)
        expected[number % 12 : number % 12 + 20, 5:28] = 1
        np.testing.assert_array_equal(item.maps[0], expected)
        assert item.image[number % 12, 5] >= 120
        base: object = item.image
        while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
            base = base.base
        assert isinstance(base, np.memmap)


def test_no_more_than_the_buffer_lies_on_the_disk(sharded: MakeStore, tmp_path: Path) -> None:
    store = streamed(sharded(), tmp_path)
    largest = 0
    for number in range(0, 300, 12):
        store.at(number)
        sizes = [path.stat().st_size for path in tmp_path.glob(f"{PREFIX}*.npz")]
        largest = max(largest, sum(sizes))
    # The files hold the arrays and what is said of them.
    assert largest <= 9 * unpacked(sharded()) * 1.5
    assert len(read_manifest(sharded()).shards) * unpacked(sharded()) > largest


def test_held_out_sets_are_there_in_whole(sharded: MakeStore, tmp_path: Path) -> None:
    store = streamed(sharded(), tmp_path)
    kept, held = store.divide(("held",))
    assert sorted(names(held)) == ["held/c000", "held/c001"]
    assert not [name for number in range(0, 200, 25) for name in names(kept.at(number)) if name.startswith("held")]
    assert kept.sha256 == held.sha256 == store.sha256
    assert store.divide(())[0] is store


def test_what_reads_all_of_a_store_is_told_how_much_it_takes(sharded: MakeStore, tmp_path: Path) -> None:
    store = streamed(sharded(), tmp_path)
    with pytest.raises(InputError, match=r"reads the whole store at once: expected a stream_gb of 0\.0 or more"):
        _ = store.items


def test_a_shard_that_is_not_what_the_manifest_says_is_rejected(sharded: MakeStore, tmp_path: Path) -> None:
    copy = shutil.copytree(sharded(), tmp_path / "copy")
    shard = read_manifest(copy).shards[0]
    content = bytearray((copy / shard.file).read_bytes())
    content[60] ^= 1
    (copy / shard.file).write_bytes(content)
    with pytest.raises(FormatError, match=r"expected sha256 \w{12}\.\.\., as its manifest says"):
        unpack(copy, shard, tmp_path / "unpacked")
    assert not list((tmp_path / "unpacked").glob(f"{PREFIX}*"))
    (copy / shard.file).unlink()
    with pytest.raises(FormatError, match="expected a readable file"):
        unpack(copy, shard, tmp_path / "unpacked")


def unpack_and_read(address: Path, folder: Path, numbers: range, results: multiprocessing.Queue[list[str]]) -> None:
    store = streamed(address, folder)
    results.put([",".join(names(store.at(number))) for number in numbers])


@pytest.mark.slow
def test_processes_share_what_is_unpacked(sharded: MakeStore, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[list[str]] = context.Queue()
    arguments = (sharded(), tmp_path, range(0, 120, 15), results)
    processes = [context.Process(target=unpack_and_read, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    found = [results.get(timeout=120) for _ in processes]
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    assert found[0] == found[1] == found[2]


def test_shards_that_another_process_removed_are_unpacked_again(sharded: MakeStore, tmp_path: Path) -> None:
    store, other = streamed(sharded(), tmp_path / "a"), streamed(sharded(), tmp_path / "b")
    before: list[Item] = list(store.at(0).items)
    for path in (tmp_path / "a").glob(f"{PREFIX}*"):
        path.unlink()
    # What is mapped stays readable, and what comes next is made.
    assert int(before[0].image.max()) > 100
    assert names(store.at(250)) == names(other.at(250))
