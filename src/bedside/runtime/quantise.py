"""From an exported graph to one that computes in int8, calibrated by inputs that it meets in use. Needs nncf.

The quantised graph is a file of OpenVINO's own beside the ONNX graph, ``<graph>.int8.xml`` with ``.bin``, and a JSON
file that says which weights it was made from and what it cost.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import DependencyError, InputError
from bedside.core.files import move_set_into_place, write_text_atomically
from bedside.runtime.backend import Backend, Device, Graph, Precision, Shape
from bedside.weights.store import WeightsFiles

Inputs = Mapping[str, NDArray[Any]]

ENDS = 5
"""Convolutions at each end of a network that stay as they are."""


class Recorder:
    """A runtime that does what another does, and keeps what one part of a model is given.

    Args:
        backend: That does the work.
        part: Whose inputs are kept; "" for a model of one graph.
    """

    def __init__(self, backend: Backend, part: str) -> None:
        self.name = backend.name
        self.kept: list[dict[str, NDArray[Any]]] = []
        self._backend = backend
        self._part = part

    def version(self) -> str | None:
        """Return version of the library that does the work."""
        return self._backend.version()

    def supports(self, device: Device) -> bool:
        """Return whether that library can run on ``device``."""
        return self._backend.supports(device)

    def load(
        self, weights: WeightsFiles, *, shape: Shape, device: Device = "auto", precision: Precision = "auto"
    ) -> Graph:
        """Return the loaded graph, around which inputs are kept where it is the part in question."""
        graph = self._backend.load(weights, shape=shape, device=device, precision=precision)
        return RecordedGraph(graph, self.kept) if weights.part == self._part else graph


class RecordedGraph:
    """A graph whose inputs are kept."""

    def __init__(self, graph: Graph, kept: list[dict[str, NDArray[Any]]]) -> None:
        self.device = graph.device
        self.precision = graph.precision
        self._graph = graph
        self._kept = kept

    def run(self, inputs: Inputs) -> dict[str, NDArray[Any]]:
        """Return outputs by name for inputs by name."""
        self._kept.append({name: np.array(value) for name, value in inputs.items()})
        return self._graph.run(inputs)


def quantise_graph(files: WeightsFiles, samples: Sequence[Inputs], folder: Path, *, attention: bool) -> Path:
    """Write the int8 graph of ``files`` into ``folder``.

    Args:
        files: Its graph is quantised.
        samples: Inputs that it meets in use, all of one shape.
        folder: Where ``.xml`` and ``.bin`` go, under the names that ``WeightsFiles.int8_graph`` has.
        attention: Whether the network attends, whose softmax and norms are then left as they are.

    Returns:
        The ``.xml`` file.

    Raises:
        InputError: There are no samples.
        DependencyError: nncf is not installed.
    """
    if not samples:
        raise InputError("calibration", expected="at least one sample", got="none")
    import openvino
    from openvino.passes import ConstantFolding, Manager

    from bedside.runtime.openvino_core import shared_core

    nncf = _nncf()
    model = shared_core().read_model(files.graph)
    model.reshape({name: list(value.shape) for name, value in samples[0].items()})
    # Weights that are stored in half are cast by the graph; what is quantised must be constants.
    manager = Manager()
    manager.register_pass(ConstantFolding())
    manager.run_passes(model)
    # Progress is for people; what is printed to stdout may be read by programs.
    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        quantised = nncf.quantize(
            model,
            nncf.Dataset([dict(sample) for sample in samples]),
            subset_size=len(samples),
            ignored_scope=nncf.IgnoredScope(names=_ends(model)),
            model_type=nncf.ModelType.TRANSFORMER if attention else None,
        )
    path = folder / files.int8_graph.name
    openvino.save_model(quantised, path, compress_to_fp16=True)
    # What was lost because the disk is full is found here: the graph says where each number is.
    shared_core().read_model(path)
    return path


def _ends(model: Any) -> list[str]:
    """Return names of the first and the last convolutions of a graph.

    The first mix an image with prompts and masks, whose ranges differ, and the last decide on which side of 0 a border
    lies: there eight bits cost most and save least.
    """
    names = [op.get_friendly_name() for op in model.get_ordered_ops() if op.get_type_name() == "Convolution"]
    return [*names[:ENDS], *names[-ENDS:]]


def publish_int8(made: Path, files: WeightsFiles, report: Mapping[str, Any]) -> Path:
    """Put an int8 graph beside the one that it was made from, and say what it is.

    Returns:
        The ``.xml`` file in its place.
    """
    target = files.int8_graph
    content = {"made_from": files.card.sha256, **report}
    write_text_atomically(made.with_suffix(".json"), json.dumps(content, indent=2) + "\n")
    move_set_into_place([(made.with_suffix(end), target.with_suffix(end)) for end in (".bin", ".xml", ".json")])
    return target


@contextlib.contextmanager
def int8_in_place(made: Path, files: WeightsFiles) -> Any:
    """Return a set of weights in a folder of its own, with links to the files and the int8 graph beside them, for a
    trial.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in files.paths:
            (folder / path.name).symlink_to(path.resolve())
        trial = WeightsFiles.in_folder(files.name, folder, files.part)
        for suffix in (".bin", ".xml"):
            (folder / made.with_suffix(suffix).name).symlink_to(made.with_suffix(suffix).resolve())
        write_text_atomically(trial.int8_graph.with_suffix(".json"), json.dumps({"made_from": files.card.sha256}))
        yield trial


def _nncf() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import nncf
    except ModuleNotFoundError as error:
        raise DependencyError(
            "quantising needs nncf", fix="install it with: pip install 'bedside[quantise]'"
        ) from error
    nncf.set_log_level(logging.ERROR)
    return nncf
