"""The verbs of the challenges, with a segmenter that stands in for a model, and whole with the bundled one."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside.core.errors import WeightsError
from bedside.weights.store import find_weights


def blocks() -> tuple[np.ndarray, np.ndarray]:
    """A volume with two blocks of their own intensities, and its labels."""
    labels = np.zeros((8, 32, 40), np.uint8)
    labels[2:6, 4:14, 5:15] = 1
    labels[1:7, 18:28, 22:34] = 2
    return np.choose(labels, [10, 120, 220]).astype(np.uint8), labels


def write_2024(folder: Path) -> None:
    folder.mkdir()
    image, labels = blocks()
    boxes = np.array([[5, 4, 2, 14, 13, 5], [22, 18, 1, 33, 27, 6]])
    np.savez(folder / "3DBox_CT_1.npz", imgs=image, gts=labels, boxes=boxes, spacing=(1, 1, 2))
    picture = np.repeat(image[3][..., None], 3, axis=2)
    np.savez(folder / "2DBox_US_1.npz", imgs=picture, gts=labels[3], boxes=boxes[:, [0, 1, 3, 4]])


def write_2025(folder: Path, boxes: bool) -> None:
    folder.mkdir()
    image, labels = blocks()
    members: dict[str, Any] = {"imgs": image, "gts": labels, "spacing": (1, 1, 2)}
    if boxes:
        fields = ("z_mid_x_min", "z_mid_y_min", "z_min", "z_mid_x_max", "z_mid_y_max", "z_max", "z_mid")
        rows = ([5, 4, 2, 14, 13, 5, 4], [22, 18, 1, 33, 27, 6, 4])
        members["boxes"] = np.array([dict(zip(fields, row, strict=True)) for row in rows], dtype=object)
    else:
        members["clicks"] = np.array([{"fg": [[4, 9, 9]], "bg": []}, {"fg": [[4, 22, 27]], "bg": []}], dtype=object)
        members["clicks_order"] = np.array([["fg"], ["fg"]], dtype=object)
    np.savez(folder / "MR_blocks_1.npz", **members)


def segs(path: Path) -> Any:
    with np.load(path) as members:
        return members["segs"]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_boxes_in_label_maps_out(cli: Callable[..., Any], grower: Any, tmp_path: Path) -> None:
    write_2024(tmp_path / "in")
    status, out, err = cli("challenge2024", tmp_path / "in", tmp_path / "out", "--device", "cpu")
    assert (status, err) == (0, "")
    assert out.startswith("2 cases, 4 objects, ")
    np.testing.assert_array_equal(segs(tmp_path / "out/3DBox_CT_1.npz"), blocks()[1])
    np.testing.assert_array_equal(segs(tmp_path / "out/2DBox_US_1.npz"), blocks()[1][3])
    times = rows(tmp_path / "out/running_time.csv")
    assert [t["case"] for t in times] == ["2DBox_US_1", "3DBox_CT_1"]
    assert all(float(t["seconds"]) > 0 for t in times)


def test_clicks_in_label_maps_out(cli: Callable[..., Any], grower: Any, tmp_path: Path) -> None:
    write_2025(tmp_path / "in", boxes=False)
    status, _, err = cli("challenge2025", tmp_path / "in", tmp_path / "out", "--seconds", tmp_path / "times.csv")
    assert (status, err) == (0, "")
    np.testing.assert_array_equal(segs(tmp_path / "out/MR_blocks_1.npz"), blocks()[1])
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["MR_blocks_1.npz"]
    assert (tmp_path / "times.csv").is_file()


def test_failed_cases_are_named_and_told_by_the_status(cli: Callable[..., Any], grower: Any, tmp_path: Path) -> None:
    write_2024(tmp_path / "in")
    (tmp_path / "in/broken.npz").write_bytes(b"PK")
    status, out, err = cli("challenge2024", tmp_path / "in", tmp_path / "out")
    assert status == 2
    assert out.startswith("3 cases")
    first, last = err.splitlines()
    assert first.startswith("bedside: broken: ")
    assert last == "bedside: error: 1 of 3 cases: expected an answer to every prompt, got the problems above"
    assert len(list((tmp_path / "out").glob("*.npz"))) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none", "out"), "existing folder"),
        (("in", "in"), "another folder than the input"),
        (("in", "out", "--model", "bedsid-2d"), "bedside-2d"),
    ],
)
def test_bad_folders_and_models_are_rejected(
    cli: Callable[..., Any], grower: Any, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    write_2024(tmp_path / "in")
    places = [tmp_path / a if a in ("in", "out", "none") else a for a in arguments]
    status, _, err = cli("challenge2024", *places)
    assert status == 2
    assert message in err
    assert err.count("\n") == 1


def test_submissions_are_scored_and_ranked(cli: Callable[..., Any], grower: Any, tmp_path: Path) -> None:
    write_2024(tmp_path / "in")
    for name in ("one", "two"):
        assert cli("challenge2024", tmp_path / "in", tmp_path / name).status == 0
    (tmp_path / "two/2DBox_US_1.npz").unlink()
    status, out, err = cli(
        "evaluate", "--protocol", "box2024", "--predictions", tmp_path / "one", "--predictions", tmp_path / "two",
        "--truth", tmp_path / "in", "--csv", tmp_path / "s.csv", "--json", tmp_path / "s.json",
    )  # fmt: skip
    assert (status, err) == (0, "")
    assert "mean over modalities" in out
    assert "mean ranks" in out
    scores = {(r["submission"], r["case"]): float(r["dsc"]) for r in rows(tmp_path / "s.csv")}
    assert scores[("one", "2DBox_US_1")] == scores[("two", "3DBox_CT_1")] == 1.0
    assert scores[("two", "2DBox_US_1")] == 0.0
    document = json.loads((tmp_path / "s.json").read_text())
    assert {r["name"] for r in document["ranks"]} == {"one", "two"}
    assert document["protocol"]["official_spacing_order"] is False
    assert document["manifest"]["bedside"]


def test_folders_of_one_name_are_told_apart(cli: Callable[..., Any], grower: Any, tmp_path: Path) -> None:
    write_2024(tmp_path / "in")
    for team in ("a", "b"):
        assert cli("challenge2024", tmp_path / "in", tmp_path / team / "out").status == 0
    arguments = ["evaluate", "--protocol", "box2024", "--truth", tmp_path / "in"]
    one, two = (["--predictions", tmp_path / team / "out"] for team in ("a", "b"))
    status, out, _ = cli(*arguments, *one, *two)
    assert status == 0
    assert "a/out" in out
    assert "b/out" in out
    status, _, err = cli(*arguments, *one, *one)
    assert status == 2
    assert "folders of different names" in err


def test_a_model_goes_through_the_rounds(cli: Callable[..., Any], grower: Any, tmp_path: Path) -> None:
    write_2025(tmp_path / "in", boxes=True)
    status, out, err = cli(
        "evaluate", "--protocol", "interactive2025", "--data", tmp_path / "in", "--csv", tmp_path / "i.csv",
        "--json", tmp_path / "i.json", "--official-spacing-order",
    )  # fmt: skip
    assert (status, err) == (0, "")
    assert "DSC AUC" in out
    (row,) = rows(tmp_path / "i.csv")
    assert (row["CaseName"], row["DSC_AUC"], row["NSD_Final"], row["num_class"], row["runtime_upperbound"]) == (
        "MR_blocks_1", "4", "1", "2", "180"
    )  # fmt: skip
    assert [key for key in row if key.startswith("RunningTime")] == [f"RunningTime_{n}" for n in range(1, 7)]
    document = json.loads((tmp_path / "i.json").read_text())
    assert document["models"][0]["cases"][0]["boxed"] is True
    assert document["protocol"]["official_spacing_order"] is True


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--protocol", "box2025"), "one of clicks, box2024, interactive2025"),
        (("--protocol", "box2024"), "--predictions with label maps"),
        (("--protocol", "interactive2025"), "--data with a folder"),
        (("--protocol", "interactive2025", "--data", ".", "--clicks", "3"), "--clicks: expected an option"),
        (("--protocol", "box2024", "--predictions", ".", "--truth", ".", "--model", "x"), "--model: expected"),
        (("--protocol", "box2024", "--predictions", ".", "--truth", ".", "--tolerance", "-1"), "--tolerance"),
        (("--data", ".", "--truth", "."), "name the challenge by --protocol"),
        ((), "missing option '--data'"),
    ],
)
def test_options_that_do_not_belong_are_rejected(
    cli: Callable[..., Any], arguments: tuple[str, ...], message: str
) -> None:
    status, out, err = cli("evaluate", *arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def run_command(*arguments: object) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "bedside.cli.main", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def weights() -> None:
    try:
        find_weights("bedside-2d")
    except WeightsError as error:
        pytest.skip(f"no weights: {error}")


@pytest.mark.slow
@pytest.mark.usefixtures("weights")
def test_the_whole_way_with_the_bundled_model(tmp_path: Path) -> None:
    write_2024(tmp_path / "in")
    run_command("challenge2024", tmp_path / "in", tmp_path / "warm", "--device", "cpu")
    run_command("challenge2024", tmp_path / "in", tmp_path / "cold", "--cold", "--device", "cpu")
    for name in ("2DBox_US_1.npz", "3DBox_CT_1.npz"):
        np.testing.assert_array_equal(segs(tmp_path / "warm" / name), segs(tmp_path / "cold" / name))
    found = segs(tmp_path / "warm/3DBox_CT_1.npz")
    truth = blocks()[1]
    for label in (1, 2):
        common = np.count_nonzero((found == label) & (truth == label))
        assert 2 * common / (np.count_nonzero(found == label) + np.count_nonzero(truth == label)) > 0.6
    warm, cold = (rows(tmp_path / f / "running_time.csv") for f in ("warm", "cold"))
    assert [r["case"] for r in warm] == [r["case"] for r in cold]
    assert all(r["problem"] == "" for r in (*warm, *cold))
    write_2025(tmp_path / "clicks", boxes=False)
    run_command("challenge2025", tmp_path / "clicks", tmp_path / "clicked", "--device", "cpu")
    assert set(np.unique(segs(tmp_path / "clicked/MR_blocks_1.npz"))) == {0, 1, 2}
    out = run_command("evaluate", "--protocol", "interactive2025", "--data", tmp_path / "clicks", "--device", "cpu")
    assert "bedside-2d" in out


def test_any_metric_can_be_chosen(cli: Callable[..., Any], grower: Any, tmp_path: Path) -> None:
    write_2025(tmp_path / "in", boxes=True)
    options = ("--metric", "hd95", "--metric", "dsc", "--baseline", "box", "--json", tmp_path / "i.json")
    options += ("--report", tmp_path / "i.html")
    status, out, err = cli("evaluate", "--protocol", "interactive2025", "--data", tmp_path / "in", *options)
    assert (status, err) == (0, "")
    assert "HD95 mm AUC" in out
    assert "HD95 mm, lower is better" in (tmp_path / "i.html").read_text()
    assert "mean ranks" in out
    document = json.loads((tmp_path / "i.json").read_text())
    assert document["metrics"]["hd95"]["direction"] == "lower"
    assert document["models"][0]["cases"][0]["hd95"][-1] == 0.0
    assert {row["name"] for row in document["ranks"]["official"]} == {"bedside-2d", "box"}
    status, _, err = cli("evaluate", "--protocol", "box2024", "--data", tmp_path, "--metric", "hd59")
    assert status == 2
    assert "one of assd, dsc, hd95, nsd, got 'hd59'; did you mean 'hd95'?" in err
    help_text = cli("evaluate", "--help").out
    assert "assd, dsc, hd95, nsd" in " ".join(help_text.split())
