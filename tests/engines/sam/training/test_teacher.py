from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from bedside.core.errors import InputError, WeightsError
from bedside.data.store import Store
from bedside.engines.sam.training.augmentation import apply_flip
from bedside.engines.sam.training.networks import seeded_network
from bedside.engines.sam.training.recipe import TeacherSettings
from bedside.engines.sam.training.sampling import SamSampler, SamSampling, fit_slice
from bedside.engines.sam.training.slices import SliceTable
from bedside.engines.sam.training.teacher import ALL_FLIPS, NO_FLIPS, EmbeddingBank, Teacher, open_teacher, views_of
from bedside.weights.store import FOLDER_VARIABLE

CPU = torch.device("cpu")
pytestmark = pytest.mark.usefixtures("light")
RANDOM = TeacherSettings("lite-medsam", "random", 32, "pad", "area")


def quiet(line: str) -> None:
    del line


@pytest.fixture
def teacher(light: None) -> Teacher:
    return open_teacher(RANDOM, 3, CPU, quiet)


@pytest.fixture
def table(store: Store) -> SliceTable:
    return SliceTable(store, limit=3)


def test_random_weights_are_said_and_depend_on_the_seed() -> None:
    lines: list[str] = []
    teacher = open_teacher(RANDOM, 3, CPU, lines.append)
    assert any("RANDOM" in line for line in lines)
    assert teacher.record == {"model": "lite-medsam", "weights": "random", "seed": 3}
    assert not any(p.requires_grad for p in teacher.network.parameters())
    again, other = (open_teacher(RANDOM, seed, CPU, quiet).network.state_dict() for seed in (3, 4))
    own = teacher.network.state_dict()
    assert all(torch.equal(own[name], again[name]) for name in own)
    assert any(not torch.equal(own[name], other[name]) for name in own)


def test_without_weights_nothing_is_made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(InputError, match=r"weights of the teacher 'lite-medsam': .*teacher\.weights=random"):
        open_teacher(TeacherSettings("lite-medsam", side=256), 0, CPU, quiet)
    with pytest.raises(InputError, match=r"teacher\.weights: expected a safetensors file, or random"):
        open_teacher(TeacherSettings("lite-medsam", "none.safetensors", side=256), 0, CPU, quiet)
    with pytest.raises(InputError, match=r"teacher\.side: expected 256 for weights that were trained, got 32"):
        open_teacher(TeacherSettings("lite-medsam", "any", side=32), 0, CPU, quiet)


def test_weights_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "teacher.safetensors"
    network = seeded_network("lite-medsam", 256, 7)
    save_file({k: v.half().contiguous() for k, v in network.state_dict().items() if "num_batches" not in k}, path)
    teacher = open_teacher(TeacherSettings("lite-medsam", str(path), 256), 0, CPU, quiet)
    assert teacher.record["weights"] == "teacher.safetensors"
    assert len(teacher.record["sha256"]) == 64
    state = teacher.network.state_dict()
    assert torch.equal(state["mask_decoder.iou_token.weight"].half(), network.mask_decoder.iou_token.weight.half())
    save_file({"odd": torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match="expected those of its network"):
        open_teacher(TeacherSettings("lite-medsam", str(path), 256), 0, CPU, quiet)


def test_embeddings_are_those_of_the_teacher_mirrored_and_resized(
    teacher: Teacher, table: SliceTable, tmp_path: Path
) -> None:
    bank = EmbeddingBank(tmp_path, table, 8)
    bank.prepare(teacher, "store", [(2, flip) for flip in ALL_FLIPS], quiet)
    assert len(list(tmp_path.glob("*.npy"))) == 4
    image = fit_slice(table.slices[2], 32, "pad", "area")
    for flip in ALL_FLIPS:
        with torch.no_grad():
            mirrored = torch.from_numpy(np.ascontiguousarray(apply_flip(image, flip)))
            wanted = teacher.network.encode_image(mirrored[None])[0][0].numpy()
        found = bank.read(2, flip)
        assert found.shape == (32, 8, 8)
        assert np.allclose(found, wanted, atol=2e-3 * np.abs(wanted).max())
    larger = EmbeddingBank(tmp_path / "larger", table, 16)
    larger.prepare(teacher, "store", [(2, 0)], quiet)
    assert larger.read(2, 0).shape == (32, 16, 16)
    assert abs(larger.read(2, 0).mean() - bank.read(2, 0).mean()) < 0.05


def test_embeddings_are_computed_once_and_again_where_they_are_of_something_else(
    teacher: Teacher, table: SliceTable, tmp_path: Path
) -> None:
    lines: list[str] = []
    views = [(number, 0) for number in range(3)]

    def prepare(grid: int = 8, store: str = "store") -> list[str]:
        lines.clear()
        EmbeddingBank(tmp_path, table, grid).prepare(teacher, store, views, lines.append)
        return lines

    assert prepare() == ["computing 3 embeddings of the teacher"]
    (tmp_path / "0000001-0.npy").unlink()
    stamp = (tmp_path / "0000000-0.npy").stat().st_mtime_ns
    assert prepare() == ["computing 1 embeddings of the teacher"]
    assert (tmp_path / "0000000-0.npy").stat().st_mtime_ns == stamp
    assert prepare() == []
    assert prepare(grid=4) == ["computing 3 embeddings of the teacher"]
    assert prepare(grid=4, store="another") == ["computing 3 embeddings of the teacher"]


@pytest.mark.parametrize("flips", [0.0, 0.5])
def test_the_views_are_those_that_the_samples_show(table: SliceTable, flips: float) -> None:
    sampler = SamSampler(table, SamSampling(side=32, flips=flips), 3, 32)
    pictures = [sampler.picture(index) for index in range(6)]
    assert views_of(sampler, 6) == {(int(p["slice"]), int(p["flip"])) for p in pictures}
    kinds = ALL_FLIPS if flips else NO_FLIPS
    assert views_of(sampler, 10_000) == {(number, flip) for number in range(3) for flip in kinds}
