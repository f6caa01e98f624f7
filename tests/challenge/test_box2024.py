from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bedside.challenge.box2024 import BoxCase, modality_means, ranked_metrics, score_folder
from bedside.challenge.folder import SECONDS_FILE, Outcome, write_outcomes
from bedside.challenge.writing import write_case
from bedside.core.errors import FormatError, InputError
from bedside.core.image import Image
from bedside.core.prompts import Box
from bedside.io.challenge import ChallengeCase


@pytest.fixture
def truth(tmp_path, cubes):
    folder = tmp_path / "truth"
    boxes = (Box((3, 2, 2), (9, 8, 8)), Box((14, 12, 5), (18, 16, 9)))
    for name in ("3DBox_CT_1", "3DBox_CT_2", "3DBox_MR_1"):
        write_case(folder / f"{name}.npz", replace(cubes, name=name, boxes=boxes))
    picture = np.zeros((20, 30), np.uint8)
    picture[4:12, 4:12] = 1
    image = Image.from_array(np.zeros((20, 30, 3), np.uint8))
    write_case(folder / "2DBox_US_1.npz", ChallengeCase("2DBox_US_1", image, ground_truth=picture))
    return folder


def submit(folder, **answers):
    folder.mkdir()
    for name, labels in answers.items():
        np.savez_compressed(folder / f"{name}.npz", segs=labels)
    return folder


def test_cases_that_are_missing_damaged_or_of_another_shape_score_nothing(tmp_path, truth, cubes):
    answers = {"3DBox_CT_1": cubes.ground_truth, "3DBox_CT_2": cubes.ground_truth[1:]}
    folder = submit(tmp_path / "team", **answers)
    (folder / "3DBox_MR_1.npz").write_bytes(b"PK")
    result = score_folder(folder, truth)
    assert result.name == "team"
    by_name = {c.case: c for c in result.cases}
    assert (by_name["3DBox_CT_1"].scores, by_name["3DBox_CT_1"].problem) == ({"dsc": 1.0, "nsd": 1.0}, "")
    assert {c.case: c.scores["dsc"] for c in result.cases if c.problem} == dict.fromkeys(
        ("2DBox_US_1", "3DBox_CT_2", "3DBox_MR_1"), 0.0
    )
    assert "truth's shape" in by_name["3DBox_CT_2"].problem
    assert [c.modality for c in result.cases] == ["US", "CT", "CT", "MR"]


def test_a_folder_of_truths_is_no_submission(truth):
    assert all(c.scores == {"dsc": 0, "nsd": 0} for c in score_folder(truth, truth).cases)


def test_scores_by_hand(tmp_path, truth):
    picture = np.zeros((20, 30), np.uint16)
    picture[4:12, 8:16] = 1
    case = score_folder(submit(tmp_path / "team", **{"2DBox_US_1": picture}), truth).cases[0]
    assert case.scores["dsc"] == pytest.approx(0.5)
    assert 0 < case.scores["nsd"] < 1
    wide = score_folder(tmp_path / "team", truth, tolerance=4).cases[0]
    assert wide.scores["nsd"] == 1.0


def test_the_official_order_of_spacing(tmp_path, truth, cubes):
    moved = np.roll(cubes.ground_truth, 1, axis=0)
    folder = submit(tmp_path / "team", **{"3DBox_CT_1": moved})
    right, official = (score_folder(folder, truth, official_spacing_order=o).cases[1] for o in (False, True))
    assert right.scores["dsc"] == official.scores["dsc"]
    assert right.scores["nsd"] < official.scores["nsd"] == 1.0


def test_seconds_and_means(tmp_path, truth, cubes):
    names = ("2DBox_US_1", "3DBox_CT_1", "3DBox_CT_2", "3DBox_MR_1")
    folder = submit(tmp_path / "team", **dict.fromkeys(names[1:3], cubes.ground_truth))
    write_outcomes(folder / SECONDS_FILE, [Outcome(n, float(i)) for i, n in enumerate(names)])
    result = score_folder(folder, truth, name="ours")
    assert [c.seconds for c in result.cases] == [0.0, 1.0, 2.0, 3.0]
    ct, mr, us, overall = modality_means(result.cases)
    found = [(m.group, m.cases, m.scores["dsc"]) for m in (ct, mr, us)]
    assert found == [("CT", 2, 1.0), ("MR", 1, 0.0), ("US", 1, 0.0)]
    assert ct.seconds == 1.5
    # Over modalities and not over cases.
    assert (overall.cases, overall.scores["dsc"]) == (4, pytest.approx(1 / 3))
    assert (
        modality_means([BoxCase("a", "CT", 1, {"dsc": 1}), BoxCase("b", "CT", 1, {"dsc": 1}, 2.0)])[0].seconds is None
    )


def test_what_is_ranked(tmp_path, truth, cubes):
    one = score_folder(submit(tmp_path / "one", **{"3DBox_CT_1": cubes.ground_truth}), truth)
    scores, directions = ranked_metrics([one, one])
    assert directions == {"dsc": "higher", "nsd": "higher"}
    assert scores["dsc"] == [[0, 1, 0, 0]] * 2
    write_outcomes(tmp_path / "one" / SECONDS_FILE, [Outcome("3DBox_CT_1", 2.0)])
    timed = score_folder(tmp_path / "one", truth, metrics=("hd95",))
    scores, directions = ranked_metrics([timed, timed])
    assert directions == {"hd95": "lower", "seconds": "lower"}
    assert scores["seconds"] == [[np.inf, 2.0, np.inf, np.inf]] * 2
    # A missing prediction is as far off as the image is large.
    assert scores["hd95"][0][1] == 0.0
    assert min(scores["hd95"][0][n] for n in (0, 2, 3)) > 20


def test_folders_are_checked(tmp_path, truth):
    with pytest.raises(InputError, match="folder of predictions"):
        score_folder(tmp_path / "none", truth)
    (truth / "z.npz").write_bytes(b"PK")
    with pytest.raises(FormatError):
        score_folder(submit(tmp_path / "team"), truth)
