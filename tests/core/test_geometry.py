"""Geometry: index and world are inverse in every orientation, and unusable grids are rejected."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.core.errors import GeometryError
from bedside.core.geometry import Geometry

# Every way to lay three index axes along three world axes: 6 permutations with 8 choices of sign.
ORIENTATIONS = [
    np.eye(3)[list(order)] * np.array(signs)
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1.0, -1.0), repeat=3)
]


def rotation(axis: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    """Rodrigues' formula: the rotation by ``angle`` radians around ``axis``."""
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turned: NDArray[np.float64] = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    return turned


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """Volumes and images, straight and oblique, right- and left-handed, with anisotropic spacing."""
    n = draw(st.sampled_from((2, 3)))
    if n == 3:
        axis = np.array(draw(st.tuples(*[st.floats(-1, 1)] * 3)))
        assume(np.linalg.norm(axis) > 0.1)
        direction = rotation(axis, draw(st.floats(-math.pi, math.pi))) @ draw(st.sampled_from(ORIENTATIONS))
    else:
        angle = draw(st.floats(-math.pi, math.pi))
        direction = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        direction = direction * draw(st.sampled_from(((1, 1), (1, -1), (-1, 1), (-1, -1))))
    return Geometry.create(
        draw(st.tuples(*[st.integers(1, 500)] * n)),
        draw(st.tuples(*[st.floats(0.05, 20)] * n)),
        draw(st.tuples(*[st.floats(-1000, 1000)] * n)),
        direction,
    )


@given(geometries(), st.data())
def test_index_to_world_and_back_is_the_identity(geometry: Geometry, data: st.DataObject) -> None:
    points = data.draw(st.lists(st.tuples(*[st.floats(-600, 600)] * geometry.ndim), min_size=1, max_size=5))
    world = geometry.index_to_world(points)
    assert world.shape == (len(points), geometry.ndim)
    np.testing.assert_allclose(geometry.world_to_index(world), points, atol=1e-6)


@given(geometries())
def test_matrix_and_method_agree(geometry: Geometry) -> None:
    points = np.random.default_rng(0).uniform(-10, 500, (4, geometry.ndim))
    homogeneous = np.c_[points, np.ones(4)] @ geometry.index_to_world_matrix.T
    np.testing.assert_allclose(homogeneous[:, :-1], geometry.index_to_world(points), atol=1e-9)
    np.testing.assert_array_equal(homogeneous[:, -1], 1)


@given(geometries())
def test_first_voxel_lies_at_the_origin_and_steps_have_the_spacing(geometry: Geometry) -> None:
    zero = np.zeros(geometry.ndim)
    np.testing.assert_allclose(geometry.index_to_world(zero), geometry.origin, atol=1e-9)
    for axis, step in enumerate(np.eye(geometry.ndim)):
        length = np.linalg.norm(geometry.index_to_world(step) - geometry.index_to_world(zero))
        assert length == pytest.approx(geometry.spacing[axis])


@given(geometries())
def test_matches_itself_and_nothing_moved_turned_or_cut(geometry: Geometry) -> None:
    def changed(**parts: Any) -> Geometry:
        kept = {"shape": geometry.shape, "spacing": geometry.spacing, "origin": geometry.origin}
        return Geometry.create(**{**kept, "direction": geometry.direction, **parts})

    assert geometry.matches(changed())
    moved = np.asarray(geometry.origin) + 0.1 * min(geometry.spacing)
    assert not geometry.matches(changed(origin=moved))
    assert not geometry.matches(changed(shape=(geometry.shape[0] + 1, *geometry.shape[1:])))
    if max(geometry.shape) > 1:
        assert not geometry.matches(changed(direction=-np.asarray(geometry.direction)))
        assert not geometry.matches(changed(spacing=[2 * s for s in geometry.spacing]))


