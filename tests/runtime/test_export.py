"""Exported files: the tensors are shipped once and the card knows them."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from bedside.runtime.backend import backends
from bedside.runtime.export import SMALL_TENSOR, export_weights, safetensors_offsets
from bedside.weights.card import WeightsCard, file_sha256
from bedside.weights.models import build_model
from bedside.weights.packed import StoredPrecision
from bedside.weights.store import WeightsFiles


def test_the_graph_is_small_beside_its_tensors(exported: WeightsFiles) -> None:
    assert exported.complete
    assert exported.tensors.stat().st_size > 7_000_000
    assert exported.graph.stat().st_size < 300_000


def test_every_large_initialiser_lies_in_the_safetensors_file(exported: WeightsFiles) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(exported.graph, load_external_data=False)
    offsets = safetensors_offsets(exported.tensors)
    external = 0
    for initializer in model.graph.initializer:
        if initializer.data_location == onnx.TensorProto.EXTERNAL:
            entries = {entry.key: entry.value for entry in initializer.external_data}
            name = initializer.name.removesuffix(".float16")
            assert entries["location"] == exported.tensors.name
            assert (int(entries["offset"]), int(entries["length"])) == offsets[name]
            external += 1
        else:
            assert np.prod(initializer.dims, dtype=int) < SMALL_TENSOR
    assert external > 20
    onnx.checker.check_model(str(exported.graph))


def test_the_tensors_are_half_precision_and_readable(exported: WeightsFiles) -> None:
    numpy_files = pytest.importorskip("safetensors.numpy")
    tensors = numpy_files.load_file(exported.tensors)
    assert {value.dtype for value in tensors.values()} == {np.dtype(np.float16)}
    content = exported.tensors.read_bytes()
    for name, (offset, length) in safetensors_offsets(exported.tensors).items():
        assert content[offset : offset + length] == tensors[name].tobytes()
    (header,) = struct.unpack("<Q", content[:8])
    assert json.loads(content[8 : 8 + header])["__metadata__"]["model"] == "bedside-2d"


def test_the_card_holds_the_checksum_of_the_tensors(exported: WeightsFiles) -> None:
    assert exported.card.sha256 == file_sha256(exported.tensors)
    assert exported.card.name == "bedside-2d"
    assert not list(exported.graph.parent.glob(".*"))


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_weights_of_another_architecture_serve_by_every_runtime(tmp_path: Path, precision: StoredPrecision) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnx")
    architecture = {"encoder": "efficientnet-lite0"}
    card = WeightsCard(
        "bedside-2d", "0", "", "Apache-2.0", "a test", training={"config": {"architecture": architecture}}
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_model("bedside-2d", architecture)
    files = export_weights(network, tmp_path, card, precision=precision)
    generator = np.random.default_rng(0)
    # Twice the grid, by which the graph was traced, and sides that differ.
    for shape in ((1, 8, 128, 128), (1, 8, 256, 256), (1, 8, 64, 96)):
        given = {"input": generator.normal(size=shape).astype(np.float32)}
        answers = [
            backends.get(name).load(files, shape=shape, device="cpu", precision="fp32").run(given)["logits"]
            for name in ("openvino", "onnxruntime", "torch")
            if backends.get(name).version() is not None
        ]
        assert answers[0].shape == (1, 1, *shape[2:])
        for answer in answers[1:]:
            np.testing.assert_allclose(answer, answers[0], atol=1e-3)
