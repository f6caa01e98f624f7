"""Exported systems of the SAM family: two graphs that answer as the whole network does, and tensors shipped once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bedside.core.errors import BackendError, InputError, StorageError, WeightsError
from bedside.runtime.backend import backends, choose_backend
from bedside.runtime.export import SMALL_TENSOR, put_set, safetensors_offsets
from bedside.weights.card import WeightsCard, file_sha256
from bedside.weights.models import model_cards
from bedside.weights.store import PARTS, WeightsFiles

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from torch import Tensor, nn  # noqa: E402

from bedside.engines.sam.blocks.sam import PromptableNetwork  # noqa: E402
from bedside.engines.sam.blocks.sam_mask_decoder import MaskDecoder  # noqa: E402
from bedside.engines.sam.blocks.sam_prompt_encoder import PromptEncoder  # noqa: E402
from bedside.engines.sam.convert import export as sam_export  # noqa: E402
from bedside.engines.sam.convert.export import export_parts  # noqa: E402
from bedside.engines.sam.convert.parts import TEXT_FEATURES, served_network, split  # noqa: E402
from bedside.engines.sam.networks.mcp_medsam import Content  # noqa: E402
from bedside.weights.models import build_model  # noqa: E402

NAMES = [card.name for card in model_cards() if card.family == "sam"]
TOLERANCE = 1e-3
Arrays = dict[str, NDArray[Any]]


def stir(network: nn.Module, scale: float = 0.03) -> None:
    """Numbers everywhere, so that no layer is still nothing, or one, by its initial weights."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if name.endswith("running_var"):
                value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
            elif value.dtype.is_floating_point and not name.endswith("_mask"):
                value.add_(torch.randn(value.shape, generator=generator) * scale)


def stirred(name: str) -> Any:
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_model(name).eval()
    stir(network)
    return network


def card(name: str) -> WeightsCard:
    return WeightsCard(name, "0", "", "Apache-2.0", "random parameters of a test")


def decoder_inputs(name: str, prompts: int, side: int) -> Arrays:
    """Prompts as the decoder of each system takes them."""
    rng = np.random.default_rng(prompts)
    corners = np.sort(rng.random((prompts, 2, 2), dtype=np.float32) * side, axis=1)
    given: Arrays = {"boxes": corners.reshape(prompts, 4)}
    if name == "swin-lite-medsam":
        given["points"] = rng.random((prompts, 4, 2), dtype=np.float32) * side
        given["scribble"] = (rng.random((prompts, 1, 256, 256)) > 0.9).astype(np.float32)
    if name == "mcp-medsam":
        given["crops"] = rng.random((prompts, 3, 64, 64), dtype=np.float32)
        given["image_features"] = rng.standard_normal((prompts, 512), dtype=np.float32)
        given["modality"] = np.arange(3, 3 + prompts, dtype=np.int64)
    return given


def whole_answer(network: Any, image: NDArray[Any], given: Mapping[str, NDArray[Any]], texts: Tensor) -> Arrays:
    """What the network answers in one piece, as it was trained."""
    tensors = {key: torch.from_numpy(value) for key, value in given.items()}
    boxes = tensors["boxes"]
    with torch.no_grad():
        features = network.encode_image(torch.from_numpy(image))
        if "modality" in tensors:
            modality = tensors["modality"]
            content = Content(tensors["crops"], tensors["image_features"], texts[modality], modality)
            answer = network.decode(features, boxes, content)
        elif "points" in tensors:
            labels = torch.ones(tensors["points"].shape[:2])
            answer = network.decode(features, boxes, tensors["points"], labels, tensors["scribble"])
        else:
            answer = network.decode(features, boxes)
    return {"logits": answer.logits.numpy(), "iou": answer.iou.numpy()}