def test_matches_within_the_digits_that_files_keep() -> None:
    a = Geometry.create((30, 200, 200), (0.7, 0.7, 5), (-100, -80, 12))
    b = Geometry.create((30, 200, 200), (0.7, 0.7, 5), (-100.0000005, -80, 12))
    assert a.matches(b)
    assert b.matches(a)


def test_grids_without_known_spacing_match_by_shape() -> None:
    png = Geometry.create((4, 5))
    assert not png.spacing_known
    assert png.matches(Geometry.create((4, 5), (0.3, 0.3)))
    assert not png.matches(Geometry.create((5, 4), (0.3, 0.3)))


def test_axes_are_named_in_the_promised_order() -> None:
    geometry = Geometry.create((3, 4, 5), (0.5, 0.75, 2.0))
    assert geometry.ndim == 3
    assert geometry.array_spacing == (2.0, 0.75, 0.5)
    assert geometry.voxel_volume == pytest.approx(0.75)
    np.testing.assert_allclose(geometry.index_to_world((4, 3, 2)), (2.0, 2.25, 4.0))


def test_left_handed_direction_is_honoured() -> None:
    geometry = Geometry.create((2, 2, 2), (1, 2, 3), (10, 20, 30), np.diag([-1, 1, 1]))
    np.testing.assert_allclose(geometry.index_to_world((1, 1, 1)), (9, 22, 33))


@pytest.mark.parametrize(
    ("point", "inside"),
    [
        ((-0.5, 0, 0), True),
        ((-0.51, 0, 0), False),
        ((4.49, 3.49, 2.49), True),
        ((4.5, 0, 0), False),
        ((0, 3.5, 0), False),
        ((0, 0, 2.5), False),
    ],
)
def test_contains_index_reaches_half_a_voxel_beyond_the_centres(point: tuple[float, ...], inside: bool) -> None:
    assert Geometry.create((3, 4, 5)).contains_index(point) is inside


@given(geometries())
def test_to_dict_is_json_and_holds_all(geometry: Geometry) -> None:
    data = json.loads(json.dumps(geometry.to_dict()))
    known = data.pop("spacing_known")
    again = Geometry.create(**data)
    assert known is True
    assert again == geometry


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"shape": (5,)}, "2 or 3 axes"),
        ({"shape": (2, 3, 4, 5)}, "2 or 3 axes"),
        ({"shape": ()}, "2 or 3 axes"),
        ({"shape": (0, 4)}, "at least one voxel"),
        ({"shape": (3, 4), "spacing": (1, 1, 1)}, "of 2 axes"),
        ({"shape": (3, 4), "origin": (1,)}, "of 2 axes"),
        ({"shape": (3, 4), "spacing": (0, 1)}, "positive millimetres"),
        ({"shape": (3, 4), "spacing": (-1, 1)}, "positive millimetres"),
        ({"shape": (3, 4), "spacing": (math.nan, 1)}, "positive millimetres"),
        ({"shape": (3, 4), "spacing": (math.inf, 1)}, "positive millimetres"),
        ({"shape": (3, 4), "spacing": (1e39, 1)}, "positive millimetres"),
        ({"shape": (3, 4), "spacing": (1e-39, 1)}, "positive millimetres"),
        ({"shape": (3, 4), "origin": (math.nan, 1)}, "finite millimetres"),
        ({"shape": (3, 4), "origin": (1, -1e39)}, "finite millimetres"),
        ({"shape": (3, 4), "direction": [1, 0, 0]}, "2 x 2 numbers"),
        ({"shape": (3, 4), "direction": [[1, 0.1], [0, 1]]}, "orthonormal"),
        ({"shape": (3, 4), "direction": [[2, 0], [0, 1]]}, "orthonormal"),
        ({"shape": (3, 4), "direction": [[math.nan, 0], [0, 1]]}, "orthonormal"),
        ({"shape": (3, 4, 5), "direction": np.zeros((3, 3))}, "gantry-tilted"),
    ],
)
def test_unusable_grids_are_rejected(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(GeometryError, match=message):
        Geometry.create(**parts)
