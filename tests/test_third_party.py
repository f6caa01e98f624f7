"""The proof that Bedside can be added to from outside: a package with a format, a metric and a model with its prompts.

``tests/third_party/bedside_example`` is installed into a folder of its own, as pip does it, and used by the command
line and the server alone. Nothing in Bedside knows of it.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from bedside.io import read_mask

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "tests" / "third_party" / "bedside_example"
MODEL, METRIC = "example-2d", "example-hd95"
TOKEN = "token-of-the-test-of-third-parties"
RECIPE = f"""
model: {MODEL}
steps: 8
batch: 4
coarse_share: 0.0
warmup_steps: 2
workers: 0
precision: fp32
validate_every: 8
validation_samples: 4
held_out: [held]
sampling:
  grid: 64
  superpixel_share: 0.0
"""

pytestmark = pytest.mark.slow

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables under which the package is found; it is built and installed offline."""
    # Asked of the metadata: looking for the module `pip` makes setuptools replace distutils in this process.
    for needed in ("pip", "setuptools", "torch", "onnx", "PyYAML"):
        try:
            importlib.metadata.distribution(needed)
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"{needed} is not installed")
    folder = tmp_path_factory.mktemp("third-party")
    # Building writes beside the sources.
    shutil.copytree(PACKAGE, folder / "source")
    target = folder / "installed"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*command, "--target", str(target), str(folder / "source")], check=True, timeout=300)
    paths = [str(ROOT / "src"), str(target), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "BEDSIDE_WEIGHTS": str(folder / "run" / "weights"),
        "BEDSIDE_TOKEN": TOKEN,
        "XDG_CACHE_HOME": str(folder / "cache"),
        "XDG_DATA_HOME": str(folder / "data"),
    }


@pytest.fixture(scope="module")
def folder(environment: dict[str, str]) -> Path:
    """Of everything that is made."""
    return Path(environment["BEDSIDE_WEIGHTS"]).parents[1]


@pytest.fixture(scope="module")
def run(environment: dict[str, str]) -> Run:
    """Runs the command line, which must succeed unless it is to fail."""

    def command(*arguments: object, status: int = 0) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "bedside.cli.main", *map(str, arguments)]
        result = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=600)
        assert result.returncode == status, result.stderr
        assert "Traceback" not in result.stderr
        return result

    return command


@pytest.fixture(scope="module")
def data(folder: Path) -> Path:
    """Two sets to train on, one of them held out, and one to evaluate on: bright discs in noise."""
    root = folder / "images"
    for split, name, cases in (("train", "discs", 4), ("train", "held", 2), ("val", "others", 2)):
        place = root / split / "2d" / name
        place.mkdir(parents=True)
        for number in range(cases):
            generator = np.random.default_rng((number, len(name)))
            y, x = np.ogrid[:90, :110]
            labels = ((y - 40 - 3 * number) ** 2 + (x - 50) ** 2 < (16 + number) ** 2).astype(np.uint8)
            image = (generator.normal(70, 10, labels.shape) + 90 * labels).clip(0, 255).astype(np.uint8)
            Picture.fromarray(image).save(place / f"c{number}.image.png")
            Picture.fromarray(labels).save(place / f"c{number}.labels.png")
        card = {"name": name, "split": split, "dim": "2d", "modality": "made", "label_kind": "semantic"}
        (place / "set.json").write_text(json.dumps({**card, "structures": {"1": "disc"}, "licence": "CC0"}))
    return root


@pytest.fixture(scope="module")
def trained(run: Run, data: Path, folder: Path) -> Path:
    """The weights of the model after some steps."""
    recipe = folder / "example.yaml"
    recipe.write_text(RECIPE)
    run("train", recipe, "--data", data, "--out", folder / "run", "--threads", 1)
    return folder / "run" / "weights"


def test_it_is_listed(run: Run) -> None:
    found = json.loads(run("info", "--json").stdout)
    assert MODEL in [model["name"] for model in found["models"]]
    assert found["readers"]["example"] == found["writers"]["example"] == [".example"]
    added = [e for e in found["extensions"] if e["package"] == "bedside-example"]
    names = {"readers": "example", "writers": "example", "metrics": METRIC, "models": MODEL}
    assert {e["adds"]: e["name"] for e in added} == {**names, "encodings": "distance-maps"}
    assert not any(e["problem"] for e in added)
    assert f"models: {MODEL} (by bedside-example 0.1)" in run("info").stdout
    assert MODEL in run("models").stdout