def run_parts(files: WeightsFiles, runtime: str, image: NDArray[Any], given: Arrays) -> Arrays:
    """Encoder and decoder one after the other by a runtime."""
    backend = backends.get(runtime)
    prompts = {name: value.shape for name, value in given.items()}
    encoder = backend.load(files, shape={"image": image.shape}, precision="fp32")
    decoder = backend.load(files.part_named("decoder"), shape=prompts, precision="fp32")
    return decoder.run({**encoder.run({"image": image}), **given})


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_all_runtimes_answer_as_the_whole_network(name: str, tmp_path: Path) -> None:
    original = stirred(name)
    served = served_network(name)
    texts = torch.randn(11, 512, generator=torch.Generator().manual_seed(2)).half().float()
    stored = {key: value.half().float() if value.numel() >= SMALL_TENSOR else value
              for key, value in original.state_dict().items()}  # fmt: skip
    original.load_state_dict(stored)
    if name == "rep-medsam":
        original.fuse()
    served.load_state_dict(original.state_dict())
    files = export_parts(served, tmp_path / "w", card(name), text_features=texts if name == "mcp-medsam" else None)
    if name == "rep-medsam":
        # Fused branches are rounded after they are joined.
        original = served
    side = served.image_size
    image = np.random.default_rng(0).random((1, 3, side, side), dtype=np.float32)
    for prompts in (1, 3) if name != "medsam" else (1,):
        given = decoder_inputs(name, prompts, side)
        expected = whole_answer(original, image, given, texts)
        assert np.abs(expected["logits"]).max() > 100 * TOLERANCE
        assert np.ptp(expected["logits"]) > 100 * TOLERANCE
        for runtime in ("openvino", "onnxruntime", "torch"):
            answer = run_parts(files, runtime, image, given)
            assert answer["logits"].shape == (prompts, 1, 256, 256)
            for key, value in expected.items():
                assert np.abs(answer[key] - value).max() < TOLERANCE, (runtime, key, prompts)


class PixelEncoder(nn.Module):
    """An encoder that takes no time: one convolution to the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 256, 4, stride=4)

    def forward(self, image: Tensor) -> Tensor:
        out: Tensor = self.embed(image)
        return out


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A network with a real decoder on a grid of 8 x 8, also what 'lite-medsam' builds."""
    from bedside.engines.sam.convert import parts as sam_parts

    def build(name: str = "lite-medsam") -> nn.Module:
        return PromptableNetwork(PixelEncoder(), PromptEncoder(image_size=32, grid=8), MaskDecoder())

    monkeypatch.setattr(sam_parts, "build_model", build)
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build().eval()
    stir(network)
    return network


@pytest.fixture
def exported(tiny: Any, tmp_path: Path) -> WeightsFiles:
    return export_parts(tiny, tmp_path / "w", card("lite-medsam"))


def test_a_small_network_answers_alike_everywhere(tiny: Any, exported: WeightsFiles) -> None:
    image = np.random.default_rng(0).random((1, 3, 32, 32), dtype=np.float32)
    given = decoder_inputs("lite-medsam", 2, 32)
    expected = whole_answer(tiny, image, given, torch.zeros(0))
    for runtime in ("openvino", "onnxruntime", "torch"):
        answer = run_parts(exported, runtime, image, given)
        for key, value in expected.items():
            assert np.abs(answer[key] - value).max() < TOLERANCE, (runtime, key)


def test_the_files_are_those_of_one_set(exported: WeightsFiles) -> None:
    folder = exported.graph.parent
    names = [f"lite-medsam.{end}" for end in ("safetensors", "encoder.onnx", "decoder.onnx", "json")]
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    assert [path.name for path in exported.paths] == names
    assert exported.complete
    assert exported.card.sha256 == file_sha256(exported.tensors)


def test_every_large_initialiser_lies_in_the_file_of_tensors(exported: WeightsFiles) -> None:
    offsets = safetensors_offsets(exported.tensors)
    pointed = set()
    for part in PARTS:
        graph = exported.part_named(part).graph
        for initializer in onnx.load(graph, load_external_data=False).graph.initializer:
            if initializer.data_location != onnx.TensorProto.EXTERNAL:
                assert np.prod(initializer.dims, dtype=int) < SMALL_TENSOR
                continue
            entries = {entry.key: entry.value for entry in initializer.external_data}
            name = initializer.name.removesuffix(".float16")
            assert (entries["location"], int(entries["offset"]), int(entries["length"])) == (
                exported.tensors.name, *offsets[name])  # fmt: skip
            pointed.add(name)
        onnx.checker.check_model(str(graph))
    assert "image_encoder.embed.weight" in pointed
    assert "mask_decoder.transformer.layers.0.mlp.lin1.weight" in pointed


