from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.challenge.writing import write_case
from bedside.core.errors import FormatError
from bedside.core.image import Image
from bedside.core.prompts import Box, Point
from bedside.io.challenge import ChallengeCase, read_case, read_labels

VOLUME = np.arange(4 * 5 * 6, dtype=np.uint8).reshape(4, 5, 6)
CASE = ChallengeCase("CT_x_1", Image.from_array(VOLUME, (0.5, 0.7, 5.0)), ground_truth=VOLUME % 3)


def round_trip(folder: Path, case: ChallengeCase) -> ChallengeCase:
    write_case(folder / f"{case.name}.npz", case)
    return read_case(folder / f"{case.name}.npz")


def test_boxes_of_2024_are_closed_in_the_file(tmp_path: Path) -> None:
    case = replace(CASE, boxes=(Box((0, 1, 2), (3, 2, 4)),) * 2, middle_slices=(None, None))
    again = round_trip(tmp_path, case)
    assert (again.boxes, again.middle_slices) == (case.boxes, case.middle_slices)
    assert again.image.geometry.spacing == (0.5, 0.7, 5.0)
    np.testing.assert_array_equal(again.ground_truth, CASE.ground_truth)
    with np.load(tmp_path / "CT_x_1.npz") as members:
        assert members["boxes"].tolist() == [[0, 1, 2, 2, 1, 3]] * 2
        assert members["boxes"].dtype.kind == "i"


def test_pictures_and_more_than_255_boxes(tmp_path: Path) -> None:
    boxes = tuple(Box((i % 20, i // 20), (i % 20 + 1, i // 20 + 2)) for i in range(300))
    image = Image.from_array(np.zeros((40, 30, 3), np.uint8))
    again = round_trip(tmp_path, ChallengeCase("2DBox_Microscopy_1", image, boxes))
    assert again.boxes == boxes
    assert again.image.shape == (40, 30)


def test_cases_of_2025_with_everything(tmp_path: Path) -> None:
    case = replace(
        CASE,
        boxes=(Box((0, 1, 2), (3, 2, 4)), None),
        middle_slices=(3, None),
        clicks=((Point((0, 1, 2)), Point((1, 1, 1), positive=False)), ()),
        clicks_order=(("fg", "bg"), (None, None)),
        previous=VOLUME % 2,
    )
    again = round_trip(tmp_path, case)
    for name in ("boxes", "middle_slices", "clicks", "clicks_order"):
        assert getattr(again, name) == getattr(case, name)
    np.testing.assert_array_equal(again.previous, case.previous)
    with np.load(tmp_path / "CT_x_1.npz", allow_pickle=True) as members:
        first, second = members["boxes"]
        assert second is None
        assert first == {
            "z_mid_x_min": 0, "z_mid_y_min": 1, "z_min": 2, "z_mid_x_max": 2, "z_mid_y_max": 1, "z_max": 3, "z_mid": 3
        }  # fmt: skip
        assert members["clicks"][0] == {"fg": [[2, 1, 0]], "bg": [[1, 1, 1]]}
        assert list(members["clicks_order"][1]) == [None, None]


def test_a_case_without_boxes_has_no_such_member(tmp_path: Path) -> None:
    again = round_trip(tmp_path, replace(CASE, boxes=(None, None), middle_slices=(None, None)))
    assert again.boxes == ()


def test_the_truth_can_be_kept_apart(tmp_path: Path) -> None:
    write_case(tmp_path / "cases/CT_x_1.npz", CASE, tmp_path / "truth/CT_x_1.npz")
    assert read_case(tmp_path / "cases/CT_x_1.npz").ground_truth is None
    truth = read_labels(tmp_path / "truth/CT_x_1.npz", "gts")
    np.testing.assert_array_equal(truth.array, CASE.ground_truth)
    assert truth.geometry == CASE.image.geometry
    assert truth.modality == "CT"


@given(data=st.data())
def test_whole_boxes_come_back_as_they_were(tmp_path_factory: Any, data: st.DataObject) -> None:
    sides = st.tuples(*[st.integers(0, 3)] * 3)
    boxes = tuple(
        Box(low, tuple(v + 1 + n for v, n in zip(low, more, strict=True)))
        for low, more in data.draw(st.lists(st.tuples(sides, sides), min_size=1, max_size=4))
    )
    middles = tuple(int(b.low[2]) for b in boxes) if data.draw(st.booleans()) else (None,) * len(boxes)
    again = round_trip(tmp_path_factory.mktemp("c"), replace(CASE, boxes=boxes, middle_slices=middles))
    assert (again.boxes, again.middle_slices) == (boxes, middles)


@pytest.mark.parametrize(
    ("clicks", "order"),
    [
        ([None, {"fg": [[2, 1, 0]], "bg": []}], [None, ["fg"]]),
        ([{}, {"fg": [[2, 1, 0]]}], [[None], ["fg"]]),
        ([{"fg": None, "bg": None}, {"fg": np.array([[2, 1, 0]])}], [[], ["fg"]]),
    ],
)
def test_classes_without_prompts_are_read_in_every_form(tmp_path: Path, clicks: Any, order: Any) -> None:
    members = {"clicks": clicks, "clicks_order": order, "boxes": [{}, None]}
    arrays = {}
    for name, entries in members.items():
        arrays[name] = np.empty(2, dtype=object)
        for i, entry in enumerate(entries):
            arrays[name][i] = entry
    np.savez(tmp_path / "c.npz", imgs=VOLUME, **arrays)
    case = read_case(tmp_path / "c.npz")
    assert case.clicks == ((), (Point((0, 1, 2)),))
    assert case.boxes == (None, None)
    assert case.clicks_order[1] == ("fg",)


def test_labels_are_asked_for_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "c.npz", gts=VOLUME)
    with pytest.raises(FormatError, match="array 'segs', got gts"):
        read_labels(tmp_path / "c.npz", "segs")
    with pytest.raises(FormatError, match="nothing there"):
        read_labels(tmp_path / "d.npz", "segs")
    (tmp_path / "d.npz").write_bytes(b"PK")
    with pytest.raises(FormatError, match="cannot be read"):
        read_labels(tmp_path / "d.npz", "segs")
