"""The protocol of a runtime, and the choice of one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Protocol, runtime_checkable

from numpy.typing import NDArray

from bedside.core.errors import BackendError, DependencyError, InputError
from bedside.core.registry import Registry
from bedside.weights.store import WeightsFiles

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "fp32", "bf16", "int8"]
Shape = tuple[int, ...] | Mapping[str, tuple[int, ...]]
"""Shape of a graph's one input, or shapes by name; inputs that are not named keep that of the graph."""


class Graph(Protocol):
    """A loaded network.

    Attributes:
        device: Where it runs ("CPU", "CUDA").
        precision: What it computes in ("fp32", "bf16", "int8").
    """

    device: str
    precision: str

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return outputs by name for inputs by name; float32 both."""


@runtime_checkable
class Backend(Protocol):
    """A runtime that loads graphs."""

    name: str

    def version(self) -> str | None:
        """Return version of the library, None where it is not installed; must not import it."""

    def supports(self, device: Device) -> bool:
        """Return whether it can run on ``device`` as installed."""

    def load(
        self, weights: WeightsFiles, *, shape: Shape, device: Device = "auto", precision: Precision = "auto"
    ) -> Graph:
        """Load the network of ``weights`` for inputs of ``shape``.

        Raises:
            WeightsError: The files are missing or damaged.
            BackendError: The runtime cannot load it or lacks the device.
        """


backends: Registry[Backend] = Registry("runtime", "bedside.runtime", Backend)

THREADS_VARIABLE = "BEDSIDE_THREADS"
"""Environment variable that limits the threads a network runs on, for processes that share a machine."""

PREFERENCE = ("openvino", "onnxruntime", "torch")
"""Order in which runtimes are tried when none is named; those of other packages come after."""


def choose_backend(name: str = "auto", device: Device = "auto") -> Backend:
    """Return the runtime called ``name``, or the first installed one that supports ``device``.

    Raises:
        DependencyError: The runtime, or any runtime at all, is not installed.
        BackendError: No installed runtime supports the device.
    """
    if name != "auto":
        backend = backends.get(name)
        if backend.version() is None:
            raise DependencyError(f"runtime '{name}' is not installed", fix=f"install it with: pip install {name}")
        if not backend.supports(device):
            raise BackendError(
                f"runtime '{name}' on device '{device}'", expected="a supported device", got="none found"
            )
        return backend
    return next(usable_backends(device))


def usable_backends(device: Device = "auto") -> Iterator[Backend]:
    """Yield the installed runtimes that support a device, the one to be preferred first.

    Raises:
        DependencyError: No runtime is installed.
        BackendError: None of those that are supports the device.
    """
    order = sorted(backends.names(), key=lambda n: PREFERENCE.index(n) if n in PREFERENCE else len(PREFERENCE))
    installed, found = [], False
    for backend in map(backends.get, order):
        # Asked one by one: most often the first will do.
        if backend.version() is None:
            continue
        installed.append(backend.name)
        if backend.supports(device):
            found = True
            yield backend
    if not installed:
        raise DependencyError("no runtime is installed", fix="install one with: pip install openvino")
    if not found:
        raise BackendError(
            f"device '{device}'",
            expected=f"a runtime that supports it (installed: {', '.join(installed)})",
            got="none",
            fix="use --device cpu",
        )


def thread_limit() -> int | None:
    """Return how many threads networks may run on, by ``BEDSIDE_THREADS``; None where the runtime chooses.

    Raises:
        InputError: The variable is set to something else than a number above 0.
    """
    text = os.environ.get(THREADS_VARIABLE)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise InputError(THREADS_VARIABLE, expected="a number of threads above 0", got=repr(text))
    return int(text)
