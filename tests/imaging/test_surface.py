"""Surfaces are closed, turned outwards, where the voxels are, and as large as they."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.geometry import Geometry
from bedside.core.region import Region
from bedside.core.surface import Surface
from bedside.imaging.surface import mask_surface


def edges(surface: Surface) -> NDArray[np.int64]:
    """Directed edges of all triangles."""
    return np.concatenate([surface.faces[:, pair] for pair in ([0, 1], [1, 2], [2, 0])])


def geometries(shape: tuple[int, int, int]) -> st.SearchStrategy[Geometry]:
    """Grids of any spacing and direction, left-handed ones too."""

    @st.composite
    def make(draw: st.DrawFn) -> Geometry:
        spacing = tuple(draw(st.floats(0.2, 4.0)) for _ in range(3))
        seed = draw(st.integers(0, 2**32))
        direction, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
        origin = tuple(draw(st.floats(-200, 200)) for _ in range(3))
        return Geometry.create(shape, spacing, origin=origin, direction=direction)

    return make()


@given(geometry=geometries((9, 10, 11)), seed=st.integers(0, 2**32), smooth=st.sampled_from([0.0, 0.0, 0.3]))
@settings(max_examples=40, deadline=None)
def test_every_edge_is_met_once_from_either_side(geometry: Geometry, seed: int, smooth: float) -> None:
    patch = np.random.default_rng(seed).random((4, 5, 6)) < 0.5
    patch[1:3, 1:3, 1:3] = True
    surface = mask_surface(patch, Region((2, 2, 2), (6, 7, 8)), geometry, smooth * min(geometry.spacing))
    directed = {(int(a), int(b)) for a, b in edges(surface)}
    assert directed == {(b, a) for a, b in directed}
    assert surface.volume > 0


@given(geometry=geometries((20, 20, 20)))
@settings(max_examples=25, deadline=None)
def test_it_lies_around_the_voxels_and_holds_their_volume(geometry: Geometry) -> None:
    patch = np.ones((8, 9, 10), np.uint8)
    surface = mask_surface(patch, Region((3, 2, 1), (11, 11, 11)), geometry)
    assert 0.93 < surface.volume / (patch.size * geometry.voxel_volume) < 1
    # The middle is that of the voxels by the matrix of the grid.
    middle = geometry.index_to_world_matrix @ [5.5, 6.0, 6.5, 1]
    np.testing.assert_allclose(surface.vertices.mean(axis=0), middle[:3], atol=1e-6)
    index = np.linalg.solve(geometry.index_to_world_matrix, np.c_[surface.vertices, np.ones(len(surface.vertices))].T)
    np.testing.assert_allclose(index[:3].min(axis=1), [0.5, 1.5, 2.5], atol=1e-6)
    np.testing.assert_allclose(index[:3].max(axis=1), [10.5, 10.5, 10.5], atol=1e-6)
    outwards = ((surface.corners.mean(axis=1) - middle[:3]) * surface.normals).sum(axis=1)
    assert (outwards > 0).all()


def test_a_smoothed_ball_is_a_ball() -> None:
    grid = np.stack(np.meshgrid(*[np.arange(41.0)] * 3, indexing="ij")) - 20
    ball = (grid**2).sum(axis=0) <= 15**2
    geometry = Geometry.create(ball.shape, (0.5, 0.5, 0.5))
    rough, smooth = (mask_surface(ball, Region.whole(ball.shape), geometry, mm) for mm in (0.0, 0.6))
    centre = np.array([10.0, 10.0, 10.0])
    spread = [float(np.linalg.norm(s.vertices - centre, axis=1).std()) for s in (rough, smooth)]
    assert spread[1] < 0.4 * spread[0]
    assert smooth.volume == pytest.approx(4 / 3 * np.pi * 7.5**3, rel=0.03)


@pytest.mark.parametrize(
    ("patch", "smooth", "message"),
    [
        (np.zeros((3, 3, 3)), 0.0, "expected a mask with a voxel"),
        (np.ones((3, 3)), 0.0, "expected a mask with three axes"),
        (np.ones((3, 3, 3)), -1.0, "from 0 to 100 mm"),
        (np.ones((3, 3, 3)), float("nan"), "from 0 to 100 mm"),
        (np.ones((3, 3, 3)), 9.0, "less than the object is thick"),
    ],
)
def test_what_has_no_surface_is_rejected(patch: NDArray[np.float64], smooth: float, message: str) -> None:
    geometry = Geometry.create((3,) * patch.ndim, (1.0,) * patch.ndim)
    with pytest.raises(InputError, match=message):
        mask_surface(patch, Region.whole(patch.shape), geometry, smooth)
