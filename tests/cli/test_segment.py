from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Picture

from bedside.core.geometry import Geometry
from bedside.io import read_image, read_mask, write_mask
from bedside.io.label_names import names_in
from bedside.session import Session

Cli = Callable[..., Any]
MODEL = ("--model", "bedside-2d")
"""Instead of a journal's own, which is the test's."""


def test_a_box_becomes_a_mask(cli: Cli, grower: Any, picture: Path, squares: NDArray[np.uint8], tmp_path: Path) -> None:
    output = tmp_path / "mask.png"
    status, out, err = cli("segment", picture, "-o", output, "--box", "8,3,22,17")
    assert (status, err) == (0, "")
    assert "100 pixels" in out
    assert str(output) in out
    assert np.array_equal(read_mask(output).array, (squares == 200).astype(np.uint8))


def test_all_prompts_of_the_options_make_one_object(cli: Cli, grower: Any, picture: Path, tmp_path: Path) -> None:
    stroke = tmp_path / "stroke.json"
    stroke.write_text("[[11, 12], [12, 12]]")
    output = tmp_path / "mask.png"
    options = ["--box", "8,3,22,17", "--point", "44,28", "--negative-point", "17,8", "--scribble", stroke]
    status, out, _ = cli("segment", picture, "-o", output, *options, "--json")
    assert status == 0
    # Once for the answer and once for the time that it takes a warm program.
    assert grower.calls == [4, 4]
    found = json.loads(out)["objects"]
    assert [(o["label"], o["prompts"]) for o in found] == [(1, 4)]
    mask = read_mask(output).array
    assert mask[28, 44] == 1
    assert mask[8, 17] == 0


def test_a_volume_with_world_coordinates_and_a_manifest(cli: Cli, grower: Any, scan: Path, tmp_path: Path) -> None:
    output = tmp_path / "mask.nii.gz"
    # Voxel (8, 7, 6) of spacing 0.5, 0.5, 3 from the origin -10, 20, 5.
    options = ["--point", "-6,23.5,23", "--frame", "world", "--device", "cpu", "--json"]
    status, out, err = cli("segment", scan, "-o", output, *options)
    assert (status, err) == (0, "")
    manifest = json.loads(out)
    item = manifest["objects"][0]
    assert (item["voxels"], item["volume_mm3"], item["volume_ml"], item["area_mm2"]) == (150, 112.5, 0.1125, None)
    assert manifest["image"]["shape"] == [12, 16, 20]
    assert manifest["image"]["spacing"] == [0.5, 0.5, 3.0]
    assert manifest["model"]["name"] == "bedside-3d"
    assert manifest["model"]["device"] == "cpu"
    assert manifest["model"]["weights_sha256"] is None
    assert manifest["versions"]["bedside"]
    assert manifest["passes"] == 1
    assert manifest["seconds"]["answers"] == {"window": 0.25, "network": 0.5, "paste": 0.125}
    assert {"read", "load_model", "set_image", "predict", "write", "total", "warm"} <= set(manifest["seconds"])
    written = read_mask(output)
    assert written.array.sum() == 150
    assert written.geometry.matches(read_image(scan).geometry)


def test_an_image_without_spacing_has_no_lengths(cli: Cli, grower: Any, picture: Path, tmp_path: Path) -> None:
    _, out, _ = cli("segment", picture, "-o", tmp_path / "m.png", "--point", "12,7", "--json")
    manifest = json.loads(out)
    assert manifest["image"]["spacing"] is None
    assert {k: manifest["objects"][0][k] for k in ("volume_mm3", "volume_ml", "area_mm2")} == {
        "volume_mm3": None,
        "volume_ml": None,
        "area_mm2": None,
    }


def test_a_journal_makes_a_label_map(
    cli: Cli, grower: Any, picture: Path, squares: NDArray[np.uint8], tmp_path: Path
) -> None:
    session = Session(read_image(picture), segmenter=type(grower)())
    session.add_object("first")
    session.add_box((8, 3), (22, 17))
    session.add_point((12, 7), positive=False)
    session.add_object("second")
    session.set_mask(squares > 100)
    journal, output = tmp_path / "journal.json", tmp_path / "labels.png"
    session.save(journal)
    for policy in ("keep", "overwrite"):
        options = ["--prompts", journal, "--policy", policy, "--model", "bedside-2d", "--json"]
        status, out, _ = cli("segment", picture, "-o", output, *options)
        assert status == 0
        labels = read_mask(output).array
        assert np.array_equal(labels, session.label_map(policy))  # type: ignore[arg-type]
        found = json.loads(out)["objects"]
        assert [o["name"] for o in found] == ["first", "second"]
        assert [o["voxels"] for o in found] == np.bincount(labels.ravel(), minlength=3)[1:].tolist()


