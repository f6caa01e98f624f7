"""From files to masks by ``bedside challenge2024``: the public masks, with a formula in the place of networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside.engines.sam.load import SYSTEMS
from bedside.weights import store
from bedside.weights.card import WeightsCard, file_sha256
from bedside.weights.store import WeightsFiles
from tests.support.golden_cases import GRID, cases

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

pytestmark = pytest.mark.slow

GOLDEN = Path(__file__).parents[1] / "engines" / "sam" / "golden" / "pipelines"
MODELS = {
    "lite-medsam": "lite-medsam",
    "rep-medsam": "rep-medsam",
    "daft": "daft",
    "swin-lite-medsam": "swin-lite-medsam",
    "mcp-medsam": "mcp-medsam",
    "medficientsam-python": "medficientsam-l1:inference=python",
}
FURTHER: dict[str, dict[str, tuple[int, ...]]] = {
    "swin-lite-medsam": {"points": (1, 4, 2), "scribble": (1, 1, 256, 256)},
    "mcp-medsam": {"crops": (1, 3, 64, 64), "image_features": (1, 512), "modality": (1,)},
}


class Graph:
    """A small ONNX graph under construction."""

    def __init__(self, inputs: dict[str, tuple[int, ...]], outputs: tuple[str, ...]) -> None:
        kinds = {"modality": TensorProto.INT64}
        self._inputs = [helper.make_tensor_value_info(n, kinds.get(n, TensorProto.FLOAT), s) for n, s in inputs.items()]
        self._outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        self._nodes: list[Any] = []
        self._numbers: list[Any] = []

    def number(self, value: Any) -> str:
        name = f"c{len(self._numbers)}"
        self._numbers.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def run(self, kind: str, *inputs: str, result: str = "", **attributes: Any) -> str:
        name = result or f"n{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def save(self, path: Path) -> None:
        graph = helper.make_graph(self._nodes, "formula", self._inputs, self._outputs, self._numbers)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def encoder(side: int, path: Path) -> None:
    """The mean of the channels on the grid of 256."""
    graph = Graph({"image": (1, 3, side, side)}, ("embedding",))
    step = side // GRID
    grey = graph.run("ReduceMean", "image", axes=[1], keepdims=1)
    graph.run("AveragePool", grey, result="embedding", kernel_shape=[step, step], strides=[step, step])
    graph.save(path)


def decoder(side: int, further: dict[str, tuple[int, ...]], path: Path) -> None:
    """The formula of the golden folder; further prompts are taken and do not matter."""
    graph = Graph({"embedding": (1, 1, GRID, GRID), "boxes": (1, 4), **further}, ("logits",))
    half, scale = graph.number(np.float32(0.5)), graph.number(np.float32(GRID / side))
    on_grid = graph.run("Sub", graph.run("Mul", graph.run("Add", "boxes", half), scale), half)
    ends = []
    for n in range(4):
        side_of_box = graph.run("Gather", on_grid, graph.number(np.int64(n)), axis=1)
        ends.append(graph.run("Reshape", side_of_box, graph.number(np.ones(4, np.int64))))
    x = graph.number(np.arange(GRID, dtype=np.float32).reshape(1, 1, 1, GRID))
    y = graph.number(np.arange(GRID, dtype=np.float32).reshape(1, 1, GRID, 1))
    beyond = [graph.run("Sub", a, b) for a, b in ((ends[0], x), (x, ends[2]), (ends[1], y), (y, ends[3]))]
    near = graph.run("Add", graph.run("Max", *beyond), graph.number(np.float32(2)))
    lost = graph.run("Mul", graph.run("Relu", near), half)
    bright = graph.run("Sub", "embedding", graph.number(np.float32(0.45)))
    total = graph.run("Sub", graph.run("Mul", bright, graph.number(np.float32(3))), lost)
    for name, shape in further.items():
        real = graph.run("Cast", name, to=TensorProto.FLOAT) if name == "modality" else name
        mean = graph.run("ReduceMean", real, axes=list(range(len(shape))), keepdims=0)
        total = graph.run("Add", total, graph.run("Mul", mean, graph.number(np.float32(0))))
    graph.run("Identity", total, result="logits")
    graph.save(path)


def tower(path: Path) -> None:
    graph = Graph({"crops": (1, 3, 224, 224)}, ("image_features",))
    mean = graph.run("ReduceMean", "crops", axes=[1, 2, 3], keepdims=0)
    row = graph.run("Reshape", mean, graph.number(np.array([1, 1], np.int64)))
    graph.run("Expand", row, graph.number(np.array([1, 512], np.int64)), result="image_features")
    graph.save(path)


def install(name: str, folder: Path) -> None:
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    files = WeightsFiles.in_folder(name, folder, "encoder")
    save_file({"none": np.zeros(1, np.float32)}, files.tensors)
    side = SYSTEMS[name].side
    encoder(side, files.graph)
    decoder(side, FURTHER.get(name, {}), files.part_named("decoder").graph)
    if name == "mcp-medsam":
        tower(files.part_named("content").graph)
    WeightsCard(name, "0", file_sha256(files.tensors), "MIT", "a formula").save(files.card_path)


@pytest.mark.parametrize("golden", sorted(MODELS))
def test_thirteen_cases_get_the_public_codes_masks(
    golden: str, cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(tmp_path / "mine"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    install(MODELS[golden].partition(":")[0], tmp_path / "mine")
    (tmp_path / "in").mkdir()
    for name, case in cases().items():
        np.savez_compressed(tmp_path / "in" / name, **case)
    options = ["--model", MODELS[golden], "--runtime", "openvino", "--precision", "fp32"]
    outcome = cli("challenge2024", tmp_path / "in", tmp_path / "out", *options)
    assert outcome.status == 0, outcome.err
    differing = {}
    with np.load(GOLDEN / f"{golden}.npz") as stored:
        for name in cases():
            if f"{Path(name).stem}.segs" not in stored:
                assert (golden, name) == ("rep-medsam", "3DBox_MR_0011.npz")
                continue
            expected = stored[f"{Path(name).stem}.segs"]
            with np.load(tmp_path / "out" / name) as answer:
                labels = answer["segs"]
            for number in range(1, int(expected.max()) + 1):
                ours, theirs = labels == number, expected == number
                together = np.count_nonzero(ours) + np.count_nonzero(theirs)
                assert 2 * np.count_nonzero(ours & theirs) >= 0.999 * together, (name, number)
            differing[name] = int(np.count_nonzero(labels != expected))
    print(golden, differing)
    assert max(differing.values()) <= 5
