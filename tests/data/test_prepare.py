from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Picture

from bedside.core.errors import FormatError, InputError
from bedside.data.prepare import (
    MINIMUM_SIZE,
    SUPERPIXEL_SCALES,
    SUPERPIXEL_SIDE,
    object_table,
    prepare_store,
    superpixel_maps,
    training_sets,
)
from bedside.data.store import Item, Store


def write_set(folder: Path, dimensions: int, **card: Any) -> Path:
    folder.mkdir(parents=True)
    whole = {"name": folder.name, "dim": f"{dimensions}d", "modality": "made", "label_kind": "semantic",
             "structures": {"1": "thing"}, "split": "train", **card}  # fmt: skip
    (folder / "set.json").write_text(json.dumps(whole))
    return folder


def write_png(folder: Path, name: str, image: NDArray[Any], labels: NDArray[Any]) -> None:
    Picture.fromarray(image).save(folder / f"{name}.image.png")
    Picture.fromarray(labels).save(folder / f"{name}.labels.png")


def write_nifti(folder: Path, name: str, image: NDArray[Any], labels: NDArray[Any], spacing: tuple[float, ...]) -> None:
    affine = np.diag([*spacing, 1.0])
    nibabel.save(nibabel.Nifti1Image(image.T, affine), folder / f"{name}.image.nii.gz")
    nibabel.save(nibabel.Nifti1Image(labels.T, affine), folder / f"{name}.labels.nii.gz")


def noise(shape: tuple[int, ...], labels: NDArray[Any]) -> NDArray[Any]:
    values = np.random.default_rng(0).normal(60, 10, shape) + 100 * (labels > 0).reshape(
        labels.shape + (1,) * (len(shape) - labels.ndim)
    )
    return values.clip(0, 255)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data" / "train"
    # Semantic: label 1 in two parts, label 2 in one, and a speck too small to count.
    labels = np.zeros((50, 400), dtype=np.uint8)
    labels[5:15, 5:15] = labels[30:40, 300:320] = 1
    labels[20:28, 100:130] = 2
    labels[0, 0:3] = 3
    write_png(write_set(root / "2d" / "semantic", 2), "a", noise((50, 400, 3), labels).astype(np.uint8), labels)
    folder = write_set(root / "2d" / "instances", 2, label_kind="instance", structures={"*": "instance"})
    write_png(folder, "b", noise((50, 400), labels).astype(np.uint8), labels)
    volume = np.zeros((26, 30, 34), dtype=np.uint8)
    volume[6:20, 6:20, 10:30] = 1
    folder = write_set(root / "3d" / "volumes", 3, cases=[{"id": "d", "spacing_mm": None}, {"id": "c"}])
    write_nifti(folder, "c", (noise(volume.shape, volume) - 100).astype(np.int16), volume, (0.5, 0.75, 3.0))
    write_nifti(folder, "d", noise(volume.shape, volume).astype(np.float32) + 0.5, volume, (1.0, 1.0, 1.0))
    folder = write_set(root / "3d" / "nominal", 3, spacing_known=False)
    write_nifti(folder, "e", noise(volume.shape, volume).astype(np.int16), volume, (1.0, 2.0, 3.0))
    write_png(write_set(tmp_path / "data" / "val" / "2d" / "kept", 2, split="val"), "x", labels, labels)
    return tmp_path / "data"


@pytest.fixture
def items(data: Path, tmp_path: Path) -> dict[tuple[str, str], list[Item]]:
    prepare_store(data, tmp_path / "store", report=lambda _: None)
    found: dict[tuple[str, str], list[Item]] = {}
    for item in Store(tmp_path / "store").items:
        found.setdefault((item.info.name.split("#")[0], item.info.variant), []).append(item)
    return found


def test_only_train_is_taken(items: dict[tuple[str, str], list[Item]]) -> None:
    names = {"semantic/a", "instances/b", "volumes/c", "volumes/d", "nominal/e"}
    volumes = {"volumes/c", "volumes/d", "nominal/e"}
    expected = {(name, variant) for name in names for variant in ("image", "superpixel")}
    assert items.keys() == expected | {(name, "supervoxel") for name in volumes}
    assert all(len(found) == 1 for (_, variant), found in items.items() if variant == "image")
    assert {len(items[n, "superpixel"]) for n in ("semantic/a", "volumes/c")} == {1, 3}


