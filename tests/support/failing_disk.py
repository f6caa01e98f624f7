"""Writes everything in ``CASES`` to disks that fail, and prints what was lost as JSON; run in a process of its own.

``python -m tests.support.failing_disk FOLDER KIND CASE...``, with KIND "limited" (a file may have so many bytes),
"full" or "read-only" (a small disk in memory, for which the process has to be in a mount namespace of its own).
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bedside.core.errors import BedsideError
from tests.support.written import CASES, Case

APART = ["unshare", "--mount", "--map-root-user"]
"""A namespace of its own for each process that mounts disks, so that none of them outlives it."""
BLOCK = 4096
DISK = 4 * 2**20


@functools.cache
def may_mount() -> bool:
    try:
        tried = subprocess.run([*APART, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False)
    except OSError:
        return False
    return tried.returncode == 0


def content(folder: Path) -> dict[str, bytes]:
    """All files of a folder, hidden ones too, so that what was left behind is found."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def attempt(case: Case, folder: Path, when: str, *, may_succeed: bool) -> list[str]:
    """Write the second edition to a failing disk; return what is wrong with how that went."""
    before = content(folder)
    try:
        case(folder, 1)
    except BedsideError as error:
        after = content(folder)
        lost = sorted(name for name in before if after.get(name) != before[name])
        left = sorted(after.keys() - before.keys())
        problems = [f"lost {lost}"] if lost else []
        problems += [f"left {left}"] if left else []
        problems += [f"several lines: {error}"] if "\n" in str(error) else []
        return [f"{when}: {problem}" for problem in problems]
    # Whatever else comes is what the test is for.
    except BaseException as error:
        return [f"{when}: {type(error).__name__}: {error}"]
    return [] if may_succeed else [f"{when}: nothing was said"]


def limited(case: Case, folder: Path) -> list[str]:
    """Let files have fewer bytes than the largest that is written, down to none."""
    import resource

    case(folder, 0)
    sizes = sorted(len(data) for data in content(folder).values())
    # The first edition of a log has its head, too.
    largest = sizes[-1] - 200
    problems = []
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    for limit in sorted({0, 1, 100, largest // 3, largest * 3 // 4, largest // BLOCK * BLOCK, largest}):
        if not 0 <= limit <= largest:
            continue
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            problems += attempt(case, folder, f"files of {limit} bytes", may_succeed=False)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    return problems + succeeds(case, folder)


def full(case: Case, folder: Path) -> list[str]:
    """Leave no block free, then one, then two and so on, until there is room for the second edition."""
    case(folder, 0)
    needed = sum(len(data) for data in content(folder).values()) // BLOCK
    filler = folder.parent / "filler"
    problems = []
    for free in sorted({0, 1, 2, 3, needed // 2, needed - 1, needed}):
        if free < 0:
            continue
        fill(filler, free)
        problems += attempt(case, folder, f"{free} blocks free", may_succeed=free > 0)
        filler.unlink()
    return problems + succeeds(case, folder)


def read_only(case: Case, folder: Path) -> list[str]:
    """Take the right to write away from the whole disk."""
    case(folder, 0)
    subprocess.run(["mount", "-o", "remount,ro", str(folder.parent)], check=True)
    problems = attempt(case, folder, "read-only", may_succeed=False)
    subprocess.run(["mount", "-o", "remount,rw", str(folder.parent)], check=True)
    return problems + succeeds(case, folder)


def succeeds(case: Case, folder: Path) -> list[str]:
    """Say whether the case writes at all, once the disk does."""
    before = content(folder)
    case(folder, 1)
    after = content(folder)
    hidden = [name for name in after if any(part.startswith(".bedside-") for part in Path(name).parts)]
    return (["left for good"] if hidden else []) + (["wrote nothing"] if after.keys() < before.keys() else [])


def fill(filler: Path, free: int) -> None:
    """Fill the disk but for some blocks."""
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * BLOCK):
                pass
        except OSError:
            pass
        file.truncate(max(0, file.tell() - free * BLOCK))


@contextmanager
def place(folder: Path, kind: str, number: int) -> Iterator[Path]:
    """An empty folder to write to, on a small disk in memory but for the kind "limited"."""
    disk = folder / f"{number}"
    disk.mkdir()
    if kind == "limited":
        (disk / "work").mkdir()
        yield disk / "work"
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(disk)], check=True)
    try:
        (disk / "work").mkdir()
        yield disk / "work"
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


KINDS: dict[str, Callable[[Case, Path], list[str]]] = {"limited": limited, "full": full, "read-only": read_only}


def main(folder: str, kind: str, *names: str) -> None:
    """Try the cases, and print the problems of each."""
    found = {}
    for number, name in enumerate(names):
        with place(Path(folder), kind, number) as work:
            found[name] = KINDS[kind](CASES[name], work)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
