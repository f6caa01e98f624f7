"""From a network of the SAM family to its files: one of tensors, two graphs that point into it, and a card.

The scheme is that of ``export``: a safetensors file holds the parameters once, and the ONNX graphs of the image encoder
and of the decoder hold none that is large. Needs torch and onnx.
"""

from __future__ import annotations

import math
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bedside.core.errors import InputError
from bedside.core.files import scratch_folder
from bedside.runtime.export import OPSET, SMALL_TENSOR, StoredPrecision, point_into, put_set, safetensors_offsets
from bedside.weights.card import WeightsCard
from bedside.weights.store import PARTS, TOWER, WeightsFiles

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bedside.engines.sam.blocks.clip import Clip
    from bedside.engines.sam.convert.parts import Part

HIGHEST_HALF = 65504.0
TRACED = 2
"""Prompts by which a decoder is traced: more than one, so that none of its steps takes the number for granted."""


def export_parts(
    network: nn.Module,
    folder: Path,
    card: WeightsCard,
    *,
    stem: str | None = None,
    precision: StoredPrecision = "float16",
    text_features: Tensor | None = None,
    clip: Clip | None = None,
) -> WeightsFiles:
    """Write ``<stem>.safetensors``, ``<stem>.encoder.onnx``, ``<stem>.decoder.onnx`` and ``<stem>.json``: all or none.

    Tensors of fewer than 1024 values (biases, scales, running statistics, the frequencies of positions) are kept as
    float32, as are those that float16 cannot hold: together they are a few kilobytes.

    Args:
        network: From ``sam.parts.served_network``; its parameters are rounded in place, so that all runtimes agree.
        folder: Where the files go.
        card: Card of the weights; its ``sha256`` is filled in.
        stem: What the files are called, by default as the model.
        precision: What large tensors are stored as.
        text_features: (11, 512), the frozen CLIP's features of the modalities' names, for MCP-MedSAM.
        clip: That CLIP, whose image encoder becomes ``<stem>.content.onnx``.

    Returns:
        The files of the encoder; those of the decoder are beside them.

    Raises:
        InputError: The precision is unknown.
    """
    from bedside.engines.sam.convert.parts import TEXT_FEATURES, served_state, split

    if precision not in ("float16", "float32"):
        raise InputError("precision of the weights", expected="float16 or float32", got=f"'{precision}'")
    target = WeightsFiles.in_folder(stem or card.name, folder, PARTS[0])
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with scratch_folder(folder) as temporary:
            made = WeightsFiles.in_folder(target.name, temporary, PARTS[0])
            parts = split(network, text_features, clip)
            state = dict(served_state(network))
            decoder = parts["decoder"]
            if TEXT_FEATURES in dict(decoder.named_buffers()):
                state[TEXT_FEATURES] = decoder.get_buffer(TEXT_FEATURES)
            if TOWER in parts:
                state |= parts[TOWER].state_dict(keep_vars=True)
            _save_tensors(state, made.tensors, card.name, precision)
            for name, part in parts.items():
                _write_graph(part, made.part_named(name).graph, made.tensors)
            made.with_checksums(card).save(made.card_path)
            put_set(made, target)
    except BaseException:
        if new:
            with suppress(OSError):
                folder.rmdir()
        raise
    return target


def _save_tensors(state: dict[str, Tensor], path: Path, model: str, precision: StoredPrecision) -> None:
    import torch
    from safetensors.torch import save_file

    stored: dict[str, Tensor] = {}
    with torch.no_grad():
        for name, value in state.items():
            whole = value.detach().cpu().contiguous()
            if precision == "float16" and whole.numel() >= SMALL_TENSOR and _fits_half(whole):
                whole = whole.half()
                value.copy_(whole)
            stored[name] = whole
    # One entry only: several are written in an order that differs from run to run, and with it the checksum.
    save_file(stored, path, metadata={"model": model})


def _fits_half(value: Tensor) -> bool:
    import torch

    # Masks of attention hold minus infinity, which float16 has.
    finite = value[torch.isfinite(value)]
    return value.is_floating_point() and (finite.numel() == 0 or float(finite.abs().max()) <= HIGHEST_HALF)


def _write_graph(part: Part, path: Path, tensors: Path) -> None:
    import onnx
    import torch

    names = [*part.inputs, *part.outputs]
    with warnings.catch_warnings(), torch.no_grad():
        # The exporter by tracing is called old; the new one needs a further package and gives the same graph.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            part,
            part.examples(TRACED),
            path,
            dynamo=False,
            # Folding would give parameters other names and values than the tensors' file has; runtimes fold on loading.
            do_constant_folding=False,
            training=torch.onnx.TrainingMode.PRESERVE,
            input_names=list(part.inputs),
            output_names=list(part.outputs),
            opset_version=OPSET,
            dynamic_axes={name: {0: "prompts"} for name in names if name in part.per_prompt},
        )
    model = onnx.load(path)
    offsets = safetensors_offsets(tensors)
    for initializer in list(model.graph.initializer):
        if math.prod(initializer.dims) >= SMALL_TENSOR and initializer.name in offsets:
            point_into(model, initializer, tensors.name, offsets[initializer.name])
    onnx.save(model, path)
