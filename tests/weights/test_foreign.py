"""Checkpoints of others: what is data is read, what is code is rejected by its name, and nothing of it runs."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bedside.core.errors import WeightsError
from bedside.weights.foreign import read_checkpoint


class Call:
    """Pickled, it calls ``function`` when it is opened."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._call


def saved(path: Path, content: Any, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint_final.pth"


def test_tensors_and_what_a_training_leaves_beside_them(path: Path) -> None:
    tensor = torch.arange(12.0).reshape(3, 4)
    content = {
        "network_weights": {"a": tensor, "alias": tensor, "half": tensor.half().t()},
        "trainer_name": "nnInteractiveTrainer_stub",
        "init_args": {"configuration": "c", "fold": 0, "device": torch.device("cuda"), "unpack": True},
        "logging": {"loss": [1.0, np.float64(0.5), np.float32(0.25)], "epoch": np.int64(3), "none": None},
        "_best_ema": np.float64(0.75),
        "axes": (0, 1, 2),
    }
    found = read_checkpoint(saved(path, content))
    assert found.keys() == content.keys()
    weights = found["network_weights"]
    assert torch.equal(weights["a"], tensor)
    assert weights["a"].data_ptr() == weights["alias"].data_ptr()
    assert torch.equal(weights["half"], tensor.half().t())
    assert found["init_args"] == content["init_args"]
    assert found["logging"] == content["logging"]
    assert found["_best_ema"] == 0.75


def test_names_of_older_numpy_are_known(path: Path) -> None:
    saved(path, {"number": np.float64(0.5)})
    old = path.with_name("old.pth")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(old, "w") as target:
        for entry in source.infolist():
            target.writestr(entry, source.read(entry).replace(b"numpy._core", b"numpy.core"))
    assert b"numpy._core" not in old.read_bytes()
    assert read_checkpoint(old) == {"number": 0.5}


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (os.system, rf"{os.system.__module__}\.system"),
        (os.mkdir, rf"{os.mkdir.__module__}\.mkdir"),
        (eval, r"(__)?builtins?(__)?\.eval"),
        (getattr, r"(__)?builtins?(__)?\.getattr"),
        (np.load, r"numpy\.load"),
        (torch.load, r"torch\.serialization\.load"),
        (torch.hub.load, r"torch\.hub\.load"),
    ],
)
def test_code_is_rejected_by_its_name_and_not_run(
    function: Callable[..., Any], name: str, path: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    argument = f"touch {victim}" if function is os.system else str(victim)
    saved(path, {"network_weights": {"a": torch.ones(2)}, "init_args": {"device": Call(function, argument)}})
    before = sorted(tmp_path.iterdir())
    with pytest.raises(WeightsError, match=f"would execute code.*got ({name})") as error:
        read_checkpoint(path)
    assert "\n" not in str(error.value)
    assert sorted(tmp_path.iterdir()) == before


def test_a_newer_pickle_is_no_way_round(path: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    saved(path, {"a": Call(os.mkdir, str(victim))}, pickle_protocol=4)
    with pytest.raises(WeightsError, match=r"checkpoint checkpoint_final\.pth"):
        read_checkpoint(path)
    assert not victim.exists()


def test_code_in_any_part_of_the_archive_stays_unread(path: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    saved(path, {"a": torch.ones(2)})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("checkpoint_final/other.pkl", pickle.dumps(Call(os.mkdir, str(victim))))
    assert torch.equal(read_checkpoint(path)["a"], torch.ones(2))
    assert not victim.exists()


def test_a_plain_pickle_is_rejected(path: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    path.write_bytes(pickle.dumps({"a": Call(os.mkdir, str(victim))}))
    with pytest.raises(WeightsError, match="no complete zip file"):
        read_checkpoint(path)
    assert not victim.exists()


def test_the_format_before_zip_is_rejected(path: Path) -> None:
    saved(path, {"a": torch.ones(2)}, _use_new_zipfile_serialization=False)
    with pytest.raises(WeightsError, match="no complete zip file"):
        read_checkpoint(path)


def test_a_compressed_archive_is_rejected(path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(10_000)}, buffer)
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    with pytest.raises(WeightsError, match="compressed"):
        read_checkpoint(path)


@pytest.mark.parametrize("names", [["readme.txt"], ["a/data.pkl", "b/data.pkl"], ["a/data.pkl", "a/constants.pkl"]])
def test_another_archive_is_rejected(names: list[str], path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")
    with pytest.raises(WeightsError, match="a zip file of something else"):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [[1, 2], 3, torch.ones(2), {1: torch.ones(2)}])
def test_anything_but_a_dictionary_is_rejected(content: Any, path: Path) -> None:
    with pytest.raises(WeightsError, match="dictionary of tensors"):
        read_checkpoint(saved(path, content))


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.9, -1])
def test_a_cut_file_is_rejected(kept: float, path: Path) -> None:
    content = saved(path, {"a": torch.ones(1000)}).read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    with pytest.raises(WeightsError, match=r"checkpoint_final\.pth") as error:
        read_checkpoint(path)
    assert "\n" not in str(error.value)


def test_spoilt_pickles_are_rejected_in_one_line(path: Path) -> None:
    saved(path, {"a": torch.ones(4), "b": {"c": [1, 2.5, "text"]}})
    with zipfile.ZipFile(path) as source:
        parts = {entry.filename: source.read(entry) for entry in source.infolist()}
    pickled = next(name for name in parts if name.endswith("data.pkl"))
    generator = np.random.default_rng(0)
    messages = []
    for _ in range(60):
        spoilt = bytearray(parts[pickled])
        spoilt[int(generator.integers(len(spoilt)))] = int(generator.integers(256))
        with zipfile.ZipFile(path, "w") as target:
            for name, content in parts.items():
                target.writestr(name, bytes(spoilt) if name == pickled else content)
        try:
            read_checkpoint(path)
        except WeightsError as error:
            messages.append(str(error))
    assert len(messages) > 10
    assert not any("\n" in message for message in messages)


def test_a_missing_file_is_named(path: Path) -> None:
    with pytest.raises(WeightsError, match=r"checkpoint_final\.pth: expected a file, got none"):
        read_checkpoint(path)
