"""What is missing, damaged or too small is said in one line and worked around, or rejected in one line.

Each condition is a real one, in a process of its own: an installation without a package, a limit of memory, a processor
that is told to have fewer instructions, files that were cut.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import bedside
from bedside.core.errors import BackendError, BedsideError, WeightsError
from bedside.core.image import Image
from bedside.core.prompts import Box
from bedside.engines.load import load_segmenter
from bedside.io import write_image
from bedside.runtime.backend import backends
from bedside.runtime.openvino_cache import compiled_folder
from bedside.weights.store import BUNDLED, WeightsFiles, find_weights

SOURCE = Path(bedside.__file__).parents[1]
BOX = Box((20.0, 20.0), (60.0, 60.0))

PREDICT = """
import json, sys
import numpy as np
from bedside import Session
from bedside.core.prompts import Box
array = np.full((80, 80), 60, np.uint8)
array[25:55, 25:55] = 180
session = Session(array)
{before}
session.add(Box((20.0, 20.0), (60.0, 60.0)))
print(json.dumps([session.segmenter.runtime, session.segmenter.precision, np.packbits(session.mask).tolist()]))
"""


def predicted(
    cache: Path, before: str = "", path: list[Path] | None = None, **environment: str
) -> tuple[str, str, NDArray[Any], list[str]]:
    """Runtime, precision, mask and lines on stderr of a prediction in a process of its own.

    Args:
        cache: Folder of compiled models.
        before: Python to run before the prompt.
        path: Where packages are found; by default where this process finds them.
        environment: Further variables.
    """
    flags = [] if path is None else ["-S"]
    search = [SOURCE, *(path or [])]
    variables = {**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONPATH": os.pathsep.join(map(str, search))}
    ran = subprocess.run(
        [sys.executable, *flags, "-c", PREDICT.format(before=before)],
        env={**variables, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    runtime, precision, bits = json.loads(ran.stdout)
    return runtime, precision, np.unpackbits(np.array(bits, np.uint8)), ran.stderr.splitlines()


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> NDArray[Any]:
    """The mask where nothing is wrong."""
    runtime, _, mask, said = predicted(tmp_path_factory.mktemp("cache"))
    assert (runtime, said) == ("openvino", [])
    assert 400 < mask.sum() < 1600
    return mask


def without(folder: Path, *names: str) -> list[Path]:
    """A folder of packages that is this environment's without some of them."""
    for place in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(place).iterdir():
            if not entry.name.startswith(names) and not (folder / entry.name).exists():
                (folder / entry.name).symlink_to(entry)
    return [folder]


def assert_same(mask: NDArray[Any], usual: NDArray[Any]) -> None:
    """Runtimes and precisions differ in border voxels."""
    assert (mask & usual).sum() > 0.98 * (mask | usual).sum()


@pytest.mark.skipif(os.name != "posix", reason="links packages")
@pytest.mark.parametrize(("missing", "taken"), [(("openvino",), "onnxruntime"), (("openvino", "onnx"), "torch")])
def test_without_openvino_the_next_runtime_predicts_and_it_is_said(
    tmp_path: Path, usual: NDArray[Any], missing: tuple[str, ...], taken: str
) -> None:
    if backends.get(taken).version() is None:
        pytest.skip(f"{taken} is not installed")
    (tmp_path / "packages").mkdir()
    path = without(tmp_path / "packages", *missing)
    runtime, precision, mask, said = predicted(tmp_path, path=path)
    assert (runtime, precision) == (taken, "fp32")
    assert said == [
        f"bedside: warning: openvino is not installed: {taken} predicts instead, which takes longer; "
        "pip install openvino"
    ]
    assert_same(mask, usual)


