"""Weights of the SAM family by the command line: listed, pulled from a server or a folder, imported, and then used."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside.challenge.writing import write_case
from bedside.core.image import Image
from bedside.core.prompts import Box
from bedside.io import read_mask
from bedside.io.challenge import ChallengeCase
from bedside.weights import catalogue, store
from bedside.weights.card import file_sha256
from bedside.weights.store import find_weights


@pytest.fixture(autouse=True)
def private_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(tmp_path / "mine"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for variable in ("BEDSIDE_WEIGHTS_MIRROR", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of exactly the published layout of LiteMedSAM, of random numbers."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnx")
    torch.set_num_threads(1)
    from bedside.weights.models import build_model

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_model("lite-medsam")
        with torch.no_grad():
            for value in network.parameters():
                value.add_(torch.randn(value.shape) * 0.03)
    path = tmp_path_factory.mktemp("published") / "lite_medsam.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture
def address(checkpoint: Path) -> Iterator[str]:
    """A server of the checkpoint's folder."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    handler = functools.partial(Quiet, directory=str(checkpoint.parent))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_all_weights_are_listed(cli: Callable[..., Any]) -> None:
    status, out, err = cli("weights")
    assert (status, err) == (0, "")
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert lines["weights"].split() == ["weights", "installed", "available", "licence"]
    assert "bundled" in lines["bedside-2d"]
    assert "with the package" in lines["bedside-2d"]
    assert "by hand from https://" in lines["lite-medsam"]
    assert "bedside weights pull" in lines["rep-medsam"]
    assert {"daft", "daft-3d", "daft-x-ray", "mcp-medsam", "nninteractive"} <= lines.keys()
    assert lines["swin-lite-medsam"].endswith("MIT")


