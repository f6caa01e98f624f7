"""Cells that a spreadsheet would calculate."""

from __future__ import annotations

import ast
import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.core.tables import csv_text, plain_cell, safe_cell

SOURCE = Path(__file__).parents[2] / "src" / "bedside"


@pytest.mark.parametrize("text", ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\n=1", "=", "-"])
def test_no_cell_begins_as_a_formula_does(text: str) -> None:
    (row,) = csv.reader(io.StringIO(csv_text([[text]]), newline=""))
    assert row == ["'" + text]


def test_a_carriage_return_ends_no_row() -> None:
    assert list(csv.reader(io.StringIO(csv_text([["a\r=1", "\r=1"], ["b"]]), newline=""))) == [["a =1", "' =1"], ["b"]]


@pytest.mark.parametrize("value", ["a=b", "", "-1.5", "+3", "-1e-3", "-inf", -1.5, 0, None, "liver"])
def test_numbers_and_plain_text_stay(value: object) -> None:
    assert safe_cell(value) == value


@given(st.lists(st.lists(st.text(st.characters(exclude_characters="\0\r")), min_size=1, max_size=4), max_size=4))
def test_what_is_read_back_is_what_was_written(rows: list[list[str]]) -> None:
    read = csv.reader(io.StringIO(csv_text(rows), newline=""))
    assert [[plain_cell(cell) for cell in row] for row in read] == rows


def test_all_tables_are_written_here() -> None:
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "csv":
                assert path.name == "tables.py" or "writer" not in node.attr.lower(), path
