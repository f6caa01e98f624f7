from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bedside.weights.keys import key_lines
from bedside.weights.models import build_model
from bedside.weights.store import find_weights


def test_keys_are_those_of_the_network(cli: Callable[..., Any]) -> None:
    status, out, err = cli("weights", "keys", "bedside-2d")
    assert (status, err) == (0, "")
    assert out.splitlines() == key_lines(build_model("bedside-2d"))


def test_keys_have_the_format_of_the_published_lists(cli: Callable[..., Any]) -> None:
    lines = cli("weights", "keys", "lite-medsam").out.splitlines()
    assert "image_encoder.patch_embed.seq.0.c.weight (32, 3, 1, 1)" in lines
    assert "image_encoder.patch_embed.seq.0.bn.weight (32,)" in lines
    assert "image_encoder.patch_embed.seq.0.bn.num_batches_tracked ()" in lines


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["keys", "light-medsam"], "did you mean 'lite-medsam'?"),
        (["keys"], "missing argument 'NAME'"),
        (["frobnicate"], "no such command 'frobnicate'; see 'bedside weights --help'"),
    ],
)
def test_wrong_usage_is_one_line(cli: Callable[..., Any], arguments: list[str], message: str) -> None:
    status, out, err = cli("weights", *arguments)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err


def test_without_torch_the_extra_is_named(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith("bedside.weights.keys")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "torch", None)
    status, _, err = cli("weights", "keys", "medsam")
    assert status == 2
    assert "pip install 'bedside[train]'" in err


