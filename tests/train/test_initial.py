from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import bedside.train.initial
from bedside.core.errors import InputError, WeightsError
from bedside.train.initial import initial_path, read_tensors


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    types = {"a": torch.float16, "b": torch.float32, "c.d": torch.bfloat16, "e": torch.float64}
    shapes = {"a": (3, 4), "b": (), "c.d": (2, 1, 5), "e": (0,)}
    return {k: torch.randn(shapes[k], generator=generator).to(types[k]) for k in types}


def test_reads_what_safetensors_writes(tensors: dict[str, torch.Tensor], tmp_path: Path) -> None:
    save_file(tensors, tmp_path / "x.safetensors", metadata={"format": "pt"})
    read = read_tensors(tmp_path / "x.safetensors")
    assert read.keys() == tensors.keys()
    for name, value in tensors.items():
        assert read[name].dtype == value.dtype
        assert torch.equal(read[name], value)


@pytest.mark.parametrize("keep", [0, 5, 60, -1])
def test_files_cut_short_are_refused(tensors: dict[str, torch.Tensor], tmp_path: Path, keep: int) -> None:
    path = tmp_path / "x.safetensors"
    del tensors["e"]
    save_file(tensors, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(WeightsError, match="expected a safetensors file"):
        read_tensors(path)


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b'{"a": 3}',
        b'{"a": {"dtype": "I8", "shape": [1], "data_offsets": [0, 1]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}',
        b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}',
    ],
)
def test_headers_that_lie_are_refused(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(WeightsError):
        read_tensors(path)


def test_choices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bedside.train.initial, "BUNDLED", tmp_path)
    assert initial_path("none", "bedside-2d") is None
    with pytest.raises(WeightsError, match="bundled weights of 'bedside-2d'"):
        initial_path("bundled", "bedside-2d")
    file = tmp_path / "bedside-2d.safetensors"
    file.touch()
    assert initial_path("bundled", "bedside-2d") == file
    assert initial_path(str(file), "bedside-2d") == file
    with pytest.raises(InputError, match="expected bundled, none or a safetensors file, got 'budled'"):
        initial_path("budled", "bedside-2d")
