from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bedside.batch.manifest import Row
from bedside.batch.plan import Item
from bedside.batch.record import Made, ObjectFound, Settings, begin, fingerprint, finish, made_before, record_path
from bedside.core.errors import InputError
from bedside.session.flags import PromptFlags
from bedside.weights.store import find_weights

SETTINGS = Settings()


@pytest.fixture
def item(study: Path, tmp_path: Path) -> Item:
    (study / "stroke.json").write_text("[[1, 2], [3, 4]]")
    flags = PromptFlags(("1,2,3,4",), scribbles=(study / "stroke.json",))
    return Item(tmp_path / "out/p0.png", (Row(1, study / "p0.png", flags, label=1),))


@pytest.fixture
def made(item: Item, study: Path) -> Made:
    """What is on record of the mask, whose file holds anything."""
    mark = fingerprint(item, SETTINGS, study)
    begin(item, mark)
    item.output.write_bytes(b"a mask")
    found = (ObjectFound(1, "object 1", 5, 0.5, None),)
    result = Made("bedside-2d", find_weights("bedside-2d").card.sha256, found, 1.5, ("a note",))
    finish(item, mark, result)
    return result


def test_what_is_done_is_found(item: Item, made: Made, study: Path) -> None:
    assert made_before(item, fingerprint(item, SETTINGS, study)) == made


@pytest.mark.parametrize(
    "settings",
    [Settings(model="bedside-2d"), Settings(policy="overwrite"), Settings(allow_empty=True)],
)
def test_other_settings_make_it_again(item: Item, made: Made, study: Path, settings: Settings) -> None:
    assert made_before(item, fingerprint(item, settings, study)) is None


def test_where_it_runs_changes_nothing(item: Item, made: Made, study: Path) -> None:
    assert made_before(item, fingerprint(item, Settings(device="cpu"), study)) == made


CHANGES: dict[str, Callable[[Row], Row]] = {
    "box": lambda row: replace(row, flags=replace(row.flags, boxes=("1,2,3,5",))),
    "frame": lambda row: replace(row, flags=replace(row.flags, frame="world")),
    "label": lambda row: replace(row, label=2),
    "name": lambda row: replace(row, name="liver"),
    "series": lambda row: replace(row, series="3"),
    "volume": lambda row: replace(row, volume=1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_row_makes_it_again(item: Item, made: Made, study: Path, change: str) -> None:
    other = replace(item, rows=(CHANGES[change](item.rows[0]),))
    assert made_before(other, fingerprint(other, SETTINGS, study)) is None
    more = replace(item, rows=(*item.rows, replace(item.rows[0], number=2)))
    assert made_before(more, fingerprint(more, SETTINGS, study)) is None


def test_the_number_of_a_row_says_nothing(item: Item, made: Made, study: Path) -> None:
    moved = replace(item, rows=(replace(item.rows[0], number=7),))
    assert made_before(moved, fingerprint(moved, SETTINGS, study)) == made


@pytest.mark.parametrize("name", ["p0.png", "stroke.json"])
def test_changed_files_make_it_again(item: Item, made: Made, study: Path, name: str) -> None:
    os.utime(study / name, (1, 1))
    assert made_before(item, fingerprint(item, SETTINGS, study)) is None


def test_a_changed_slice_of_a_folder_makes_it_again(item: Item, tmp_path: Path) -> None:
    folder = tmp_path / "series/inner"
    folder.mkdir(parents=True)
    (folder / "1.dcm").write_bytes(b"1")
    of_folder = replace(item, rows=(replace(item.rows[0], image=tmp_path / "series"),))
    before = fingerprint(of_folder, SETTINGS, tmp_path)
    assert fingerprint(of_folder, SETTINGS, tmp_path) == before
    (folder / "1.dcm").write_bytes(b"12")
    changed = fingerprint(of_folder, SETTINGS, tmp_path)
    (folder / "2.dcm").write_bytes(b"1")
    assert len({before, changed, fingerprint(of_folder, SETTINGS, tmp_path)}) == 3


def test_a_study_that_moved_as_a_whole_is_done(item: Item, made: Made, study: Path) -> None:
    moved = study.rename(study.with_name("elsewhere"))
    (row,) = item.rows
    flags = replace(row.flags, scribbles=(moved / "stroke.json",))
    there = replace(item, rows=(replace(row, image=moved / "p0.png", flags=flags),))
    assert made_before(there, fingerprint(there, SETTINGS, moved)) == made


def test_other_weights_make_it_again(item: Item, made: Made, study: Path) -> None:
    mark = fingerprint(item, SETTINGS, study)
    finish(item, mark, replace(made, weights_sha256="0" * 64))
    assert made_before(item, mark) is None
    finish(item, mark, replace(made, model="no-such-model"))
    assert made_before(item, mark) is None


def test_a_run_that_ended_between_mask_and_record_makes_it_again(item: Item, made: Made, study: Path) -> None:
    mark = fingerprint(item, SETTINGS, study)
    begin(item, mark)
    assert made_before(item, mark) is None
    item.output.write_bytes(b"another mask")
    assert made_before(item, mark) is None


def test_a_mask_that_is_gone_is_made_again(item: Item, made: Made, study: Path) -> None:
    item.output.unlink()
    assert made_before(item, fingerprint(item, SETTINGS, study)) is None


def test_work_of_others_is_not_lost(item: Item, made: Made, study: Path) -> None:
    mark = fingerprint(item, SETTINGS, study)
    item.output.write_bytes(b"corrected by hand")
    with pytest.raises(InputError, match="changed after it was made"):
        made_before(item, mark)
    for damaged in ("", "{", "[]", '{"format": "bedside-batch", "version": 2}'):
        record_path(item.output).write_text(damaged)
        with pytest.raises(InputError, match="a file that no batch made"):
            made_before(item, mark)
