"""torch, the fallback runtime: runs the network itself from its safetensors file."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import BackendError, WeightsError
from bedside.models.registry import build_model
from bedside.runtime.backend import Device, Precision, backends
from bedside.weights.store import WeightsFiles


class TorchGraph:
    """A torch network with one input and one output."""

    def __init__(self, network: Any, device: str, precision: str) -> None:
        self.device = device.upper()
        self.precision = precision
        self._network = network
        self._torch_device = device

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Outputs by name for inputs by name; float32 both."""
        import torch

        tensor = torch.from_numpy(np.ascontiguousarray(inputs["input"])).to(self._torch_device)
        enabled = self.precision == "bf16"
        with torch.inference_mode(), torch.autocast(self._torch_device, torch.bfloat16, enabled=enabled):
            logits = self._network(tensor)
        return {"logits": logits.float().cpu().numpy()}


class TorchBackend:
    """Runs networks by torch on the CPU or on CUDA."""

    name = "torch"

    def version(self) -> str | None:
        """Version of the installed library, None where there is none."""
        try:
            return importlib.metadata.version("torch")
        except importlib.metadata.PackageNotFoundError:
            return None

    def supports(self, device: Device) -> bool:
        """CPU, and CUDA where torch finds it."""
        if device != "cuda":
            return True
        import torch

        return bool(torch.cuda.is_available())

    def load(
        self, weights: WeightsFiles, *, shape: tuple[int, ...], device: Device = "auto", precision: Precision = "auto"
    ) -> TorchGraph:
        """Build the network and load its tensors.

        Raises:
            WeightsError: The file of tensors is missing or damaged.
            BackendError: The tensors do not fit the network.
        """
        del shape
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        chosen = "cuda" if device == "cuda" else "cpu"
        network = build_model(weights.name).to(chosen).eval()
        try:
            tensors = load_file(weights.tensors)
        except (OSError, SafetensorError) as error:
            raise WeightsError(
                f"weights {weights.tensors.name}", expected="a safetensors file", got=str(error)[:200]
            ) from error
        try:
            network.load_state_dict({name: value.float() for name, value in tensors.items()})
        except RuntimeError as error:
            raise BackendError(f"{weights.tensors.name} does not fit '{weights.name}'", got=str(error)[:200]) from error
        return TorchGraph(network, chosen, "bf16" if precision == "bf16" else "fp32")


backends.register("torch")(TorchBackend())
