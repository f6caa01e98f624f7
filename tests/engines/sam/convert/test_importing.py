"""Published checkpoints of the SAM family become files that runtimes answer from, with all that a system needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside.core.errors import InputError, WeightsError
from bedside.runtime.backend import backends
from bedside.weights.card import file_sha256
from bedside.weights.store import WeightsFiles

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from bedside.engines.sam.blocks.clip import Clip  # noqa: E402
from bedside.engines.sam.convert.checkpoints import network_skeleton  # noqa: E402
from bedside.engines.sam.convert.clip import BEGIN, END  # noqa: E402
from bedside.engines.sam.convert.importing import import_sam  # noqa: E402
from bedside.engines.sam.convert.parts import TEXT_FEATURES  # noqa: E402

CONSTANT = 0.01


def published(path: Path, state: dict[str, Any]) -> Path:
    """A file of the right names and shapes; every tensor is one number, repeated without taking room."""
    torch.save(
        {
            key: torch.full((), CONSTANT).expand(value.shape)
            if value.is_floating_point()
            else torch.zeros(value.shape, dtype=value.dtype)
            for key, value in state.items()
        },
        path,
    )
    return path


@pytest.fixture
def clip_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "clip"
    folder.mkdir()
    with torch.device("meta"):
        clip = Clip()
    published(folder / "pytorch_model.bin", clip.state_dict())
    letters = [*"abcdefghijklmnopqrstuvwxyz-"]
    numbers = {part: n for n, part in enumerate([*letters, *(a + "</w>" for a in letters), BEGIN, END])}
    (folder / "vocab.json").write_text(json.dumps(numbers))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return folder


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return published(tmp_path / "w.pth", network_skeleton("mcp-medsam").state_dict())


def test_what_does_not_belong_together_is_rejected(checkpoint: Path, clip_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(InputError, match=r"the folder of PubMedCLIP, got none; name it by --clip"):
        import_sam("mcp-medsam", checkpoint, out)
    other = published(tmp_path / "lite.pth", network_skeleton("lite-medsam").state_dict())
    with pytest.raises(InputError, match="it needs none"):
        import_sam("lite-medsam", other, out, clip=clip_folder)
    with pytest.raises(InputError, match="family sam, got family window"):
        import_sam("bedside-2d", checkpoint, out)
    with pytest.raises(InputError, match="expected none, got 'ct'"):
        import_sam("lite-medsam", other, out, variant="ct")
    (clip_folder / "vocab.json").unlink()
    with pytest.raises(WeightsError, match=r"vocab\.json"):
        import_sam("mcp-medsam", checkpoint, out, clip=clip_folder)
    assert not out.exists()


@pytest.mark.slow
def test_content_and_modalities_come_with_their_frozen_network(
    checkpoint: Path, clip_folder: Path, tmp_path: Path
) -> None:
    from safetensors.numpy import load_file

    files = import_sam("mcp-medsam", checkpoint, tmp_path / "out", clip=clip_folder)
    assert [path.name for path in files.paths] == [
        f"mcp-medsam.{end}" for end in ("safetensors", "encoder.onnx", "decoder.onnx", "content.onnx", "json")
    ]
    assert files.complete
    tensors = load_file(files.tensors)
    assert tensors[TEXT_FEATURES].shape == (11, 512)
    assert not any(key.startswith("text_model.") for key in tensors)
    crops = np.random.default_rng(0).random((1, 3, 224, 224), dtype=np.float32)
    tower = files.part_named("content")
    answers = [
        backends.get(name).load(tower, shape={"crops": crops.shape}, precision="fp32").run({"crops": crops})
        for name in ("openvino", "onnxruntime", "torch")
    ]
    for answer in answers[1:]:
        assert answer["image_features"].shape == (1, 512)
        assert np.abs(answer["image_features"] - answers[0]["image_features"]).max() < 1e-3


@pytest.mark.slow
def test_an_expert_has_files_of_its_own(tmp_path: Path) -> None:
    path = published(tmp_path / "ct.pth", network_skeleton("daft").state_dict())
    files = import_sam("daft", path, tmp_path / "out", variant="ct")
    assert files == WeightsFiles.in_folder("daft-ct", tmp_path / "out", "encoder")
    assert (files.card.name, files.card.licence) == ("daft", "BSD-3-Clause")
    assert files.card.training["variant"] == "ct"
    assert files.card.training["checkpoints"] == {"ct.pth": file_sha256(path)}


@pytest.mark.slow
def test_fused_and_unfused_branches_become_the_same_files(tmp_path: Path) -> None:
    names = {}
    for fused in (False, True):
        path = published(tmp_path / f"{fused}.pth", network_skeleton("rep-medsam", fused=fused).state_dict())
        files = import_sam("rep-medsam", path, tmp_path / str(fused))
        names[fused] = [path.name for path in files.paths]
        image = np.zeros((1, 3, 256, 256), np.float32)
        graph = backends.get("torch").load(files, shape={})
        assert graph.run({"image": image})["embedding"].shape == (1, 256, 64, 64)
    assert names[False] == names[True]
