from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from bedside.batch.manifest import BadRow, Row, read_manifest
from bedside.core.errors import BedsideError, DependencyError, FormatError, InputError
from bedside.session.flags import PromptFlags

BOX = "1,2,30,40"


def csv(folder: Path, text: str) -> Path:
    path = folder / "m.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_row_says_what_the_options_say(tmp_path: Path) -> None:
    path = csv(
        tmp_path,
        "﻿image,Object,label,box,point,negative-point,scribble,lasso,initial_mask,frame,series,volume,output\n"
        'a.nii.gz,left kidney,7,"1,2,3,4,5,6;2,3,4,5,6,7","1,2,3","4,5,6",s.json,l.json,i.nii.gz,world,3,2,x/y.nrrd\n',
    )
    flags = PromptFlags(
        ("1,2,3,4,5,6", "2,3,4,5,6,7"), ("1,2,3",), ("4,5,6",), (tmp_path / "s.json",), (), (tmp_path / "l.json",),
        tmp_path / "i.nii.gz", "world",
    )  # fmt: skip
    expected = Row(1, tmp_path / "a.nii.gz", flags, None, None, "left kidney", 7, "3", 2, "x/y.nrrd")
    assert read_manifest(path).rows == (expected,)


def test_csv_and_json_say_the_same(tmp_path: Path) -> None:
    table = csv(tmp_path, f'image,box,point\na.png,"{BOX}",\n\nb.png,,"1,2;3,4"\n')
    lines = tmp_path / "m.jsonl"
    rows = [{"image": "a.png", "box": [1, 2, 30, 40], "note": None}, {"image": "b.png", "point": [[1, 2], "3,4"]}]
    lines.write_text("\n\n".join(map(json.dumps, rows)))
    assert read_manifest(table).rows == read_manifest(lines).rows


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"image": ""}, "image: expected a path"),
        ({"box": ""}, "got none of these"),
        ({"box": "1,2,3"}, "--box: expected x0,y0,x1,y1"),
        ({"box": "4,4,2,2"}, "box"),
        ({"prompts": "j.json"}, "more than one of these"),
        ({"box": "", "prompts": "j.json", "object": "x"}, "a file names the objects"),
        ({"label": "0"}, "label"),
        ({"label": "two"}, "label: expected a whole number"),
        ({"volume": "-1"}, "volume: expected a whole number"),
        ({"frame": "patient"}, "frame: expected one of index, world"),
        ({"image": "a\0b"}, "image: expected a path"),
    ],
)
def test_a_bad_row_costs_no_other(tmp_path: Path, cells: dict[str, Any], message: str) -> None:
    good = {"image": "a.png", "box": BOX}
    lines = tmp_path / "m.jsonl"
    lines.write_text("\n".join(json.dumps(row) for row in (good, {**good, **cells}, good)))
    first, bad, last = read_manifest(lines).rows
    assert isinstance(first, Row)
    assert isinstance(last, Row)
    assert isinstance(bad, BadRow)
    assert bad.number == 2
    assert message in bad.message


def test_lines_that_are_no_rows_are_bad_rows(tmp_path: Path) -> None:
    lines = tmp_path / "m.jsonl"
    lines.write_text(f'{{"image": "a.png", "box": "{BOX}"}}\n{{"image": \n[1, 2]\n')
    assert [type(row) for row in read_manifest(lines).rows] == [Row, BadRow, BadRow]
    table = csv(tmp_path, f'image,box\na.png,{BOX}\nb.png,"{BOX}"\n')
    assert [type(row) for row in read_manifest(table).rows] == [BadRow, Row]
    (bad,) = read_manifest(csv(tmp_path, f"image,box\na.png,{BOX}\n")).rows
    assert isinstance(bad, BadRow)
    assert "put a cell with commas in quotes" in bad.message


