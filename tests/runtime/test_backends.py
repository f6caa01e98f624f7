"""Every runtime gives the same answer from the same files, and says in one line what is wrong with them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bedside.core.errors import BackendError, BedsideError, WeightsError
from bedside.runtime.backend import PREFERENCE, Backend, backends
from bedside.weights.store import WeightsFiles

SHAPE = (1, 8, 64, 64)


@pytest.fixture(params=PREFERENCE)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each runtime that is installed."""
    found = backends.get(request.param)
    if found.version() is None:
        pytest.skip(f"{request.param} is not installed")
    return found


@pytest.fixture
def reference(exported: WeightsFiles, network_input: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits of the network itself."""
    return backends.get("torch").load(exported, shape=SHAPE).run({"input": network_input})["logits"]


def test_the_preference_names_every_runtime() -> None:
    assert sorted(PREFERENCE) == backends.names()


def test_all_runtimes_agree_in_fp32(
    backend: Backend, exported: WeightsFiles, network_input: NDArray[np.float32], reference: NDArray[np.float32]
) -> None:
    graph = backend.load(exported, shape=SHAPE, device="cpu", precision="fp32")
    outputs = graph.run({"input": network_input})
    assert list(outputs) == ["logits"]
    logits = outputs["logits"]
    assert logits.dtype == np.float32
    assert logits.shape == (1, 1, 64, 64)
    assert reference.std() > 0.05
    np.testing.assert_allclose(logits, reference, atol=1e-4)
    assert (graph.device, graph.precision) == ("CPU", "fp32")


def test_all_runtimes_read_int8_weights_alike(
    backend: Backend,
    exported_int8: WeightsFiles,
    network_input: NDArray[np.float32],
    reference: NDArray[np.float32],
) -> None:
    assert exported_int8.tensors.stat().st_size < 4_000_000
    stored = backends.get("torch").load(exported_int8, shape=SHAPE).run({"input": network_input})["logits"]
    logits = backend.load(exported_int8, shape=SHAPE, device="cpu", precision="fp32").run({"input": network_input})
    np.testing.assert_allclose(logits["logits"], stored, atol=1e-4)
    # Rounded they are, and close to what they were; random parameters shift the whole answer, trained ones hardly.
    assert np.abs(stored - reference).mean() > 0
    assert np.corrcoef(stored.ravel(), reference.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("name", ["openvino", "torch"])
def test_bf16_is_close(
    name: str, exported: WeightsFiles, network_input: NDArray[np.float32], reference: NDArray[np.float32]
) -> None:
    if backends.get(name).version() is None:
        pytest.skip(f"{name} is not installed")
    graph = backends.get(name).load(exported, shape=SHAPE, precision="bf16")
    logits = graph.run({"input": network_input})["logits"]
    assert graph.precision == "bf16"
    assert logits.dtype == np.float32
    # bfloat16 keeps 8 bits of each value: a twentieth of the logits' spread after all layers.
    assert np.abs(logits - reference).mean() < 0.05 * reference.std()
    assert ((logits > 0) == (reference > 0)).mean() > 0.95


def test_onnxruntime_rejects_bf16_by_name(exported: WeightsFiles) -> None:
    with pytest.raises(BackendError, match="bf16"):
        backends.get("onnxruntime").load(exported, shape=SHAPE, precision="bf16")


def test_an_answer_is_the_callers_own(
    backend: Backend, exported: WeightsFiles, network_input: NDArray[np.float32]
) -> None:
    graph = backend.load(exported, shape=SHAPE, precision="fp32")
    first = graph.run({"input": network_input})["logits"]
    kept = first.copy()
    graph.run({"input": -2 * network_input})
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(graph.run({"input": network_input})["logits"], kept)


def test_other_weights_of_the_same_network_are_not_taken_from_the_cache(
    backend: Backend, exported: WeightsFiles, others: WeightsFiles, network_input: NDArray[np.float32]
) -> None:
    answers = [
        backend.load(files, shape=SHAPE, precision="fp32").run({"input": network_input})["logits"]
        for files in (exported, others, exported)
    ]
    assert np.abs(answers[0] - answers[1]).max() > 0.05
    np.testing.assert_allclose(answers[0], answers[2], atol=1e-6)


def test_weights_replaced_in_place_are_not_taken_from_the_cache(
    backend: Backend, weights: WeightsFiles, others: WeightsFiles, network_input: NDArray[np.float32]
) -> None:
    # A card that names its graph would have the new one rejected.
    replace(weights.card, graphs={}).save(weights.card_path)
    backend.load(weights, shape=SHAPE, precision="fp32").run({"input": network_input})
    expected = backend.load(others, shape=SHAPE, precision="fp32").run({"input": network_input})["logits"]
    for old, new in ((weights.tensors, others.tensors), (weights.graph, others.graph)):
        old.unlink()
        old.write_bytes(new.read_bytes())
    logits = backend.load(weights, shape=SHAPE, precision="fp32").run({"input": network_input})["logits"]
    np.testing.assert_allclose(logits, expected, atol=1e-6)


def _remove_graph(files: WeightsFiles) -> None:
    files.graph.unlink()


def _remove_tensors(files: WeightsFiles) -> None:
    files.tensors.unlink()


def _spoil_graph(files: WeightsFiles) -> None:
    files.graph.write_bytes(b"\xff" * 300)


def _empty_graph(files: WeightsFiles) -> None:
    files.graph.write_bytes(b"")


def _truncate_tensors(files: WeightsFiles) -> None:
    content = files.tensors.read_bytes()
    files.tensors.write_bytes(content[: len(content) // 2])


def _spoil_header(files: WeightsFiles) -> None:
    content = files.tensors.read_bytes()
    files.tensors.write_bytes(b"\xff" * 8 + content[8:])


@pytest.mark.parametrize("spoil", [_remove_graph, _spoil_graph, _empty_graph, _remove_tensors, _truncate_tensors])
@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_a_damaged_graph_is_one_line(
    name: str, spoil: Callable[[WeightsFiles], None], weights: WeightsFiles, capfd: pytest.CaptureFixture[str]
) -> None:
    if backends.get(name).version() is None:
        pytest.skip(f"{name} is not installed")
    spoil(weights)
    with pytest.raises((BackendError, WeightsError)) as error:
        backends.get(name).load(weights, shape=SHAPE)
    assert "\n" not in str(error.value)
    assert weights.name in str(error.value)


@pytest.mark.parametrize("spoil", [_remove_tensors, _truncate_tensors, _spoil_header])
def test_damaged_tensors_are_one_line_in_torch(spoil: Callable[[WeightsFiles], None], weights: WeightsFiles) -> None:
    spoil(weights)
    with pytest.raises((BackendError, WeightsError)) as error:
        backends.get("torch").load(weights, shape=SHAPE)
    assert "\n" not in str(error.value)
    assert weights.tensors.name in str(error.value)


def test_tensors_of_another_network_are_rejected_by_torch(weights: WeightsFiles) -> None:
    numpy_files = pytest.importorskip("safetensors.numpy")
    numpy_files.save_file({"stem.weight": np.zeros((3, 3), np.float16)}, weights.tensors)
    with pytest.raises(BackendError, match="does not fit 'bedside-2d'"):
        backends.get("torch").load(weights, shape=SHAPE)


@pytest.mark.parametrize("kind", ["file", "missing"])
def test_openvino_does_without_its_cache(
    kind: str,
    exported: WeightsFiles,
    network_input: NDArray[np.float32],
    reference: NDArray[np.float32],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = tmp_path / "cache"
    if kind == "file":
        place.write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(place))
    graph = backends.get("openvino").load(exported, shape=SHAPE, precision="fp32")
    np.testing.assert_allclose(graph.run({"input": network_input})["logits"], reference, atol=1e-4)
    assert place.is_file() == (kind == "file")


def test_a_damaged_cache_entry_is_made_again(
    exported: WeightsFiles,
    network_input: NDArray[np.float32],
    reference: NDArray[np.float32],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    backends.get("openvino").load(exported, shape=SHAPE, precision="fp32")
    entries = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert entries
    for entry in entries:
        entry.write_bytes(entry.read_bytes()[:1000])
    graph = backends.get("openvino").load(exported, shape=SHAPE, precision="fp32")
    np.testing.assert_allclose(graph.run({"input": network_input})["logits"], reference, atol=1e-4)


PROGRAM = """
import sys
import numpy as np
from pathlib import Path
from bedside.runtime.backend import choose_backend
from bedside.weights.store import WeightsFiles
backend = choose_backend(sys.argv[2], "cpu")
files = WeightsFiles.in_folder("bedside-2d", Path(sys.argv[1]))
graph = backend.load(files, shape=(1, 8, 64, 64), device="cpu")
logits = graph.run({"input": np.zeros((1, 8, 64, 64), np.float32)})["logits"]
assert logits.shape == (1, 1, 64, 64)
print(backend.name, *sorted({"torch", "onnx", "openvino", "onnxruntime"} & set(sys.modules)))
"""


@pytest.mark.parametrize(("name", "loaded"), [("auto", "openvino"), ("onnxruntime", "onnxruntime")])
def test_only_the_chosen_runtime_is_imported(name: str, loaded: str, exported: WeightsFiles) -> None:
    for needed in {"openvino", loaded}:
        if backends.get(needed).version() is None:
            pytest.skip(f"{needed} is not installed")
    program = [sys.executable, "-c", PROGRAM, str(exported.graph.parent), name]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [loaded, loaded]


def test_errors_are_bedsides_own() -> None:
    assert issubclass(BackendError, BedsideError)
    assert issubclass(WeightsError, BedsideError)
