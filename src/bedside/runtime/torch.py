"""torch, the fallback runtime: runs the network itself from its safetensors file."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.engines import engine_spec, resolve
from bedside.core.errors import BackendError, WeightsError
from bedside.runtime.backend import Device, Graph, Precision, Shape, backends
from bedside.weights.models import build_model, model_card
from bedside.weights.store import WeightsFiles


class TorchGraph:
    """A torch network with one input and one output."""

    def __init__(self, network: Any, device: str, precision: str) -> None:
        self.device = device.upper()
        self.precision = precision
        self._network = network
        self._torch_device = device

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return outputs by name for inputs by name; float32 both."""
        import torch

        tensor = torch.from_numpy(np.ascontiguousarray(inputs["input"])).to(self._torch_device)
        enabled = self.precision == "bf16"
        with torch.inference_mode(), torch.autocast(self._torch_device, torch.bfloat16, enabled=enabled):
            logits = self._network(tensor)
        return {"logits": logits.float().cpu().numpy()}


class TorchPart:
    """One part of a torch network that encodes an image once: several inputs, several outputs."""

    def __init__(self, part: Any, device: str, precision: str) -> None:
        self.device = device.upper()
        self.precision = precision
        self._part = part
        self._torch_device = device

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return outputs by name for inputs by name; float32 both."""
        import torch

        given = [torch.from_numpy(np.ascontiguousarray(inputs[n])).to(self._torch_device) for n in self._part.inputs]
        enabled = self.precision == "bf16"
        with torch.inference_mode(), torch.autocast(self._torch_device, torch.bfloat16, enabled=enabled):
            outputs = self._part(*given)
        return {n: value.float().cpu().numpy() for n, value in zip(self._part.outputs, outputs, strict=True)}


class TorchBackend:
    """Runs networks by torch on the CPU or on CUDA."""

    name = "torch"

    def version(self) -> str | None:
        """Return version of the installed library, None where there is none."""
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
        self, weights: WeightsFiles, *, shape: Shape, device: Device = "auto", precision: Precision = "auto"
    ) -> Graph:
        """Build the network, or the one part of it that the weights name, and load its tensors.

        Raises:
            WeightsError: The file of tensors is missing or damaged.
            BackendError: The tensors do not fit the network.
        """
        del shape
        from safetensors import SafetensorError

        try:
            from safetensors.torch import load_file
        except (ImportError, OSError) as error:
            # With too little memory its libraries cannot be mapped.
            raise BackendError("torch cannot be loaded", got=(str(error).splitlines() or ["no reason"])[0]) from error
        from bedside.weights.packed import unpack

        chosen = "cuda" if device == "cuda" else "cpu"
        if precision == "int8":
            raise BackendError("precision int8", expected="fp32 or bf16 with torch", got="int8")
        computed = "bf16" if precision == "bf16" else "fp32"
        try:
            tensors = load_file(weights.tensors)
        except (OSError, SafetensorError) as error:
            raise WeightsError(
                f"weights {weights.tensors.name}", expected="a safetensors file", got=str(error)[:200]
            ) from error
        if weights.part:
            load_part = resolve(engine_spec(model_card(weights.card.name).family).part)
            return TorchPart(load_part(weights.card.name, weights.part, tensors).to(chosen), chosen, computed)
        network = build_model(weights.name, weights.card.architecture).to(chosen).eval()
        try:
            network.load_state_dict(unpack(tensors))
        except RuntimeError as error:
            raise BackendError(f"{weights.tensors.name} does not fit '{weights.name}'", got=str(error)[:200]) from error
        return TorchGraph(network, chosen, computed)


backends.register("torch")(TorchBackend())
