"""Graphs that others publish for OpenVINO, kept as they are: structure as XML, numbers in one file of tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import WeightsError
from bedside.core.files import move_set_into_place, scratch_folder
from bedside.runtime.openvino_core import shared_core
from bedside.weights.card import WeightsCard, file_sha256
from bedside.weights.store import PARTS, WeightsFiles


@dataclass(frozen=True)
class PublishedGraphs:
    """The graphs of one network of the SAM family, in three parts.

    Attributes:
        encoder: Images (1, 3, side, side) to the embedding.
        prompts: Boxes (n, 1, 1, 4) or (n, 4) to tokens and a map.
        decoder: Embedding, positions, tokens and map to logits and the expected overlap.
        positions: .npy file of the features of positions, (1, 256, 64, 64).
    """

    encoder: Path
    prompts: Path
    decoder: Path
    positions: Path


def write_published_parts(graphs: PublishedGraphs, folder: Path, stem: str, card: WeightsCard) -> WeightsFiles:
    """Join the parts to an encoder and a decoder, as all networks of the family are served, and write them.

    Args:
        graphs: What was published.
        folder: Where the files go.
        stem: What they are called.
        card: Card of the weights; its checksums are filled in.

    Returns:
        The files of the encoder.

    Raises:
        WeightsError: A graph is damaged, or its inputs and outputs are others.
    """
    from safetensors.numpy import save_file

    models = {PARTS[0]: _encoder(graphs), PARTS[1]: _decoder(graphs)}
    with scratch_folder(folder) as made:
        weights: dict[str, NDArray[np.uint8]] = {}
        for part, model in models.items():
            _serialise(model, made / f"{part}.xml", made / f"{part}.bin")
            weights[part] = np.fromfile(made / f"{part}.bin", dtype=np.uint8)
        tensors = made / f"{stem}.safetensors"
        save_file(weights, tensors, metadata={"model": card.name})
        sums = {f"{stem}.{part}.xml": file_sha256(made / f"{part}.xml") for part in models}
        replace(card, sha256=file_sha256(tensors), graphs=sums).save(made / f"{stem}.json")
        named = [(made / f"{part}.xml", folder / f"{stem}.{part}.xml") for part in models]
        # The results on the card, too, where there are any.
        plain = [tensors, *(path for path in made.glob(f"{stem}*.json"))]
        move_set_into_place([*named, *((path, folder / path.name) for path in plain)])
        for part in models:
            # A set has one kind of graph.
            (folder / f"{stem}.{part}.onnx").unlink(missing_ok=True)
    return WeightsFiles.in_folder(stem, folder, PARTS[0])


def _encoder(graphs: PublishedGraphs) -> Any:
    model = _read(graphs.encoder)
    if len(model.inputs) != 1 or not model.outputs:
        raise _other(graphs.encoder, "one input and the embedding", model)
    _name(model.inputs[0], "image")
    _name(model.outputs[0], "embedding")
    return model


def _decoder(graphs: PublishedGraphs) -> Any:
    """Return prompt encoder and mask decoder as one graph: embedding and boxes (1, 4) to logits and iou."""
    import openvino
    from openvino import opset13

    prompts, decoder = _read(graphs.prompts), _read(graphs.decoder)
    boxes = opset13.parameter([1, 4], np.float32, name="boxes")
    rank = prompts.input("boxes").get_partial_shape().rank.get_length() if _has(prompts.inputs, "boxes") else 0
    needed = ("image_embeddings", "image_pe", "sparse_prompt_embeddings", "dense_prompt_embeddings")
    given = ("sparse_embeddings", "dense_embeddings")
    if rank not in (2, 3, 4) or not all(_has(prompts.outputs, name) for name in given):
        raise _other(graphs.prompts, f"boxes to {' and '.join(given)}", prompts)
    outputs = ("low_res_masks", "iou_predictions")
    if not all(_has(decoder.inputs, n) for n in needed) or not all(_has(decoder.outputs, n) for n in outputs):
        raise _other(graphs.decoder, f"{', '.join(needed)} to {' and '.join(outputs)}", decoder)
    try:
        positions = np.load(graphs.positions, allow_pickle=False).astype(np.float32)
    except (OSError, ValueError) as error:
        raise WeightsError(f"{graphs.positions.name}", expected="an array", got=str(error)[:160]) from error
    placed = opset13.reshape(boxes, opset13.constant(np.array([1] * (rank - 1) + [4], np.int64)), special_zero=False)
    prompts.input("boxes").get_node().output(0).replace(placed.output(0))
    sparse, dense = (prompts.output(name).get_node().input_value(0) for name in given)
    for name, value in (
        ("image_pe", opset13.constant(positions).output(0)),
        ("sparse_prompt_embeddings", sparse),
        ("dense_prompt_embeddings", dense),
    ):
        decoder.input(name).get_node().output(0).replace(value)
    embedding = decoder.input("image_embeddings").get_node()
    results = [opset13.result(decoder.output(name).get_node().input_value(0)) for name in outputs]
    joined = openvino.Model(results, [embedding, boxes], "decoder")
    for port, name in zip((*joined.inputs, *joined.outputs), ("embedding", "boxes", "logits", "iou"), strict=True):
        _name(port, name)
    return joined


def _serialise(model: Any, xml: Path, numbers: Path) -> None:
    import openvino

    openvino.serialize(model, str(xml), str(numbers))
    # What was lost because the disk is full is found here: the graph says where each number is.
    _read(xml)


def _read(path: Path) -> Any:
    try:
        return shared_core().read_model(path)
    except RuntimeError as error:
        raise WeightsError(f"{path.name}", expected="a graph of OpenVINO and its .bin", got=str(error)[:160]) from error


def _has(ports: Sequence[Any], name: str) -> bool:
    return any(name in port.get_names() for port in ports)


def _name(port: Any, name: str) -> None:
    port.get_tensor().set_names({name})


def _other(path: Path, expected: str, model: Any) -> WeightsError:
    names = [next(iter(sorted(port.get_names())), "?") for port in (*model.inputs, *model.outputs)]
    return WeightsError(f"graph {path.name}", expected=expected, got=", ".join(names[:8]) or "none")


def named_constants(path: Path) -> Mapping[str, NDArray[Any]]:
    """Return the numbers of a published graph that still have a dotted name, float32 where they were compressed to
    float16.

    Raises:
        WeightsError: The graph is damaged.
    """
    found: dict[str, NDArray[Any]] = {}
    for node in _read(path).get_ops():
        if node.get_type_name() != "Constant" or "." not in node.get_friendly_name():
            continue
        name = node.get_friendly_name().removesuffix("_compressed")
        values = np.array(node.data)
        found[name] = values.astype(np.float32) if values.dtype == np.float16 else values
    return found
