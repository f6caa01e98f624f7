"""ONNX Runtime, the alternative to OpenVINO; with its GPU build it runs on CUDA."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from bedside.core.errors import BackendError
from bedside.runtime.backend import Device, Precision, Shape, backends, thread_limit
from bedside.weights.store import WeightsFiles

PACKAGES = ("onnxruntime", "onnxruntime-gpu")


class OnnxRuntimeGraph:
    """An ONNX Runtime session."""

    precision = "fp32"

    def __init__(self, session: Any, device: str) -> None:
        self.device = device
        self._session = session
        self._outputs = [output.name for output in session.get_outputs()]

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return outputs by name for inputs by name; float32 both."""
        return dict(zip(self._outputs, self._session.run(None, dict(inputs)), strict=True))


class OnnxRuntimeBackend:
    """Runs ONNX graphs by ONNX Runtime in float32."""

    name = "onnxruntime"

    def version(self) -> str | None:
        """Return version of the installed library, None where there is none."""
        for package in PACKAGES:
            try:
                return importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                continue
        return None

    def supports(self, device: Device) -> bool:
        """CPU, and CUDA where the installed build offers it."""
        if device != "cuda":
            return True
        import onnxruntime

        return "CUDAExecutionProvider" in onnxruntime.get_available_providers()

    def load(
        self, weights: WeightsFiles, *, shape: Shape, device: Device = "auto", precision: Precision = "auto"
    ) -> OnnxRuntimeGraph:
        """Open a session on the graph.

        Raises:
            BackendError: ONNX Runtime cannot load the graph, or another precision than float32 is asked for.
        """
        del shape
        if precision not in ("auto", "fp32"):
            raise BackendError(f"precision {precision}", expected="fp32 with onnxruntime", got=precision)
        weights.check_graph()
        import onnxruntime

        wanted = "CUDAExecutionProvider" if device == "cuda" else "CPUExecutionProvider"
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = thread_limit() or 0
        try:
            session = onnxruntime.InferenceSession(str(weights.graph), options, providers=[wanted])
        except Exception as error:
            raise BackendError(f"ONNX Runtime cannot load {weights.graph.name}", got=str(error)[:200]) from error
        return OnnxRuntimeGraph(session, "CUDA" if device == "cuda" else "CPU")


backends.register("onnxruntime")(OnnxRuntimeBackend())
