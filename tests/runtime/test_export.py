"""Exported files: the tensors are shipped once and the card knows them."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from bedside.runtime.export import SMALL_TENSOR, safetensors_offsets
from bedside.weights.card import file_sha256
from bedside.weights.store import WeightsFiles


def test_the_graph_is_small_beside_its_tensors(exported: WeightsFiles) -> None:
    assert exported.complete
    assert exported.tensors.stat().st_size > 6_500_000
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
