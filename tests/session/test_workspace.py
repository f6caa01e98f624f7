from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside.core.errors import FormatError, InputError
from bedside.core.image import Image
from bedside.core.mask import PackedMask
from bedside.core.prompts import Box, InitialMask, Point
from bedside.core.region import Region
from bedside.session.journal import Prompted, Redone, Removed, Undone
from bedside.session.masks import KeptMask
from bedside.session.stamp import ImageStamp
from bedside.session.workspace import ObjectLook, ObjectRow, Workspace
from bedside.session.workspace_file import VERSION, WorkspaceFile, default_workspace

STAMP = ImageStamp.of(Image.from_array(np.arange(20, dtype=np.uint8).reshape(4, 5)))
CLICK = Prompted(1, Point((1.0, 2.0)))


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    made = Workspace(tmp_path / "folder" / "w.sqlite")
    yield made
    made.close()


def opened(workspace: Workspace, path: str = "/data/a.png") -> tuple[int, int]:
    item = workspace.item(path)
    return item, workspace.found(item, STAMP).id


def row(number: int = 1, events: tuple[Any, ...] = (CLICK,), **look: bool) -> ObjectRow:
    return ObjectRow(number, f"object {number}", "#102030", ObjectLook(**look), events)


def test_every_commit_is_on_disk(workspace: Workspace) -> None:
    values = [workspace._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    assert values == ["wal", 2]
    assert workspace._connection.execute("PRAGMA user_version").fetchone()[0] == VERSION


def test_a_journal_comes_back_as_it_was_written(workspace: Workspace) -> None:
    _, image = opened(workspace)
    mask = np.zeros((4, 5), bool)
    mask[1:3, 2] = True
    events = (CLICK, Prompted(2, Box((0, 0), (2, 2)), predict=False), Undone(), Redone(), Removed(1))
    workspace.save(image, [row(1, events)], 1, answered_by="some-model")
    workspace.save(image, [row(1, (Prompted(3, InitialMask(mask)),), locked=True), row(2, ())], 2)
    journal, looks = workspace.journal(image)
    assert journal.objects[0].events == (*events, Prompted(3, InitialMask(mask)))
    assert [o.id for o in journal.objects] == [1, 2]
    assert (journal.current, journal.model, journal.image) == (2, "some-model", STAMP)
    assert looks == {1: ObjectLook(locked=True), 2: ObjectLook()}


def test_versions_count_changes_and_the_first_model_stays(workspace: Workspace) -> None:
    _, image = opened(workspace)
    assert workspace.image(image).version == 0
    assert workspace.save(image, [row()], 1, answered_by="first") == 1
    assert workspace.save(image, [row(1, ())], 1, answered_by="second") == 2
    assert workspace.image(image).model == "first"
    workspace.set_image(image, model="third", policy="overwrite")
    record = workspace.image(image)
    assert (record.model, record.policy) == ("third", "overwrite")


def test_the_same_samples_are_the_same_image_wherever_they_lie(workspace: Workspace) -> None:
    assert opened(workspace, "/data/a.png")[1] == opened(workspace, "/moved/b.png")[1]
    array = np.arange(20, dtype=np.uint8).reshape(4, 5)
    elsewhere = ImageStamp.of(Image.from_array(array, spacing=(0.5, 0.5)))
    item = workspace.item("/data/c.png")
    assert elsewhere.sha256 == STAMP.sha256
    assert workspace.found(item, elsewhere).id != opened(workspace)[1]


def test_work_turns_a_new_item_to_in_progress_and_nothing_else(workspace: Workspace) -> None:
    item, image = opened(workspace)
    other = workspace.item("/data/other.png")
    workspace.save(image, [row(1, ())], 1)
    assert workspace.items([item])[0].state == "new"
    workspace.save(image, [row()], 1, answered_by="m")
    assert [i.state for i in workspace.items([item, other])] == ["in progress", "new"]
    workspace.set_state(item, "done")
    workspace.save(image, [row(1, ())], 1, answered_by="m")
    assert workspace.items([item])[0].state == "done"
    with pytest.raises(InputError, match="in progress"):
        workspace.set_state(item, "finished")  # type: ignore[arg-type]


def test_deleted_objects_leave_their_events_and_numbers_behind(workspace: Workspace) -> None:
    _, image = opened(workspace)
    workspace.save(image, [row(1), row(2, (Prompted(7, Point((0.0, 0.0))),))], 2)
    workspace.save(image, [], 1, deleted=[2])
    assert [o.id for o in workspace.journal(image)[0].objects] == [1]
    assert (workspace.objects(image), workspace.last_object(image), workspace.last_prompt(image)) == (1, 2, 7)
    (events,) = workspace._connection.execute("SELECT count(*) FROM event WHERE object = 2").fetchone()
    assert events == 1


@pytest.mark.parametrize("statement", ["DELETE FROM event", "UPDATE event SET body = '{}'"])
def test_the_journal_only_grows(workspace: Workspace, statement: str) -> None:
    _, image = opened(workspace)
    workspace.save(image, [row()], 1)
    with pytest.raises(sqlite3.IntegrityError, match="only grows"):
        workspace._connection.execute(statement)


def test_a_save_that_fails_leaves_nothing(workspace: Workspace) -> None:
    _, image = opened(workspace)
    with pytest.raises(FormatError, match="cannot write the workspace"):
        workspace.save(image, [row(1), row(2, (object_that_sqlite_rejects(),))], 1)
    assert workspace.objects(image) == 0
    assert workspace.image(image).version == 0
    assert workspace.save(image, [row()], 1) == 1


def object_that_sqlite_rejects() -> Any:
    class Event:
        def to_dict(self) -> Any:
            raise sqlite3.OperationalError("database or disk is full")

    return Event()


def test_masks_are_known_for_just_what_made_them(workspace: Workspace) -> None:
    _, image = opened(workspace)
    mask = PackedMask.of_patch(np.eye(3, dtype=np.uint8), Region((1, 1), (4, 4)))
    workspace.save(
        image, [ObjectRow(1, "a", None, ObjectLook(), (CLICK,), "model and prompts", KeptMask(mask, 0.75))], 1
    )
    found = workspace.remembered_mask(image, 1, "model and prompts")
    assert found is not None
    assert found.quality == 0.75
    assert found.mask.region == mask.region
    assert np.array_equal(found.mask.patch(), mask.patch())
    assert workspace.remembered_mask(image, 1, "another model") is None
    assert workspace.remembered_mask(image, 2, "model and prompts") is None
    whoever = workspace.remembered_mask(image, 1, None)
    assert whoever is not None
    assert whoever.mask.region == mask.region
    # Without a mask, what was kept stays.
    workspace.save(image, [ObjectRow(1, "renamed", None, ObjectLook())], 1)
    assert workspace.remembered_mask(image, 1, "model and prompts") is not None


def test_a_workspace_is_one_through_a_link_too(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w.sqlite")
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.sqlite"
    link.symlink_to(tmp_path / "w.sqlite")
    with pytest.raises(InputError, match="in use"):
        Workspace(link)
    workspace.close()
    Workspace(link).close()
    assert link.is_symlink()


def test_items_by_place(workspace: Workspace) -> None:
    numbers = [
        workspace.item("/d"),
        workspace.item("/d", series="1.2"),
        workspace.item("/d", volume=0),
        workspace.item("/d", volume=1),
    ]
    assert len(set(numbers)) == 4
    assert workspace.item("/d", series="1.2") == numbers[1]
    found = workspace.items([numbers[3], 999, numbers[1]])
    assert [(i.series, i.volume) for i in found] == [(None, 1), ("1.2", None)]


def test_recent_items_are_those_opened_without_a_problem(workspace: Workspace) -> None:
    first, second, third = (workspace.item(f"/{n}") for n in "abc")
    for item in (first, second, third, first):
        workspace.touch(item)
    workspace.set_problem(third, "cannot be read")
    assert [i.id for i in workspace.recent(5)] == [first, second]
    assert workspace.items([third])[0].problem == "cannot be read"


def test_unknown_images_are_rejected(workspace: Workspace) -> None:
    with pytest.raises(InputError, match="image"):
        workspace.image(5)


def test_threads_may_write_at_once(workspace: Workspace) -> None:
    _, image = opened(workspace)

    def write(first: int) -> None:
        for number in range(first, first + 10):
            workspace.save(image, [row(number, (Prompted(number, Point((0.0, 0.0))),))], number)

    threads = [threading.Thread(target=write, args=(1 + 10 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert workspace.objects(image) == 40
    assert workspace.image(image).version == 40


def test_a_second_opening_is_rejected_by_name(workspace: Workspace) -> None:
    workspace._file.announce("http://127.0.0.1:8765/")
    with pytest.raises(InputError, match=f"in use.*process {os.getpid()}, at http://127.0.0.1:8765/.*--workspace"):
        Workspace(workspace.path)
    workspace.close()
    Workspace(workspace.path).close()


def _write_and_die(path: Path) -> None:
    made = Workspace(path)
    _, image = opened(made)
    made.save(image, [row()], 1, answered_by="m")
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(os.name != "posix", reason="kills a process with a signal")
def test_what_a_killed_process_wrote_is_there(tmp_path: Path) -> None:
    path = tmp_path / "w.sqlite"
    process = multiprocessing.get_context("spawn").Process(target=_write_and_die, args=(path,))
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    made = Workspace(path)
    assert made.journal(1)[0].objects[0].events == (CLICK,)
    made.close()


def test_files_that_are_no_workspace_are_rejected(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to be looked at" * 40)
    with pytest.raises(FormatError, match=r"expected a workspace.*--workspace"):
        WorkspaceFile(text)
    assert list(tmp_path.iterdir()) == [text]
    foreign = tmp_path / "foreign.sqlite"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()
    with pytest.raises(FormatError, match="another program"):
        WorkspaceFile(foreign)
    with pytest.raises(FormatError, match="got a folder"):
        WorkspaceFile(tmp_path)
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(FormatError, match="cannot open the workspace"):
        WorkspaceFile(blocked / "w.sqlite")


def test_a_newer_version_is_rejected_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "w.sqlite"
    made = WorkspaceFile(path)
    made.connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    made.close()
    with pytest.raises(FormatError, match=f"version {VERSION}, got {VERSION + 1}; a newer Bedside"):
        WorkspaceFile(path)


def test_a_workspace_of_the_first_version_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "w.sqlite"
    first = Workspace(path)
    _, image = opened(first)
    mask = PackedMask.of_patch(np.ones((2, 2), dtype=np.uint8), Region((0, 0), (2, 2)))
    first.save(image, [ObjectRow(1, "a", None, ObjectLook(), (CLICK,), "model", KeptMask(mask))], 1)
    first._connection.executescript(
        "ALTER TABLE mask DROP COLUMN quality; ALTER TABLE object DROP COLUMN label; PRAGMA user_version = 1;"
    )
    first.close()
    again = Workspace(path)
    found = again.remembered_mask(image, 1, "model")
    assert found is not None
    assert (found.mask.voxels, found.quality) == (4, None)
    assert again._connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
    again.close()


def test_a_workspace_without_labels_keeps_those_that_were_seen(tmp_path: Path) -> None:
    path = tmp_path / "w.sqlite"
    before = Workspace(path)
    _, image = opened(before)
    before.save(image, [row(number, (CLICK,) if number == 1 else ()) for number in (1, 2, 3)], 1)
    before.save(image, [], 3, deleted=(1,))
    before._connection.executescript("ALTER TABLE object DROP COLUMN label; PRAGMA user_version = 2;")
    before.close()
    again = Workspace(path)
    journal, _ = again.journal(image)
    # The label map of yesterday had them in the order in which they were left.
    assert [(item.id, item.label) for item in journal.objects] == [(2, 1), (3, 2)]
    again.save(image, [ObjectRow(3, "c", None, ObjectLook(), label=7)], 3)
    assert again.last_label(image) == 7
    assert [item.label for item in again.journal(image)[0].objects] == [1, 7]
    again.close()


def test_damaged_events_are_named(workspace: Workspace) -> None:
    _, image = opened(workspace)
    workspace.save(image, [row(1, (Undone(),))], 1)
    with pytest.raises(FormatError, match=r"w\.sqlite: image 1.*event 1"):
        workspace.journal(image)


def test_where_the_workspace_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("BEDSIDE_WORKSPACE", raising=False)
    assert default_workspace() == tmp_path / "bedside" / "bedside.workspace.sqlite"
    monkeypatch.setenv("BEDSIDE_WORKSPACE", str(tmp_path / "mine.sqlite"))
    assert default_workspace() == tmp_path / "mine.sqlite"
    monkeypatch.delenv("BEDSIDE_WORKSPACE")
    monkeypatch.delenv("XDG_STATE_HOME")
    assert default_workspace() == Path.home() / ".local" / "state" / "bedside" / "bedside.workspace.sqlite"


def test_strokes_are_kept_as_what_they_change(workspace: Workspace) -> None:
    stamp = ImageStamp.of(Image.from_array(np.zeros((40, 40), dtype=np.uint8)))
    image = workspace.found(workspace.item("/data/large.png"), stamp).id
    masks = []
    for n in range(5):
        array = np.random.default_rng(0).integers(0, 2, (40, 40)).astype(np.uint8)
        array[0, : n + 1] = 1 - array[0, : n + 1]
        masks.append(Prompted(n + 1, InitialMask(array)))
    for n, event in enumerate(masks):
        before = tuple(masks[:n])
        workspace.record(image, ObjectRow(1, "a", None, ObjectLook(), (event,), before=before))
        if n == 2:
            # What was taken back is changed by none of those that follow.
            workspace.withdraw(image, 1, begun=False)
            again = Prompted(9, masks[3].prompt)
            workspace.record(image, ObjectRow(1, "a", None, ObjectLook(), (again,), before=before))
            masks[2] = again
    assert workspace.journal(image)[0].objects[0].events == tuple(masks)
    bodies = [json.loads(body) for (body,) in workspace._connection.execute("SELECT body FROM event ORDER BY seq")]
    assert [b["prompt"].get("since") for b in bodies if "prompt" in b] == [None, 1, 2, 2, 9, 4]
