"""From a model's name to a segmenter: choices that are rejected, and what a loaded one knows of itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bedside.core.engines import engine_spec, resolve
from bedside.core.errors import InputError, WeightsError
from bedside.core.image import Image
from bedside.core.prompts import Box
from bedside.engines import load_segmenter
from bedside.weights import store
from bedside.weights.card import WeightsCard
from bedside.weights.models import model_card
from bedside.weights.store import WeightsFiles


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> WeightsFiles:
    """The bundled model with initial parameters."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnx")
    torch.set_num_threads(1)
    from bedside.runtime.export import export_weights
    from bedside.weights.models import build_model

    card = WeightsCard("bedside-2d", "0", "", "Apache-2.0", "initial parameters")
    return export_weights(build_model("bedside-2d"), tmp_path_factory.mktemp("weights"), card)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"device": "gpu"}, "device.*auto, cpu, cuda.*'gpu'"),
        ({"precision": "fp16"}, "precision.*'fp16'"),
        ({"runtime": "tensorrt"}, "runtime.*'tensorrt'"),
        ({"name": "bedside-4d"}, "model.*'bedside-4d'"),
    ],
)
def test_unknown_choices_are_rejected_with_those_there_are(
    choice: dict[str, str], message: str, weights: WeightsFiles
) -> None:
    with pytest.raises(InputError, match=message):
        load_segmenter(**choice, weights=weights)  # type: ignore[arg-type]


def test_missing_weights_are_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(store, "BUNDLED", tmp_path)
    with pytest.raises(WeightsError, match="weights of 'bedside-2d'"):
        load_segmenter()


def test_a_loaded_segmenter_says_what_it_is_and_answers(
    weights: WeightsFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    segmenter = load_segmenter(weights=weights, precision="fp32")
    card = model_card("bedside-2d")
    assert (segmenter.name, segmenter.runtime, segmenter.device) == ("bedside-2d", "openvino", "CPU")
    assert segmenter.precision == "fp32"
    assert segmenter.weights_sha256 == weights.card.sha256
    assert segmenter.capabilities.dimensions == (2, 3)
    assert segmenter.capabilities.prompt_kinds == set(card.prompt_kinds)
    assert segmenter.capabilities.negative_kinds == set(card.negative_kinds)
    assert segmenter.capabilities.colour
    plain = segmenter.capabilities.to_dict()
    assert plain["dimensions"] == [2, 3]
    for shape in ((40, 50), (40, 50, 3), (5, 40, 50)):
        segmenter.set_image(Image.from_array(np.zeros(shape, np.uint8)))
        flat = len(shape) == 2 or shape[-1] == 3
        box = Box((10.0, 10.0), (30.0, 30.0)) if flat else Box((10.0, 10.0, 1.0), (30.0, 30.0, 3.0))
        prediction = segmenter.predict([box])
        assert prediction.passes >= 1
        assert prediction.logits.shape == (card.grid,) * 2


PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from bedside.core.image import Image
from bedside.core.prompts import Box
from bedside.engines import load_segmenter
from bedside.weights.store import WeightsFiles
segmenter = load_segmenter(weights=WeightsFiles.in_folder("bedside-2d", Path(sys.argv[1])))
segmenter.set_image(Image.from_array(np.zeros((60, 60), np.uint8)))
segmenter.predict([Box((10.0, 10.0), (30.0, 30.0))])
print(*sorted({"torch", "onnx", "onnxruntime", "skimage"} & set(sys.modules)))
"""


def test_a_prediction_needs_neither_torch_nor_onnx(weights: WeightsFiles) -> None:
    program = [sys.executable, "-c", PROGRAM, str(weights.graph.parent)]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_an_unknown_engine_is_rejected() -> None:
    with pytest.raises(
        InputError, match=r"unknown engine: expected one of nninteractive, sam, window, got 'diffusion'"
    ):
        engine_spec("diffusion")


def test_each_model_has_its_engine() -> None:
    for name, engine in (("bedside-2d", "window"), ("nninteractive", "nninteractive"), ("lite-medsam", "sam")):
        assert callable(resolve(engine_spec(model_card(name).family).load))
        assert engine_spec(model_card(name).family).name == engine


def test_a_free_licence_needs_no_notice(weights: WeightsFiles) -> None:
    assert load_segmenter(weights=weights).notice is None


def test_a_strategy_is_chosen_by_its_name(weights: WeightsFiles) -> None:
    load_segmenter(weights=weights, window="autozoom")
    with pytest.raises(InputError, match="window strategy: expected one of adaptive-crop, autozoom, evidence"):
        load_segmenter(weights=weights, window="zoom")


def test_damaged_tensors_are_rejected_by_their_checksum(weights: WeightsFiles, tmp_path: Path) -> None:
    copies = WeightsFiles.in_folder(weights.name, tmp_path)
    for source, target in (
        (weights.graph, copies.graph),
        (weights.tensors, copies.tensors),
        (weights.card_path, copies.card_path),
    ):
        target.write_bytes(source.read_bytes())
    content = bytearray(copies.tensors.read_bytes())
    content[-1] ^= 1
    copies.tensors.write_bytes(content)
    with pytest.raises(WeightsError, match="sha256"):
        load_segmenter("bedside-2d", weights=copies)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_image_without_any_number_is_rejected(weights: WeightsFiles, value: float) -> None:
    segmenter = load_segmenter(weights=weights)
    array = np.full((40, 50), value, np.float32)
    with pytest.raises(InputError, match="all NaN or infinite"):
        segmenter.set_image(Image.from_array(array))
    array[30, 20] = 1
    segmenter.set_image(Image.from_array(array))
    assert segmenter.predict([Box((2, 2), (30, 35))]).mask.shape
