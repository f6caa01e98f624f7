from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image as Picture

from bedside.data.prepare import object_table
from bedside.data.store import Item, ItemInfo, Store, write_store
from bedside.train.config import TrainingConfig


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in one order, and no quarrel over the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session", autouse=True)
def forget_shared_tensors() -> Iterator[None]:
    """Let go of what loader workers shared while torch can still do it: at exit each would complain on stderr."""
    yield
    torch.multiprocessing.reductions.shared_cache.clear()


def disc(shape: tuple[int, int], centre: tuple[int, int], radius: int) -> NDArray[np.bool_]:
    y, x = np.indices(shape)
    inside: NDArray[np.bool_] = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2
    return inside


def make_item(set_name: str, number: int, variant: str = "image") -> Item:
    """A bright disc on a dark, noisy ground."""
    generator = np.random.default_rng((number, *set_name.encode()))
    mask = disc((48, 60), (20 + number, 26 + 2 * number), 9 + number)
    image = (generator.normal(60, 15, mask.shape) + 90 * mask).clip(0, 255).astype(np.uint8)
    maps = mask[None].astype(np.uint16)
    kind = "label" if variant == "image" else "superpixel"
    info = ItemInfo(f"{set_name}/{number}", set_name, variant, "made", None, (kind,))
    return Item(info, image, maps, object_table(maps))


def make_volume(set_name: str, number: int, variant: str = "image") -> Item:
    """A bright ball on a dark, noisy ground, in slices twice as thick as wide."""
    generator = np.random.default_rng((number, *set_name.encode()))
    z, y, x = np.indices((30, 34, 38))
    mask = (z - 15 - number) ** 2 + (y - 16) ** 2 + (x - 18 - number) ** 2 <= (8 + number) ** 2
    image = (generator.normal(60, 15, mask.shape) + 90 * mask).clip(0, 255).astype(np.uint8)
    maps = mask[None].astype(np.uint16)
    kind = "label" if variant == "image" else "supervoxel"
    info = ItemInfo(f"{set_name}/v{number}", set_name, variant, "made", (2.0, 1.0, 1.0), (kind,))
    return Item(info, image, maps, object_table(maps))


@pytest.fixture(scope="session")
def volume_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two sets of balls, one of them ("held") to hold out, a supervoxel and an image with a disc."""
    folder = tmp_path_factory.mktemp("volumes")
    items = [make_volume(name, number) for name in ("one", "held") for number in range(2)]
    write_store(folder, [*items, make_volume("one", 3, "supervoxel"), make_item("flat", 1)])
    return Store(folder)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Three sets of discs, one of them ("held") to hold out, and superpixels of two."""
    folder = tmp_path_factory.mktemp("store")
    items = [make_item(name, number) for name in ("one", "two", "held") for number in range(3)]
    items += [make_item(name, 5, "superpixel") for name in ("one", "held")]
    write_store(folder, items)
    return Store(folder)


def tiny_config() -> TrainingConfig:
    """Six steps of two samples on a tiny grid."""
    plain = TrainingConfig(
        model="bedside-2d",
        steps=6,
        batch=2,
        warmup_steps=2,
        round_probabilities=(0.3, 0.7),
        precision="fp32",
        seed=3,
        workers=0,
        held_out=("held",),
        log_every=1,
        validate_every=4,
        validation_samples=3,
    )
    return plain.with_overrides({"sampling.grid": 32})


@pytest.fixture
def config() -> TrainingConfig:
    return tiny_config()


@pytest.fixture
def make_data(tmp_path: Path) -> Callable[..., Path]:
    """Writes a folder of datasets: images in "flat", a volume in "deep"."""

    def make(root: Path | None = None, split: str = "train") -> Path:
        root = root or tmp_path / "data"
        _write_set(root / "2d" / "flat", split, "2d")
        for number in range(2):
            item = make_item("flat", number)
            Picture.fromarray(item.image).save(root / "2d" / "flat" / f"{number}.image.png")
            Picture.fromarray(item.maps[0].astype(np.uint8)).save(root / "2d" / "flat" / f"{number}.labels.png")
        _write_set(root / "3d" / "deep", split, "3d")
        volume = np.zeros((32, 30, 28), dtype=np.int16)
        volume[8:20, 8:20, 8:20] = 200
        for kind, array in (("image", volume), ("labels", (volume > 0).astype(np.uint8))):
            nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), root / "3d" / "deep" / f"a.{kind}.nii.gz")
        return root

    return make


def _write_set(folder: Path, split: str, dimensions: str) -> None:
    folder.mkdir(parents=True)
    card: dict[str, Any] = {
        "name": folder.name,
        "split": split,
        "dim": dimensions,
        "modality": "made",
        "label_kind": "semantic",
        "structures": {"1": "thing"},
        "licence": f"licence of {folder.name}",
    }
    (folder / "set.json").write_text(json.dumps(card))
