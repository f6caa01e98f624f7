"""Where weights are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from bedside.core.errors import WeightsError
from bedside.core.paths import cache_folder
from bedside.weights import store
from bedside.weights.card import WeightsCard, file_sha256
from bedside.weights.models import model_card
from bedside.weights.store import WeightsFiles, bundled_names, find_weights, user_folder


def put(folder: Path, name: str) -> WeightsFiles:
    """A complete set of weights, of no use."""
    folder.mkdir(parents=True, exist_ok=True)
    files = WeightsFiles.in_folder(name, folder)
    files.graph.write_bytes(b"graph")
    files.tensors.write_bytes(b"tensors")
    WeightsCard(name, "0", file_sha256(files.tensors), "MIT", "a test").save(files.card_path)
    return files


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The user's folder and the bundled one, both empty."""
    mine, bundled = tmp_path / "mine", tmp_path / "bundled"
    bundled.mkdir()
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(mine))
    monkeypatch.setattr(store, "BUNDLED", bundled)
    return mine, bundled


def test_the_users_weights_come_before_the_bundled_ones(folders: tuple[Path, Path]) -> None:
    mine, bundled = folders
    shipped = put(bundled, "m")
    assert find_weights("m") == shipped
    own = put(mine, "m")
    assert find_weights("m") == own
    assert find_weights("m").card.name == "m"


@pytest.mark.parametrize("suffix", ["onnx", "safetensors", "json"])
def test_an_incomplete_set_is_passed_over(suffix: str, folders: tuple[Path, Path]) -> None:
    mine, bundled = folders
    shipped = put(bundled, "m")
    put(mine, "m")
    (mine / f"m.{suffix}").unlink()
    assert find_weights("m") == shipped


def test_missing_weights_say_where_they_belong_and_what_is_bundled(folders: tuple[Path, Path]) -> None:
    mine, bundled = folders
    with pytest.raises(WeightsError, match="bundled are: none"):
        find_weights("m")
    put(bundled, "b")
    put(bundled, "a")
    with pytest.raises(WeightsError, match=r"weights of 'm'.*bundled are: a, b") as error:
        find_weights("m")
    assert str(mine) in str(error.value)
    assert "\n" not in str(error.value)


def test_folders_follow_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in (store.FOLDER_VARIABLE, "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    assert user_folder() == tmp_path / ".local/share/bedside/weights"
    assert cache_folder() == tmp_path / ".cache/bedside"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert user_folder() == tmp_path / "data/bedside/weights"
    assert cache_folder() == tmp_path / "cache/bedside"
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(tmp_path / "chosen"))
    assert user_folder() == tmp_path / "chosen"


@pytest.mark.parametrize("name", bundled_names())
def test_bundled_weights_are_those_of_their_card(name: str) -> None:
    files = WeightsFiles.in_folder(name, store.BUNDLED)
    assert files.complete
    assert files.card.name == name == model_card(name).name
    assert files.card.sha256 == file_sha256(files.tensors)
    assert files.card.licence == model_card(name).licence
    assert files.tensors.stat().st_size + files.graph.stat().st_size < 12_000_000