def test_listing_it_does_not_import_its_network(environment: dict[str, str]) -> None:
    code = f"import sys; from bedside.weights.models import model_card; model_card('{MODEL}'); print(*sys.modules)"
    listed = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert not {"torch", "bedside_example.network"} & set(listed.stdout.split())


def test_its_format_is_read_and_written(run: Run, trained: Path, data: Path, folder: Path) -> None:
    image = data / "val" / "2d" / "others" / "c0.image.png"
    run("segment", image, "--box", "32,22,68,58", "--model", MODEL, "-o", folder / "mask.example")
    run("segment", image, "--box", "32,22,68,58", "--model", MODEL, "-o", folder / "mask.png")
    raw = (folder / "mask.example").read_bytes()
    header = json.loads(raw.split(b"\n", 1)[0])
    assert header["shape"] == [90, 110]
    mask = np.frombuffer(raw.split(b"\n", 1)[1], header["dtype"]).reshape(90, 110)
    assert np.array_equal(mask, read_mask(folder / "mask.png").array)
    # What was written is read again, as the mask to start from.
    arguments = ["--initial-mask", folder / "mask.example", "--point", "50,40", "--model", MODEL]
    run("segment", image, *arguments, "-o", folder / "again.nii")
    listed = run("segment", image, "--point", "50,40", "-o", folder / "mask.unknown", status=2).stderr
    assert ".example" in listed


def test_it_is_trained_with_its_own_prompts(trained: Path) -> None:
    assert {path.name for path in trained.iterdir()} >= {f"{MODEL}.{s}" for s in ("json", "onnx", "safetensors")}
    card = json.loads((trained / f"{MODEL}.json").read_text())
    assert card["name"] == MODEL
    assert card["training"]["steps"] == 8


def test_it_is_evaluated(run: Run, trained: Path, data: Path, folder: Path) -> None:
    arguments = ["--data", data, "--model", MODEL, "--baseline", "none", "--clicks", 2, "--json", folder / "r.json"]
    measured = "--metric" in run("evaluate", "--help").stdout
    run("evaluate", *arguments, *(["--metric", METRIC, "--metric", "dsc"] if measured else []))
    text = (folder / "r.json").read_text()
    assert MODEL in text
    if measured:
        assert METRIC in text


def test_it_is_served_in_the_page(environment: dict[str, str], trained: Path, data: Path, folder: Path) -> None:
    with served(environment, folder) as ask:
        state = ask("GET", "/api/state")
        (format_,) = [found for found in state["formats"] if found["format"] == "example"]
        assert format_["dimensions"] == [2, 3]
        models = {model["name"]: model for model in ask("GET", "/api/models")["models"]}
        assert models[MODEL]["available"], models[MODEL]["reason"]
        image = ask("POST", "/api/images", {"path": str(data / "val" / "2d" / "others" / "c0.image.png")})["image"]
        ask("PATCH", f"/api/images/{image}", {"model": MODEL})
        box = {"kind": "box", "low": [32, 22], "high": [68, 58]}
        ask("POST", f"/api/images/{image}/prompts", {"prompt": box})
        click = {"kind": "point", "position": [50, 40]}
        change = ask("POST", f"/api/images/{image}/prompts", {"prompt": click})
        assert change["passes"] > 0
        assert change["objects"][0]["voxels"] > 0
        raw = ask("GET", f"/api/images/{image}/export?format=example")
        assert json.loads(raw.split(b"\n", 1)[0])["shape"] == [90, 110]


@contextmanager
def served(environment: dict[str, str], folder: Path) -> Iterator[Callable[..., Any]]:
    """The server of ``bedside ui`` in a process of its own; gives what asks it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "bedside.cli.main", "ui", "--no-browser", "--port", str(port)]
    words += ["--workspace", str(folder / "workspace.sqlite")]
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(words, env=environment, stdout=log, stderr=log)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", content, headers, method=method)
        with opener.open(request, timeout=120) as answer:
            raw = answer.read()
            return json.loads(raw) if "json" in answer.headers["Content-Type"] else raw

    try:
        for _ in range(600):
            try:
                ask("GET", "/api/state")
                break
            except (urllib.error.URLError, ConnectionError):
                assert process.poll() is None, (folder / "server.log").read_text()
                time.sleep(0.1)
        yield ask
    finally:
        process.terminate()
        process.wait(30)
