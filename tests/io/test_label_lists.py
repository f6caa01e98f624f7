"""Lists of labels: of each program as that program writes them, and what is none rejected by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bedside.core.errors import FormatError
from bedside.io.label_lists import LabelEntry, read_label_list

ITK_SNAP = """################################################
# ITK-SnAP Label Description File
# File format:
# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL
################################################
    0     0    0    0        0  0  0    "Clear Label"
    1   255    0    0        1  1  1    "left kidney"
    7     0  128  255      0.5  1  1    "läsion #2"
"""
SLICER = """# Color table file /tmp/Segmentation-label_ColorTable.ctbl
# 3 values
0 Background 0 0 0 0
1 left_kidney 255 0 0 255
7 läsion 0 128 255 255
"""
FILES: dict[str, tuple[Any, list[tuple[int, str, str | None]]]] = {
    "snap.txt": (ITK_SNAP, [(1, "left kidney", "#ff0000"), (7, "läsion #2", "#0080ff")]),
    "snap.label": (ITK_SNAP, [(1, "left kidney", "#ff0000"), (7, "läsion #2", "#0080ff")]),
    "slicer.ctbl": (SLICER, [(1, "left kidney", "#ff0000"), (7, "läsion", "#0080ff")]),
    "names.json": ({"1": "left kidney", "7": "lesion"}, [(1, "left kidney", None), (7, "lesion", None)]),
    # As nnU-Net's dataset.json has them.
    "dataset.json": (
        {"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1, "tumour": 2}},
        [(1, "liver", None), (2, "tumour", None)],
    ),
    "list.json": (
        [{"label": 3, "name": "a", "colour": "#AABBCC"}, {"value": "5", "name": "b", "color": [1, 2, 3]}],
        [(3, "a", "#aabbcc"), (5, "b", "#010203")],
    ),
    "by value.json": ({"labels": {"4": {"name": "c", "color": [255, 0, 0, 128]}}}, [(4, "c", "#ff0000")]),
}


@pytest.mark.parametrize("name", FILES)
def test_lists_of_every_kind(name: str, tmp_path: Path) -> None:
    content, expected = FILES[name]
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    assert list(read_label_list(path)) == [LabelEntry(*entry) for entry in expected]


WRONG: list[tuple[str, Any, str]] = [
    ("a.txt", "some notes\n", "line 1: expected a label of ITK-SNAP or a colour of 3D Slicer, got 'some notes'"),
    ("a.txt", "", "expected labels, each once, got none"),
    ("a.txt", '0 0 0 0 0 0 0 "Clear Label"\n', "got none"),
    ("a.ctbl", "1 a 255 0 0 255\n1 b 0 0 0 255\n", "got 1 twice"),
    ("a.ctbl", "1 a 256 0 0 255\n", "colour: expected #rrggbb"),
    ("a.ctbl", "70000 a 255 0 0 255\n", "label: expected 1 to 65,535, got 70000"),
    ("a.json", "{", "expected JSON"),
    ("a.json", {"labels": {"liver": [1, 2]}}, "item 'liver': expected a label and its name"),
    ("a.json", [{"label": True, "name": "a"}], "item 0"),
    ("a.json", [{"label": 1.5, "name": "a"}], "item 0"),
    ("a.json", [{"label": -1, "name": "a"}], "expected 1 to 65,535, got -1"),
    ("a.json", [{"label": 1, "name": 2}], "item 0"),
    ("a.json", [{"label": 1, "name": "a", "colour": "red"}], "colour: expected"),
    ("a.json", 3, "got none"),
    ("a.json", None, "cannot read the list of labels"),
]


@pytest.mark.parametrize(("name", "content", "message"), WRONG)
def test_what_is_no_list_is_rejected_by_name(name: str, content: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    with pytest.raises(FormatError) as caught:
        read_label_list(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
