from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from bedside.core.errors import BedsideError, FormatError, InputError, PromptError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.prompts import Box, InitialMask, Lasso, Point, Scribble
from bedside.io import write_mask
from bedside.session.flags import PromptFlags, parse_box, parse_point, read_strokes


def test_boxes_and_points_are_parsed() -> None:
    assert parse_box("1,2,3,4.5", "index") == Box((1, 2), (3, 4.5))
    assert parse_box("-1, -2, 0, 3,4,5", "world") == Box((-1, -2, 0), (3, 4, 5), frame="world")
    assert parse_point("1,-2.5e1,3", "--point", False, "index") == Point((1, -25, 3), positive=False)


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1;2;3;4", "1,2,,4", "1,2,3,4,5,6,7"])
def test_a_malformed_box_is_rejected(text: str) -> None:
    with pytest.raises(InputError, match="--box: expected x0,y0,x1,y1 or x0,y0,z0,x1,y1,z1"):
        parse_box(text, "index")


def test_impossible_coordinates_are_rejected() -> None:
    with pytest.raises(InputError, match=r"--negative-point: expected x,y or x,y,z, got '1'"):
        parse_point("1", "--negative-point", False, "index")
    for call in (lambda: parse_point("nan,1", "--point", True, "index"), lambda: parse_box("5,5,1,1", "index")):
        with pytest.raises(PromptError):
            call()


def test_strokes_are_one_list_or_several(tmp_path: Path) -> None:
    path = tmp_path / "strokes.json"
    path.write_text("[[1, 2], [3, 4.5]]")
    assert read_strokes(path) == [[[1, 2], [3, 4.5]]]
    path.write_text("[[[1, 2, 3]], [[3, 4, 5], [6, 7, 8]]]")
    assert read_strokes(path) == [[[1, 2, 3]], [[3, 4, 5], [6, 7, 8]]]


@pytest.mark.parametrize(
    "content", ["", "{", "{}", "[]", "[[]]", "3", "[1, 2]", '[["1", "2"]]', "[[1, 2, 3, 4]]", "[[1, true]]", "[" * 9999]
)
def test_a_file_without_strokes_is_rejected_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "strokes.json"
    path.write_text(content)
    with pytest.raises(FormatError, match=r"strokes\.json"):
        read_strokes(path)


def test_drawn_prompts_come_from_their_files(tmp_path: Path) -> None:
    image = Image.from_array(np.zeros((6, 8), np.uint8))
    stroke, outline, marks, start = (tmp_path / n for n in ("s.json", "l.json", "marks.png", "start.png"))
    stroke.write_text("[[1, 2], [3, 4]]")
    outline.write_text("[[0, 0], [5, 0], [5, 5]]")
    marked = np.zeros((6, 8), np.uint8)
    marked[2, 3:5] = 255
    Picture.fromarray(marked).save(marks)
    Picture.fromarray(marked).save(start)
    flags = PromptFlags(scribbles=[stroke, marks], negative_scribbles=[stroke], lassos=[outline], initial_mask=start)
    mask, lasso, drawn, voxels, negative = flags.drawn(image)
    assert mask == InitialMask(marked != 0)
    assert lasso == Lasso(((0, 0), (5, 0), (5, 5)))
    assert drawn == Scribble(((1, 2), (3, 4)))
    assert voxels == Scribble(((3, 2), (4, 2)), connected=False, thickness=1)
    assert negative == Scribble(((1, 2), (3, 4)), positive=False)


def test_a_mask_on_another_grid_is_rejected_by_name(tmp_path: Path) -> None:
    image = Image.from_array(np.zeros((3, 6, 8), np.uint8), (1.0, 1.0, 2.0))
    path = tmp_path / "start.nii"
    write_mask(path, np.ones((3, 6, 8), np.uint8), Geometry.create((3, 6, 8), (1.0, 1.0, 3.0)))
    with pytest.raises(InputError, match=r"--initial-mask .*start\.nii: expected the image's grid"):
        PromptFlags(initial_mask=path).drawn(image)
    write_mask(path, np.ones((3, 6, 7), np.uint8), Geometry.create((3, 6, 7)))
    with pytest.raises(InputError, match=r"--scribble .*start\.nii: expected the image's shape"):
        PromptFlags(scribbles=[path]).drawn(image)
    write_mask(path, np.zeros((3, 6, 8), np.uint8), image.geometry)
    with pytest.raises(PromptError, match=r"start\.nii.*empty"):
        PromptFlags(scribbles=[path]).drawn(image)


def test_a_lasso_of_two_vertices_is_rejected_by_name(tmp_path: Path) -> None:
    path = tmp_path / "lasso.json"
    path.write_text(json.dumps([[0, 0], [5, 5]]))
    with pytest.raises(BedsideError, match=r"lasso\.json.*at least 3 points"):
        PromptFlags(lassos=[path]).drawn(Image.from_array(np.zeros((6, 8), np.uint8)))