def test_semantic_labels_come_whole_and_in_parts(items: dict[tuple[str, str], list[Item]]) -> None:
    (item,) = items["semantic/a", "image"]
    assert item.info.map_kinds == ("label", "part")
    assert item.image.shape == (50, 400, 3)
    rows = item.objects.tolist()
    assert [0, 1, 300, 5, 5, 40, 320] in rows
    assert [0, 2, 240, 20, 100, 28, 130] in rows
    assert sorted(row[2:] for row in rows if row[0] == 1) == [
        [100, 5, 5, 15, 15],
        [200, 30, 300, 40, 320],
        [240, 20, 100, 28, 130],
    ]
    assert len(rows) == 5


def test_instances_are_not_divided(items: dict[tuple[str, str], list[Item]]) -> None:
    (item,) = items["instances/b", "image"]
    assert item.info.map_kinds == ("instance",)
    assert item.objects[:, 1].tolist() == [1, 2]


def test_volumes_keep_their_axes_range_and_known_spacing(items: dict[tuple[str, str], list[Item]]) -> None:
    (c,), (d,), (e,) = (items[name, "image"] for name in ("volumes/c", "volumes/d", "nominal/e"))
    assert c.info.spacing == (3.0, 0.75, 0.5)
    assert d.info.spacing is None
    assert e.info.spacing is None
    assert c.image.shape == (26, 30, 34)
    assert (c.image.dtype, d.image.dtype) == (np.int16, np.float32)
    assert c.image.min() < 0
    assert c.objects.tolist() == [[0, 1, 14 * 14 * 20, 6, 6, 10, 20, 20, 30]]
    # Without a part of its own a label has one map.
    assert c.info.map_kinds == ("label",)


def test_supervoxels_cover_volumes_at_every_scale(items: dict[tuple[str, str], list[Item]]) -> None:
    (c,) = items["volumes/c", "supervoxel"]
    assert c.info.spacing == (3.0, 0.75, 0.5)
    assert c.image.shape == (26, 30, 34)
    assert c.image.dtype == np.uint8
    assert c.info.map_kinds == ("supervoxel",) * 3
    assert c.maps.shape == (3, 26, 30, 34)
    assert c.maps.min() == 1
    assert set(c.objects[:, 0]) == {0, 1, 2}
    (e,) = items["nominal/e", "supervoxel"]
    assert e.info.spacing is None


def test_superpixels_lie_on_reduced_copies(items: dict[tuple[str, str], list[Item]]) -> None:
    (flat,) = items["semantic/a", "superpixel"]
    assert flat.image.shape[:2] == (40, SUPERPIXEL_SIDE)
    assert flat.maps.shape == (len(SUPERPIXEL_SCALES), 40, SUPERPIXEL_SIDE)
    assert flat.info.spacing is None
    assert set(flat.info.map_kinds) == {"superpixel"}
    assert {i.info.spacing for i in items["volumes/c", "superpixel"]} == {(0.75, 0.5), (3.0, 0.5), (3.0, 0.75)}
    assert {i.info.spacing for i in items["nominal/e", "superpixel"]} == {None}


