from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bedside
from bedside.io import read_mask, write_mask
from tests.support.bucket import running_bucket

Cli = Callable[..., Any]
Table = Callable[..., Path]
Start = Callable[..., "subprocess.Popen[str]"]
FIRST, SECOND = "24,14,56,48", "78,52,106,80"
"""Boxes around the discs of the first picture."""
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX systems")


def lines(folder: Path) -> list[Mapping[str, str]]:
    with (folder / "report.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def stamps(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if not path.name.startswith("report")}


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 240
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def test_masks_are_those_of_segment(cli: Cli, study: Path, table: Table, tmp_path: Path) -> None:
    """One object and several, from options, strokes, a journal and a mask, in pictures and in a volume."""
    (study / "stroke.json").write_text("[[34, 33], [40, 36], [46, 33]]")
    session = bedside.Session(bedside.read_image(study / "p2.png"))
    session.add_object("left")
    session.add_box((24, 20), (56, 54))
    session.add_point((40, 36), positive=True)
    session.add_object("right")
    session.add_point((92, 66))
    session.save(study / "journal.json")
    manifest = table(
        {"image": "p0.png", "box": FIRST, "negative_point": "92,66"},
        {"image": "scan.nii.gz", "point": "-2.8,37.6,17", "frame": "world", "object": "block"},
        {"image": "p1.png", "scribble": "stroke.json"},
        {"image": "p2.png", "prompts": "journal.json"},
        {"image": "p3.png", "box": [24, 23, 56, 57]},
        {"image": "p3.png", "box": SECOND, "point": "92,66"},
    )
    status, out, err = cli("batch", manifest, "-o", tmp_path / "out", "--workers", 2)
    assert (status, err) == (0, "")
    assert out.startswith("5 masks made, 0 kept; see ")
    boxes = [{"kind": "box", "low": low, "high": high} for low, high in (([24, 23], [56, 57]), ([78, 52], [106, 80]))]
    click = {"event": "prompt", "prompt": {"kind": "point", "position": [92, 66]}}
    one = {"events": [{"event": "prompt", "prompt": boxes[0]}]}
    # Prompts of one row are predicted together.
    other = {"events": [{"event": "prompt", "predict": False, "prompt": boxes[1]}, click]}
    both = {"format": "bedside-journal", "version": 1, "objects": [one, other]}
    (study / "both.json").write_text(json.dumps(both))
    for name, options in {
        "p0.png": ("--box", FIRST, "--negative-point", "92,66"),
        "scan.nii.gz": ("--point", "-2.8,37.6,17", "--frame", "world", "--name", "block"),
        "p1.png": ("--scribble", study / "stroke.json"),
        "p2.png": ("--prompts", study / "journal.json"),
        "p3.png": ("--prompts", study / "both.json"),
    }.items():
        assert cli("segment", study / name, "-o", tmp_path / name, *options)[0] == 0
        alone, pooled = read_mask(tmp_path / name), read_mask(tmp_path / "out" / name)
        assert alone.array.any()
        assert np.array_equal(alone.array, pooled.array), name
        assert alone.geometry.matches(pooled.geometry)
    found = lines(tmp_path / "out")
    assert [(f["row"], f["status"], f["object"], f["label"]) for f in found] == [
        ("1", "made", "object 1", "1"),
        ("2", "made", "block", "1"),
        ("3", "made", "object 1", "1"),
        ("4", "made", "left", "1"),
        ("4", "made", "right", "2"),
        ("5", "made", "object 1", "1"),
        ("6", "made", "object 2", "2"),
    ]
    voxels = int(np.count_nonzero(read_mask(tmp_path / "out/scan.nii.gz").array))
    assert int(found[1]["voxels"]) == voxels
    assert float(found[1]["volume_ml"]) == pytest.approx(voxels * 0.8 * 0.8 * 3 / 1000)
    assert found[0]["volume_ml"] == ""
    assert json.loads((tmp_path / "out/report.json").read_text())["rows"][4]["object"] == "right"


def test_bad_rows_are_named_and_the_rest_is_done(cli: Cli, study: Path, table: Table, tmp_path: Path) -> None:
    (study / "series").mkdir()
    (study / "series/1.dcm").write_bytes(bytes(128) + b"DICM" + b"no more than this")
    (study / "empty").mkdir()
    manifest = table(
        {"image": "p0.png", "box": FIRST},
        {"image": "missing.png", "box": FIRST},
        {"image": "p1.png", "box": "500,500,600,600"},
        {"image": "series", "box": "1,1,1,4,4,4"},
        {"image": "p2.png", "box": FIRST, "output": "same.png"},
        {"image": "p3.png", "box": FIRST, "output": "same.png"},
        {"image": "empty", "point": "1,1"},
        {"image": "scan.nii.gz", "point": "24,22,6"},
        {"image": "scan.nii.gz", "point": "24,22"},
    )
    status, out, err = cli("batch", manifest, "-o", tmp_path / "out", "--workers", 1)
    assert status == 1
    assert out.startswith("1 masks made, 0 kept, 7 rows failed")
    found = lines(tmp_path / "out")
    assert [f["status"] for f in found] == ["made", *["failed"] * 6, "held", "failed"]
    told = err.splitlines()
    assert [line.split(":")[1] for line in told] == [f" row {n}" for n in (2, 3, 4, 5, 6, 7, 9)]
    assert "p1" not in told[0]
    assert "existing file" in told[0]
    assert "box" in told[1]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "p0.png", "p0.png.batch.json", "report.csv", "report.json",
    }  # fmt: skip
    assert "row 9" in found[7]["message"]


