"""From a model's name to a segmenter that is ready for images."""

from __future__ import annotations

from typing import Any, get_args

from bedside.core.errors import InputError, WeightsError
from bedside.models.registry import ModelCard, model_card
from bedside.preprocess.paint import CHANNELS
from bedside.runtime.backend import Device, Precision, choose_backend
from bedside.segment.planes import PlaneSegmenter
from bedside.segment.policy import WindowPolicy
from bedside.segment.protocol import Capabilities
from bedside.segment.window import WindowSegmenter
from bedside.weights.card import file_sha256
from bedside.weights.store import WeightsFiles, find_weights


class LoadedSegmenter(PlaneSegmenter):
    """A segmenter of the window family, with what a manifest says of it.

    Attributes:
        runtime: Name of the runtime.
        device: Where the network runs.
        precision: What it computes in.
        weights_sha256: Checksum of its weights.
    """

    runtime: str
    device: str
    precision: str
    weights_sha256: str


def load_segmenter(
    name: str = "bedside-2d",
    device: str = "auto",
    *,
    runtime: str = "auto",
    precision: str = "auto",
    policy: WindowPolicy | None = None,
    weights: WeightsFiles | None = None,
) -> LoadedSegmenter:
    """A segmenter for the model called ``name``.

    Args:
        name: Model in the registry.
        device: Where to run it.
        runtime: "openvino", "onnxruntime", "torch", or "auto" for the first that is installed.
        precision: "auto" lets the runtime choose by what the processor can do.
        policy: How windows are chosen.
        weights: Files to use instead of those found by name.

    Raises:
        InputError: The model, runtime, device or precision is unknown.
        WeightsError: There are no weights for the model.
        DependencyError: The runtime is not installed.
        BackendError: The runtime cannot load the model or lacks the device.
    """
    chosen_device: Device = check_choice("device", device, get_args(Device))
    chosen_precision: Precision = check_choice("precision", precision, get_args(Precision))
    card = model_card(name)
    if card.family != "window":
        raise InputError(
            f"model '{name}'",
            expected="a model of the family window",
            got=f"family {card.family}, which can be built but not run yet: that comes with segment/slices.py",
            fix="use bedside-2d",
        )
    if card.channels[-len(CHANNELS) :] != CHANNELS:
        raise InputError(
            f"model '{name}'",
            expected="a model that takes prompts as bedside-2d does",
            got="one with channels of its own, which can be imported and built but not run yet",
            fix="use bedside-2d",
        )
    files = weights or find_weights(name)
    check_weights(files)
    backend = choose_backend(runtime, chosen_device)
    shape = (1, len(card.channels), *(card.grid,) * card.dimensions)
    graph = backend.load(files, shape=shape, device=chosen_device, precision=chosen_precision)
    plane = WindowSegmenter(
        name, graph, card.dimensions, card.grid, _capabilities(card, (card.dimensions,)), policy or WindowPolicy()
    )
    segmenter = LoadedSegmenter(plane, _capabilities(card, (2, 3)))
    segmenter.runtime = backend.name
    segmenter.device = graph.device
    segmenter.precision = graph.precision
    segmenter.weights_sha256 = files.card.sha256
    return segmenter


def check_weights(files: WeightsFiles) -> None:
    """Make sure that the tensors are those that their card names.

    Raises:
        WeightsError: The checksum differs.
    """
    found = file_sha256(files.tensors)
    if found != files.card.sha256:
        raise WeightsError(
            f"{files.tensors} is damaged or of another version",
            expected=f"sha256 {files.card.sha256[:12]}...",
            got=f"{found[:12]}...",
            fix="install the package or the weights again",
        )


def check_choice(what: str, value: str, choices: tuple[str, ...]) -> Any:
    """``value``, if it is one of ``choices``.

    Raises:
        InputError: It is not.
    """
    if value not in choices:
        raise InputError(what, expected=f"one of {', '.join(choices)}", got=f"'{value}'")
    return value


def _capabilities(card: ModelCard, dimensions: tuple[int, ...]) -> Capabilities:
    return Capabilities(
        dimensions=dimensions,
        prompt_kinds=frozenset(card.prompt_kinds),
        negative_kinds=frozenset(card.negative_kinds),
        colour="red" in card.channels,
        starts_from=frozenset(card.prompt_kinds),
    )
