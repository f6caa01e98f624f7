"""``bedside edit``: tools in the order given, on every label by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from bedside.cli.edit import parse_steps
from bedside.core.errors import InputError
from bedside.io import read_image, read_mask, write_mask

Cli = Callable[..., Any]


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Two labels beside each other, the first with a hole and a speck."""
    mask = np.zeros((40, 40, 20), np.uint8)
    mask[10:30, 10:30, 5:15] = 1
    mask[18:22, 18:22, 8:12] = 0
    mask[2, 2, 2] = 1
    mask[32:36, 10:30, 5:15] = 2
    path = tmp_path / "labels.nii.gz"
    nib.save(nib.Nifti1Image(mask, np.diag([1, 1, 2, 1])), path)
    return path


def test_tools_follow_each_other_on_every_label(cli: Cli, labels: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.nrrd"
    status, said, err = cli("edit", labels, "--fill-holes", "--keep-largest", "1", "--grow=1", "-o", out)
    assert (status, err) == (0, "")
    assert "1 segment 1: 3,937 to" in said
    found = np.asarray(read_mask(out).array)
    assert found[10, 20, 20] == 1
    assert (found == 1)[:4, :4, :4].sum() == 0
    # Between them lie two voxels, of which each gets one.
    assert found[10, 20, 28:37].tolist() == [1, 1, 1, 2, 2, 2, 2, 2, 2]


def test_the_order_counts(cli: Cli, labels: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.nii"
    specks = []
    for tools in (["--remove-specks", "4", "--grow", "1"], ["--grow", "1", "--remove-specks", "4"]):
        assert cli("edit", labels, *tools, "--label", "1", "-o", out)[0] == 0
        specks.append(int(np.asarray(read_mask(out).array)[:4, :4, :4].sum()))
    # A voxel is a speck of one, and with its neighbours within 1 mm one of five.
    assert specks == [0, 5]


def test_growing_takes_no_voxel_of_another_label(cli: Cli, labels: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.nii"
    assert cli("edit", labels, "--grow", "5", "--label", "1", "-o", out)[0] == 0
    assert (np.asarray(read_mask(out).array) == 2).sum() == 800


def test_another_mask_is_subtracted(cli: Cli, labels: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.nii"
    assert cli("edit", labels, "--subtract", labels, "--label", "2", "-o", out)[0] == 0
    found = np.asarray(read_mask(out).array)
    assert sorted(np.unique(found).tolist()) == [0, 1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fil-holes"], "did you mean 'fill-holes'?"),
        (["--grow", "x"], "--grow: expected a number, got 'x'"),
        (["--grow=-1"], "a number of mm from 0.01 to 200, got -1"),
        ([], "tools: expected at least one, as --fill-holes, got none"),
        (["--union", "nothing.nii"], "nothing.nii"),
        (["--fill-holes", "--label", "7"], "--label: expected one of [1, 2], got 7"),
        (["--fill-holes", "3"], "'3': expected a tool"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(
    cli: Cli, labels: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    out = tmp_path / "out.nii"
    out.write_bytes(b"older")
    status, _, err = cli("edit", labels, *arguments, "-o", out)
    assert status == 2
    assert said in err
    assert err.count("\n") == 1
    assert out.read_bytes() == b"older"


def test_a_mask_that_vanishes_is_told_of_and_one_of_nothing_is_not_written(
    cli: Cli, labels: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.nii"
    status, _, err = cli("edit", labels, "--shrink", "30", "--label", "2", "-o", out)
    assert (status, err) == (0, "bedside: warning: nothing is left of label 2\n")
    out.write_bytes(b"older")
    status, _, err = cli("edit", labels, "--shrink", "30", "-o", out)
    assert (status, err.count("\n")) == (2, 1)
    assert "nothing is left of the mask" in err
    assert out.read_bytes() == b"older"


def test_the_other_mask_lies_on_the_same_grid_and_is_not_replaced(cli: Cli, labels: Path, tmp_path: Path) -> None:
    shifted, out = tmp_path / "shifted.nii.gz", tmp_path / "out.nii"
    image = nib.load(labels)
    affine = image.affine.copy()
    affine[0, 3] = 1.3
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), affine), shifted)
    assert "another grid" in cli("edit", labels, "--subtract", shifted, "-o", out)[2]
    before = shifted.read_bytes()
    assert "inputs are never overwritten" in cli("edit", labels, "--subtract", shifted, "-o", shifted)[2]
    assert shifted.read_bytes() == before
    assert not out.exists()


def test_the_mask_comes_first_and_is_not_replaced(cli: Cli, labels: Path) -> None:
    assert "MASK before the tools" in cli("edit", "--grow", "2", labels, "-o", "x.nii")[2]
    assert "another file than the input" in cli("edit", labels, "--fill-holes", "-o", labels)[2]


def test_help_lists_the_tools(cli: Cli) -> None:
    status, said, _ = cli("edit", "--help")
    assert status == 0
    assert "--keep-largest parts: Keep the largest connected parts" in " ".join(said.split())


def test_steps_are_read_in_order() -> None:
    steps = parse_steps(["--grow", "--fill-holes", "--smooth", "2", "--union=a.nii", "--keep-largest=3"])
    assert [(s.name, s.value, s.other and str(s.other)) for s in steps] == [
        ("grow", None, None),
        ("fill-holes", None, None),
        ("smooth", 2.0, None),
        ("union", None, "a.nii"),
        ("keep-largest", 3.0, None),
    ]
    with pytest.raises(InputError, match="the file of another mask"):
        parse_steps(["--union"])


def test_a_tool_that_looks_at_the_image_gets_it(cli: Any, tmp_path: Path, scan: Path) -> None:
    labels, out = tmp_path / "block.nii.gz", tmp_path / "out.nii.gz"
    image = read_image(scan)
    write_mask(labels, np.ones(image.shape, np.uint8), image.geometry)
    assert cli("edit", labels, "--keep-above", "-5", "--keep-above", 200, "--image", scan, "-o", out).status == 0
    np.testing.assert_array_equal(read_mask(out).array, image.array > 200)
    status, _, err = cli("edit", labels, "--keep-above", 200, "-o", tmp_path / "none.nii.gz")
    assert (status, err.count("\n")) == (2, 1)
    assert "name it with --image" in err
