"""Converted weights answer as the published ones do, and an import that fails leaves nothing behind."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside.core.errors import InputError, WeightsError
from bedside.engines.nninteractive import convert
from bedside.engines.nninteractive.convert import convert_nninteractive
from bedside.runtime.backend import choose_backend
from bedside.runtime.export import safetensors_offsets
from bedside.weights.card import file_sha256
from bedside.weights.store import WeightsFiles

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

MakeFolder = Callable[..., Path]
SMALL: dict[str, Any] = {"widths": (4, 8, 8, 12, 12, 16), "depths": (1, 2, 1, 1, 1, 2)}
FULL: dict[str, Any] = {"widths": None, "depths": None}


def answer(folder: Path, x: np.ndarray, sizes: dict[str, Any]) -> np.ndarray:
    """What the network of a published folder says, by its two channels."""
    from bedside.engines.nninteractive.network import DEPTHS, WIDTHS, NNInteractive

    network = NNInteractive(sizes["widths"] or WIDTHS, sizes["depths"] or DEPTHS).eval()
    content = torch.load(folder / "fold_0" / "checkpoint_final.pth", weights_only=False)
    network.load_state_dict(content["network_weights"])
    with torch.inference_mode():
        two = network.heads(torch.from_numpy(x))[0].numpy()
    return np.asarray(two[:, 1:] - two[:, :1])


def network_input(grid: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(1, 8, *grid)).astype(np.float32)


def parameters() -> int:
    from bedside.engines.nninteractive.network import NNInteractive

    with torch.device("meta"):
        return sum(p.numel() for p in NNInteractive(**SMALL).parameters())


@pytest.fixture
def no_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tracing takes a second, which most tests need not wait for."""

    def write(network: Any, path: Path, *_: Any) -> None:
        path.write_bytes(b"graph")

    monkeypatch.setattr("bedside.runtime.export._write_graph", write)


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_every_runtime_answers_as_the_published_weights(
    runtime: str, nninteractive_folder: MakeFolder, tmp_path: Path
) -> None:
    source, x = nninteractive_folder(), network_input((32, 64, 32))
    expected = answer(source, x, SMALL)
    assert expected.std() > 0.1
    files = convert_nninteractive(source, tmp_path / "out", precision="float32", **SMALL)
    graph = choose_backend(runtime, "cpu").load(files, shape=x.shape, device="cpu", precision="fp32")
    found = graph.run({"input": x})["logits"]
    assert found.shape == (1, 1, 32, 64, 32)
    # Instance normalisation over a few voxels at the lowest resolution enlarges what rounding differs by.
    assert np.abs(found - expected).max() < 1e-3
    check_files(files)


def check_files(files: WeightsFiles) -> None:
    """Each tensor is written once, under its first name, and the graph points to it."""
    from bedside.engines.nninteractive.network import NNInteractive

    with torch.device("meta"):
        network = NNInteractive(**SMALL)
    assert safetensors_offsets(files.tensors).keys() == dict(network.named_parameters()).keys()
    assert sum(length for _, length in safetensors_offsets(files.tensors).values()) == 4 * parameters()
    onnx = pytest.importorskip("onnx")
    onnx.checker.check_model(str(files.graph))
    model = onnx.load(files.graph, load_external_data=False)
    large = [i for i in model.graph.initializer if np.prod(i.dims, dtype=int) >= 1024]
    assert len(large) > 15
    assert all(i.data_location == onnx.TensorProto.EXTERNAL for i in large)


def test_half_precision_halves_the_file_and_costs_little(nninteractive_folder: MakeFolder, tmp_path: Path) -> None:
    source, x = nninteractive_folder(), network_input((32, 64, 32))
    half = convert_nninteractive(source, tmp_path / "half", **SMALL)
    assert sum(length for _, length in safetensors_offsets(half.tensors).values()) == 2 * parameters()
    graph = choose_backend("onnxruntime", "cpu").load(half, shape=x.shape, device="cpu", precision="fp32")
    expected = answer(source, x, SMALL)
    assert np.abs(graph.run({"input": x})["logits"] - expected).max() < 0.02 * np.abs(expected).max()


