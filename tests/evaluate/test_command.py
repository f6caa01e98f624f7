"""The command ``bedside evaluate``, with a segmenter that stands in for a model."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from bedside.cli.evaluate import evaluate
from bedside.core.errors import InputError
from bedside.evaluate.metrics import METRICS, EmptyValues, MetricSpec
from tests.evaluate.conftest import DiscSegmenter, write_image_set


@pytest.fixture
def call(data, monkeypatch):
    loaded = []

    def load(name, device="auto"):
        loaded.append((name, device))
        return DiscSegmenter()

    monkeypatch.setattr("bedside.engines.load_segmenter", load)
    app = typer.Typer()
    app.command()(evaluate)

    def run(*arguments):
        result = CliRunner().invoke(app, ["--data", str(data), *map(str, arguments)])
        result.loaded = loaded
        return result

    return run


def test_all_outputs_at_once(call, tmp_path):
    files = [tmp_path / f"out/e.{suffix}" for suffix in ("json", "csv", "html")]
    result = call("--baseline", "box", "--clicks", 2, "--json", files[0], "--csv", files[1], "--report", files[2],
                  "--device", "cpu", "--set", "images", "--tolerance", 3)  # fmt: skip
    assert result.exit_code == 0, result.output
    assert result.loaded == [("bedside-2d", "cpu")]
    assert "mean over sets" in result.output
    assert all(f.stat().st_size > 500 for f in files)
    document = json.loads(files[0].read_text())
    assert [c["name"] for c in document["candidates"]] == ["bedside-2d", "box"]
    assert [s["name"] for s in document["sets"]] == ["images"]
    assert document["protocol"]["tolerance"] == 3
    assert document["protocol"]["clicks"] == 2


def test_models_and_baselines_can_be_left_out(call):
    result = call("--model", "none", "--baseline", "box", "--clicks", 1)
    assert result.exit_code == 0, result.output
    assert result.loaded == []
    result = call("--model", "one", "--model", "two", "--baseline", "none", "--clicks", 1, "--start", "scribble")
    assert result.exit_code == 0, result.output
    assert [name for name, _ in result.loaded] == ["one", "two"]
    assert "box" not in result.output


def test_the_default_baselines_are_those_that_take_the_start(call):
    pytest.importorskip("skimage")
    result = call("--start", "point", "--clicks", 1, "--set", "volumes")
    assert result.exit_code == 0, result.output
    assert "random-walker" in result.output
    assert " box " not in result.output


def test_val_is_taken_where_there_are_several_splits(call, data):
    folder = write_image_set(data, "other")
    card = json.loads((folder / "set.json").read_text())
    (folder / "set.json").write_text(json.dumps(card | {"split": "train"}))
    arguments = ("--model", "none", "--baseline", "box", "--clicks", 0)
    assert "other" not in call(*arguments).output
    result = call(*arguments, "--split", "train")
    assert "other" in result.output
    assert "images" not in result.output


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (("--start", "lasso"), "'bedside-2d' cannot start from a lasso: expected a start of box, point, scribble"),
        (("--start", "brush"), "--start: expected each once of box, .* or all, got 'brush'"),
        (("--clicks", -1), "clicks: expected 0 to 100, got -1"),
        (("--objects", 0), "objects: expected at least one object .*limit=0"),
        (("--set", "nothing"), "expected one of images, volumes, got nothing"),
        (("--split", "test"), "--split: expected one of val, got 'test'"),
        (("--volumes", "some"), "--volumes: expected one of slices, whole, got 'some'"),
        (("--slice-axis", "t"), "--slice-axis: expected one of auto, x, y, z, got 't'"),
        (("--tolerance-unit", "cm"), "--tolerance-unit: expected one of auto, px, got 'cm'"),
        (("--baseline", "boxx"), "unknown baseline: expected one of .*, got 'boxx'; did you mean 'box'"),
        (("--metric", "dcs"), "unknown metric: expected one of assd, dsc, hd95, nsd, got 'dcs'; did you mean 'dsc'"),
        (("--metric", "dsc", "--metric", "dsc"), "metrics: expected each once of assd, .* got 'dsc, dsc'"),
        (("--tolerance", -2), "tolerance: expected a distance of 0 or more, got -2"),
        (("--start", "point", "--baseline", "box"), "'box' cannot start from a point: expected a start of box"),
        (("--json", "."), r"output: expected a file, got the folder \."),
        (("--report", "."), r"output: expected a file, got the folder \."),
    ],
)
def test_bad_input_is_named(call, wrong, message):
    result = call(*wrong)
    assert isinstance(result.exception, InputError)
    assert re.search(message, str(result.exception)), result.exception
    assert result.output == ""


def test_an_interruption_leaves_nothing(call, tmp_path, monkeypatch):
    def interrupt(self, prompts, previous=None, fresh=1):
        raise KeyboardInterrupt

    monkeypatch.setattr(DiscSegmenter, "predict", interrupt)
    result = call("--baseline", "none", "--json", tmp_path / "e.json")
    assert result.exit_code == 130
    assert not (tmp_path / "e.json").exists()


def test_a_metric_of_ones_own_is_one_specification(call, tmp_path, monkeypatch):
    def error(truth, prediction, sampling):
        return abs(float(np.count_nonzero(prediction)) - np.count_nonzero(truth)) * np.prod(sampling.spacing)

    spec = MetricSpec("volume-error", "lower", "mm3", (0.0, math.inf), EmptyValues(), "", error)
    monkeypatch.setitem(METRICS._entries, spec.name, spec)
    files = {suffix: tmp_path / f"e.{suffix}" for suffix in ("json", "csv", "md", "html")}
    result = call("--baseline", "box", "--clicks", 1, "--metric", "volume-error", "--json", files["json"],
                  "--csv", files["csv"], "--markdown", files["md"], "--report", files["html"])  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "VOLUME-ERROR mm3 after a box" in result.output
    overall = {s["candidate"]: s["curves"]["volume-error"] for s in json.loads(files["json"].read_text())["overall"]}
    # The box is too large by what lies in its corners.
    assert overall["box"]["values"][0] > 0
    text = f"{overall['box']['values'][0]:.2f}"
    assert text in result.output
    assert text in files["md"].read_text()
    assert "VOLUME-ERROR mm3, lower is better" in files["html"].read_text()
    assert "volume-error" in files["csv"].read_text().splitlines()[0]
