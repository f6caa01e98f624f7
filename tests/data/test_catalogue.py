from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from bedside.core.errors import FormatError, InputError
from bedside.data.catalogue import find_data_sets, select_data_sets

SHARED = Path(__file__).parents[3] / "shared" / "data"


def write_set(folder: Path, name: str, dimensions: int = 2, **card) -> Path:
    folder = folder / name
    folder.mkdir(parents=True)
    content = {
        "name": name, "split": "val", "dim": f"{dimensions}d", "modality": "CT", "label_kind": "semantic",
        "structures": {"1": "liver"}, "licence": "CC0", "notes": "x",
    } | card  # fmt: skip
    (folder / "set.json").write_text(json.dumps(content))
    return folder


def write_case(folder: Path, name: str, shape=(6, 8)) -> None:
    Picture.fromarray(np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)).save(folder / f"{name}.image.png")
    labels = np.zeros(shape, np.uint8)
    labels[1:3, 2:5] = 1
    Picture.fromarray(labels).save(folder / f"{name}.labels.png")


def write_volume(folder: Path, name: str, shape=(4, 5, 6), spacing=(0.5, 0.5, 3.0)) -> np.ndarray:
    """(z, y, x) array of what is written."""
    import nibabel

    array = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    affine = np.diag([*spacing, 1.0])
    nibabel.save(nibabel.Nifti1Image(array.T, affine), folder / f"{name}.image.nii.gz")
    labels = (array % 7 == 0).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(labels.T, affine), folder / f"{name}.labels.nii.gz")
    return array


@pytest.mark.parametrize("depth", ["root", "split", "set"])
def test_finds_sets_at_every_level(tmp_path, depth):
    folder = write_set(tmp_path / "val" / "2d", "one")
    write_case(folder, "b")
    write_case(folder, "a")
    (found,) = find_data_sets({"root": tmp_path, "split": tmp_path / "val", "set": folder}[depth])
    assert (found.name, found.split, found.dimensions, found.modality) == ("one", "val", 2, "CT")
    assert found.structures == {1: "liver"}
    assert [case.id for case in found.cases] == ["a", "b"]
    assert found.details["notes"] == "x"


def test_an_image_has_no_spacing(tmp_path):
    write_case(write_set(tmp_path, "one"), "a")
    loaded = find_data_sets(tmp_path)[0].cases[0].load()
    assert loaded.image.shape == loaded.labels.shape == (6, 8)
    assert not loaded.image.geometry.spacing_known
    assert loaded.image.modality == "CT"
    assert loaded.labels.sum() == 6


@pytest.mark.parametrize("known", [True, False])
def test_a_volume_keeps_its_spacing_only_where_it_is_true(tmp_path, known):
    array = write_volume(write_set(tmp_path, "one", 3, spacing_known=known), "a")
    loaded = find_data_sets(tmp_path)[0].cases[0].load()
    np.testing.assert_array_equal(loaded.image.array, array)
    np.testing.assert_array_equal(loaded.labels, array % 7 == 0)
    assert loaded.image.geometry.spacing_known is known
    assert loaded.image.geometry.array_spacing == pytest.approx((3.0, 0.5, 0.5) if known else (1, 1, 1))


def test_instances_have_no_structures(tmp_path):
    write_case(write_set(tmp_path, "one", label_kind="instance", structures={"*": "instance"}), "a")
    assert find_data_sets(tmp_path)[0].structures == {}


def test_sets_are_selected_by_name_in_their_order(tmp_path):
    for name in ("b", "a", "c"):
        write_case(write_set(tmp_path, name), "x")
    sets = find_data_sets(tmp_path)
    assert [s.name for s in select_data_sets(sets, ["c", "a"])] == ["a", "c"]
    assert select_data_sets(sets, []) == sets
    with pytest.raises(InputError, match="one of a, b, c"):
        select_data_sets(sets, ["d"])


def test_what_is_no_data_folder_is_rejected(tmp_path):
    with pytest.raises(InputError, match="existing folder"):
        find_data_sets(tmp_path / "missing")
    with pytest.raises(InputError, match="none in"):
        find_data_sets(tmp_path)


@pytest.mark.parametrize(
    "card", [{"dim": "4d"}, {"label_kind": "other"}, {"structures": None}, {"structures": {"one": "liver"}}]
)
def test_a_set_that_makes_no_sense_is_rejected_by_its_file(tmp_path, card):
    write_case(write_set(tmp_path, "one", **card), "a")
    with pytest.raises(FormatError, match=r"set\.json"):
        find_data_sets(tmp_path)


def test_broken_json_is_rejected(tmp_path):
    folder = write_set(tmp_path, "one")
    (folder / "set.json").write_text("{")
    with pytest.raises(FormatError, match=r"set\.json"):
        find_data_sets(tmp_path)


def test_missing_labels_and_missing_cases_are_rejected(tmp_path):
    folder = write_set(tmp_path, "one")
    with pytest.raises(FormatError, match="none"):
        find_data_sets(tmp_path)
    write_case(folder, "a")
    (folder / "a.labels.png").unlink()
    with pytest.raises(FormatError, match=r"a\.labels\.png"):
        find_data_sets(tmp_path)


def test_labels_of_another_shape_are_rejected(tmp_path):
    folder = write_set(tmp_path, "one")
    write_case(folder, "a")
    Picture.fromarray(np.zeros((5, 8), np.uint8)).save(folder / "a.labels.png")
    with pytest.raises(FormatError, match="shape"):
        find_data_sets(tmp_path)[0].cases[0].load()


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared data folder")
def test_the_shared_folder_is_understood_whole():
    manifest = json.loads((SHARED / "manifest.json").read_text())
    sets = {(s.split, s.name): s for s in find_data_sets(SHARED)}
    assert {(s["split"], s["name"]) for s in manifest["sets"]} == set(sets)
    for entry in manifest["sets"]:
        found = sets[entry["split"], entry["name"]]
        assert {c.id for c in found.cases} == {c["id"] for c in entry["cases"]}
        first = next(c for c in entry["cases"] if c["id"] == found.cases[0].id)
        image = found.cases[0].load().image
        order = first["shape"][:2] if found.dimensions == 2 else first["shape"][::-1]
        assert list(image.shape) == order, found.name
        assert image.geometry.spacing_known == (first["spacing_mm"] is not None), found.name


def test_a_spacing_that_the_set_states_is_used(tmp_path):
    write_case(write_set(tmp_path, "one", cases=[{"id": "a", "spacing_mm": [0.2, 0.1]}]), "a")
    geometry = find_data_sets(tmp_path)[0].cases[0].load().image.geometry
    assert geometry.spacing_known
    assert geometry.array_spacing == (0.2, 0.1)
