"""The harness that kills programs: it has to notice each way in which work is lost or torn."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest

from bedside.core.files import write_text_atomically
from bedside.core.geometry import Geometry
from bedside.io import write_mask
from research.chaos.__main__ import table
from research.chaos.children import Kill, run_child
from research.chaos.commands import COMMANDS, Command, Killing, Tally, contents

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, and reads /proc")


def test_a_child_is_killed_at_a_moment_or_an_operation(tmp_path: Path) -> None:
    def work() -> int:
        for number in range(5):
            (tmp_path / f"{number}").write_text("x")
        time.sleep(0.3)
        os.write(1, b"done\n")
        return 3

    log = tmp_path / "log"
    whole = run_child(work, None, log)
    assert (whole.status, whole.operations, whole.said.strip(), whole.hit) == (3, 5, "done", False)
    for path in tmp_path.glob("[0-9]"):
        path.unlink()
    killed = run_child(work, Kill("operation", 3), log)
    assert (killed.status, killed.hit) == (-signal.SIGKILL, True)
    assert sorted(p.name for p in tmp_path.glob("[0-9]")) == ["0", "1"]
    killed = run_child(work, Kill("moment", 0.1), log)
    assert (killed.status, killed.hit) == (-signal.SIGKILL, True)
    assert not run_child(work, Kill("moment", 30), log).hit


def _writing(write: Callable[[Path, str], None]) -> Command:
    def work(place: Path, text: str) -> int:
        write(place / "out.json", f'"{text}"')
        return 0

    return Command(
        "writes",
        lambda _: None,
        lambda place: work(place, "new"),
        lambda place: work(place, "old"),
        "out.json",
        hows=("operation",),
    )


def _rounds(command: Command, folder: Path) -> Tally:
    killing = Killing(command, folder)
    for number in range(6):
        killing.round(Random(number))
    return killing.tally


def test_what_is_written_atomically_is_never_torn(tmp_path: Path) -> None:
    tally = _rounds(_writing(write_text_atomically), tmp_path)
    assert tally.kills > 10
    assert (tally.lost, tally.wrong, tally.notes) == (0, 0, [])


def test_a_file_written_in_place_is_noticed(tmp_path: Path) -> None:
    def in_place(path: Path, text: str) -> None:
        path.write_text(text[:2])
        (path.parent / "another").write_text("an operation in between")
        path.write_text(text)

    tally = _rounds(_writing(in_place), tmp_path)
    assert tally.wrong > 0
    assert "torn" in tally.notes[0]


def test_a_file_that_is_removed_first_is_noticed(tmp_path: Path) -> None:
    def removed_first(path: Path, text: str) -> None:
        path.unlink(missing_ok=True)
        path.write_text(text)

    assert _rounds(_writing(removed_first), tmp_path).lost > 0


def test_what_a_kill_leaves_is_noticed(tmp_path: Path) -> None:
    def littering(path: Path, text: str) -> None:
        scratch = path.with_name(f".bedside-{os.getpid()}-0000000a.json")
        scratch.write_text(text)
        scratch.replace(path)

    assert any("was left" in note for note in _rounds(_writing(littering), tmp_path).notes)


def test_contents_tell_masks_by_their_voxels(tmp_path: Path) -> None:
    mask = np.zeros((4, 5), np.uint8)
    write_mask(tmp_path / "a.png", mask, Geometry.create(mask.shape))
    before = contents(tmp_path / "a.png")
    assert list(before) == ["a.png"]
    mask[1, 1] = 1
    write_mask(tmp_path / "a.png", mask, Geometry.create(mask.shape))
    assert contents(tmp_path / "a.png") != before
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:30])
    assert contents(tmp_path / "a.png")["a.png"].startswith("torn")
    assert contents(tmp_path / "missing") == {}


def test_the_table() -> None:
    tally = Tally(kills=3, ended=1)
    tally.fail("lost", "a click")
    shown = table({"server": tally, "edit": Tally(2)})
    assert "| server | 3 | 1 | 1 | 0 |" in shown
    assert "| all | 5 | 1 | 1 | 0 |" in shown
    assert "server: lost: a click" in shown
    assert len({command.name for command in COMMANDS}) == len(COMMANDS) == 8
