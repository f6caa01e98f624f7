from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.engines.sam.embeddings import FOLDER_VARIABLE, EmbeddingStore
from bedside.io import write_image


@pytest.fixture(autouse=True)
def no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Three embeddings of two models."""
    store = EmbeddingStore(tmp_path / "kept", 1e9)
    for number, model in enumerate(("medsam", "medsam", "lite-medsam")):
        features = {"embedding": np.full((1, 4, 8, 8), number, np.float32)}
        store.put(f"{number:02d}" * 32, features, {"model": model, "weights": "a" * 64, "runtime": "openvino 1"})
    return tmp_path / "kept"


def test_list_prune_verify(cli: Callable[..., Any], kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, out, err = cli("cache", "list", "--folder", kept)
    assert (status, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert [line[:2] for line in lines if line[0].endswith("medsam")] == [
        ["lite-medsam", "a" * 12],
        ["medsam", "a" * 12],
    ]
    assert [line[-2] for line in lines[-3:]] == ["1", "2", "3"]
    monkeypatch.setenv(FOLDER_VARIABLE, str(kept))
    assert cli("cache", "verify") == (0, "3 sound, 0 damaged\n", "")
    damaged = sorted(kept.glob("*/*"))[1]
    damaged.write_bytes(damaged.read_bytes()[:-3])
    status, out, err = cli("cache", "verify")
    assert (status, out, err) == (1, "2 sound, 1 damaged\n", f"{damaged}: damaged\n")
    assert cli("cache", "verify", "--remove").err == f"{damaged}: damaged, removed\n"
    assert cli("cache", "verify") == (0, "2 sound, 0 damaged\n", "")
    assert cli("cache", "prune", "--gb", 1).out.startswith("0 removed")
    assert cli("cache", "prune", "--gb", 0) == (0, "2 removed, 0.0 MB left\n", "")
    assert not list(kept.glob("*/*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("list",), "folder of embeddings: expected --folder or BEDSIDE_EMBEDDINGS, got none"),
        (("verify", "--folder", "file"), "expected a folder, got the file file"),
        (("prune", "--gb", "-1", "--folder", "."), "--gb: expected 0 or more"),
        (("precompute", "bedside-2d", "file", "--folder", "new"), "expected one of the SAM family"),
        (("precompute", "no-such", "file", "--folder", "new"), "no-such"),
    ],
)
def test_wrong_use_is_told_in_one_line(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("x")
    status, _, err = cli("cache", *arguments)
    assert status == 2
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.slow
def test_a_folder_is_encoded_before_and_masks_are_the_same(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from research.random_weights import write_random

    write_random("lite-medsam", tmp_path / "weights")
    monkeypatch.setenv("BEDSIDE_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("BEDSIDE_THREADS", "1")
    images = tmp_path / "images"
    images.mkdir()
    generator = np.random.default_rng(0)
    for number in range(2):
        array = generator.integers(0, 255, (60, 80)).astype(np.uint8)
        write_image(images / f"{number}.png", Image(array, Geometry.create(array.shape, None)))
    (images / "broken.png").write_bytes(b"no image")
    segment = ("segment", images / "1.png", "--box", "10,10,50,40", "--model", "lite-medsam", "--allow-empty")
    assert cli(*segment, "-o", tmp_path / "without.png").status == 0
    command = ("cache", "precompute", "lite-medsam", images, "--folder", tmp_path / "kept")
    status, out, err = cli(*command)
    assert status == 1
    assert out.startswith("2 slices encoded or found; there are 2 embeddings (")
    assert out.endswith(f" in {tmp_path / 'kept'}\n")
    assert "broken.png" in err
    files = sorted((tmp_path / "kept").glob("*/*"))
    assert len(files) == 2
    times = [path.stat().st_ino for path in files]
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "kept"))
    assert cli(*segment, "-o", tmp_path / "with.png").status == 0
    assert cli(*command).status == 1
    # Neither made a new one.
    assert sorted((tmp_path / "kept").glob("*/*")) == files
    assert [path.stat().st_ino for path in files] == times
    assert (tmp_path / "with.png").read_bytes() == (tmp_path / "without.png").read_bytes()


@pytest.mark.parametrize("arguments", [("list",), ("verify",), ("prune", "--gb", "1")])
def test_a_folder_that_is_not_there_is_named(cli: Any, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    status, _, err = cli("cache", *arguments, "--folder", tmp_path / "none")
    assert status == 2
    assert "expected an existing folder" in err
    assert not (tmp_path / "none").exists()
