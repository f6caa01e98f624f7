"""Prompts as the public code of the dynamic-prompt method paints them, in training and at inference alike."""

from __future__ import annotations

import numpy as np
import pytest

from bedside.core.errors import WeightsError
from bedside.core.prompts import Box, Point
from bedside.core.region import Region
from bedside.engines.nninteractive.cube import sample_prompts
from bedside.engines.nninteractive.settings import InteractionSettings
from bedside.engines.nninteractive.solid import ball_on_grid, clicked_cell, short_profiles, solid_ball
from bedside.imaging.window import Window

SOLID = InteractionSettings(decay=1.0, painting="solid", supported=dict.fromkeys(("points", "bbox2d", "bbox3d"), True))


def window(side: int, grid: int = 64, start: float = 0.0) -> Window:
    return Window((start,) * 3, (start + side,) * 3, (grid,) * 3)


def test_a_ball_holds_251_cells() -> None:
    assert solid_ball().sum() == 251
    cells, held = ball_on_grid((0, 10, 63), (64, 64, 64))
    assert (cells.start, cells.stop) == ((0, 7, 60), (4, 14, 64))
    assert held.shape == (4, 7, 4)
    assert ball_on_grid((-9, 3, 3), (64, 64, 64))[0].is_empty


@pytest.mark.parametrize("side", [64, 128, 192])
def test_clicks_are_solid_balls_of_cells_whatever_the_zoom_and_never_fade(side: int) -> None:
    clicks = [Point((30.0, 20.0, 10.0)), Point((40.0, 40.0, 40.0)), Point((50.0, 20.0, 30.0), positive=False)]
    made = sample_prompts(clicks, None, window(side), SOLID)
    positive, negative = (made[c] for c in SOLID.pairs["points"])
    assert set(np.unique(made)) == {0, 1}
    assert negative.sum() == 251
    assert positive.max() == 1
    for click in clicks[:2]:
        cell = clicked_cell(click.position[::-1], window(side))
        assert cell == tuple(int((p + 0.5) * 64 / side) for p in click.position[::-1])
        assert positive[cell] == 1


def test_a_box_leaves_out_its_last_voxel() -> None:
    box = Region((10, 20, 30), (14, 21, 40))
    z, y, x = short_profiles(box, window(64))
    assert np.flatnonzero(z).tolist() == [10, 11, 12]
    # One slice thick: nothing at all.
    assert not y.any()
    assert np.flatnonzero(x).tolist() == list(range(30, 39))
    made = sample_prompts([Box((30.0, 20.0, 10.0), (40.0, 26.0, 14.0))], None, window(64), SOLID)
    assert made[SOLID.pairs["bbox3d"][0]].sum() == 3 * 5 * 9
    # Read at the middle of each cell, and not as a share of it.
    made = sample_prompts([Box((30.0, 20.0, 10.0), (40.0, 26.0, 14.0))], None, window(128), SOLID)
    assert set(np.unique(made[SOLID.pairs["bbox3d"][0]])) == {0, 1}


def test_a_card_says_how_prompts_are_painted() -> None:
    assert InteractionSettings.from_metadata({"painting": "solid"}).painting == "solid"
    assert InteractionSettings.from_metadata({}).painting == "fading"
    with pytest.raises(WeightsError, match="one of fading, solid"):
        InteractionSettings.from_metadata({"painting": "oil"})


def test_training_paints_as_inference() -> None:
    torch = pytest.importorskip("torch")
    from bedside.engines.nninteractive.training.rounds import paint_click

    inputs = torch.zeros((1 + SOLID.channels, 64, 64, 64))
    place = torch.tensor([5, 5, 5, 128])
    paint_click(inputs, [40, 50, 60], place, SOLID, positive=True)
    paint_click(inputs, [90, 50, 60], place, SOLID, positive=False)
    clicks = [Point((60.0, 50.0, 40.0)), Point((60.0, 50.0, 90.0), positive=False)]
    assert np.array_equal(inputs[1:].numpy(), sample_prompts(clicks, None, window(128, start=5.0), SOLID))
