"""From a trained network to the files that inference needs.

One safetensors file holds every parameter as float16. The ONNX graph beside it holds no large tensor of its own: its
initialisers point into the safetensors file, so that OpenVINO, ONNX Runtime and torch all read the same bytes and the
weights are shipped once. Needs torch and onnx.
"""

from __future__ import annotations

import json
import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedside.core.files import atomic_path
from bedside.models.registry import model_card
from bedside.weights.card import WeightsCard, file_sha256
from bedside.weights.store import WeightsFiles

if TYPE_CHECKING:
    from torch import Tensor, nn

SMALL_TENSOR = 1024
"""Initialisers of fewer values stay in the graph: they are biases and scales, which the exporter reshapes."""
OPSET = 18


def export_weights(network: nn.Module, folder: Path, card: WeightsCard) -> WeightsFiles:
    """Write ``<name>.safetensors``, ``<name>.onnx`` and ``<name>.json`` into ``folder``.

    Args:
        network: The trained network; its parameters are rounded to float16 in place, so that all runtimes agree.
        folder: Where the files go.
        card: Card of the weights; its ``sha256`` is filled in.

    Returns:
        The files written.
    """
    import torch
    from safetensors.torch import save_file

    files = WeightsFiles.in_folder(card.name, folder)
    folder.mkdir(parents=True, exist_ok=True)
    halves: dict[str, Tensor] = {}
    with torch.no_grad():
        for name, value in network.state_dict().items():
            halves[name] = value.detach().cpu().to(torch.float16).contiguous()
            value.copy_(halves[name])
    with atomic_path(files.tensors) as path:
        save_file(halves, path, metadata={"format": "pt", "model": card.name})
    with atomic_path(files.graph) as path:
        _write_graph(network, path, files.tensors)
    WeightsCard(**{**vars(card), "sha256": file_sha256(files.tensors)}).save(files.card_path)
    return files


def _write_graph(network: nn.Module, path: Path, tensors: Path) -> None:
    import onnx
    import torch

    card = model_card(tensors.stem)
    example = torch.zeros((1, len(card.channels), *(card.grid,) * card.dimensions))
    axes = {0: "batch"} | {2 + a: "zyx"[3 - card.dimensions + a] for a in range(card.dimensions)}
    with warnings.catch_warnings():
        # The exporter by tracing is called old; the new one needs a further package and gives the same graph.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.cpu().eval(),
            (example,),
            path,
            dynamo=False,
            input_names=["input"],
            output_names=["logits"],
            opset_version=OPSET,
            dynamic_axes={"input": axes, "logits": axes},
        )
    model = onnx.load(path)
    offsets = safetensors_offsets(tensors)
    for initializer in list(model.graph.initializer):
        size = 1
        for length in initializer.dims:
            size *= length
        if size < SMALL_TENSOR or initializer.name not in offsets:
            continue
        _point_into(model, initializer, tensors.name, offsets[initializer.name])
    onnx.save(model, path)


def _point_into(model: Any, initializer: Any, location: str, place: tuple[int, int]) -> None:
    """Replace a float32 initialiser by a float16 one stored in another file, and a cast to float32 after it."""
    import onnx

    full_name = initializer.name
    initializer.ClearField("raw_data")
    initializer.ClearField("float_data")
    initializer.name = f"{full_name}.float16"
    initializer.data_type = onnx.TensorProto.FLOAT16
    initializer.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", str(place[0])), ("length", str(place[1]))):
        entry = initializer.external_data.add()
        entry.key, entry.value = key, value
    cast = onnx.helper.make_node("Cast", [initializer.name], [full_name], to=onnx.TensorProto.FLOAT)
    model.graph.node.insert(0, cast)


def safetensors_offsets(path: Path) -> dict[str, tuple[int, int]]:
    """Byte offset in the file and length of every tensor of a safetensors file."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return {
        name: (8 + length + entry["data_offsets"][0], entry["data_offsets"][1] - entry["data_offsets"][0])
        for name, entry in header.items()
    }
