"""OpenVINO, the default runtime."""

from __future__ import annotations

import importlib.metadata
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import BackendError
from bedside.core.paths import cache_folder
from bedside.runtime.backend import Device, Precision, Shape, backends
from bedside.runtime.openvino_core import shared_core
from bedside.weights.store import WeightsFiles


class OpenVinoGraph:
    """A compiled OpenVINO model."""

    def __init__(self, compiled: Any, outputs: Sequence[str], device: str, precision: str) -> None:
        self.device = device
        self.precision = precision
        self._request = compiled.create_infer_request()
        self._outputs = outputs

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return outputs by name for inputs by name; float32 both."""
        self._request.infer(dict(inputs), share_inputs=True)
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
        core = shared_core()
        chosen = _precision(core, weights, precision)
        folder = cache_folder() / "openvino"
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if chosen == "bf16" else "f32",
        }
        try:
            folder.mkdir(parents=True, exist_ok=True)
            settings["CACHE_DIR"] = str(folder)
        except OSError:
            # A read-only home costs the cache and nothing else.
            pass
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
            raise BackendError(f"OpenVINO cannot load {weights.graph.name}", got=str(error)[:200]) from error
        return OpenVinoGraph(compiled, outputs, "CPU", chosen)


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