def test_packing_is_repeatable_and_tells_of_its_progress(data: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    for name in "ab":
        prepare_store(data, tmp_path / name, report=lines.append)
    assert Store(tmp_path / "a").sha256 == Store(tmp_path / "b").sha256
    assert len(lines) == 8
    assert lines[0].startswith("packed instances (1 of 4): ")


def test_sets_by_name(data: Path, tmp_path: Path) -> None:
    prepare_store(data, tmp_path / "one", sets=["instances"], report=lambda _: None)
    assert {item.info.set_name for item in Store(tmp_path / "one").items} == {"instances"}
    with pytest.raises(InputError, match="kept"):
        prepare_store(data, tmp_path / "one", sets=["kept"], report=lambda _: None)


def test_val_is_never_packed(data: Path, tmp_path: Path) -> None:
    assert {s.split for s in training_sets(data)} == {"train"}
    for folder in (data / "val", data / "val" / "2d", data / "val" / "2d" / "kept"):
        with pytest.raises(InputError, match="data set 'kept': expected the split train, got val"):
            prepare_store(folder, tmp_path / "store")


def test_sets_without_a_split_may_be_trained_on(tmp_path: Path) -> None:
    write_png(write_set(tmp_path / "own", 2, split=""), "a", *(np.ones((9, 9), np.uint8),) * 2)
    assert [s.name for s in training_sets(tmp_path)] == ["own"]


@pytest.mark.parametrize("wrong", ["shape", "colour", "fraction", "negative", "broken"])
def test_cases_that_cannot_be_read_are_named(tmp_path: Path, wrong: str) -> None:
    if wrong in ("shape", "colour", "broken"):
        folder = write_set(tmp_path / "set", 2)
        shape = {"shape": (9, 8), "colour": (9, 9, 3), "broken": (9, 9)}[wrong]
        write_png(folder, "a", np.zeros((9, 9, 3), np.uint8), np.zeros(shape, np.uint8))
        if wrong == "broken":
            (folder / "a.image.png").write_bytes(b"no picture")
    else:
        folder = write_set(tmp_path / "set", 3)
        value = {"fraction": 0.5, "negative": -1.0}[wrong]
        write_nifti(folder, "a", np.zeros((9, 9, 9), np.int16), np.full((9, 9, 9), value, np.float32), (1, 1, 1))
    with pytest.raises(FormatError, match=r"a\.(image|labels)"):
        prepare_store(tmp_path, tmp_path / "store")
    assert not list((tmp_path / "store").glob("*"))


def test_labels_of_floating_point_are_whole_numbers(tmp_path: Path) -> None:
    labels = np.zeros((24, 24, 24), np.float32)
    labels[4:12, 4:12, 4:12] = 3
    image = np.where(labels > 0, np.nan, 5.0).astype(np.float32)
    write_nifti(write_set(tmp_path / "set", 3), "a", image, labels, (1, 1, 1))
    prepare_store(tmp_path, tmp_path / "store", report=lambda _: None)
    item = Store(tmp_path / "store").items[0]
    assert item.objects[:, 1].tolist() == [3]
    assert np.isfinite(item.image).all()


def test_pictures_with_palette_or_transparency_become_colours(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", 2)
    labels = np.zeros((30, 30), np.uint8)
    labels[5:20, 5:20] = 1
    for mode in ("P", "RGBA", "LA"):
        Picture.fromarray(labels * 100).convert(mode).save(folder / f"{mode}.image.png")
        Picture.fromarray(labels).save(folder / f"{mode}.labels.png")
    prepare_store(tmp_path, tmp_path / "store", report=lambda _: None)
    shapes = {item.image.shape for item in Store(tmp_path / "store").items if item.info.variant == "image"}
    assert shapes == {(30, 30, 3)}


def test_object_table() -> None:
    maps = np.zeros((2, 6, 30, 30), dtype=np.uint16)
    maps[0, 1:3, 4:8, 5:9] = 7
    maps[1, 5, 0, : MINIMUM_SIZE - 1] = 1
    maps[1, 4, 0, :MINIMUM_SIZE] = 2
    assert object_table(maps).tolist() == [
        [0, 7, 32, 1, 4, 5, 3, 8, 9],
        [1, 2, MINIMUM_SIZE, 4, 0, 0, 5, 1, MINIMUM_SIZE],
    ]
    assert object_table(maps * 0).shape == (0, 9)


def test_superpixels_cover_the_plane_and_follow_edges() -> None:
    plane = np.zeros((60, 60), dtype=np.int16)
    plane[20:40, 20:40] = 1000
    maps = superpixel_maps(plane)
    assert maps.shape == (3, 60, 60)
    assert maps.min() == 1
    inner, outer = maps[0, 25:35, 25:35], maps[0, :10, :10]
    assert not set(np.unique(inner)) & set(np.unique(outer))
    assert superpixel_maps(np.zeros((30, 30, 3), dtype=np.uint8)).max() >= 1
