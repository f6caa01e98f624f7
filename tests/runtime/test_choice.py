"""Which runtime is taken, and which is rejected."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bedside.core.errors import BackendError, DependencyError, InputError
from bedside.runtime import backend as module
from bedside.runtime.backend import PREFERENCE, choose_backend
from bedside.weights.store import WeightsFiles


class FakeBackend:
    """A runtime that is installed or not, and has the devices it is told."""

    def __init__(self, name: str, installed: bool, devices: tuple[str, ...]) -> None:
        self.name = name
        self._installed = installed
        self._devices = devices

    def version(self) -> str | None:
        return "1.0" if self._installed else None

    def supports(self, device: module.Device) -> bool:
        assert self._installed, "a runtime that is not installed was asked for its devices"
        return device in self._devices

    def load(self, weights: WeightsFiles, **_: object) -> module.Graph:
        raise NotImplementedError


def install(monkeypatch: pytest.MonkeyPatch, **devices: tuple[str, ...]) -> None:
    """Only the runtimes named, each with its devices."""
    for name in PREFERENCE:
        fake = FakeBackend(name, name in devices, devices.get(name, ()))
        module.backends.get(name)
        monkeypatch.setitem(module.backends._entries, name, fake)


CPU = ("auto", "cpu")
BOTH = ("auto", "cpu", "cuda")


def test_auto_takes_the_first_installed_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, openvino=CPU, onnxruntime=CPU, torch=BOTH)
    assert choose_backend().name == "openvino"
    assert choose_backend("auto", "cpu").name == "openvino"
    assert choose_backend("auto", "cuda").name == "torch"
    install(monkeypatch, onnxruntime=CPU, torch=BOTH)
    assert choose_backend().name == "onnxruntime"


def test_a_runtime_is_taken_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, openvino=CPU, torch=BOTH)
    assert choose_backend("torch").name == "torch"
    assert choose_backend("torch", "cuda").name == "torch"


def test_an_unknown_runtime_is_rejected_with_the_names_there_are() -> None:
    with pytest.raises(InputError, match=r"openvino.*got 'openvin'.*did you mean 'openvino'"):
        choose_backend("openvin")


def test_a_missing_runtime_is_rejected_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, openvino=CPU)
    with pytest.raises(DependencyError, match=r"'onnxruntime' is not installed.*pip install onnxruntime"):
        choose_backend("onnxruntime")


def test_no_runtime_at_all_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    with pytest.raises(DependencyError, match="pip install openvino"):
        choose_backend()


def test_a_missing_device_is_rejected_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, openvino=CPU, torch=CPU)
    with pytest.raises(BackendError, match=r"runtime 'openvino' on device 'cuda'"):
        choose_backend("openvino", "cuda")
    with pytest.raises(BackendError, match=r"device 'cuda'.*installed: openvino, torch.*--device cpu"):
        choose_backend("auto", "cuda")


def test_the_version_of_each_installed_runtime_is_known() -> None:
    for name in PREFERENCE:
        version = module.backends.get(name).version()
        assert version is None or version[0].isdigit()


def test_threads_are_limited_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, expected in (("", None), ("1", 1), ("12", 12)):
        monkeypatch.setenv(module.THREADS_VARIABLE, text)
        assert module.thread_limit() == expected
    for text in ("0", "-1", "two", "1.5", "²"):
        monkeypatch.setenv(module.THREADS_VARIABLE, text)
        with pytest.raises(InputError, match="BEDSIDE_THREADS"):
            module.thread_limit()


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_runtimes_keep_to_the_limit(runtime: str) -> None:
    pytest.importorskip(runtime)
    code = (
        "import sys; from bedside.engines import load_segmenter; from bedside.weights.store import find_weights\n"
        "from bedside.runtime.backend import choose_backend, thread_limit\n"
        "from bedside.runtime.openvino_core import shared_core\n"
        "if sys.argv[1] == 'openvino': print(shared_core().get_property('CPU', 'INFERENCE_NUM_THREADS'))\n"
        "else:\n"
        "    graph = choose_backend('onnxruntime', 'cpu').load(find_weights('bedside-2d'), shape=(1, 9, 256, 256))\n"
        "    print(graph._session.get_session_options().intra_op_num_threads)\n"
    )
    environment = {**os.environ, module.THREADS_VARIABLE: "1", "PYTHONPATH": os.pathsep.join(["src", *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", code, runtime], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.returncode) == ("1", 0), done.stderr
