from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bedside.challenge.answers import answer_boxes
from bedside.challenge.folder import (
    Outcome,
    check_output,
    find_cases,
    read_outcomes,
    run_folder,
    write_outcomes,
)
from bedside.challenge.writing import write_case
from bedside.core.errors import FormatError, InputError
from bedside.core.prompts import Box

BOXES = (Box((3, 2, 2), (9, 8, 8)), Box((14, 12, 5), (18, 16, 9)))


def test_a_damaged_case_does_not_stop_the_others(tmp_path, filler, cubes):
    for name in ("a", "c", "d"):
        write_case(tmp_path / f"in/{name}.npz", replace(cubes, boxes=BOXES if name != "d" else ()))
    (tmp_path / "in/b.npz").write_bytes(b"PK\x03\x04 nothing")
    done = []
    results = run_folder(find_cases(tmp_path / "in"), tmp_path / "out", filler, answer_boxes, done.append)
    assert done == ["a", "b", "c", "d"]
    assert [bool(r.problem) for r in results] == [False, True, False, True]
    assert "cannot be read as a challenge case" in results[1].problem
    assert [r.objects for r in results] == [2, 0, 2, 0]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.npz", "c.npz"]
    with np.load(tmp_path / "out/a.npz") as answer:
        assert list(answer) == ["segs"]
        assert answer["segs"].dtype == np.uint8
        np.testing.assert_array_equal(answer["segs"], cubes.ground_truth)


def test_a_defect_in_a_case_is_named_by_its_kind(tmp_path, filler, cubes):
    write_case(tmp_path / "in/a.npz", replace(cubes, boxes=BOXES))

    def fail(segmenter, case):
        raise ZeroDivisionError("by nought")

    (result,) = run_folder(find_cases(tmp_path / "in"), tmp_path / "out", filler, fail)
    assert result.problem == "ZeroDivisionError: by nought"
    assert not list((tmp_path / "out").iterdir())


def test_an_interruption_is_one(tmp_path, filler, cubes):
    write_case(tmp_path / "in/a.npz", replace(cubes, boxes=BOXES))

    def interrupt(segmenter, case):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_folder(find_cases(tmp_path / "in"), tmp_path / "out", filler, interrupt)


def test_seconds_come_back(tmp_path):
    outcomes = [Outcome("a", 1.25, 3), Outcome("b", 0.5, 0, 'broken, "all" of it')]
    write_outcomes(tmp_path / "s.csv", outcomes)
    assert read_outcomes(tmp_path / "s.csv") == {o.case: o for o in outcomes}
    assert read_outcomes(tmp_path / "none.csv") == {}
    (tmp_path / "s.csv").write_text("case,time\nx.npz,2.5\n")
    assert read_outcomes(tmp_path / "s.csv") == {"x": Outcome("x", 2.5)}


@pytest.mark.parametrize("text", ["name,time\nx,1\n", "case,time\nx,fast\n", "case,time\nx,nan\n", "case,time\nx,-1\n"])
def test_other_files_are_rejected(tmp_path, text):
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(FormatError):
        read_outcomes(tmp_path / "s.csv")


def test_folders_are_checked(tmp_path):
    with pytest.raises(InputError, match="existing folder"):
        find_cases(tmp_path / "none")
    with pytest.raises(InputError, match="got none"):
        find_cases(tmp_path)
    with pytest.raises(InputError, match="another folder"):
        check_output(tmp_path, tmp_path / "x" / "..")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="got a file"):
        check_output(tmp_path, tmp_path / "file")
