"""Brush and eraser: single voxels, exactly as painted."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Start = Callable[..., Any]
SQUARES, CUBES = (40, 60), (12, 30, 40)


@pytest.mark.parametrize("axes", [2, 3])
def test_a_brush_sets_just_its_box(start: Start, picture: Path, volume: Path, tools: Any, axes: int) -> None:
    path, shape = (picture, SQUARES) if axes == 2 else (volume, CUBES)
    server = start()
    image = server.open(path)["image"]
    server.click(image, *([12, 8, 4][:axes]))
    expected = server.mask(image, 1, shape)
    box = {"start": [3, 4, 8][-axes:], "stop": [6, 9, 15][-axes:]}
    painted = np.random.default_rng(1).integers(0, 2, [b - a for a, b in zip(box["start"], box["stop"], strict=True)])
    change = server.ok("POST", f"/api/images/{image}/brush", {"box": box, "bits": tools.bits(painted)})
    where = tuple(slice(a, b) for a, b in zip(box["start"], box["stop"], strict=True))
    expected[where] = painted
    assert np.array_equal(server.mask(image, 1, shape), expected)
    assert np.array_equal(tools.pasted(change["patch"], "bits", shape, expected.copy()), expected)
    shown = change["prompts"][-1]
    assert (shown["kind"], "bits" in shown["prompt"]) == ("mask", False)
    server.ok("POST", f"/api/images/{image}/objects/1/undo")
    assert not np.array_equal(server.mask(image, 1, shape), expected)


def test_a_brush_may_begin_an_object(start: Start, picture: Path, tools: Any) -> None:
    server = start()
    image = server.open(picture)["image"]
    stroke = {"box": {"start": [2, 3], "stop": [4, 5]}, "bits": tools.bits(np.ones((2, 2)))}
    assert server.ok("POST", f"/api/images/{image}/brush", stroke)["objects"][0]["voxels"] == 4


@pytest.mark.parametrize(
    ("box", "painted"),
    [
        ({"start": [0, 0], "stop": [41, 1]}, np.ones((41, 1))),
        ({"start": [-1, 0], "stop": [1, 1]}, np.ones((2, 1))),
        ({"start": [3, 3], "stop": [3, 4]}, np.ones((0, 1))),
        ({"start": [3], "stop": [4]}, np.ones(1)),
        ({"start": [0, 0, 0], "stop": [1, 1, 1]}, np.ones((1, 1, 1))),
        ({"start": [0, 0], "stop": [9, 9]}, np.ones((2, 2))),
        ({"start": [0, 0], "stop": [2, 2]}, np.ones((9, 9))),
    ],
)
def test_brushes_that_do_not_fit_are_rejected(start: Start, picture: Path, box: Any, painted: Any, tools: Any) -> None:
    server = start()
    image = server.open(picture)["image"]
    problem = server.rejected("POST", f"/api/images/{image}/brush", 400, {"box": box, "bits": tools.bits(painted)})
    assert "brush" in problem["what"]
    assert server.ok("GET", f"/api/images/{image}/objects")["objects"] == []


def test_brushes_that_are_no_bits_are_rejected(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    box = {"start": [0, 0], "stop": [2, 2]}
    bomb = base64.b64encode(zlib.compress(bytes(10**7))).decode()
    for text in ("!", base64.b64encode(b"not deflated").decode(), "", bomb):
        server.rejected("POST", f"/api/images/{image}/brush", 400, {"box": box, "bits": text})
