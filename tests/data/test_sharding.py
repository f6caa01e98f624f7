from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bedside.core.errors import FormatError, InputError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.data.pairs import Pair, find_pairs
from bedside.data.sharding import is_made, make_store, plan_shards
from bedside.data.sources import PairedFiles, find_sources, pair_source
from bedside.data.store import Item, read_one, read_part
from bedside.data.store_manifest import MANIFEST, StoreManifest, is_sharded, read_manifest
from bedside.io import write_image, write_mask
from tests.support.dicom_sources import write_series
from tests.support.sharded import SIDE, made_sources, make_sharded


def items_of(store: Path) -> list[Item]:
    return [item for shard in read_manifest(store).shards for item in read_part(store / shard.file)]


def test_every_case_is_in_one_shard(tmp_path: Path) -> None:
    manifest = make_sharded(tmp_path, {"many": 9, "some": 3})
    assert read_manifest(tmp_path / "store") == manifest
    assert is_sharded(tmp_path / "store")
    assert not is_sharded(tmp_path / "sources")
    assert [len(manifest.of_set(name)) for name in ("many", "some")] == [5, 2]
    many, some = manifest.sets
    assert (many.name, many.licence, many.structures) == ("many", "licence of many", {"1": "square"})
    assert (many.cases, many.objects, many.superpixels) == (9, 9, 0)
    assert (many.modalities, many.dimensions, many.spacing) == (("made",), (2,), (0.5, 8.5))
    assert some.source == str(tmp_path / "sources" / "some")
    items = items_of(tmp_path / "store")
    assert sorted(i.info.name for i in items) == sorted(
        [f"many/c{n:03d}" for n in range(9)] + [f"some/c{n:03d}" for n in range(3)]
    )
    for item in items:
        number = int(item.info.name[-3:])
        assert item.maps[0, number % 12, 5] == 1
        assert item.info.spacing == (0.5 + number, 1.0)
    # Neighbours are not together: a shard is a fair part of its set.
    assert [i.info.name for i in items if i.info.set_name == "many"] != [f"many/c{n:03d}" for n in range(9)]


def test_the_manifest_says_what_the_files_are(tmp_path: Path) -> None:
    manifest = make_sharded(tmp_path, {"many": 5})
    for shard in manifest.shards:
        content = (tmp_path / "store" / shard.file).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (shard.bytes, shard.sha256)
        items = read_part(tmp_path / "store" / shard.file)
        assert shard.unpacked == sum(i.image.nbytes + i.maps.nbytes + i.objects.nbytes for i in items)
    assert sum(s.unpacked for s in manifest.shards) > 5 * SIDE * SIDE * 3


def test_processes_make_the_same_store_as_one(tmp_path: Path) -> None:
    one = make_sharded(tmp_path, {"many": 8})
    store = tmp_path / "other"
    sources = made_sources(tmp_path / "sources", {"many": 8})
    done: list[str] = []
    plans = plan_shards(sources, shard_mb=10 / 1e6, superpixels=False)
    assert make_store(plans, store, jobs=2, sources=sources, advance=done.append) == one
    assert sorted(done) == [shard.name for shard in one.shards]


def test_one_item_is_read_of_a_shard(tmp_path: Path) -> None:
    manifest = make_sharded(tmp_path, {"many": 6}, cases=6)
    path = tmp_path / "store" / manifest.shards[0].file
    whole = read_part(path)
    with path.open("rb") as file:
        item = read_one(file, 4, "shard")
        assert item.info == whole[4].info
        np.testing.assert_array_equal(item.image, whole[4].image)
        with pytest.raises(FormatError, match="a part of a training store"):
            read_one(file, 6, "shard")


def test_only_what_changed_is_made_again(tmp_path: Path) -> None:
    before = make_sharded(tmp_path, {"many": 8})
    times = {s.name: (tmp_path / "store" / s.file).stat().st_mtime_ns for s in before.shards}
    (tmp_path / "sources" / "many" / "c003.txt").write_text("00077")
    after = make_sharded(tmp_path, {"many": 8})
    changed = [s.name for s in after.shards if (tmp_path / "store" / s.file).stat().st_mtime_ns != times[s.name]]
    assert len(changed) == 1
    assert [s for s in after.shards if s.name not in changed] == [s for s in before.shards if s.name not in changed]
    assert before.sha256 != after.sha256


def test_shards_of_sources_that_are_gone_are_removed(tmp_path: Path) -> None:
    make_sharded(tmp_path, {"many": 4, "some": 4})
    manifest = make_sharded(tmp_path, {"many": 4})
    names = {s.file for s in manifest.shards} | {s.record for s in manifest.shards}
    assert {f"shards/{p.name}" for p in (tmp_path / "store" / "shards").iterdir()} == names


