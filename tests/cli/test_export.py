"""``bedside export`` and ``bedside prepare training``, from a workspace to a training that runs."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Picture

from bedside.session.workspace import Workspace
from bedside.worklist.export import RECORD
from bedside.worklist.layouts import LAYOUTS
from tests.worklist.conftest import pictures, volumes, workspace

__all__ = ["pictures", "volumes", "workspace"]


@pytest.fixture
def file(workspace: Workspace, volumes: Path, pictures: Path) -> Path:
    """A workspace of two volumes and two pictures that nobody has open."""
    workspace.close()
    return workspace.path


def test_from_a_workspace_to_files(cli: Callable[..., Any], file: Path, tmp_path: Path) -> None:
    out, table = tmp_path / "out", tmp_path / "s.csv"
    status, printed, err = cli("export", file, "-o", out, "--layout", "monai", "--statistics", table)
    assert (status, printed) == (0, f"4 images in {out} and {table}\n")
    assert err.count("bedside: note: ") == 2
    assert json.loads((out / "datalist.json").read_text())["numTraining"] == 4
    assert len(table.read_text().splitlines()) == 1 + 3 + 6


def test_an_image_that_fails_is_named_and_costs_the_others_nothing(
    cli: Callable[..., Any], file: Path, pictures: Path, tmp_path: Path
) -> None:
    (pictures / "0.png").unlink()
    status, printed, err = cli("export", file, "-o", tmp_path / "out", "--folder", pictures)
    assert (status, printed) == (1, f"1 image in {tmp_path / 'out'}, 1 failed\n")
    assert err == f"bedside: error: {pictures / '0.png'}: expected an existing file or folder, got nothing there\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layout", "nnunet"], "name one with -o"),
        (["--layout", "of-mine", "-o", "out"], "unknown layout"),
        (["--suffix", "nii.gz"], "a suffix with its dot"),
        (["--suffix", ".xyz", "-o", "out"], "xyz"),
        (
            ["--folder", "nowhere", "-o", "out"],
            "--folder nowhere: expected a folder with images of the workspace, got no",
        ),
        (["-o", "taken.txt"], "expected a folder to write to"),
        (["--layout", "nnunet", "-o", "out", "--name", "!"], "letters or digits"),
    ],
)
def test_what_cannot_be_is_one_line(
    cli: Callable[..., Any], file: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(file.parent)
    Path("taken.txt").touch()
    status, _, err = cli("export", file, *arguments)
    assert (status, err.count("\n")) == (2, 1)
    assert message in err
    assert not list((file.parent / "out").glob("*"))


def test_nothing_is_written_to_the_workspace(cli: Callable[..., Any], file: Path, tmp_path: Path) -> None:
    before, found = file.read_bytes(), []
    for ending in ("", "-wal", "-shm", "-journal", ".lock", ".files", ".files/inside"):
        place, linked = Path(f"{file}{ending}"), tmp_path / f"link{ending.replace('/', '-')}.csv"
        linked.symlink_to(place)
        found += [cli(*verb, file, "-o", place) for verb in (["export"], ["prepare", "training"])]
        found += [cli("export", file, "--statistics", target) for target in (place, linked)]
    for status, _, err in found:
        assert (status, err.count("\n")) == (2, 1)
        assert "another place than the workspace" in err
    assert file.read_bytes() == before


def test_no_image_or_mask_becomes_a_table(
    cli: Callable[..., Any], file: Path, volumes: Path, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert cli("export", file, "-o", out).status == 0
    masks = [p for p in out.iterdir() if "labels" in p.name or p.name == RECORD]
    assert len(masks) == 9
    inputs = [volumes / "ct", volumes / "mr.nii.gz", next((volumes / "ct").iterdir()), pictures / "0.png"]
    for place in (*masks, *inputs, tmp_path / "other.txt"):
        before = place.read_bytes() if place.is_file() else b""
        status, _, err = cli("export", file, "-o", out, "--statistics", place)
        assert (status, err.count("\n")) == (2, 1)
        assert f"--statistics {place}: expected " in err
        assert (place.read_bytes() if place.is_file() else b"") == before
    for verb in (["export"], ["prepare", "training"]):
        assert "another place than an image" in cli(*verb, file, "-o", volumes / "ct").err


def test_a_workspace_has_to_exist_and_to_be_free(cli: Callable[..., Any], file: Path, tmp_path: Path) -> None:
    assert "nothing there" in cli("export", tmp_path / "none.sqlite").err
    assert not (tmp_path / "none.sqlite").exists()
    held = Workspace(file)
    try:
        assert "in use" in cli("export", file).err
    finally:
        held.close()


@pytest.mark.parametrize("verb", [["export"], ["prepare", "training"]])
def test_messages_name_what_left_nothing(
    cli: Callable[..., Any], file: Path, pictures: Path, tmp_path: Path, verb: list[str]
) -> None:
    out = tmp_path / "out"
    (tmp_path / "empty").mkdir()
    for options, told in (
        (["--done", "--folder", pictures], f"in {pictures} that is marked as done, got none of the 4 with objects"),
        (["--folder", tmp_path / "empty"], f"in {tmp_path / 'empty'}, got none of the 4 with objects"),
        (["--folder", tmp_path / "nosuch"], "got no folder there"),
    ):
        status, _, err = cli(*verb, file, "-o", out, *options)
        assert (status, err.count("\n")) == (2, 1)
        assert told in err
    assert "got a folder" in cli(*verb, tmp_path, "-o", out).err
    # They take the workspace as an argument.
    held = Workspace(file)
    try:
        told = cli(*verb, file, "-o", out).err
    finally:
        held.close()
    assert "name another file" in told
    assert "--workspace" not in told


def test_a_format_that_cannot_hold_a_volume_is_told_without_a_place_in_between(
    cli: Callable[..., Any], file: Path, volumes: Path, tmp_path: Path
) -> None:
    for options, place in (([], volumes), (["-o", tmp_path / "out"], tmp_path / "out")):
        status, _, err = cli("export", file, "--folder", volumes, "--suffix", ".png", *options)
        assert status == 1
        assert f"{place}{os.sep}" in err
        assert ".bedside-" not in err


@pytest.mark.parametrize("verb", [["export"], ["prepare", "training"]])
@pytest.mark.parametrize("kind", ["picture", "empty", "database"])
def test_a_file_that_is_no_workspace_stays_alone(
    cli: Callable[..., Any], tmp_path: Path, verb: list[str], kind: str
) -> None:
    path = tmp_path / "camera.png"
    if kind == "picture":
        Picture.new("L", (20, 20)).save(path)
    elif kind == "empty":
        path.touch()
    else:
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE bookmarks (url TEXT)")
        connection.close()
    before = path.read_bytes()
    status, _, err = cli(*verb, path, "-o", tmp_path / "out")
    assert (status, err.count("\n")) == (2, 1)
    assert "expected a workspace of Bedside" in err
    assert "--workspace" not in err
    assert (list(tmp_path.iterdir()), path.read_bytes()) == ([path], before)


@pytest.mark.parametrize("verb", [["export"], ["prepare", "training"]])
def test_a_damaged_workspace_is_one_line(cli: Callable[..., Any], file: Path, tmp_path: Path, verb: list[str]) -> None:
    whole, page = file.read_bytes(), 4096
    out, statuses = tmp_path / "out", []
    for first in range(1, len(whole) // page):
        file.write_bytes(whole[: first * page] + bytes([0xA5]) * page + whole[(first + 1) * page :])
        status, _, err = cli(*verb, file, "-o", out)
        statuses.append(status)
        assert all(line.startswith("bedside: ") for line in err.splitlines())
        if status == 2:
            assert err.count("\n") == 1
            assert f"cannot read the workspace {file}: got database disk image is malformed" in err
    assert 2 in statuses


def test_the_help_names_every_layout(cli: Callable[..., Any]) -> None:
    told = cli("export", "--help").out
    assert all(f"  {name}: " in told for name, _ in LAYOUTS.items())


@pytest.mark.slow
@pytest.mark.parametrize("dimensions", [2, 3])
def test_what_was_annotated_is_trained_on(
    cli: Callable[..., Any], file: Path, volumes: Path, pictures: Path, tmp_path: Path, dimensions: int
) -> None:
    data, run, steps = tmp_path / "data", tmp_path / "run", 4 - dimensions
    chosen = pictures if dimensions == 2 else volumes
    assert cli("prepare", "training", file, "-o", data, "--folder", chosen, "--name", "mine").status == 0
    card = json.loads((data / "train" / f"mine-{dimensions}d" / "set.json").read_text())
    expected = {2: ("instance", {"*": "instance"}), 3: ("semantic", {"3": "liver", "7": "spleen"})}[dimensions]
    assert (card["label_kind"], card["structures"]) == expected
    first = {p.name: p.read_bytes() for p in data.rglob("*") if p.is_file()}
    assert cli("prepare", "training", file, "-o", data, "--folder", chosen, "--name", "mine").status == 0
    assert {p.name: p.read_bytes() for p in data.rglob("*") if p.is_file()} == first
    settings = ["batch=2", "validate_every=2", "validation_samples=2", "workers=0", "held_out=[]"]
    settings += (
        ["sampling.grid=64"] if dimensions == 2 else ["batch=1", "round_probabilities=[1.0]", "validation_samples=1"]
    )
    options = [option for setting in settings for option in ("--set", setting)]
    status, told, err = cli(
        *("train", f"bedside-{dimensions}d", "--data", data, "--out", run, "--initial", "none"),
        *("--steps", steps, "--threads", 1, "--device", "cpu", *options),
    )
    assert status == 0, err
    assert f"weights of step {steps} are in {run / 'weights'}" in told
    assert (run / "weights" / f"bedside-{dimensions}d.safetensors").is_file()
