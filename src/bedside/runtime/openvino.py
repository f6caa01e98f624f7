"""OpenVINO, the default runtime."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import BackendError
from bedside.runtime.backend import Device, Precision, Shape, backends
from bedside.runtime.openvino_cache import compiled_folder, seal
from bedside.runtime.openvino_core import shared_core
from bedside.weights.store import WeightsFiles

MEMORY = "close other programs if the memory is short"

log = logging.getLogger("bedside.runtime")


class OpenVinoGraph:
    """A compiled OpenVINO model."""

    def __init__(self, compiled: Any, outputs: Sequence[str], device: str, precision: str) -> None:
        self.device = device
        self.precision = precision
        self._request = compiled.create_infer_request()
        self._outputs = outputs

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return outputs by name for inputs by name; float32 both."""
        try:
            self._request.infer(dict(inputs), share_inputs=True)
        except RuntimeError as error:
            raise BackendError("OpenVINO cannot run the network", got=_said(error), fix=MEMORY) from error
        # The request reuses its buffers: what is kept must be a copy.
        tensors = (self._request.get_output_tensor(number) for number in range(len(self._outputs)))
        return {name: np.array(tensor.data) for name, tensor in zip(self._outputs, tensors, strict=True)}


class OpenVinoBackend:
    """Runs ONNX graphs by OpenVINO on the CPU; compiled models are cached on disk."""

    name = "openvino"

    def version(self) -> str | None:
        """Return version of the installed library, None where there is none."""
        try:
            return importlib.metadata.version("openvino")
        except importlib.metadata.PackageNotFoundError:
            return None

    def supports(self, device: Device) -> bool:
        """CPU only."""
        return device in ("auto", "cpu")

    def load(
        self, weights: WeightsFiles, *, shape: Shape, device: Device = "auto", precision: Precision = "auto"
    ) -> OpenVinoGraph:
        """Compile the graph for inputs of ``shape``.

        bfloat16 is taken by "auto" where the processor computes in it: less than half the time, and masks that differ
        in a few border voxels. An int8 graph is taken where one was made of these weights and was the fastest on this
        processor when it was made.

        Raises:
            BackendError: OpenVINO cannot read or compile the graph.
        """
        del device
        try:
            chosen = _precision(shared_core(), weights, precision)
        except RuntimeError as error:
            raise BackendError("OpenVINO cannot begin", got=_said(error), fix=MEMORY) from error
        try:
            return self._compile(weights, shape, chosen)
        except BackendError as error:
            if precision != "auto" or chosen == "fp32":
                raise
            # What the processor says of itself and what the library can make of it are not always the same.
            graph = self._compile(weights, shape, "fp32")
            log.warning("bedside: warning: %s; it computes in fp32, which takes longer", error)
            return graph

    def _compile(self, weights: WeightsFiles, shape: Shape, chosen: str) -> OpenVinoGraph:
        if chosen != "int8":
            weights.check_graph()
        core = shared_core()
        folder = compiled_folder(weights, shape, chosen)
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if chosen == "bf16" else "f32",
            **({"CACHE_DIR": str(folder)} if folder is not None else {}),
        }
        try:
            if weights.graph.suffix == ".xml" and chosen != "int8":
                model = published_model(weights)
            else:
                model = core.read_model(int8_graph(weights) if chosen == "int8" else weights.graph)
            if isinstance(shape, Mapping):
                model.reshape({name: list(sides) for name, sides in shape.items()})
            else:
                model.reshape(list(shape))
            # Compiling merges layers and with them names, so that an output may get a further one from within.
            outputs = [output.get_any_name() for output in model.outputs]
            compiled = core.compile_model(model, "CPU", settings)
        except RuntimeError as error:
            name = f"OpenVINO cannot load {weights.graph.name} in {chosen}"
            raise BackendError(name, got=_said(error), fix=MEMORY if _ALLOC in str(error) else None) from error
        if folder is not None:
            seal(folder)
        return OpenVinoGraph(compiled, outputs, "CPU", chosen)


def _said(error: RuntimeError) -> str:
    """Return what the library says, without the places in its source."""
    return str(error).strip().splitlines()[-1].rpartition(": ")[2][:200] or "no reason"


_ALLOC = "bad_alloc"


def published_model(weights: WeightsFiles) -> Any:
    """Return the model of one part of weights that were published as graphs; see ``openvino_parts``.

    Raises:
        BackendError: The files hold something else.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights.tensors, framework="numpy") as held:
            numbers = held.get_tensor(weights.part)
        return shared_core().read_model(weights.graph.read_bytes(), numbers.tobytes())
    except (OSError, SafetensorError) as error:
        raise BackendError(f"OpenVINO cannot load {weights.graph.name}", got=str(error)[:200]) from error


def int8_graph(weights: WeightsFiles) -> Path:
    """Return the quantised graph of a set of weights.

    Raises:
        BackendError: There is none, or it was made from other weights.
    """
    path = weights.int8_graph
    fix = f"make it with: bedside weights quantise {weights.name} --data DIR"
    if not path.is_file():
        raise BackendError(f"precision int8 of '{weights.name}'", expected=path.name, got="none", fix=fix)
    try:
        made_from = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["made_from"]
    except (OSError, ValueError, KeyError, TypeError):
        made_from = "nothing that is known"
    if made_from != weights.card.sha256:
        raise BackendError(f"{path.name} was made from other weights", got=str(made_from)[:24], fix=fix)
    return path


def _precision(core: Any, weights: WeightsFiles, precision: Precision) -> str:
    if precision != "auto":
        return precision
    exact = "bf16" if computes_in_bf16(core) else "fp32"
    times = int8_times(weights)
    return "int8" if times.get("int8", math.inf) < times.get(exact, 0.0) else exact


def computes_in_bf16(core: Any = None) -> bool:
    """Return whether the processor has instructions for bfloat16 (AVX-512 BF16 or AMX).

    Args:
        core: OpenVINO's; by default the one of the process.
    """
    return "BF16" in (core or shared_core()).get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def processor_name() -> str:
    """Return what OpenVINO calls the processor."""
    return str(shared_core().get_property("CPU", "FULL_DEVICE_NAME")).strip()


def int8_times(weights: WeightsFiles) -> dict[str, float]:
    """Return milliseconds a pass in each precision, as measured when the int8 graph was made.

    Empty where there is no such graph, where it was made from other weights, or on another processor than this.
    """
    try:
        report = json.loads(int8_graph(weights).with_suffix(".json").read_text(encoding="utf-8"))
        times = {str(name): float(value) for name, value in report["milliseconds"].items()}
    except (BackendError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return times if report.get("processor") == processor_name() else {}


backends.register("openvino")(OpenVinoBackend())