@pytest.mark.parametrize("damage", ["no record", "short", "half a record"])
def test_a_shard_that_is_not_whole_is_made_again(tmp_path: Path, damage: str) -> None:
    before = make_sharded(tmp_path, {"many": 4})
    shard, store = before.shards[1], tmp_path / "store"
    if damage == "no record":
        (store / shard.record).unlink()
    elif damage == "half a record":
        (store / shard.record).write_text((store / shard.record).read_text()[:50])
    else:
        (store / shard.file).write_bytes((store / shard.file).read_bytes()[:-9])
    plans = plan_shards(made_sources(tmp_path / "sources", {"many": 4}), shard_mb=10 / 1e6, superpixels=False)
    assert [is_made(plan, store) for plan in plans] == [True, False]
    assert make_sharded(tmp_path, {"many": 4}) == before
    assert hashlib.sha256((store / shard.file).read_bytes()).hexdigest() == shard.sha256


def test_a_case_that_cannot_be_read_is_named_and_tried_again(tmp_path: Path) -> None:
    sources = made_sources(tmp_path / "sources", {"many": 4})
    damaged = tmp_path / "sources" / "many" / "c002.txt"
    damaged.write_text("not 1")
    manifest = make_sharded(tmp_path, {"many": 4})
    (failure,) = [f for shard in manifest.shards for f in shard.failed]
    assert failure.case == "c002"
    assert "expected a number" in failure.message
    assert manifest.sets[0].cases == 3
    # Of the same size and time, as a file that could not be read for another reason.
    status = damaged.stat()
    damaged.write_text("00002")
    os.utime(damaged, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert make_sharded(tmp_path, {"many": 4}).sets[0].cases == 4
    for case in sources[0].cases:
        case.files[0].write_text("none.")
    with pytest.raises(InputError, match="expected a case that can be read"):
        make_sharded(tmp_path, {"many": 4})


KILLED = """
import sys, time
from pathlib import Path
from tests.support import sharded
read = sharded.MadeCase.read
def slowly(self):
    time.sleep(0.15)
    return read(self)
sharded.MadeCase.read = slowly
sharded.make_sharded(Path(sys.argv[1]), {"many": 40}, advance=lambda name: print(name, flush=True))
"""


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
    store = tmp_path / "store"
    assert not (store / MANIFEST).exists()
    plans = plan_shards(made_sources(tmp_path / "sources", {"many": 40}), shard_mb=10 / 1e6, superpixels=False)
    made = [plan.name for plan in plans if is_made(plan, store)]
    assert 3 <= len(made) < 20
    times = {name: (store / "shards" / f"{name}.npz").stat().st_mtime_ns for name in made}
    manifest = make_sharded(tmp_path, {"many": 40})
    assert manifest.sets[0].cases == 40
    assert {n: (store / "shards" / f"{n}.npz").stat().st_mtime_ns for n in made} == times
    assert not list((store / "shards").glob(".bedside-*"))


def test_sets_and_cases_have_names_of_their_own(tmp_path: Path) -> None:
    sources = made_sources(tmp_path, {"many": 2})
    with pytest.raises(InputError, match="data set 'many': expected one of this name"):
        plan_shards([*sources, *sources])
    twice = pair_source([Pair("a", tmp_path, tmp_path)] * 2, "pairs", "here")
    with pytest.raises(InputError, match="data set 'pairs': expected cases with names of their own, got a"):
        plan_shards([twice])
    with pytest.raises(InputError, match="one that files may have"):
        plan_shards([pair_source([], "a/b", "here")])


def test_a_manifest_of_another_version_is_rejected(tmp_path: Path) -> None:
    text = make_sharded(tmp_path, {"many": 2}).to_json()
    for changed in (text.replace('"version": 1', '"version": 2'), "{}", "[]", text[:80]):
        with pytest.raises(FormatError, match="expected bedside-sharded-store of version 1"):
            StoreManifest.from_json(changed, "m")


def test_folders_of_every_kind(tmp_path: Path) -> None:
    labels = np.zeros((6, 20, 22), np.uint8)
    labels[1:5, 4:15, 5:17] = 2
    geometry = Geometry.create(labels.shape, (0.7, 0.8, 2.5))
    volume = np.where(labels > 0, 90, -90).astype(np.int16)
    for folder in ("images", "labels", "cases"):
        (tmp_path / folder).mkdir()
    write_image(tmp_path / "images/n.nii.gz", Image(volume, geometry))
    write_image(tmp_path / "images/p.png", Image(np.full((30, 40, 3), 9, np.uint8), Geometry.create((30, 40), None)))
    write_mask(tmp_path / "labels/n.nii.gz", labels, geometry)
    write_mask(tmp_path / "labels/p.png", np.ones((30, 40), np.uint8), Geometry.create((30, 40), None))
    write_series(tmp_path / "images/d", labels.shape, spacing=(0.7, 0.8, 2.5))
    write_mask(tmp_path / "labels/d.nii.gz", labels, read_grid(tmp_path / "images/d"))
    np.savez_compressed(tmp_path / "cases/CT_a_1.npz", imgs=volume, gts=labels, spacing=(0.7, 0.8, 2.5))
    np.savez_compressed(tmp_path / "cases/2DBox_US_b.npz", imgs=np.full((30, 40), 7, np.uint8),
                        gts=np.ones((30, 40), np.uint8))  # fmt: skip
    pairs = find_pairs(tmp_path / "images", tmp_path / "labels")
    sources = [
        pair_source(pairs, "pairs", "images", structures={"2": "thing"}),
        *find_sources(tmp_path / "cases", name=None, licence="CC0", modality=None),
    ]
    manifest = make_store(plan_shards(sources, superpixels=False), tmp_path / "store", sources=sources)
    assert not [f for shard in manifest.shards for f in shard.failed]
    cases, paired = manifest.sets
    assert (cases.name, cases.licence, cases.modalities, cases.dimensions) == ("cases", "CC0", ("CT", "US"), (2, 3))
    assert (paired.cases, paired.dimensions, paired.structures) == (3, (2, 3), {"2": "thing"})
    items = {item.info.name: item for item in items_of(tmp_path / "store")}
    for name in ("pairs/n", "cases/CT_a_1"):
        np.testing.assert_array_equal(items[name].image, volume)
        np.testing.assert_array_equal(items[name].maps[0], labels)
        assert items[name].info.spacing == pytest.approx((2.5, 0.8, 0.7))
    assert items["pairs/d"].image.shape == labels.shape
    assert items["pairs/p"].image.shape == (30, 40, 3)
    assert items["pairs/p"].info.spacing is None
    assert items["cases/2DBox_US_b"].info.modality == "US"


def read_grid(folder: Path) -> Geometry:
    from bedside.io import read_image

    return read_image(folder).geometry


def test_a_case_says_what_else_decides(tmp_path: Path) -> None:
    (source,) = made_sources(tmp_path, {"a": 1})
    pair = Pair("x", source.cases[0].files[0], source.cases[0].files[0])
    plans = [
        plan_shards([pair_source([pair], "a", "o", modality=modality, label_kind=kind)])[0].fingerprint
        for modality, kind in ((None, "semantic"), ("CT", "semantic"), (None, "instance"))
    ]
    assert len(set(plans)) == 3
    assert plan_shards([pair_source([pair], "a", "o")], superpixels=False)[0].fingerprint not in plans
    assert isinstance(pair_source([pair], "a", "o").cases[0], PairedFiles)


@pytest.mark.parametrize("there", ["manifest.json", "notes.txt", "run/checkpoint.pt"])
def test_a_folder_with_something_else_is_left_as_it_is(tmp_path: Path, there: str) -> None:
    (tmp_path / "store" / there).parent.mkdir(parents=True)
    (tmp_path / "store" / there).write_text("{}")
    with pytest.raises(InputError, match="expected a new or empty folder, or the store of an earlier run"):
        make_sharded(tmp_path, {"many": 2})
    assert [p.relative_to(tmp_path / "store").as_posix() for p in (tmp_path / "store").rglob("*") if p.is_file()] == [
        there
    ]


def test_what_others_put_beside_shards_stays(tmp_path: Path) -> None:
    shards = tmp_path / "store" / "shards"
    (shards / "v1.0").mkdir(parents=True)
    for name in ("notes.json", "a.npz", "list.json"):
        (shards / name).write_text("[1]")
    make_sharded(tmp_path, {"many": 4})
    make_sharded(tmp_path, {"many": 2})
    names = {path.name for path in shards.iterdir()}
    assert names == {"v1.0", "notes.json", "a.npz", "list.json", "many-00000.npz", "many-00000.json"}


def test_a_file_in_place_of_the_shards_is_named(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "shards").write_text("")
    with pytest.raises(InputError, match="shards: expected a folder, got a file"):
        make_sharded(tmp_path, {"many": 2})


def test_the_store_of_other_sets_is_not_replaced(tmp_path: Path) -> None:
    before = make_sharded(tmp_path, {"many": 2, "some": 2})
    with pytest.raises(InputError, match="expected one that has a set of the sources, got one of many, some"):
        make_sharded(tmp_path, {"other": 2})
    assert read_manifest(tmp_path / "store") == before
    assert {s.name for s in make_sharded(tmp_path, {"many": 2, "more": 1}).sets} == {"many", "more"}


def test_a_damaged_shard_is_made_again(tmp_path: Path) -> None:
    manifest = make_sharded(tmp_path, {"many": 4})
    path = tmp_path / "store" / manifest.shards[1].file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    assert make_sharded(tmp_path, {"many": 4}) == manifest
    assert hashlib.sha256(path.read_bytes()).hexdigest() == manifest.shards[1].sha256