@pytest.mark.skipif(backends.get("onnxruntime").version() is None, reason="onnxruntime is not installed")
def test_an_openvino_that_cannot_be_imported_is_passed_over(tmp_path: Path, usual: NDArray[Any]) -> None:
    (tmp_path / "openvino").mkdir()
    (tmp_path / "openvino" / "__init__.py").write_text("raise ImportError('libtbb.so.12: cannot open')\n")
    both = os.pathsep.join(map(str, (SOURCE, tmp_path)))
    runtime, _, mask, said = predicted(tmp_path, PYTHONPATH=both)
    assert runtime == "onnxruntime"
    assert len(said) == 1
    assert "libtbb.so.12: cannot open" in said[0]
    assert "onnxruntime predicts instead" in said[0]
    assert_same(mask, usual)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="limits the instructions of x86")
@pytest.mark.parametrize("instructions", ["AVX2", "SSE41"])
def test_without_avx512_and_bfloat16_the_mask_is_the_same(
    tmp_path: Path, usual: NDArray[Any], instructions: str
) -> None:
    runtime, precision, mask, said = predicted(tmp_path, ONEDNN_MAX_CPU_ISA=instructions)
    assert precision == "fp32"
    # OpenVINO has no kernels for a processor so old.
    assert runtime == ("openvino" if instructions == "AVX2" else "onnxruntime")
    # A processor that has no bfloat16 by itself is no surprise.
    assert len(said) <= 1
    assert all(line.startswith("bedside: warning: OpenVINO cannot") for line in said)
    assert_same(mask, usual)


LIMITED = """
import resource
left = {megabytes} * 2**20
now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + left, now + left))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
def test_with_too_little_memory_for_the_fine_grid_the_usual_one_is_taken(tmp_path: Path, usual: NDArray[Any]) -> None:
    fine = """