def test_an_initial_mask_is_corrected(cli: Cli, grower: Any, scan: Path, tmp_path: Path) -> None:
    start, output = tmp_path / "start.nrrd", tmp_path / "mask.nii"
    mask = np.zeros((12, 16, 20), np.uint8)
    mask[0:2, 0:3, 0:3] = 1
    write_mask(start, mask, Geometry.create(mask.shape, (0.5, 0.5, 3.0), (-10.0, 20.0, 5.0)))
    status, _, _ = cli("segment", scan, "-o", output, "--initial-mask", start, "--point", "8,7,6")
    assert status == 0
    assert read_mask(output).array.sum() == 150 + 18


def test_an_initial_mask_alone_is_written_as_it_is(cli: Cli, grower: Any, scan: Path, tmp_path: Path) -> None:
    image = read_image(scan)
    mask = np.zeros(image.shape, np.uint8)
    mask[2:5, 3:9, 4:11] = 1
    write_mask(tmp_path / "start.nii", mask, image.geometry)
    output = tmp_path / "mask.nrrd"
    status, out, err = cli(
        "segment", scan, "-o", output, "--initial-mask", tmp_path / "start.nii", "--name", "liver", "--json"
    )
    assert (status, err) == (0, "")
    assert json.loads(out)["passes"] == 0
    assert grower.calls == []
    assert np.array_equal(read_mask(output).array, mask)
    assert names_in(read_mask(output)) == {1: "liver"}


