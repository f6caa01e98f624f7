from __future__ import annotations

import numpy as np
import pytest
import torch

from bedside.core.prompts import Box, Point, Scribble
from bedside.engines.window.sampling.device.painting import paint_boxes, paint_points, paint_strokes, thicken
from bedside.imaging.paint import paint_prompts

GRIDS = [(24, 30), (10, 12, 14)]


@pytest.mark.parametrize("grid", GRIDS)
def test_boxes_points_and_strokes_are_painted_as_inference_paints_them(grid: tuple[int, ...]) -> None:
    generator = np.random.default_rng(0)
    corners = np.sort(generator.uniform(-3, np.array(grid) + 3, size=(2, 20, len(grid))), axis=0).astype(np.float32)
    # A box thinner than a cell, and a stroke that is a dot.
    corners[1, 0] = corners[0, 0] + 0.2
    points = generator.uniform(-2, np.array(grid) + 2, size=(20, 5, len(grid))).astype(np.float32)
    points[3] = points[3, :1]
    boxes = paint_boxes(*torch.from_numpy(corners), grid)
    clicks = paint_points(torch.from_numpy(points[:, 0]), grid)
    strokes = paint_strokes(torch.from_numpy(points), grid)
    for row in range(20):
        box = Box(tuple(corners[0, row, ::-1].tolist()), tuple(corners[1, row, ::-1].tolist()))
        click = Point(tuple(points[row, 0, ::-1].tolist()))
        stroke = Scribble(tuple(tuple(p[::-1].tolist()) for p in points[row]))
        np.testing.assert_allclose(boxes[row], paint_prompts([box], grid)[0], atol=1e-5)
        np.testing.assert_allclose(clicks[row], paint_prompts([click], grid)[2], atol=1e-5)
        np.testing.assert_allclose(strokes[row], paint_prompts([stroke], grid)[2], atol=2e-5)


@pytest.mark.parametrize("grid", GRIDS)
def test_thick_cells_are_strokes_through_each(grid: tuple[int, ...]) -> None:
    cells = np.random.default_rng(1).random(grid) < 0.03
    places = tuple(tuple(float(c) for c in place[::-1]) for place in np.argwhere(cells))
    expected = paint_prompts([Scribble(places, connected=False)], grid)[2]
    np.testing.assert_allclose(thicken(torch.from_numpy(cells)[None])[0], expected, atol=1e-6)
