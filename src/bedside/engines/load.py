"""From a model's name to a segmenter that is ready for images."""

from __future__ import annotations

import os
from typing import Any, get_args

from bedside.core.engines import engine_spec, resolve
from bedside.core.errors import InputError, WeightsError
from bedside.engines.loaded import Engine, EngineRequest, LoadedSegmenter
from bedside.engines.protocol import Segmenter
from bedside.engines.sam.policy import SlicePolicy
from bedside.engines.uncertainty import Calibration
from bedside.engines.window.policy import WindowPolicy
from bedside.runtime.backend import Backend, Device, Graph, Precision, choose_backend, usable_backends
from bedside.runtime.falling_back import load_by, load_by_first
from bedside.weights.card import file_sha256
from bedside.weights.models import model_card
from bedside.weights.store import WeightsFiles, find_weights

PRECISION_VARIABLE = "BEDSIDE_PRECISION"
"""Environment variable that names a precision where none is asked for, for every verb and the page alike."""


def load_segmenter(
    name: str = "bedside-2d",
    device: str = "auto",
    *,
    runtime: str = "auto",
    precision: str = "auto",
    window: str | None = None,
    policy: WindowPolicy | None = None,
    slices: SlicePolicy | None = None,
    weights: WeightsFiles | None = None,
    calibration: Calibration | None = None,
) -> LoadedSegmenter:
    """Return a segmenter for the model called ``name``.

    Args:
        name: Model in the registry.
        device: Where to run it.
        runtime: One that ``bedside info`` lists, or "auto" for the first that is installed.
        precision: "auto" takes that of the environment variable ``BEDSIDE_PRECISION``; where it is not set either, the
            runtime chooses by what the processor can do.
        window: Strategy by which windows are chosen, by its name; the model's own where left out.
        policy: Numbers of the strategy "evidence".
        slices: How volumes are predicted slice by slice, of the family "sam" only.
        weights: Files to use instead of those found by name.
        calibration: Curve to estimate the DSC of predictions by, instead of the one on the weights' card.

    Raises:
        InputError: The model, runtime, device or precision is unknown.
        WeightsError: There are no weights for the model.
        DependencyError: The runtime is not installed.
        BackendError: The runtime cannot load the model or lacks the device.
    """
    chosen_device: Device = check_choice("device", device, get_args(Device))
    chosen_precision: Precision = check_choice("precision", wanted_precision(precision), get_args(Precision))
    card = model_card(name)
    files = weights or find_weights(name)
    check_weights(files)
    curve = calibration or read_calibration(files)

    def load(backend: Backend) -> LoadedSegmenter:
        request = EngineRequest(
            *(card, files, backend, chosen_device, chosen_precision),
            window=policy or window,
            slices=slices,
            calibration=curve,
        )
        return LoadedSegmenter(*load_engine(request), request)

    if runtime != "auto" or chosen_precision not in ("auto", "fp32"):
        return load_by(choose_backend(runtime, chosen_device), load)
    return load_by_first(usable_backends(chosen_device), load, chosen_device)


def wanted_precision(precision: str) -> str:
    """Return the precision that was asked for, by name or else by the environment."""
    return (os.environ.get(PRECISION_VARIABLE) or "auto") if precision == "auto" else precision


def read_calibration(files: WeightsFiles) -> Calibration | None:
    """Return the curve on the card of the weights, None where there is none.

    Raises:
        InputError: It is no rising curve.
        WeightsError: The card has something else in its place.
    """
    curve = files.card.calibration
    try:
        return Calibration.from_dict(curve) if curve else None
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"calibration of '{files.name}'", expected="two lists of numbers", got=repr(error)
        ) from error


def load_engine(request: EngineRequest) -> tuple[Segmenter, Graph]:
    """Return the segmenter of the engine that runs the model of ``request``, and its network.

    Raises:
        InputError: No engine runs models of its family.
    """
    load: Engine = resolve(engine_spec(request.card.family).load)
    return load(request)


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
    """Return ``value``, if it is one of ``choices``.

    Raises:
        InputError: It is not.
    """
    if value not in choices:
        raise InputError(what, expected=f"one of {', '.join(choices)}", got=f"'{value}'")
    return value