segmenter = session.segmenter.segmenter._plane
from bedside.runtime.backend import choose_backend
from bedside.weights.store import find_weights
shape = (1, 8, 4096, 4096)
segmenter._fine = lambda: choose_backend("openvino").load(find_weights("bedside-2d"), shape=shape)
segmenter._asks_finer = lambda answer: segmenter._fine is not None
"""
    _, _, mask, said = predicted(tmp_path, fine + LIMITED.format(megabytes=250))
    assert len(said) == 1
    assert said[0].startswith("bedside: warning: objects are looked at on the usual grid, not the fine one: OpenVINO")
    np.testing.assert_array_equal(mask, usual)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
@pytest.mark.parametrize("megabytes", [400, 550, 650, 700, 750])
def test_little_memory_gives_a_mask_or_one_line(tmp_path: Path, megabytes: int) -> None:
    import resource

    array = np.full((80, 80), 60, np.uint8)
    array[25:55, 25:55] = 180
    write_image(tmp_path / "a.png", Image.from_array(array))
    command = ["segment", str(tmp_path / "a.png"), "--box", "20,20,60,60", "-o", str(tmp_path / "mask.png")]
    limit = megabytes * 2**20
    ran = subprocess.run(
        [sys.executable, "-m", "bedside", *command],
        env={**os.environ, "PYTHONPATH": str(SOURCE), "XDG_CACHE_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode in (0, 2), ran.stderr
    assert (tmp_path / "mask.png").is_file() == (ran.returncode == 0)
    assert len([line for line in ran.stderr.splitlines() if "error" in line]) == (ran.returncode == 2), ran.stderr
    assert "Traceback" not in ran.stderr


SHAPE = (1, 8, 128, 128)


def logits(files: WeightsFiles) -> NDArray[Any]:
    given = np.random.default_rng(0).random(SHAPE, dtype=np.float32)
    graph = backends.get("openvino").load(files, shape=SHAPE, precision="fp32")
    return np.asarray(graph.run({"input": given})["logits"])


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def rubbed_out(content: bytes) -> bytes:
    """Half of the numbers, which the library does not look at before it computes with them."""
    return (
        content[: len(content) // 4] + bytes(len(content) // 2) + content[-(len(content) - 3 * (len(content) // 4)) :]
    )


DAMAGE = {"cut": cut, "rubbed out": rubbed_out, "empty": lambda _: b"", "text": lambda _: b"no model"}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_compiled_model_is_compiled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    files = find_weights("bedside-2d")
    before = logits(files)
    folder = compiled_folder(files, SHAPE, "fp32")
    assert folder is not None
    (kept,) = folder.glob("*.blob")
    content = kept.read_bytes()
    np.testing.assert_array_equal(logits(files), before)
    assert kept.read_bytes() == content
    kept.chmod(0o600)
    kept.write_bytes(DAMAGE[damage](content))
    np.testing.assert_array_equal(logits(files), before)
    # It is whole again, and is read the next time.
    assert [abs(p.stat().st_size - len(content)) < 0.01 * len(content) for p in folder.glob("*.blob")] == [True]
    assert compiled_folder(files, SHAPE, "fp32") == folder
    assert len(list(folder.glob("*.blob"))) == 1


def test_a_compiled_model_whose_writer_was_killed_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    files = find_weights("bedside-2d")
    folder = compiled_folder(files, SHAPE, "fp32")
    assert folder is not None
    (folder / "1.blob").write_bytes(b"half of it")
    (folder.parent / "2.blob").write_bytes(b"of a version before")
    assert compiled_folder(files, SHAPE, "fp32") == folder
    assert list(folder.parent.rglob("*.blob")) == []
    assert compiled_folder(files, (1, 8, 64, 64), "fp32") != folder != compiled_folder(files, SHAPE, "bf16")


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    files = find_weights("bedside-2d")
    before = logits(files)
    shutil.rmtree(tmp_path / "bedside")
    (tmp_path / "bedside").write_text("a file in the folder's place")
    assert compiled_folder(files, SHAPE, "fp32") is None
    np.testing.assert_array_equal(logits(files), before)


@pytest.mark.parametrize("suffix", ["safetensors", "onnx", "json"])
@pytest.mark.parametrize("damage", ["missing", *DAMAGE])
def test_a_missing_or_damaged_model_file_is_named_or_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, suffix: str, damage: str
) -> None:
    monkeypatch.setattr("bedside.weights.store.BUNDLED", tmp_path / "weights")
    monkeypatch.setenv("BEDSIDE_WEIGHTS", str(tmp_path / "none"))
    monkeypatch.setattr("bedside.runtime.falling_back._SAID", set())
    shutil.copytree(BUNDLED, tmp_path / "weights")
    file = tmp_path / "weights" / f"bedside-2d.{suffix}"
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(DAMAGE[damage](file.read_bytes()))
    segmenter, problem = None, None
    try:
        segmenter = load_segmenter("bedside-2d")
    except BedsideError as error:
        problem = error
    if segmenter is None:
        assert "\n" not in str(problem)
        assert "bedside-2d" in str(problem)
        assert isinstance(problem, WeightsError) or suffix == "onnx"
        return
    # The tensors are whole, and torch makes the network without the graph.
    assert (suffix, segmenter.runtime) == ("onnx", "torch")
    assert [record.message.endswith("torch predicts instead") for record in caplog.records] == [True]
    array = np.full((80, 80), 60, np.uint8)
    array[25:55, 25:55] = 180
    segmenter.set_image(Image.from_array(array))
    assert 400 < segmenter.predict([BOX]).mask.sum() < 1600


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_graph_that_reads_well_and_is_not_the_one_of_the_card_is_rejected(tmp_path: Path, runtime: str) -> None:
    import onnx

    shutil.copytree(BUNDLED, tmp_path / "weights")
    files = WeightsFiles.in_folder("bedside-2d", tmp_path / "weights")
    backends.get(runtime).load(files, shape=SHAPE, precision="fp32")
    model = onnx.load(files.graph, load_external_data=False)
    last = next(node for node in reversed(model.graph.node) if node.op_type == "Add")
    last.op_type = "Sub"
    onnx.save(model, files.graph)
    with pytest.raises(BackendError, match="is damaged or of another version"):
        backends.get(runtime).load(files, shape=SHAPE, precision="fp32")
    replace(files.card, graphs={}).save(files.card_path)
    backends.get(runtime).load(files, shape=SHAPE, precision="fp32")


def test_openvino_is_what_is_installed() -> None:
    """Else the tests above compare a runtime with itself."""
    assert importlib.metadata.version("openvino")
