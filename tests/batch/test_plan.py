from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bedside.batch.manifest import read_manifest
from bedside.batch.plan import Failure, Item, plan
from bedside.core.errors import InputError


@pytest.fixture
def planned(study: Path, table: Callable[..., Path], tmp_path: Path) -> Callable[..., tuple[list[Item], list[Failure]]]:
    def call(*rows: dict[str, Any], suffix: str | None = None) -> tuple[list[Item], list[Failure]]:
        boxed = [
            {"box": f"{number},2,30,40", **row} if not {"prompts", "mask"} & row.keys() else row
            for number, row in enumerate(rows)
        ]
        manifest = read_manifest(table(*boxed), from_masks=True)
        return plan(manifest, tmp_path / "out", study, suffix)

    return call


Planned = Callable[..., tuple[list[Item], list[Failure]]]


def test_rows_of_an_image_make_one_mask(planned: Planned, tmp_path: Path) -> None:
    items, failures = planned({"image": "p0.png"}, {"image": "p1.png"}, {"image": "./p0.png"})
    assert failures == []
    assert [(i.output.name, i.numbers, [r.label for r in i.rows]) for i in items] == [
        ("p0.png", [1, 3], [1, 2]),
        ("p1.png", [2], [1]),
    ]


def test_labels_are_those_that_are_given_and_else_the_next_free(planned: Planned) -> None:
    items, _ = planned(*({"image": "p0.png", **({"label": n} if n else {})} for n in (2, 0, 0, 9)))
    assert [row.label for row in items[0].rows] == [2, 3, 4, 9]


@pytest.mark.parametrize(
    ("image", "more", "suffix", "name"),
    [
        ("p0.png", {}, None, "p0.png"),
        ("scan.nii.gz", {}, None, "scan.nii.gz"),
        ("scan.nii.gz", {}, ".nrrd", "scan.nrrd"),
        ("scan.nii.gz", {"volume": 2}, None, "scan-2.nii.gz"),
        ("sub/p.JPG", {}, None, "sub/p.png"),
        ("sub/p", {"series": "T1 ax/3"}, None, "sub/p-T1_ax_3.nii.gz"),
        ("sub/case.1", {}, None, "sub/case.1.nii.gz"),
        ("sub/p.dcm", {}, None, "sub/p.nii.gz"),
        ("sub/p.dcm", {"output": "q/r.mha"}, ".nrrd", "q/r.mha"),
        ("../beside.png", {}, None, "beside.png"),
    ],
)
def test_masks_lie_as_their_images_do(
    planned: Planned, study: Path, tmp_path: Path, image: str, more: dict[str, Any], suffix: str | None, name: str
) -> None:
    (study / "sub/case.1").mkdir(parents=True)
    for other in ("sub/p.JPG", "sub/p", "sub/p.dcm", "../beside.png"):
        (study / other).touch()
    items, failures = planned({"image": image, **more}, suffix=suffix)
    assert failures == []
    assert items[0].output.relative_to(tmp_path / "out") == Path(name)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("../p.png", "below the output folder"),
        ("/p.png", "below the output folder"),
        ("p.dcm", "expected a file of labels"),
        ("p.txt", "suffix"),
        ("p", "suffix"),
        ("../study/p1.png", "below the output folder"),
    ],
)
def test_an_output_stays_in_its_folder(planned: Planned, output: str, message: str) -> None:
    items, failures = planned({"image": "p0.png", "output": output}, {"image": "p1.png"})
    assert [i.numbers for i in items] == [[2]]
    assert [f.number for f in failures] == [1]
    assert message in failures[0].message or message == "suffix"


def test_an_image_is_never_an_output(study: Path, table: Callable[..., Path]) -> None:
    rows = ({"image": "p0.png", "box": "1,2,30,40"}, {"image": "p1.png", "box": "1,2,30,40", "output": "fresh.png"})
    items, failures = plan(read_manifest(table(*rows)), study, study, None)
    assert [i.numbers for i in items] == [[2]]
    assert [f.number for f in failures] == [1]
    assert "another file than an image" in failures[0].message


def test_two_images_with_one_output_both_fail(planned: Planned) -> None:
    rows = ({"image": "p0.png", "output": "m.png"}, {"image": "p1.png", "output": "./m.png"}, {"image": "p2.png"})
    items, failures = planned(*rows)
    assert [i.numbers for i in items] == [[3]]
    assert [(f.number, f.status) for f in failures] == [(1, "failed"), (2, "failed")]
    assert "got it in row 2 too" in failures[0].message
    assert "got it in row 1 too" in failures[1].message


@pytest.mark.parametrize(
    ("rows", "failed"),
    [
        (({"label": 2}, {"label": 2}, {}), [1, 2]),
        (({}, {"box": "no box"}, {}), [2]),
        (({}, {"prompts": "j.json"}, {}), [2]),
        (({"mask": "p1.png"}, {}, {}), [1]),
        (({"box": "1,2,9,9"}, {}, {"box": "1,2,9,9", "object": "another name"}), [3]),
    ],
)
def test_a_mask_is_made_whole_or_not_at_all(planned: Planned, rows: Any, failed: list[int]) -> None:
    items, failures = planned(*({"image": "p0.png", **row} for row in rows), {"image": "p1.png"})
    assert [i.numbers for i in items] == [[4]]
    assert [f.number for f in failures] == [1, 2, 3]
    assert [f.number for f in failures if f.status == "failed"] == failed
    held = [f.message for f in failures if f.status == "held"]
    assert all(f"{n}" in message for message in held for n in failed)


def test_an_unknown_suffix_ends_the_run(planned: Planned) -> None:
    with pytest.raises(InputError, match="--suffix"):
        planned({"image": "p0.png"}, suffix=".doc")
