from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from bedside.engines.window.sampling.extrusion import LARGEST_SCALE, Profile, draw_profile, extrude
from bedside.engines.window.sampling.volume_windows import grid_positions, plain_warp

GRID = 32
STRAIGHT = np.zeros(9, dtype=np.float32)


def disc() -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """An image of a bright disc of radius 10 around (30, 40) edge coordinates, on a ramp."""
    y, x = np.indices((64, 80)) + 0.5
    mask = (y - 30) ** 2 + (x - 40) ** 2 <= 100
    return (0.001 * x + mask).astype(np.float32), mask


def unit(zoom: float) -> Tensor:
    return grid_positions(plain_warp((0.0, 0.0, 0.0), (zoom,) * 3), GRID)


def made(profile: Profile, zoom: float = 2.0) -> tuple[Tensor, NDArray[np.bool_], NDArray[np.bool_]]:
    plane, mask = disc()
    image, truth, inside = extrude(plane, mask, (30.0, 40.0), (20.0, 20.0), unit(zoom), profile)
    return image, (truth > 0.5).numpy(), inside


def test_a_straight_tube_has_the_object_on_every_slice() -> None:
    image, truth, inside = made(Profile(np.inf, (0.0, 0.0), STRAIGHT))
    assert inside.all()
    assert all(np.array_equal(slice_, truth[0]) for slice_ in truth)
    # A disc of the extent 1 in a window of the extent 2.
    assert truth[0].sum() == pytest.approx(np.pi * (GRID / 4) ** 2, rel=0.05)
    assert np.array_equal((image > 0.55).numpy(), truth)


def test_a_body_ends_where_its_profile_says_and_narrows_towards_it() -> None:
    profile = Profile(0.5, (0.0, 0.0), STRAIGHT)
    image, truth, _ = made(profile)
    height = unit(2.0)[:, 0, 0, 0].numpy()
    areas = truth.sum(axis=(1, 2))
    assert (areas[np.abs(height) > 0.5] == 0).all()
    upper = areas[height > 0]
    assert (np.diff(upper[upper > 0]) <= 0).all()
    middle = areas[np.argmin(np.abs(height))]
    expected = middle * (1 - (height / 0.5) ** 2).clip(LARGEST_SCALE**-2)
    np.testing.assert_allclose(areas[np.abs(height) < 0.49], expected[np.abs(height) < 0.49], rtol=0.15, atol=6)
    # What is called the object is bright, and no other place of the slices that it crosses.
    assert float(image[torch.from_numpy(truth)].min()) > 0.4


def test_a_drift_moves_the_object_from_slice_to_slice() -> None:
    _, truth, _ = made(Profile(np.inf, (0.0, 0.4), STRAIGHT))
    columns = [np.argwhere(slice_)[:, 1].mean() for slice_ in truth[4:-4]]
    np.testing.assert_allclose(np.diff(columns), 0.4, atol=0.2)
    rows = [np.argwhere(slice_)[:, 0].mean() for slice_ in truth]
    np.testing.assert_allclose(rows, rows[0], atol=1e-6)


def test_waves_change_the_size() -> None:
    _, truth, _ = made(Profile(np.inf, (0.0, 0.0), np.full(9, np.log(2.0), np.float32)))
    assert truth[0].sum() == pytest.approx(np.pi * (GRID / 8) ** 2, rel=0.1)


def test_what_lies_beyond_the_image_is_outside() -> None:
    _, truth, inside = made(Profile(np.inf, (0.0, 0.0), STRAIGHT), zoom=8.0)
    place = unit(8.0)[0, :, :, 1:].numpy() * 20 + (30.0, 40.0)
    expected = ((place >= 0) & (place <= (64, 80))).all(axis=-1)
    assert np.array_equal(inside[0], expected)
    assert not inside.all()
    assert not truth[~inside].any()


def test_bodies_and_tubes_are_drawn() -> None:
    profiles = [draw_profile(np.random.default_rng(seed)) for seed in range(200)]
    tubes = sum(np.isinf(p.half_height) for p in profiles)
    assert 40 < tubes < 95
    bodies = [p.half_height for p in profiles if np.isfinite(p.half_height)]
    assert min(bodies) >= 0.2
    assert max(bodies) <= 1.2
