"""Competition cases made from datasets of labelled volumes."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from bedside.challenge.sets import limit_labels, set_cases, short_name, volumes_only
from bedside.cli.evaluate import evaluate
from bedside.core.errors import InputError
from bedside.data.catalogue import find_data_sets


def write_set(folder: Path, name: str, modality: str, labels: int) -> None:
    """A dataset of one volume with ``labels`` cubes."""
    folder = folder / name
    folder.mkdir(parents=True)
    truth = np.zeros((30, 16, 16), np.uint8)
    for label in range(labels):
        truth[3 * label : 3 * label + 2, 4:10, 4:10] = label + 1
    image = (truth > 0) * 90 + np.random.default_rng(0).integers(0, 20, truth.shape)
    for kind, array in (("image", image.astype(np.int16)), ("labels", truth)):
        nibabel.save(nibabel.Nifti1Image(array, np.diag([1.0, 1.0, 2.0, 1.0])), folder / f"a.{kind}.nii.gz")
    details = {"name": name, "split": "val", "modality": modality, "label_kind": "instance", "licence": "CC0 1.0"}
    (folder / "set.json").write_text(json.dumps({**details, "dim": "3d", "structures": {"*": "instance"}}))


@pytest.mark.parametrize(
    ("stated", "short"),
    [
        ("MR T1 post-contrast", "MR"),
        ("PET (FDG, SUV)", "PET"),
        ("light microscopy (confocal, 3D)", "Microscopy"),
        ("ultrasound (transrectal, 3D)", "US"),
        ("OCT angiography", "OCT"),
        ("", "unknown"),
    ],
)
def test_modalities_get_the_competitions_names(stated: str, short: str) -> None:
    assert short_name(stated) == short


def test_labels_are_limited_by_a_draw_that_stays(tmp_path: Path) -> None:
    labels = np.arange(40, dtype=np.uint16).reshape(4, 10)
    kept = limit_labels(labels, 5, "set", "case")
    assert len(np.unique(kept[kept > 0])) == 5
    np.testing.assert_array_equal(kept, limit_labels(labels, 5, "set", "case"))
    assert (kept == limit_labels(labels, 5, "set", "other")).mean() < 1
    np.testing.assert_array_equal(limit_labels(labels, 39, "set", "case"), labels)


def test_cases_carry_their_set_boxes_and_spacing(tmp_path: Path) -> None:
    write_set(tmp_path, "cubes", "CT", labels=3)
    (made,) = set_cases(find_data_sets(tmp_path), 10)
    assert made.data_set == "cubes"
    assert made.case.name == "CT_cubes_a"
    assert len(made.case.boxes) == 3
    assert made.case.image.array.dtype == np.uint8
    assert made.case.image.geometry.spacing == (1.0, 1.0, 2.0)
    (bare,) = set_cases(find_data_sets(tmp_path), 10, boxes=False)
    assert all(box is None for box in bare.case.boxes)


def test_images_alone_are_rejected() -> None:
    with pytest.raises(InputError, match="volumes"):
        volumes_only([])


def test_the_command_measures_data_sets_by_name(tmp_path: Path) -> None:
    write_set(tmp_path / "data", "first", "CT", labels=2)
    write_set(tmp_path / "data", "second", "MR T2", labels=1)
    rows, document = tmp_path / "rows.csv", tmp_path / "all.json"
    app = typer.Typer()
    app.command()(evaluate)
    arguments = ["--protocol", "interactive2025", "--data", str(tmp_path / "data"), "--model", "none"]
    files = ["--csv", str(rows), "--json", str(document)]
    result = CliRunner().invoke(app, [*arguments, "--baseline", "box", *files])
    assert result.exit_code == 0, result.output
    assert "first" in result.output
    assert "mean over sets" in result.output
    assert rows.read_text().splitlines()[1].startswith("box,official,first,CT,CT_first_a")
    means = json.loads(document.read_text())["models"][0]["means"]
    assert [m["group"] for m in means] == ["first", "second", "mean over sets"]
    assert means[-1]["dsc_final"] == pytest.approx((means[0]["dsc_final"] + means[1]["dsc_final"]) / 2)


def test_the_command_begins_with_other_prompts_and_writes_tables(tmp_path: Path) -> None:
    write_set(tmp_path / "data", "first", "CT", labels=2)
    write_set(tmp_path / "data", "second", "MR T2", labels=1)
    page, document = tmp_path / "page.md", tmp_path / "all.json"
    app = typer.Typer()
    app.command()(evaluate)
    arguments = ["--protocol", "interactive2025", "--data", str(tmp_path / "data"), "--model", "none"]
    files = ["--markdown", str(page), "--json", str(document)]
    result = CliRunner().invoke(app, [*arguments, "--baseline", "box", "--baseline", "mask", "--start", "all", *files])
    assert result.exit_code == 0, result.output
    models = json.loads(document.read_text())["models"]
    found = [(m["name"], m["start"]) for m in models]
    assert found == [("box", "official"), ("box", "box"), ("box", "loose-box"), ("box", "flat-box"), ("mask", "mask")]
    text = page.read_text()
    assert "### mask" in text
    row = next(line for line in text.splitlines() if line.startswith("| the competition's box |"))
    means = models[0]["means"][-1]
    assert row.split("|")[2].split()[0] == f"{means['dsc_first']:.3f}"
    assert f"{means['dsc_auc']:.2f}" in row
    only = [*arguments, "--baseline", "mask", "--start", "point"]
    assert isinstance(CliRunner().invoke(app, only).exception, InputError)