@pytest.fixture
def published(nninteractive_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of weights, of a small network that passes for the published one, and no folder of the user's own."""
    import bedside.engines.nninteractive.network as module

    monkeypatch.setenv("BEDSIDE_WEIGHTS", str(tmp_path / "mine"))
    folder = nninteractive_folder()
    plans = json.loads((folder / "plans.json").read_text())
    arguments = plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    monkeypatch.setattr(module, "WIDTHS", tuple(arguments["features_per_stage"]))
    monkeypatch.setattr(module, "DEPTHS", tuple(arguments["n_blocks_per_stage"]))
    return folder


def test_weights_are_imported_with_their_licence_shown(
    cli: Callable[..., Any], published: Path, tmp_path: Path
) -> None:
    status, out, err = cli("weights", "import", "nninteractive", published)
    assert status == 0
    assert err.count("\n") == 1
    for part in ("CC BY-NC-SA 4.0", "non-commercial", "share-alike"):
        assert part in err
    files = [Path(line) for line in out.splitlines()]
    assert [path.name for path in files] == [f"nninteractive.{s}" for s in ("safetensors", "onnx", "json")]
    assert {path.parent for path in files} == {tmp_path / "mine"}
    assert find_weights("nninteractive").card.licence == "CC-BY-NC-SA-4.0"


def test_weights_go_where_they_are_asked_to_in_full_precision(
    cli: Callable[..., Any], published: Path, tmp_path: Path
) -> None:
    (published / "LICENSE").write_text("CC-BY-4.0\n")
    out = tmp_path / "out"
    outcome = cli("weights", "import", "nninteractive", published, "--out", out, "--precision", "float32")
    assert outcome.status == 0
    assert "licence CC-BY-4.0" in outcome.err
    header = (out / "nninteractive.safetensors").read_bytes()[8:20_000]
    assert b'"F32"' in header
    assert b'"F16"' not in header
    assert not (tmp_path / "mine").exists()


@pytest.fixture
def hub(published: Path) -> Iterator[tuple[str, list[str]]]:
    """A server that plays the hub: files under a repository's address, the large one by way of another address."""
    asked: list[str] = []
    base = "/MIC-DKFZ/nnInteractive/resolve/main/nnInteractive_v1.0/"

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            name = self.path.removeprefix(base).removeprefix("/cdn/")
            path = published / name
            if not self.path.startswith((base, "/cdn/")) or not path.is_file():
                self.send_error(404)
                return
            if self.path.startswith(base) and name.endswith(".pth"):
                self.send_response(302)
                self.send_header("Location", f"/cdn/{name}")
                self.end_headers()
                return
            content = path.read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream" if name.endswith(".pth") else "text/plain")
            self.send_header("ETag", '"1"')
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/MIC-DKFZ/nnInteractive/resolve/main", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_nninteractive_is_pulled_once_its_licence_is_accepted(
    cli: Callable[..., Any], hub: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for variable in ("BEDSIDE_WEIGHTS_MIRROR", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    address, asked = hub
    status, out, err = cli("weights", "pull", "nninteractive", "--from", address)
    assert (status, out, err.count("\n"), asked) == (2, "", 1, [])
    for part in ("CC BY-NC-SA 4.0", "non-commercial", "share-alike", "--accept-licence"):
        assert part in err
    status, out, err = cli("weights", "pull", "nninteractive", "--from", address, "--accept-licence")
    assert status == 0, err
    assert "CC BY-NC-SA 4.0" in err
    assert [Path(line).name for line in out.splitlines()] == [
        f"nninteractive.{s}" for s in ("safetensors", "onnx", "json")
    ]
    assert find_weights("nninteractive").complete
    assert "/cdn/fold_0/checkpoint_final.pth" in asked
    assert not list((tmp_path / "cache").rglob("*.pth"))
    # A folder that keeps copies serves as well, and stays as it is.
    status, _, err = cli("weights", "pull", "nninteractive", "--from", tmp_path / "published", "--accept-licence")
    assert status == 0, err
    assert (tmp_path / "published" / "fold_0" / "checkpoint_final.pth").is_file()
    missing = cli("weights", "pull", "nninteractive", "--from", address.replace("main", "other"), "--accept-licence")
    assert (missing.status, missing.err.count("\n")) == (2, 1)
    assert "404" in missing.err


def spoil_plans(folder: Path) -> None:
    (folder / "plans.json").write_text("no JSON")


def spoil_settings(folder: Path) -> None:
    (folder / "inference_session_class.json").unlink()


def spoil_checkpoint(folder: Path) -> None:
    path = folder / "fold_0" / "checkpoint_final.pth"
    path.write_bytes(path.read_bytes()[:-1000])


def poison_checkpoint(folder: Path) -> None:
    import torch

    class Call:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(folder / "victim"),)

    torch.save({"network_weights": Call()}, folder / "fold_0" / "checkpoint_final.pth")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_plans, "plans.json"),
        (spoil_settings, "inference_info.json or inference_session_class.json"),
        (spoil_checkpoint, "checkpoint_final.pth"),
        (poison_checkpoint, "would execute code"),
    ],
)
def test_what_is_not_what_it_says_is_one_line_and_leaves_nothing(
    spoil: Callable[[Path], None], message: str, cli: Callable[..., Any], published: Path, tmp_path: Path
) -> None:
    spoil(published)
    status, out, err = cli("weights", "import", "nninteractive", published)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err
    assert not (tmp_path / "mine").exists()
    assert not (published / "victim").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nninteractive", "no-such-folder"], "expected an existing file or folder, got 'no-such-folder'"),
        (["nninteractiv", "."], "did you mean 'nninteractive'?"),
        (["bedside-2d", "."], "import of 'bedside-2d': expected nninteractive or a model of the family sam"),
        (["nninteractive", ".", "--precision", "int8"], "expected float16 or float32, got 'int8'"),
    ],
)
def test_wrong_imports_are_one_line(cli: Callable[..., Any], arguments: list[str], message: str) -> None:
    status, out, err = cli("weights", "import", *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err


@pytest.mark.parametrize("library", ["torch", "onnx"])
def test_importing_without_a_library_names_the_extra(
    library: str, cli: Callable[..., Any], published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [name for name in sys.modules if name == library or name.startswith(f"{library}.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)
    status, _, err = cli("weights", "import", "nninteractive", published)
    assert status == 2
    assert "pip install 'bedside[train]'" in err