def test_the_card_says_where_the_weights_are_from(
    no_graph: None, nninteractive_folder: MakeFolder, tmp_path: Path
) -> None:
    source = nninteractive_folder()
    card = convert_nninteractive(source, tmp_path / "out", **SMALL).card
    assert (card.name, card.licence) == ("nninteractive", "CC-BY-NC-SA-4.0")
    assert card.sha256 == file_sha256(tmp_path / "out" / "nninteractive.safetensors")
    assert card.training["checkpoint_sha256"] == file_sha256(source / "fold_0" / "checkpoint_final.pth")
    assert card.training["interactions"]["point_radius"] == 4
    assert "Dataset225_nnInteractiveV2" in card.source


def test_a_converted_folder_holds_the_three_files_and_nothing_else(
    no_graph: None, nninteractive_folder: MakeFolder, tmp_path: Path
) -> None:
    source, out = nninteractive_folder(), tmp_path / "out"
    for _ in range(2):
        files = convert_nninteractive(source, out, **SMALL)
        assert files == WeightsFiles.in_folder("nninteractive", out)
        assert files.complete
        assert len(list(out.iterdir())) == 3


def test_a_wrong_folder_leaves_nothing_and_keeps_what_was_there(
    no_graph: None, nninteractive_folder: MakeFolder, tmp_path: Path
) -> None:
    source, out = nninteractive_folder(), tmp_path / "out"
    broken = tmp_path / "broken"
    shutil.copytree(source, broken)
    (broken / "plans.json").write_text("{}")
    with pytest.raises(WeightsError):
        convert_nninteractive(broken, out, **SMALL)
    assert not out.exists()
    files = convert_nninteractive(source, out, **SMALL)
    with pytest.raises(WeightsError):
        convert_nninteractive(broken, out, **SMALL)
    assert files.complete
    assert len(list(out.iterdir())) == 3


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interruption_while_writing_leaves_nothing(
    error: type[BaseException], nninteractive_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "new" / "out"

    def stop(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("bedside.runtime.export._write_graph", stop)
    with pytest.raises(error):
        convert_nninteractive(nninteractive_folder(), out, **SMALL)
    assert not out.exists()


@pytest.mark.parametrize("after", [1, 2])
def test_an_interruption_between_the_moves_leaves_no_part(
    after: int, no_graph: None, nninteractive_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    moved: list[Path] = []
    replace = Path.replace

    def stop(self: Path, target: Path) -> Path:
        if Path(target).parent == out:
            if len(moved) == after:
                raise KeyboardInterrupt
            moved.append(Path(target))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        convert_nninteractive(nninteractive_folder(), out, **SMALL)
    assert len(moved) == after
    assert not out.exists()


def test_numbers_too_large_for_half_precision_are_rejected(
    no_graph: None, nninteractive_folder: MakeFolder, tmp_path: Path
) -> None:
    source = nninteractive_folder()
    path = source / "fold_0" / "checkpoint_final.pth"
    content = torch.load(path, weights_only=False)
    content["network_weights"]["encoder.stem.convs.0.conv.bias"][0] = 1e6
    torch.save(content, path)
    with pytest.raises(WeightsError, match=r"stem\.convs\.0\.conv\.bias is too large for float16.*float32"):
        convert_nninteractive(source, tmp_path / "out", **SMALL)
    assert convert_nninteractive(source, tmp_path / "out", precision="float32", **SMALL).complete


def test_an_unknown_precision_is_rejected_first(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="float16 or float32, got 'int8'"):
        convert_nninteractive(tmp_path / "none", tmp_path / "out", precision="int8")  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_network_of_full_size(nninteractive_folder: MakeFolder, tmp_path: Path) -> None:
    from bedside.engines.nninteractive.network import DEPTHS, WIDTHS

    source, x = nninteractive_folder(WIDTHS, DEPTHS), network_input((convert.GRID,) * 3)
    files = convert_nninteractive(source, tmp_path / "out", precision="float32")
    assert files.graph.stat().st_size < 1_000_000
    assert 409_400_000 < files.tensors.stat().st_size < 412_000_000
    expected = answer(source, x, FULL)
    for runtime in ("openvino", "torch"):
        graph = choose_backend(runtime, "cpu").load(files, shape=x.shape, device="cpu", precision="fp32")
        assert np.abs(graph.run({"input": x})["logits"] - expected).max() < 1e-3
        del graph