@pytest.mark.parametrize(
    ("name", "text", "error", "message"),
    [
        ("m.csv", "", InputError, "at least one row"),
        ("m.csv", "image,box\n", InputError, "at least one row"),
        ("m.csv", "picture,box\na.png,x\n", InputError, "a column 'image'"),
        ("m.csv", "image,boxes\na.png,x\n", InputError, "'boxes': expected a name like 'box'"),
        ("m.csv", "image,negative_pont\na.png,x\n", InputError, "like 'negative_point'"),
        ("m.csv", "image,box,box\na.png,x,y\n", InputError, "each column once"),
        ("m.xls", "image\n", InputError, "ends in .csv, .jsonl, .parquet"),
        ("m.csv", b"image\n\xff\xfe", FormatError, "UTF-8"),
        ("missing.csv", None, FormatError, "cannot read"),
    ],
)
def test_a_table_that_is_none(
    tmp_path: Path, name: str, text: str | bytes | None, error: type[BedsideError], message: str
) -> None:
    if text is not None:
        (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(error, match=message):
        read_manifest(tmp_path / name)


def test_columns_of_others_are_named(tmp_path: Path) -> None:
    path = csv(tmp_path, f'image,box,patient,mask\na.png,"{BOX}",P1,m.png\n')
    assert read_manifest(path).unused == ("patient", "mask")
    assert read_manifest(path, from_masks=True).unused == ("patient",)


def test_parquet_asks_for_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(DependencyError, match="install pyarrow"):
        read_manifest(tmp_path / "m.parquet")


@pytest.fixture
def parquet() -> Any:
    pytest.importorskip("pyarrow", reason="Parquet needs pyarrow, which the extra dev brings")
    return importlib.import_module("pyarrow.parquet")


def test_parquet_says_what_json_says(tmp_path: Path, parquet: Any) -> None:
    arrow = importlib.import_module("pyarrow")
    rows: list[dict[str, Any]] = [
        {"image": "a.png", "box": [1.0, 2.0, 30.0, 40.0], "point": None, "label": 3, "Object": "left kidney"},
        {"image": "b.png", "box": None, "point": [[1.0, 2.0], [3.5, 4.0]], "label": None, "Object": None},
    ]
    parquet.write_table(arrow.Table.from_pylist(rows), tmp_path / "m.parquet")
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    read = read_manifest(tmp_path / "m.parquet")
    assert read.rows == read_manifest(tmp_path / "m.jsonl").rows
    assert [type(row) for row in read.rows] == [Row, Row]


def test_parquet_of_texts_says_what_csv_says(tmp_path: Path, parquet: Any) -> None:
    arrow = importlib.import_module("pyarrow")
    columns = {"image": ["a.png", "", "c.png"], "box": [BOX, BOX, "4,4,2,2"], "patient": ["P1", "P2", "P3"]}
    parquet.write_table(arrow.table(columns), tmp_path / "m.parquet")
    table = csv(tmp_path, f'image,box,patient\na.png,"{BOX}",P1\n,"{BOX}",P2\nc.png,"4,4,2,2",P3\n')
    read, expected = read_manifest(tmp_path / "m.parquet"), read_manifest(table)
    assert read.unused == expected.unused == ("patient",)
    assert [type(row) for row in read.rows] == [Row, BadRow, BadRow]
    assert [str(row) for row in read.rows] == [str(row) for row in expected.rows]


def test_what_is_no_parquet_is_told_in_one_line(tmp_path: Path, parquet: Any) -> None:
    (tmp_path / "m.parquet").write_text(f'image,box\na.png,"{BOX}"\n')
    with pytest.raises(FormatError, match="expected Parquet"):
        read_manifest(tmp_path / "m.parquet")


@pytest.mark.parametrize(("sign", "said"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
@pytest.mark.parametrize("columns", [("image", "object", "box"), ("object", "image", "box"), ("Image", "point")])
@pytest.mark.parametrize("cell", ["1,2,30,40", "1"])
def test_another_separator_is_named(tmp_path: Path, sign: str, said: str, columns: tuple[str, ...], cell: str) -> None:
    path = csv(tmp_path, f"{sign.join(columns)}\n{sign.join(cell for _ in columns)}\n")
    with pytest.raises(InputError, match=f"expected commas between the cells, got {said}; save the table with commas"):
        read_manifest(path)


SLIPS = [
    (name[:place] + changed + name[place + gone :], name)
    for name in ("box", "point", "label", "lasso", "series", "negative_scribble")
    for place in range(len(name) - 1)
    for gone, changed in ((1, ""), (1, "q"), (0, "q"), (2, name[place + 1] + name[place]))
]


def test_one_slip_in_a_name_is_an_error_unless_that_column_is_there(tmp_path: Path) -> None:
    for slip, name in SLIPS:
        if slip == name:
            continue
        with pytest.raises(InputError, match=f"column '{slip}'.*expected a name like '{name}'"):
            read_manifest(csv(tmp_path, f"image,{slip}\na.png,1\n"))
        assert read_manifest(csv(tmp_path, f"image,{name},{slip}\na.png,1,1\n")).unused == (slip,)
    for unlike in ("patient", "age", "sex", "id", "centre", "note"):
        assert read_manifest(csv(tmp_path, f"image,{unlike}\na.png,1\n")).unused == (unlike,)
