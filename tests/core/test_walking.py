"""Named pipes are not waited for, and folders are looked through so far and no further."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bedside.core import walking
from bedside.core.errors import FormatError
from bedside.core.walking import check_ordinary, files_below
from bedside.io import read_image, read_mask
from bedside.io.contents import contents
from bedside.io.registry import READERS

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """End a test that waits for a pipe."""

    def end(*_: Any) -> None:
        raise AssertionError("it waited for a pipe")

    signal.signal(signal.SIGALRM, end)
    signal.alarm(30)
    yield
    signal.alarm(0)


@pytest.mark.parametrize("read", [read_image, read_mask, contents])
@pytest.mark.parametrize("reader", sorted(name for name, _ in READERS.items()))
def test_no_reader_waits_for_a_named_pipe(tmp_path: Path, reader: str, read: Callable[[Path], object]) -> None:
    for suffix in (*READERS.get(reader).suffixes, ""):
        path = tmp_path / f"a{suffix}"
        os.mkfifo(path)
        with pytest.raises(FormatError, match="expected a file or a folder, got a named pipe"):
            read(path)
        link = tmp_path / f"link{suffix}"
        link.symlink_to(path)
        with pytest.raises(FormatError, match="named pipe"):
            read(link)
        link.unlink()
        path.unlink()


@pytest.mark.parametrize("read", [read_image, read_mask, contents])
def test_pipes_in_a_folder_are_left_aside(tmp_path: Path, read: Callable[[Path], object]) -> None:
    for name in ("a.dcm", "b", "DICOMDIR"):
        os.mkfifo(tmp_path / name)
    with pytest.raises(FormatError):
        read(tmp_path)


def test_devices_and_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="got a device"):
        check_ordinary(Path("/dev/zero"))
    check_ordinary(tmp_path / "missing")
    check_ordinary(tmp_path)


def test_which_files_are_found_and_how_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b/2", "b/1", "a", ".hidden", "c/.d/x"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "round").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    found = [str(path.relative_to(tmp_path)) for path in files_below(tmp_path)]
    assert sorted(found) == ["a", "b/1", "b/2", "c/.d/x", "link"]
    assert list(files_below(tmp_path / "a")) == [tmp_path / "a"]
    with pytest.raises(FormatError, match="at most 3 files below it"):
        list(files_below(tmp_path, 3))
    monkeypatch.setattr(walking, "DEEPEST", 1)
    assert "c/.d/x" not in [str(path.relative_to(tmp_path)) for path in files_below(tmp_path)]