def test_a_model_without_weights_says_how_to_get_them(cli: Callable[..., Any], picture: Path, tmp_path: Path) -> None:
    arguments = ["segment", picture, "-o", tmp_path / "mask.png", "--box", "10,5,20,15", "--model", "lite-medsam"]
    status, _, err = cli(*arguments)
    assert status == 2
    assert "no address of their own, only the page https://drive.google.com" in err
    assert "bedside weights import lite-medsam" in err
    assert "bedside weights pull lite-medsam" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("slices", "message"), [("all", "one of inclusive, published, got 'all'"), ("published", "slices of 'bedside-2d'")]
)
def test_wrong_slices_are_one_line(cli: Callable[..., Any], slices: str, message: str, tmp_path: Path) -> None:
    flat = Image.from_array(np.zeros((20, 20, 3), np.uint8))
    write_case(tmp_path / "in" / "2DBox_US_1.npz", ChallengeCase("2DBox_US_1", flat, (Box((5, 5), (9, 9)),)))
    status, out, err = cli("challenge2024", tmp_path / "in", tmp_path / "out", "--slices", slices)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pull", "light-medsam"], "did you mean 'lite-medsam'?"),
        (["pull", "lite-medsam"], "drive.google.com"),
        (["pull", "lite-medsam"], "then run: bedside weights import lite-medsam FILE"),
        (["pull", "bedside-2d"], "they come with the package"),
        (["pull", "nninteractive"], "for non-commercial use only"),
        (["pull", "nninteractive"], "if you agree, run: bedside weights pull nninteractive --accept-licence"),
        (["pull", "daft", "--variant", "kidney"], "variant of 'daft': expected one of general, 3d, ct"),
        (["pull", "daft", "--variant", "ct"], "variant ct: expected a known place"),
        (["pull", "rep-medsam", "--from", "no-such-folder"], "no such folder"),
        (["import", "lite-medsam", "none.pth"], "expected an existing file or folder, got 'none.pth'"),
        (["import", "medsam", ".", "--variant", "box"], "variant of 'medsam': expected none, got 'box'"),
    ],
)
def test_wrong_wishes_are_one_line(cli: Callable[..., Any], arguments: list[str], message: str) -> None:
    status, out, err = cli("weights", *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_a_checkpoint_of_another_network_leaves_nothing(
    cli: Callable[..., Any], checkpoint: Path, tmp_path: Path
) -> None:
    status, out, err = cli("weights", "import", "rep-medsam", checkpoint)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "it fits 'lite-medsam'" in err
    cut = tmp_path / "cut.pth"
    cut.write_bytes(checkpoint.read_bytes()[:-1000])
    status, out, err = cli("weights", "import", "lite-medsam", cut)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "no complete zip file" in err
    assert not (tmp_path / "mine").exists()


@pytest.mark.slow
def test_weights_are_imported_and_answer_images_volumes_and_folders(
    cli: Callable[..., Any], checkpoint: Path, picture: Path, scan: Path, tmp_path: Path
) -> None:
    status, out, err = cli("weights", "import", "lite-medsam", checkpoint)
    assert (status, err) == (0, "weights of 'lite-medsam': licence Apache-2.0\n")
    ends = ("safetensors", "encoder.onnx", "decoder.onnx", "json")
    assert out.splitlines() == [str(tmp_path / "mine" / f"lite-medsam.{end}") for end in ends]
    card = find_weights("lite-medsam").card
    assert card.training["checkpoints"] == {"lite_medsam.pth": file_sha256(checkpoint)}
    assert card.training["layout"] == "plain"
    assert "lite_medsam.pth" in card.source
    assert str(tmp_path / "mine") in cli("weights").out

    mask = tmp_path / "mask.png"
    assert cli("segment", picture, "-o", mask, "--box", "10,5,20,15", "--model", "lite-medsam").status == 0
    assert read_mask(mask).shape == (40, 60)
    mask = tmp_path / "mask.nii.gz"
    assert cli("segment", scan, "-o", mask, "--box", "6,5,4,12,10,9", "--model", "lite-medsam").status == 0
    assert read_mask(mask).shape == (12, 16, 20)

    generator = np.random.default_rng(0)
    flat = Image.from_array(generator.integers(0, 255, (60, 80, 3), dtype=np.uint8))
    deep = Image.from_array(generator.integers(0, 255, (4, 50, 60), dtype=np.uint8), (1.0, 1.0, 2.0))
    write_case(tmp_path / "in" / "2DBox_US_1.npz", ChallengeCase("2DBox_US_1", flat, (Box((5, 5), (30, 40)),) * 2))
    write_case(tmp_path / "in" / "3DBox_CT_1.npz", ChallengeCase("3DBox_CT_1", deep, (Box((5, 5, 0), (30, 40, 3)),)))
    outcome = cli("challenge2024", tmp_path / "in", tmp_path / "out", "--model", "lite-medsam")
    assert outcome.status == 0, outcome.err
    assert outcome.out.startswith("2 cases, 3 objects")
    published = cli("challenge2024", tmp_path / "in", tmp_path / "b", "--model", "lite-medsam", "--slices", "published")
    assert published.status == 0, published.err
    for name, shape in (("2DBox_US_1", (60, 80)), ("3DBox_CT_1", (4, 50, 60))):
        with np.load(tmp_path / "out" / f"{name}.npz") as answer:
            assert answer["segs"].shape == shape
            assert answer["segs"].dtype == np.uint8
            assert answer["segs"].max() <= 2


@pytest.mark.slow
def test_weights_are_pulled_from_a_server_and_from_a_folder(
    cli: Callable[..., Any], checkpoint: Path, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = catalogue.Source(
        "lite-medsam",
        "lite_medsam.pth",
        "https://example.org/page",
        "Apache-2.0",
        url=f"{address}/lite_medsam.pth",
        size=checkpoint.stat().st_size,
        sha256=file_sha256(checkpoint),
    )
    monkeypatch.setattr(catalogue, "SOURCES", (source,))
    status, out, err = cli("weights", "pull", "lite-medsam")
    assert (status, err) == (0, "weights of 'lite-medsam': licence Apache-2.0\n")
    assert len(out.splitlines()) == 4
    assert f"pulled from {address}/lite_medsam.pth" in find_weights("lite-medsam").card.source
    assert not list((tmp_path / "cache" / "bedside" / "downloads").rglob("*.pth*"))

    outcome = cli("weights", "pull", "lite-medsam", "--from", checkpoint.parent, "--out", tmp_path / "other")
    assert outcome.status == 0, outcome.err
    assert checkpoint.is_file()
    other = store.WeightsFiles.in_folder("lite-medsam", tmp_path / "other", "encoder")
    assert other.complete
    assert other.card.sha256 == find_weights("lite-medsam").card.sha256
