from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside.core.errors import FormatError, InputError
from bedside.data.store_manifest import is_sharded
from bedside.train.packing import RECORD, SetSummary, check_held_out, is_store, open_store, summarise


def quiet(line: str) -> None:
    del line


def test_packs_once_and_again_when_a_file_changes(make_data: Callable[..., Path], tmp_path: Path) -> None:
    data, folder = make_data(), tmp_path / "store"
    lines: list[str] = []
    first = open_store(data, folder, lines.append)
    assert len([line for line in lines if line.startswith("packed ")]) == 2
    assert {item.info.set_name for item in first.items} == {"flat", "deep"}
    lines.clear()
    assert open_store(data, folder, lines.append).sha256 == first.sha256
    assert lines == [f"using the store packed before in {folder}"]
    (data / "2d" / "flat" / "1.image.png").write_bytes((data / "2d" / "flat" / "0.image.png").read_bytes())
    assert open_store(data, folder, quiet).sha256 != first.sha256


foreign = st.one_of(
    st.binary(max_size=40),
    st.recursive(
        st.none() | st.integers() | st.text(max_size=9),
        lambda of: st.lists(of, max_size=3) | st.dictionaries(st.sampled_from(["format", "sets", "version", "a"]), of),
    ).map(lambda value: json.dumps(value).encode()),
)


@given(content=foreign)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_manifest_of_others_makes_no_sharded_store(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    assert not is_sharded(tmp_path)


def test_datasets_with_a_manifest_of_their_own_are_packed(make_data: Callable[..., Path], tmp_path: Path) -> None:
    data = make_data()
    sha256 = open_store(data, tmp_path / "a", quiet).sha256
    (data / "manifest.json").write_text('{"sets": [{"name": "flat", "cases": []}]}')
    assert open_store(data, tmp_path / "b", quiet).sha256 == sha256


def test_the_same_files_give_the_same_store(make_data: Callable[..., Path], tmp_path: Path) -> None:
    data = make_data()
    copy = shutil.copytree(data, tmp_path / "copy")
    os.utime(copy / "2d" / "flat" / "0.image.png", (1, 1))
    stores = [open_store(d, tmp_path / f"store {d.name}", quiet) for d in (data, copy)]
    assert stores[0].sha256 == stores[1].sha256


def test_a_store_that_a_run_depends_on_is_not_replaced(make_data: Callable[..., Path], tmp_path: Path) -> None:
    data, folder = make_data(), tmp_path / "store"
    sha256 = open_store(data, folder, quiet, keep=True).sha256
    os.utime(data / "2d" / "flat" / "0.image.png", (1, 1))
    assert open_store(data, folder, quiet, keep=True).sha256 == sha256
    with pytest.raises(InputError, match="data differ from those the run began with"):
        open_store(data / "2d", folder, quiet, keep=True)
    assert open_store(folder, folder, quiet).sha256 == sha256


def test_a_torn_store_is_packed_again(make_data: Callable[..., Path], tmp_path: Path) -> None:
    data, folder = make_data(), tmp_path / "store"
    sha256 = open_store(data, folder, quiet).sha256
    (folder / RECORD).write_text("{")
    next(folder.glob("part-*.npz")).write_bytes(b"half")
    assert open_store(data, folder, quiet).sha256 == sha256
    next(folder.glob("part-*.npz")).unlink()
    assert open_store(data, folder, quiet).sha256 == sha256


def test_a_store_is_used_as_it_is(make_data: Callable[..., Path], tmp_path: Path) -> None:
    folder = tmp_path / "store"
    sha256 = open_store(make_data(), folder, quiet).sha256
    assert is_store(folder)
    assert open_store(folder, tmp_path / "none", quiet).sha256 == sha256
    assert not (tmp_path / "none").exists()


def test_summaries_tell_licences_and_sizes(make_data: Callable[..., Path], tmp_path: Path) -> None:
    store = open_store(make_data(), tmp_path / "store", quiet)
    deep, flat = summarise(store, tmp_path / "store")
    assert (flat.name, flat.licence, flat.cases, flat.objects) == ("flat", "licence of flat", 2, 2)
    assert (deep.name, deep.licence, deep.cases, deep.objects) == ("deep", "licence of deep", 1, 1)
    assert flat.superpixels > 0
    assert summarise(store, tmp_path)[0].licence == "not stated"


def test_only_train_is_packed(make_data: Callable[..., Path], tmp_path: Path) -> None:
    root = tmp_path / "both"
    make_data(root / "train", "train")
    make_data(root / "val", "val")
    open_store(root, tmp_path / "store", quiet)
    record = json.loads((tmp_path / "store" / RECORD).read_text())
    assert [s["split"] for s in record["sets"]] == ["train", "train"]


@pytest.mark.parametrize("below", ["val", "val/2d", "val/2d/flat", "."])
def test_val_is_rejected_wherever_it_lies(make_data: Callable[..., Path], tmp_path: Path, below: str) -> None:
    make_data(tmp_path / "root" / "val", "val")
    with pytest.raises(InputError, match="expected the split train, got val"):
        open_store(tmp_path / "root" / below, tmp_path / "store", quiet)
    assert not (tmp_path / "store").exists()


def test_a_set_of_val_within_train_is_rejected(make_data: Callable[..., Path], tmp_path: Path) -> None:
    make_data(tmp_path / "root" / "train", "val")
    with pytest.raises(InputError, match="kept for measuring"):
        open_store(tmp_path / "root", tmp_path / "store", quiet)


def test_what_holds_no_data_is_rejected(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError):
            open_store(folder, tmp_path / "store", quiet)
    (tmp_path / "part-000.npz").write_bytes(b"x")
    with pytest.raises(FormatError):
        open_store(tmp_path, tmp_path / "store", quiet)


def test_held_out_sets_are_checked() -> None:
    sets = [SetSummary(name, "", 1, 1, 0) for name in ("a", "b")]
    lines: list[str] = []
    check_held_out(["a"], sets, lines.append)
    assert lines == []
    check_held_out(["c", "a"], sets, lines.append)
    assert lines == ["held-out sets that the data do not have: c"]
    with pytest.raises(InputError, match="a set that is not held out"):
        check_held_out(["a", "b"], sets, lines.append)
