"""Atomic writing: the old file or the new one, never half of one."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bedside.core import scratch
from bedside.core.errors import BedsideError, InputError, StorageError
from bedside.core.files import (
    append_text,
    atomic_path,
    move_into_place,
    move_set_into_place,
    scratch_folder,
    write_text_atomically,
)

posix = pytest.mark.skipif(os.name != "posix", reason="links, locks and permissions of POSIX systems")


class WriteError(Exception):
    """Stands for a full disk or a closed window."""


def write_half(target: Path) -> None:
    with atomic_path(target) as temporary:
        temporary.write_bytes(b"half")
        raise WriteError


def test_the_new_file_replaces_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "mask.nii.gz"
    target.write_bytes(b"old")
    with atomic_path(target) as temporary:
        temporary.write_bytes(b"new")
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "mask.png"
    target.write_bytes(b"old")
    with pytest.raises(WriteError):
        write_half(target)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failure_leaves_no_new_file(tmp_path: Path) -> None:
    with pytest.raises(WriteError):
        write_half(tmp_path / "mask.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["mask.nii.gz", "mask.png", "mask", "case.1.2.nrrd", "a b (1).npz", ".hidden"])
def test_the_temporary_file_lies_beside_it_with_the_same_suffixes(tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    with atomic_path(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary != target
        assert temporary.name.endswith("".join(target.suffixes))
        temporary.write_bytes(b"x")
    assert target.read_bytes() == b"x"


def test_folders_are_made(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "mask.png"
    write_text_atomically(target, "x")
    assert target.read_text() == "x"


@posix
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_permissions_are_those_of_any_new_file(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_text_atomically(tmp_path / "result.json", "{}")
        (tmp_path / "plain").touch()
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("result.json", "plain")]
    assert modes[0] == modes[1] == 0o666 & ~umask


def test_text_is_utf8(tmp_path: Path) -> None:
    write_text_atomically(str(tmp_path / "result.json"), "Größe: 3 mm³")
    assert (tmp_path / "result.json").read_bytes() == "Größe: 3 mm³".encode()


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o666])
def test_an_older_file_gives_its_permissions_to_the_new_one(tmp_path: Path, mode: int) -> None:
    target = tmp_path / "mask.png"
    target.write_bytes(b"old")
    target.chmod(mode)
    with atomic_path(target) as temporary:
        # Nobody may look into the new file who may not look into the old one.
        assert not stat.S_IMODE(temporary.stat().st_mode) & ~(mode | 0o600)
        temporary.write_bytes(b"new")
    assert stat.S_IMODE(target.stat().st_mode) == mode
    assert target.read_bytes() == b"new"


@posix
@pytest.mark.parametrize("absolute", [True, False])
def test_a_link_stays_one_and_what_it_points_to_is_replaced(tmp_path: Path, absolute: bool) -> None:
    real = tmp_path / "elsewhere" / "mask.png"
    real.parent.mkdir()
    real.write_bytes(b"old")
    link, second = tmp_path / "link.png", tmp_path / "second.png"
    link.symlink_to(real if absolute else "elsewhere/mask.png")
    second.symlink_to(link)
    for text, path in (("a", link), ("b", second)):
        write_text_atomically(path, text)
        assert real.read_text() == text
    assert link.is_symlink()
    assert second.is_symlink()
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["elsewhere", "link.png", "mask.png", "second.png"]


@posix
def test_a_link_to_nothing_makes_the_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("later.txt")
    write_text_atomically(tmp_path / "link", "x")
    assert (tmp_path / "later.txt").read_text() == "x"


@posix
def test_links_in_a_circle_are_told_of(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(StorageError, match="cannot be written"):
        write_text_atomically(tmp_path / "a", "x")


@pytest.mark.parametrize("name", ["m" * 240 + ".nii.gz", "ü" * 120 + ".nii.gz", "a" + ".b" * 120, "a." + "b" * 240])
def test_long_names_are_written(tmp_path: Path, name: str) -> None:
    write_text_atomically(tmp_path / name, "x")
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    "path",
    [
        lambda folder: folder,
        lambda folder: folder / ("m" * 300),
        lambda folder: folder / "file" / "mask.png",
        lambda folder: folder / "a\0b",
        lambda folder: Path(os.devnull),
    ],
)
def test_places_that_cannot_be_written_are_told_of(tmp_path: Path, path: Callable[[Path], Path]) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BedsideError) as caught:
        write_text_atomically(path(tmp_path), "y")
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_errors_of_the_block_are_left_as_they_are(tmp_path: Path) -> None:
    def fail(error: BaseException) -> None:
        with atomic_path(tmp_path / "mask.png"):
            raise error

    for error in (ValueError("no such value"), FileNotFoundError(errno.ENOENT, "no such file"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught:
            fail(error)
        assert caught.value is error
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS):
        with pytest.raises(StorageError, match="cannot be written") as told:
            fail(OSError(number, os.strerror(number)))
        assert told.value.errno == number


def test_the_folder_is_on_disk_after_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    real_sync, real_replace = os.fsync, Path.replace

    def sync(descriptor: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        real_sync(descriptor)

    def replace(self: Path, target: Path) -> Path:
        order.append("rename")
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    write_text_atomically(tmp_path / "a", "x")
    assert order == (["file", "rename", "folder"] if os.name == "posix" else ["file", "rename"])


@pytest.fixture
def new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has looked into no folder yet."""
    monkeypatch.setattr(scratch, "_swept", set())