def test_an_overlay_that_cannot_be_written_is_named_and_the_older_stays(
    cli: Cli, grower: Any, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overlay = tmp_path / "overlay.png"
    overlay.write_bytes(b"older")

    def save(self: Any, path: Path, **_: Any) -> None:
        if self.mode != "RGB":  # The mask.
            return write(self, path, **_)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    write = Picture.Image.save
    monkeypatch.setattr(Picture.Image, "save", save)
    status, out, err = cli("segment", picture, "-o", tmp_path / "m.png", "--point", "12,7", "--overlay", overlay)
    assert (status, out) == (2, "")
    assert err == (
        f"bedside: error: --overlay {overlay} cannot be written: got No space left on device; "
        "the mask is written; make room, or leave --overlay out\n"
    )
    assert overlay.read_bytes() == b"older"
    assert not list(tmp_path.glob(".*"))


def test_the_overlay_shows_the_object(cli: Cli, grower: Any, scan: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.png"
    status, out, _ = cli("segment", scan, "-o", tmp_path / "m.nii", "--point", "8,7,6", "--overlay", overlay)
    assert status == 0
    assert "overlay.png" in out
    with Picture.open(overlay) as picture:
        assert picture.mode == "RGB"
        assert max(picture.size) == 512


@pytest.fixture
def nothing_found(tmp_path: Path) -> Path:
    """A journal whose object has no voxel: its only prompt was never predicted."""
    journal = tmp_path / "queued.json"
    event = {"event": "prompt", "predict": False, "prompt": {"kind": "point", "position": [12, 7]}}
    journal.write_text(json.dumps({"format": "bedside-journal", "version": 1, "objects": [{"events": [event]}]}))
    return journal


@pytest.mark.parametrize("older", [b"older", None])
def test_an_empty_mask_replaces_nothing_unless_that_is_allowed(
    cli: Cli, grower: Any, picture: Path, nothing_found: Path, tmp_path: Path, older: bytes | None
) -> None:
    output, overlay = tmp_path / "mask.png", tmp_path / "look.png"
    if older is not None:
        output.write_bytes(older)
        overlay.write_bytes(older)
    arguments = ["segment", picture, "-o", output, "--prompts", nothing_found, "--overlay", overlay]
    status, out, err = cli(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("bedside: error: the mask of object 1 is empty: expected at least one voxel, got none; ")
    assert err.count("\n") == 1
    for path in (output, overlay):
        assert (path.read_bytes() if path.exists() else None) == older
    status, out, err = cli(*arguments, "--allow-empty")
    assert (status, err) == (0, "bedside: warning: the mask of object 1 is empty\n")
    assert not read_mask(output).array.any()


def test_of_several_objects_the_empty_ones_are_named(
    cli: Cli, grower: Any, picture: Path, squares: NDArray[np.uint8], tmp_path: Path
) -> None:
    session = Session(read_image(picture), segmenter=type(grower)())
    session.add_object("first")
    session.set_mask(squares > 100)
    session.add_object("second")
    session.add_point((44, 28), predict=False)
    session.save(tmp_path / "journal.json")
    output = tmp_path / "labels.nrrd"
    status, _, err = cli("segment", picture, "-o", output, "--prompts", tmp_path / "journal.json", *MODEL)
    assert (status, err) == (0, "bedside: warning: the mask of second is empty\n")
    assert np.array_equal(read_mask(output).array, squares > 100)


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha", ".tif", ".npz", ".png"])
def test_a_name_is_kept_or_its_loss_is_said(cli: Cli, grower: Any, picture: Path, tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"mask{suffix}"
    arguments = ["segment", picture, "-o", output, "--box", "8,3,22,17"]
    status, out, err = cli(*arguments, "--name", "left square")
    assert status == 0
    assert "1 left square: 100 pixels" in out
    if suffix == ".nrrd":
        assert err == ""
        assert names_in(read_mask(output)) == {1: "left square"}
    else:
        assert err.startswith("bedside: note: ")
        assert "'left square' is not in the file; .nrrd and .dcm keep them" in err
        assert err.count("\n") == 1
    assert cli(*arguments).err == ""


def test_one_name_for_several_objects_is_rejected(
    cli: Cli, grower: Any, picture: Path, squares: NDArray[np.uint8], tmp_path: Path
) -> None:
    session = Session(read_image(picture), segmenter=type(grower)())
    for value in (200, 120):
        session.add_object()
        session.set_mask(squares == value)
    session.save(tmp_path / "journal.json")
    options = ["--prompts", tmp_path / "journal.json", *MODEL, "--name", "square"]
    status, _, err = cli("segment", picture, "-o", tmp_path / "mask.nrrd", *options)
    assert status == 2
    assert "--name: expected one object, got 2 in " in err


def test_prompts_that_reach_beyond_the_image_are_named_once_each(
    cli: Cli, grower: Any, picture: Path, tmp_path: Path
) -> None:
    stroke, journal = tmp_path / "stroke.json", tmp_path / "journal.json"
    stroke.write_text("[[11, 12], [11, 90]]")
    options = ["--box", "8,-3,22,17", "--box", "0,0,60,40", "--scribble", stroke, "--point", "12,7"]
    status, _, err = cli("segment", picture, "-o", tmp_path / "mask.png", *options)
    assert status == 0
    lines = err.splitlines()
    assert [line.partition(" reaches")[0] for line in lines] == [
        "bedside: warning: scribble 11,12 to 11,90",
        "bedside: warning: box 8,-3 to 22,17",
    ]
    assert "0,0 to 60,40 (x,y, the end exclusive); the part outside is left out" in lines[1]
    session = Session(read_image(picture), segmenter=type(grower)())
    session.add_object("first")
    session.add_box((8, -3), (22, 17))
    session.add_box((8, 3), (22, 170))
    session.undo()
    session.save(journal)
    _, _, err = cli("segment", picture, "-o", tmp_path / "mask.nrrd", "--prompts", journal, *MODEL)
    assert err.startswith("bedside: warning: first: box 8,-3 to 22,17 reaches")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "no prompt: expected --box"),
        (["--box", "1,2,3"], "--box: expected"),
        (["--box", "5,5,1,1"], "larger than its start, got 5,5 to 1,1;"),
        (["--box", "100,100,120,120"], "within 0,0 to 60,40 (x,y, the end exclusive), got 100,100 to 120,120;"),
        (["--box", "-30,3,-2,9"], "outside the image"),
        (["--box", "1,2,3,4,5,6"], "box: expected 2 coordinates"),
        (["--point", "-5,3"], "on axis x: expected coordinates within 0,0 to 59,39 (x,y), got -5,3;"),
        (["--point", "1,2,3"], "point: expected 2 coordinates"),
        (["--negative-point", "1,2"], "cannot start"),
        (["--point", "1,2", "--model", "bedside-3e"], "unknown model"),
        (["--point", "1,2", "--scribble", "nowhere.json"], "nowhere.json"),
        (["--point", "1,2", "--scribble", "nowhere.png"], "nowhere.png"),
        (["--prompts", "nowhere.json"], "nowhere.json"),
        (["--prompts", "nowhere.json", "--point", "1,2"], "cannot be combined"),
        (["--point", "1,2", "--name", " "], "--name: expected a name"),
        (["--point", "1,2", "--series", "2"], "--series"),
        (["--point", "1,2", "--volume", "2"], "volume"),
        (["--point", "1,2", "--overlay", "overlay.jpg"], "ends in .png"),
    ],
)
def test_bad_input_is_one_line_and_leaves_the_older_output(
    cli: Cli, grower: Any, picture: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    output = tmp_path / "mask.png"
    output.write_bytes(b"older")
    before = sorted(p.name for p in tmp_path.iterdir())
    status, out, err = cli("segment", picture, "-o", output, *options)
    assert (status, out) == (2, "")
    assert err.startswith("bedside: error: ")
    assert err.count("\n") == 1
    assert message in err
    assert output.read_bytes() == b"older"
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    assert grower.calls == []


def test_outputs_that_cannot_be_written_are_rejected_before_anything_is_read(
    cli: Cli, grower: Any, picture: Path, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    content = picture.read_bytes()
    cases = {
        "mask.xyz": "cannot write this format",
        "mask": "cannot write this format",
        picture.name: "another file than the image",
        "missing/mask.png": "no folder",
        "file/mask.png": "no folder",
    }
    for name, message in cases.items():
        status, _, err = cli("segment", picture, "-o", tmp_path / name, "--point", "nonsense")
        assert (status, err.count("\n")) == (2, 1)
        assert message in err, name
    (tmp_path / "folder.png").mkdir()
    assert "got a folder" in cli("segment", picture, "-o", tmp_path / "folder.png", "--point", "1,2").err
    output = tmp_path / "m.png"
    for overlay in (picture, output):
        assert "another file than" in cli("segment", picture, "-o", output, "--point", "1,2", "--overlay", overlay).err
    assert picture.read_bytes() == content


def test_a_format_without_a_third_axis_is_rejected_before_the_model_is_loaded(
    cli: Cli, grower: Any, scan: Path, tmp_path: Path
) -> None:
    status, _, err = cli("segment", scan, "-o", tmp_path / "mask.png", "--point", "8,7,6")
    assert status == 2
    assert "holds 3 axes" in err
    assert not hasattr(grower, "image")


def test_a_missing_or_damaged_image_is_named(cli: Cli, grower: Any, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    for name in ("missing.nii.gz", "damaged.png"):
        status, _, err = cli("segment", tmp_path / name, "-o", tmp_path / "mask.png", "--point", "1,2")
        assert (status, err.count("\n")) == (2, 1)
        assert name in err
    assert not (tmp_path / "mask.png").exists()


def test_a_journal_of_another_image_is_rejected(
    cli: Cli, grower: Any, picture: Path, squares: NDArray[np.uint8], tmp_path: Path
) -> None:
    session = Session(squares + 1, segmenter=type(grower)())
    session.add_point((12, 7))
    session.save(tmp_path / "journal.json")
    options = ["--prompts", tmp_path / "journal.json", "--model", "bedside-2d"]
    status, _, err = cli("segment", picture, "-o", tmp_path / "mask.png", *options)
    assert status == 2
    assert "journal of another image" in err


def test_a_failing_network_leaves_no_file(cli: Cli, grower: Any, picture: Path, tmp_path: Path) -> None:
    grower.fail = True
    with pytest.raises(RuntimeError):
        cli("segment", picture, "-o", tmp_path / "mask.png", "--point", "12,7")
    assert [p.name for p in tmp_path.iterdir()] == [picture.name]


@pytest.mark.parametrize("flag", ["-o", "--overlay"])
def test_no_file_of_a_prompt_is_replaced(cli: Cli, grower: Any, picture: Path, tmp_path: Path, flag: str) -> None:
    mask = tmp_path / "given.png"
    assert cli("segment", picture, "-o", mask, "--point", "12,7")[0] == 0
    before = mask.read_bytes()
    rest = [] if flag == "-o" else ["-o", tmp_path / "other.png"]
    status, _, err = cli("segment", picture, "--initial-mask", mask, "--point", "12,7", flag, mask, *rest)
    assert (status, err.count("\n")) == (2, 1)
    assert "inputs are never overwritten" in err
    assert mask.read_bytes() == before
