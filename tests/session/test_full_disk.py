"""A workspace on a disk that is full or read-only: one line of what is wrong, and the work so far is there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.failing_disk import APART, may_mount

ROOT = Path(__file__).parents[2]

FULL = """
import subprocess, sys
from pathlib import Path
from bedside.core.errors import BedsideError
from bedside.session.workspace import Workspace
from tests.support.failing_disk import fill

disk = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=True)
path, filler = disk / "w.sqlite", disk / "filler"
kept = Workspace(path)
number = kept.item("/a.nii", name="a")
kept.close()
failures = 0
for free in range(0, 40, 3):
    for name in (path, disk / f"new{free}" / "w.sqlite"):
        fill(filler, free)
        try:
            opened = Workspace(name)
            try:
                for _ in range(400):
                    number = opened.item("/" + "b" * 900, name="b" * 900)
                    opened.forget(Path("/bbb"))
            finally:
                opened.close()
        except BedsideError as error:
            failures += 1
            assert "\\n" not in str(error), error
        filler.unlink()
assert failures > 3, failures
again = Workspace(path)
assert [item.path for item in again.items([1])] == ["/a.nii"]
again.close()
subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
for name in (path, disk / "other.sqlite"):
    try:
        Workspace(name).item("/c.nii", name="c")
    except BedsideError as error:
        print(error)
    else:
        raise AssertionError("written to a read-only disk")
"""


def test_the_work_so_far_is_kept(tmp_path: Path) -> None:
    if not may_mount():
        pytest.skip("no disk can be mounted here (unshare --mount --map-root-user)")
    child = subprocess.run(
        [*APART, sys.executable, "-c", FULL, tmp_path],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["src", ".", *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr[-2000:]
    assert len(child.stdout.splitlines()) == 2
