"""The same weights in another precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bedside.cli.main import execute
from bedside.runtime.backend import backends
from bedside.weights import store
from bedside.weights.card import file_sha256
from bedside.weights.store import WeightsFiles

SHAPE = (1, 8, 64, 64)


@pytest.mark.slow
def test_int8_takes_half_the_room_and_answers_alike(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx")
    for precision in ("float16", "int8"):
        out = str(tmp_path / precision)
        assert execute(["weights", "repack", "bedside-2d", "--precision", precision, "--out", out]) == 0
    assert "bedside-2d.safetensors" in capsys.readouterr().out
    wide, packed = (WeightsFiles.in_folder("bedside-2d", tmp_path / p) for p in ("float16", "int8"))
    assert packed.tensors.stat().st_size < 0.55 * wide.tensors.stat().st_size
    assert packed.card.sha256 == file_sha256(packed.tensors) != wide.card.sha256
    assert packed.card.data == WeightsFiles.in_folder("bedside-2d", store.BUNDLED).card.data
    sample = {"input": np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)}
    before, after = (
        backends.get("openvino").load(files, shape=SHAPE, precision="fp32").run(sample)["logits"]
        for files in (wide, packed)
    )
    assert not np.array_equal(before, after)
    assert np.mean((before > 0) == (after > 0)) > 0.99


def test_what_cannot_be_repacked_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["weights", "repack", "bedside-2d", "--precision", "int4", "--out", str(tmp_path)]) == 2
    assert execute(["weights", "repack", "medsam", "--out", str(tmp_path)]) == 2
    assert "family" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
