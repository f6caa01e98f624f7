"""Atomic writing: the old file or the new one, never half of one."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from bedside.core.files import atomic_path, write_text_atomically


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


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX systems")
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
