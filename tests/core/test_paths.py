from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bedside.core import paths
from bedside.core.paths import cache_folder, data_folder, moved_once, state_folder

KINDS = [("XDG_DATA_HOME", data_folder), ("XDG_STATE_HOME", state_folder), ("XDG_CACHE_HOME", cache_folder)]


@pytest.mark.parametrize(("variable", "folder"), KINDS)
def test_the_variable_names_the_folder(
    variable: str, folder: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "chosen"))
    assert callable(folder)
    assert folder() == tmp_path / "chosen" / "bedside"


@pytest.mark.skipif(sys.platform != "linux", reason="the folders of Linux")
def test_on_linux_the_folders_are_those_of_version_0_1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable, _ in KINDS:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_folder() == tmp_path / ".local" / "share" / "bedside"
    assert state_folder() == tmp_path / ".local" / "state" / "bedside"
    assert cache_folder() == tmp_path / ".cache" / "bedside"


def test_the_old_folder_is_moved_once(tmp_path: Path) -> None:
    old, new = tmp_path / ".local" / "share" / "bedside", tmp_path / "Library" / "bedside"
    (old / "weights").mkdir(parents=True)
    (old / "weights" / "a.onnx").write_bytes(b"a")
    assert moved_once(old, new) == new
    assert (new / "weights" / "a.onnx").read_bytes() == b"a"
    assert not old.exists()
    assert moved_once(old, new) == new
    old.mkdir(parents=True)
    (old / "late").touch()
    assert moved_once(old, new) == new
    assert (old / "late").exists(), "what lies in the new folder is never written over"


def test_without_an_old_folder_nothing_is_made(tmp_path: Path) -> None:
    assert moved_once(tmp_path / "old", tmp_path / "new") == tmp_path / "new"
    assert not (tmp_path / "new").exists()


def test_a_move_that_fails_leaves_the_old_folder_in_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()

    def fail(*_: object) -> None:
        raise OSError("read-only")

    monkeypatch.setattr(paths.shutil, "move", fail)
    assert moved_once(tmp_path / "old", tmp_path / "new") == tmp_path / "old"
