from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bedside.engines.window.sampling.plane_windows import (
    Warp,
    draw_warp,
    grid_positions,
    inside_plane,
    sample_plane,
)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def plain(centre: tuple[float, float], sides: tuple[float, float], **changes: Any) -> Warp:
    still: dict[str, Any] = {"angle": 0.0, "flip": (False, False), "displacement": None}
    return Warp(centre, sides, **(still | changes))


PLANE = np.random.default_rng(0).integers(0, 200, (32, 48)).astype(np.int16)


def test_a_window_of_whole_pixels_reads_them_as_they_are() -> None:
    positions = grid_positions(plain((16.0, 20.0), (16.0, 16.0)), 16)
    read = sample_plane(PLANE, positions, 1.0)
    np.testing.assert_allclose(read[0].numpy(), PLANE[8:24, 12:28], atol=1e-3)


@pytest.mark.parametrize(
    ("changes", "turn"),
    [
        ({"flip": (True, False)}, lambda block: block[::-1]),
        ({"flip": (False, True)}, lambda block: block[:, ::-1]),
        ({"angle": np.pi / 2}, lambda block: np.rot90(block, -1)),
        ({"angle": np.pi}, lambda block: block[::-1, ::-1]),
    ],
)
def test_flips_and_quarter_turns(changes: dict[str, Any], turn: Any) -> None:
    positions = grid_positions(plain((16.0, 20.0), (16.0, 16.0), **changes), 16)
    read = sample_plane(PLANE, positions, 1.0)[0].numpy()
    np.testing.assert_allclose(read, turn(PLANE[8:24, 12:28]), atol=1e-2)


def test_large_cells_average_what_they_cover() -> None:
    positions = grid_positions(plain((16.0, 16.0), (32.0, 32.0)), 8)
    read = sample_plane(PLANE, positions, 4.0)[0].numpy()
    np.testing.assert_allclose(read, PLANE[:, :32].reshape(8, 4, 8, 4).mean(axis=(1, 3)), atol=1e-2)


def test_outside_the_plane() -> None:
    positions = grid_positions(plain((0.0, 0.0), (16.0, 16.0)), 16)
    inside = inside_plane(positions, PLANE.shape)
    assert inside[8:, 8:].all()
    assert inside.sum() == 64
    np.testing.assert_allclose(
        sample_plane(PLANE, positions, 1.0)[0, :8, 8:].numpy(), np.tile(PLANE[0, :8], (8, 1)), atol=1e-3
    )
    zeros = sample_plane(PLANE, positions, 1.0, zeros=True)[0].numpy()
    assert not zeros[~inside].any()
    np.testing.assert_allclose(zeros[8:, 8:], PLANE[:8, :8], atol=1e-3)


def test_colours_stay_apart() -> None:
    colour = np.stack([PLANE, PLANE + 1, PLANE + 2], axis=-1)
    read = sample_plane(colour, grid_positions(plain((16.0, 20.0), (20.0, 20.0), angle=0.3), 16), 1.25)
    assert read.shape == (3, 16, 16)
    torch.testing.assert_close(read[1], read[0] + 1)


@given(
    centre=st.tuples(st.floats(1, 31), st.floats(1, 47)),
    side=st.floats(2, 90),
    seed=st.integers(0, 1000),
)
def test_reading_stays_within_the_range_of_the_plane(centre: tuple[float, float], side: float, seed: int) -> None:
    warp = draw_warp(centre, (side, side / 2), np.random.default_rng(seed))
    positions = grid_positions(warp, 8)
    assert positions.shape == (8, 8, 2)
    read = sample_plane(PLANE, positions, side / 8)
    assert float(read.min()) >= PLANE.min() - 1e-3
    assert float(read.max()) <= PLANE.max() + 1e-3


@given(seed=st.integers(0, 1000))
def test_warps_keep_centre_and_area(seed: int) -> None:
    warp = draw_warp((10.0, 20.0), (30.0, 15.0), np.random.default_rng(seed))
    assert warp.centre == (10.0, 20.0)
    assert warp.sides[0] * warp.sides[1] == pytest.approx(450.0)
    if warp.displacement is None:
        middle = grid_positions(warp, 8).mean(dim=(0, 1))
        torch.testing.assert_close(middle, torch.tensor([10.0, 20.0]), atol=1e-3, rtol=0)
