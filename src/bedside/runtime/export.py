"""From a trained network to the files that inference needs.

One safetensors file holds every parameter, as float16 unless float32 or int8 is asked for. The ONNX graph beside it
holds no large tensor of its own: its initialisers point into the safetensors file, so that OpenVINO, ONNX Runtime and
torch all read the same bytes and the weights are shipped once. Needs torch and onnx.
"""

from __future__ import annotations

import json
import math
import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedside.core.files import move_set_into_place, scratch_folder
from bedside.weights.card import WeightsCard, results_path
from bedside.weights.models import build_model, model_card
from bedside.weights.packed import StoredPrecision, pack, unpack
from bedside.weights.store import WeightsFiles

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = [
    "OPSET",
    "SMALL_TENSOR",
    "StoredPrecision",
    "distinct_state",
    "export_weights",
    "point_into",
    "put_set",
    "repack_weights",
    "safetensors_offsets",
]

SMALL_TENSOR = 1024
"""Initialisers of fewer values stay in the graph: they are biases and scales, which the exporter reshapes."""
OPSET = 18


def export_weights(
    network: nn.Module,
    folder: Path,
    card: WeightsCard,
    *,
    precision: StoredPrecision = "float16",
    grid: int | None = None,
) -> WeightsFiles:
    """Write ``<name>.safetensors``, ``<name>.onnx`` and ``<name>.json`` into ``folder``.

    A tensor that the network holds under several names is written once, under the first.

    Args:
        network: The trained network; its parameters are rounded to ``precision`` in place, so that all runtimes agree.
        folder: Where the files go.
        card: Card of the weights; its checksums are filled in.
        precision: What the parameters are stored as.
        grid: Side of the input by which the graph is traced, that of the model's card where left out. Graphs take
            any size; a small one makes the tracing of a large network quick.

    Returns:
        The files written.
    """
    import torch
    from safetensors.torch import save_file

    files = WeightsFiles.in_folder(card.name, folder)
    state = distinct_state(network)
    stored = pack(state, precision)
    with torch.no_grad():
        for name, value in unpack(stored).items():
            state[name].copy_(value)
    with scratch_folder(folder) as temporary:
        made = WeightsFiles.in_folder(card.name, temporary)
        save_file(stored, made.tensors, metadata={"format": "pt", "model": card.name})
        _write_graph(network, made.graph, made.tensors, grid)
        made.with_checksums(card).save(made.card_path)
        put_set(made, files)
    return files


def put_set(made: WeightsFiles, target: WeightsFiles) -> None:
    """Move a set of weights into place, with the results on its card; after an error the older set is as it was."""
    results = results_path(target.card_path)
    places = [target.card_path.with_name(path.name) for path in made.paths]
    move_set_into_place(zip(made.paths, places, strict=True))
    if results not in places:
        results.unlink(missing_ok=True)


def repack_weights(files: WeightsFiles, folder: Path, precision: StoredPrecision) -> WeightsFiles:
    """Write installed weights of one graph into ``folder`` again, stored in another precision.

    Args:
        files: Files of a model of the family "window".
        folder: Where the files go; not the one they come from.
        precision: What the parameters are stored as.
    """
    from safetensors.torch import load_file

    network = build_model(files.name, files.card.architecture)
    network.load_state_dict(unpack(load_file(files.tensors)))
    return export_weights(network, folder, files.card, precision=precision)


def distinct_state(network: nn.Module) -> dict[str, Tensor]:
    """Return the network's state dict with every tensor once, under its first name."""
    seen: set[int] = set()
    distinct = {}
    for name, value in network.state_dict(keep_vars=True).items():
        if id(value) not in seen:
            seen.add(id(value))
            distinct[name] = value
    return distinct


def _write_graph(network: nn.Module, path: Path, tensors: Path, grid: int | None) -> None:
    import onnx
    import torch

    card = model_card(tensors.stem)
    example = torch.zeros((1, len(card.channels), *(grid or card.grid,) * card.dimensions))
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
        if math.prod(initializer.dims) < SMALL_TENSOR or initializer.name not in offsets:
            continue
        point_into(model, initializer, tensors.name, offsets[initializer.name])
    onnx.save(model, path)


def point_into(model: Any, initializer: Any, location: str, place: tuple[int, int]) -> None:
    """Let an initialiser's values lie in another file, and make float32 of what is float16 or int8 there."""
    import onnx

    full_name, values = initializer.name, math.prod(initializer.dims)
    stored = {1: "int8", 2: "float16", 4: "float32"}[place[1] // values]
    scales = _scales(initializer) if stored == "int8" else None
    initializer.ClearField("raw_data")
    initializer.ClearField("float_data")
    if stored != "float32":
        initializer.name = f"{full_name}.{stored}"
        initializer.data_type = getattr(onnx.TensorProto, stored.upper())
    initializer.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", str(place[0])), ("length", str(place[1]))):
        entry = initializer.external_data.add()
        entry.key, entry.value = key, value
    if stored == "float16":
        node = onnx.helper.make_node("Cast", [initializer.name], [full_name], to=onnx.TensorProto.FLOAT)
        model.graph.node.insert(0, node)
    if scales is not None:
        model.graph.initializer.append(onnx.numpy_helper.from_array(scales, f"{full_name}.scale"))
        node = onnx.helper.make_node("DequantizeLinear", [initializer.name, f"{full_name}.scale"], [full_name], axis=0)
        model.graph.node.insert(0, node)


def _scales(initializer: Any) -> Any:
    """Return the scale of each output channel, from values that were rounded by it: the largest is 127 scales."""
    import numpy as np
    import onnx

    values = np.abs(onnx.numpy_helper.to_array(initializer)).reshape(initializer.dims[0], -1)
    return np.maximum(values.max(axis=1) / 127, 1e-12).astype(np.float32)


def safetensors_offsets(path: Path) -> dict[str, tuple[int, int]]:
    """Return byte offset in the file and length of every tensor of a safetensors file."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return {
        name: (8 + length + entry["data_offsets"][0], entry["data_offsets"][1] - entry["data_offsets"][0])
        for name, entry in header.items()
    }