LEFT_BEHIND = """
import os, signal, sys
from bedside.core.files import atomic_path, scratch_folder
with scratch_folder(sys.argv[1]) as folder, atomic_path(sys.argv[1] + "/mask.nii.gz") as path:
    (folder / "half").write_bytes(b"half")
    path.write_bytes(b"half")
    if sys.argv[2] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    print("ready", flush=True)
    sys.stdin.readline()
"""


@posix
@pytest.mark.usefixtures("new_process")
def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "mask.nii.gz").write_bytes(b"old")
    (tmp_path / ".bedside-notes").write_text("of a user")
    subprocess.run([sys.executable, "-c", LEFT_BEHIND, tmp_path, "kill"], check=False)
    assert len(list(tmp_path.iterdir())) == 4
    assert (tmp_path / "mask.nii.gz").read_bytes() == b"old"
    write_text_atomically(tmp_path / "other", "x")
    assert sorted(p.name for p in tmp_path.iterdir()) == [".bedside-notes", "mask.nii.gz", "other"]


@posix
@pytest.mark.usefixtures("new_process")
@pytest.mark.parametrize("number_seen", [True, False])
def test_what_a_living_process_writes_is_left_alone(
    tmp_path: Path, number_seen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not number_seen:
        # In another container, which sees the files but not the process.
        monkeypatch.setattr(scratch, "_is_alive", lambda process, path: False)
    child = subprocess.Popen(
        [sys.executable, "-c", LEFT_BEHIND, tmp_path, "wait"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    write_text_atomically(tmp_path / "other", "x")
    assert len(list(tmp_path.iterdir())) == 3
    child.communicate("\n")
    assert child.returncode == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mask.nii.gz", "other"]


@pytest.mark.usefixtures("new_process")
def test_what_this_process_writes_elsewhere_is_left_alone(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "outer") as outer:
        outer.write_text("outer")
        scratch._swept.clear()
        write_text_atomically(tmp_path / "inner", "inner")
    assert sorted(p.read_text() for p in tmp_path.iterdir()) == ["inner", "outer"]


def test_text_is_added_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.csv"
    append_text(path, "ä\n")
    append_text(path, "b\n")
    assert path.read_text(encoding="utf-8") == "ä\nb\n"
    with pytest.raises(StorageError):
        append_text(tmp_path / "none" / "log.csv", "x")


def _set(folder: Path, *names: str) -> list[tuple[Path, Path]]:
    for name in names:
        (folder / f"new-{name}").write_text(f"new {name}")
    return [(folder / f"new-{name}", folder.parent / name) for name in names]


def test_a_set_is_moved_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old a")
    with scratch_folder(tmp_path) as folder:
        move_set_into_place(_set(folder, "a", "b"))
    assert sorted((p.name, p.read_text()) for p in tmp_path.iterdir()) == [("a", "new a"), ("b", "new b")]


@pytest.mark.parametrize("broken", [0, 1, 2])
def test_a_set_that_cannot_be_moved_leaves_the_older_one(
    tmp_path: Path, broken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("old a")
    (tmp_path / "c").write_text("old c")
    real, moved = Path.replace, []

    def replace(self: Path, target: Path) -> Path:
        if self.name.startswith("new-") and not self.name.endswith(".older"):
            if len(moved) == broken:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            moved.append(self)
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(StorageError), scratch_folder(tmp_path) as folder:
        move_set_into_place(_set(folder, "a", "b", "c"))
    assert sorted((p.name, p.read_text()) for p in tmp_path.iterdir()) == [("a", "old a"), ("c", "old c")]


def test_a_folder_in_the_way_of_a_set_is_left(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "kept").write_text("x")
    with pytest.raises(InputError), scratch_folder(tmp_path) as folder:
        move_set_into_place(_set(folder, "a", "b"))
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["b", "kept"]


def test_a_folder_is_moved(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as folder:
        (folder / "files").mkdir()
        (folder / "files" / "x").write_text("x")
        move_into_place(folder / "files", tmp_path / "kept")
        (folder / "files").mkdir()
        (folder / "files" / "y").write_text("y")
        with pytest.raises(StorageError):
            move_into_place(folder / "files", tmp_path / "kept")
    assert [str(p.relative_to(tmp_path)) for p in sorted(tmp_path.rglob("*"))] == ["kept", str(Path("kept", "x"))]