def test_large_tensors_are_halved_and_small_ones_are_not(exported: WeightsFiles) -> None:
    from safetensors.numpy import load_file

    tensors = load_file(exported.tensors)
    assert tensors["mask_decoder.transformer.layers.0.mlp.lin1.weight"].dtype == np.float16
    assert tensors["prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"].dtype == np.float32
    assert {v.dtype for v in tensors.values() if v.size >= SMALL_TENSOR} == {np.dtype(np.float16)}


def test_what_half_precision_cannot_hold_is_stored_whole(tiny: Any, tmp_path: Path) -> None:
    with torch.no_grad():
        tiny.image_encoder.embed.weight[0, 0, 0, 0] = 1e6
    files = export_parts(tiny, tmp_path / "w", card("lite-medsam"))
    from safetensors.numpy import load_file

    found = load_file(files.tensors)["image_encoder.embed.weight"]
    assert found.dtype == np.float32
    assert found[0, 0, 0, 0] == 1e6


def test_full_precision_can_be_asked_for(tiny: Any, tmp_path: Path) -> None:
    files = export_parts(tiny, tmp_path / "w", card("lite-medsam"), precision="float32")
    header = json.loads(files.tensors.read_bytes()[8:60_000].split(b"}}")[0] + b"}}")
    assert {entry["dtype"] for key, entry in header.items() if key != "__metadata__"} == {"F32"}
    with pytest.raises(InputError, match="float16 or float32, got 'int4'"):
        export_parts(tiny, tmp_path / "x", card("lite-medsam"), precision="int4")  # type: ignore[arg-type]


def test_an_export_that_fails_leaves_nothing(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., None] = sam_export._write_graph

    def fail(part: Any, path: Path, tensors: Path) -> None:
        real(part, path, tensors)
        if "decoder" in path.name:
            raise OSError("disk full")

    monkeypatch.setattr(sam_export, "_write_graph", fail)
    with pytest.raises(OSError, match="disk full"):
        export_parts(tiny, tmp_path / "w", card("lite-medsam"))
    assert not (tmp_path / "w").exists()


def test_a_set_that_is_not_complete_is_not_put_in_place(exported: WeightsFiles, tmp_path: Path) -> None:
    target = WeightsFiles.in_folder("lite-medsam", tmp_path / "target", "encoder")
    target.graph.parent.mkdir()
    target.tensors.write_bytes(b"older")
    exported.part_named("decoder").graph.unlink()
    with pytest.raises(StorageError, match="decoder"):
        put_set(exported, target)
    assert [path.read_bytes() for path in target.graph.parent.iterdir()] == [b"older"]


def test_torch_rejects_tensors_of_another_network(exported: WeightsFiles) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(exported.tensors)
    del tensors["image_encoder.embed.bias"]
    save_file(tensors, exported.tensors)
    with pytest.raises(BackendError, match=r"image_encoder\.embed\.bias"):
        choose_backend("torch").load(exported, shape={})
    exported.tensors.write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="safetensors"):
        choose_backend("torch").load(exported, shape={})


@pytest.mark.parametrize("name", NAMES)
def test_parts_name_what_they_take(name: str) -> None:
    parts = split(served_network(name, meta=True))
    assert set(parts) == set(PARTS)
    features = set(parts["encoder"].outputs)
    assert features <= set(parts["decoder"].inputs)
    assert parts["decoder"].outputs == ("logits", "iou")
    assert parts["encoder"].inputs["image"][2] == next(c.grid for c in model_cards() if c.name == name)
    if name == "mcp-medsam":
        assert dict(parts["decoder"].named_buffers())[TEXT_FEATURES].shape == (11, 512)


def test_a_network_of_another_family_is_rejected() -> None:
    with pytest.raises(InputError, match="'bedside-2d': expected one of the family sam"):
        served_network("bedside-2d")


def test_outputs_keep_their_names_where_a_last_step_does_nothing(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Conv2d(3, 256, 4, stride=4)
            self.shift = nn.Parameter(torch.zeros(256, 1, 1))

        def forward(self, image: Tensor) -> Tensor:
            return self.embed(image) * 2.0 + self.shift

    tiny.image_encoder = Idle()
    files = export_parts(tiny, tmp_path / "w", card("lite-medsam"))
    image = np.random.default_rng(0).random((1, 3, 32, 32), dtype=np.float32)
    # Once compiled, once from the cache on disk.
    for _ in range(2):
        graph = backends.get("openvino").load(files, shape={"image": image.shape}, precision="fp32")
        assert list(graph.run({"image": image})) == ["embedding"]
