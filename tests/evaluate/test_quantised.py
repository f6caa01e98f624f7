"""Quantising a model: it is written only where it is as good as before, and told from one made of other weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from bedside.cli.main import execute
from bedside.core.errors import BackendError, InputError
from bedside.data.catalogue import find_data_sets
from bedside.engines import load_segmenter
from bedside.evaluate import quantised
from bedside.evaluate.quantised import quantise_model
from bedside.runtime.backend import backends
from bedside.runtime.quantise import Inputs
from bedside.weights import store
from bedside.weights.models import model_card
from bedside.weights.store import WeightsFiles, find_weights

SHAPE = (1, 8, 128, 128)


@pytest.fixture(autouse=True)
def private_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(tmp_path / "mine"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two cases of a bright disk."""
    folder = tmp_path / "data" / "val" / "2d" / "disks"
    folder.mkdir(parents=True)
    for number in range(2):
        y, x = np.mgrid[:80, :100]
        labels = ((y - 40) ** 2 + (x - 45 - 5 * number) ** 2 < 20**2).astype(np.uint8)
        noise = np.random.default_rng(number).normal(0, 5, labels.shape)
        image = (60 + 140 * labels + noise).clip(0, 255).astype(np.uint8)
        Picture.fromarray(image).save(folder / f"case{number}.image.png")
        Picture.fromarray(labels).save(folder / f"case{number}.labels.png")
    card = {
        "name": "disks", "split": "val", "dim": "2d", "modality": "test", "label_kind": "semantic",
        "structures": {"1": "disk"}, "licence": "CC0",
    }  # fmt: skip
    (folder / "set.json").write_text(json.dumps(card))
    return tmp_path / "data"


def silent(files: WeightsFiles, samples: Sequence[Inputs], folder: Path, *, attention: bool) -> Path:
    """In the place of the quantised graph one that never finds anything."""
    openvino: Any = pytest.importorskip("openvino")
    opset = openvino.opset13
    assert len(samples) > 0
    assert not attention
    given = opset.parameter(samples[0]["input"].shape, np.float32, name="input")
    given.output(0).get_tensor().set_names({"input"})
    first = opset.strided_slice(given, [0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1])
    logits = opset.add(opset.multiply(first, np.float32(0)), np.float32(-8))
    logits.output(0).get_tensor().set_names({"logits"})
    path = folder / files.int8_graph.name
    openvino.save_model(openvino.Model([logits], [given]), path)
    return path


def test_a_model_that_loses_too_much_is_not_written_unless_that_is_asked_for(
    data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(quantised, "quantise_graph", silent)
    sets = find_data_sets(data)
    found = quantise_model("bedside-2d", sets, samples=4)
    assert found.path is None
    assert [c.set_name for c in found.changes] == ["disks", ""]
    assert found.changes[0].before > 0.8
    # The engine keeps what was clicked, whatever the network says.
    assert found.changes[0].after < 0.01
    assert found.changes[-1].loss > 0.8
    assert not list((tmp_path / "mine").iterdir())

    forced = quantise_model("bedside-2d", sets, samples=4, force=True)
    assert forced.path == tmp_path / "mine" / "bedside-2d.int8.xml"
    report = json.loads(forced.path.with_suffix(".json").read_text())
    assert report["made_from"] == find_weights("bedside-2d").card.sha256
    assert report["samples"] == forced.samples
    assert [entry["set"] for entry in report["dsc"]] == ["disks", "mean over sets"]
    assert {"fp32", "int8"} <= set(report["milliseconds"])
    assert all(value > 0 for value in report["milliseconds"].values())
    segmenter = load_segmenter("bedside-2d", precision="int8")
    assert segmenter.precision == "int8"

    report["made_from"] = "0" * 64
    forced.path.with_suffix(".json").write_text(json.dumps(report))
    with pytest.raises(BackendError, match=r"made from other weights.*quantise bedside-2d"):
        load_segmenter("bedside-2d", precision="int8")


def test_what_is_not_quantised_yet_says_how() -> None:
    with pytest.raises(BackendError, match="bedside weights quantise bedside-2d --data DIR"):
        load_segmenter("bedside-2d", runtime="openvino", precision="int8")
    for runtime in ("onnxruntime", "torch"):
        if backends.get(runtime).version() is not None:
            with pytest.raises(BackendError, match="precision int8"):
                load_segmenter("bedside-2d", runtime=runtime, precision="int8")


def test_half_of_the_cases_must_be_left_to_judge_by(data: Path) -> None:
    (data / "val" / "2d" / "disks" / "case1.image.png").unlink()
    (data / "val" / "2d" / "disks" / "case1.labels.png").unlink()
    with pytest.raises(InputError, match="sets of two cases at least, got disks"):
        quantise_model("bedside-2d", find_data_sets(data))


@pytest.mark.slow
def test_a_quantised_model_is_as_good_and_smaller(data: Path) -> None:
    pytest.importorskip("nncf")
    found = quantise_model("bedside-2d", find_data_sets(data), samples=4)
    assert found.path is not None
    assert abs(found.changes[-1].loss) < 0.01
    assert found.changes[-1].before > 0.8
    weights = find_weights("bedside-2d")
    float16 = 2 * model_card("bedside-2d").parameters
    assert found.path.with_suffix(".bin").stat().st_size < 0.7 * float16
    samples = {"input": np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)}
    exact, rough = (
        backends.get("openvino").load(weights, shape=SHAPE, precision=p).run(samples)["logits"]  # type: ignore[arg-type]
        for p in ("fp32", "int8")
    )
    assert not np.array_equal(exact, rough)
    assert np.mean((exact > 0) == (rough > 0)) > 0.95


def test_the_fastest_precision_is_chosen_by_what_was_measured_here(
    data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(quantised, "quantise_graph", silent)
    assert load_segmenter("bedside-2d", runtime="openvino").precision != "int8"
    forced = quantise_model("bedside-2d", find_data_sets(data), samples=4, force=True)
    assert forced.path is not None
    file = forced.path.with_suffix(".json")
    report = json.loads(file.read_text())

    def chosen(**changes: Any) -> str:
        file.write_text(json.dumps(report | changes))
        return load_segmenter("bedside-2d", runtime="openvino").precision

    slow, fast = ({"fp32": 8.0, "bf16": 8.0, "int8": value} for value in (9.0, 7.0))
    assert chosen(milliseconds=fast) == "int8"
    assert chosen(milliseconds=slow) != "int8"
    assert chosen(milliseconds=fast, processor="another") != "int8"
    assert chosen(milliseconds=fast, made_from="0" * 64) != "int8"
    assert chosen(milliseconds="soon") != "int8"

    chosen(milliseconds=fast)
    monkeypatch.setenv("BEDSIDE_PRECISION", "fp32")
    assert load_segmenter("bedside-2d", runtime="openvino").precision == "fp32"
    assert load_segmenter("bedside-2d", runtime="openvino", precision="int8").precision == "int8"
    monkeypatch.setenv("BEDSIDE_PRECISION", "int3")
    with pytest.raises(InputError, match="precision"):
        load_segmenter("bedside-2d", runtime="openvino")


def test_each_precision_is_measured_on_the_same_objects(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["weights", "precisions", "bedside-2d", "--data", str(data), "--clicks", "1"]
    assert execute(arguments) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[1][0] == "fp32"
    assert "int8" not in [row[0] for row in rows]
    assert 0.8 < float(rows[1][1]) <= 1
    assert float(rows[1][4]) > 0
    assert all(abs(float(row[3])) < 0.01 for row in rows[1:])