def test_what_is_done_is_kept_and_what_changed_is_made_again(
    cli: Cli, study: Path, table: Table, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    rows = [{"image": f"p{n}.png", "box": FIRST} for n in range(3)]
    assert cli("batch", table(*rows), "-o", out)[0] == 0
    first = stamps(out)
    # Another place in the table and a table of another name change nothing.
    assert "0 masks made, 3 kept" in cli("batch", table(*rows[::-1], name="other.jsonl"), "-o", out)[1]
    assert stamps(out) == first
    assert [f["status"] for f in lines(out)] == ["kept"] * 3
    rows[1]["box"] = "24,17,56,52"
    os.utime(study / "p2.png", (1, 1))
    assert "2 masks made, 1 kept" in cli("batch", table(*rows), "-o", out)[1]
    assert stamps(out)["p0.png"] == first["p0.png"]
    assert stamps(out)["p1.png"] != first["p1.png"]
    assert stamps(out)["p2.png"] != first["p2.png"]


def test_boxes_from_masks(cli: Cli, study: Path, table: Table, tmp_path: Path) -> None:
    image = bedside.read_image(study / "p0.png")
    rough = np.zeros(image.shape, np.uint8)
    rough[16:44, 26:54] = 5
    rough[54:78, 80:104] = 5
    (study / "masks").mkdir()
    write_mask(study / "masks/p0.png", rough, image.geometry)
    manifest = table({"image": "p0.png", "mask": "masks/p0.png"})
    assert cli("batch", manifest, "-o", tmp_path / "out", "--from-masks")[0] == 0
    options = ("--box", "26,16,54,44", "--box", "80,54,104,78")
    assert cli("segment", study / "p0.png", "-o", tmp_path / "p0.png", *options)[0] == 0
    made, expected = (read_mask(folder / "p0.png").array for folder in (tmp_path / "out", tmp_path))
    assert set(np.unique(made)) == {0, 5}
    assert np.array_equal(made > 0, expected > 0)


@posix
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_stopped_is_gone_on_with(
    how: signal.Signals,
    cli: Cli,
    start: Callable[..., subprocess.Popen[str]],
    study: Path,
    table: Table,
    tmp_path: Path,
) -> None:
    rows = [
        {"image": f"p{n % 4}.png", "box": FIRST, "point": f"{34 + n // 4},30", "output": f"{n}.png"} for n in range(40)
    ]
    manifest, out, whole = table(*rows), tmp_path / "out", tmp_path / "whole"
    process = start("batch", manifest, "-o", out, "--workers", 1)
    wait_for(out / "3.png.batch.json", process)
    if how == signal.SIGINT:
        # As a terminal does, to all processes of the group.
        os.killpg(process.pid, how)
    else:
        process.kill()
    said, told = process.communicate(timeout=120)
    assert said == ""
    if how == signal.SIGINT:
        assert (process.returncode, told) == (130, "bedside: interrupted\n")
        statuses = [f["status"] for f in lines(out)]
        assert statuses.count("made") >= 3
        assert statuses.count("waiting") >= 1
        assert set(statuses) == {"made", "waiting"}
    else:
        # The worker ends with the mask that it was at.
        time.sleep(3)
    before = {name: stamp for name, stamp in stamps(out).items() if name.endswith(".png")}
    records = {path.name for path in out.glob("*.batch.json") if json.loads(path.read_text())["state"] == "done"}
    assert 3 <= len(records) < 40
    status, said, told = cli("batch", manifest, "-o", out, "--workers", 1)
    assert (status, told) == (0, "")
    assert said.startswith(f"{40 - len(records)} masks made, {len(records)} kept")
    after = stamps(out)
    assert all(after[name] == stamp for name, stamp in before.items() if f"{name}.batch.json" in records)
    assert not list(out.glob(".bedside-*"))
    assert cli("batch", manifest, "-o", whole, "--workers", 1)[0] == 0
    for n in range(40):
        assert (out / f"{n}.png").read_bytes() == (whole / f"{n}.png").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--model", "no-such-model"), "no-such-model"),
        (("--suffix", ".doc"), "--suffix"),
        (("--workers", "0"), "--workers"),
    ],
)
def test_bad_options_are_one_line(
    cli: Cli, table: Table, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    manifest = table({"image": "p0.png", "box": FIRST})
    status, out, err = cli("batch", manifest, "-o", tmp_path / "out", *options)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not list(tmp_path.glob("out/*"))


def test_images_in_object_storage_are_segmented_as_those_on_the_disk(
    cli: Cli, study: Path, table: Table, tmp_path: Path
) -> None:
    with running_bucket("hospital") as bucket:
        import fsspec

        storage = fsspec.filesystem("s3")
        storage.put(str(study / "p0.png"), "hospital/day1/p0.png")
        manifest = table(
            {"image": f"{bucket}/day1/p0.png", "box": FIRST},
            {"image": f"{bucket}/day1/none.png", "box": FIRST},
            {"image": "p0.png", "box": FIRST, "output": "here.png"},
        )
        folder = tmp_path / "masks"
        outcome = cli("batch", manifest, "-o", folder)
        assert outcome.status == 1
        assert [line["status"] for line in lines(folder)] == ["made", "failed", "made"]
        assert "none.png" in lines(folder)[1]["message"]
        np.testing.assert_array_equal(read_mask(folder / "p0.png").array, read_mask(folder / "here.png").array)
        before = stamps(folder)
        assert [line["status"] for line in again(cli, manifest, folder)] == ["kept", "failed", "kept"]
        assert stamps(folder) == before
        # The image changes: its mask is made again.
        storage.put(str(study / "p1.png"), "hospital/day1/p0.png")
        assert [line["status"] for line in again(cli, manifest, folder)] == ["made", "failed", "kept"]


def again(cli: Cli, manifest: Path, folder: Path) -> list[Mapping[str, str]]:
    cli("batch", manifest, "-o", folder)
    return lines(folder)
