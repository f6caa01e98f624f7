"""Rigid registration against motions that are known, on grids of many kinds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.core.errors import InputError, StoppedError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.stopping import Stop, stoppable
from bedside.imaging.registration import RigidMotion, register_rigid
from tests.support.moved_patient import Patient, grid_around, motion_of, picture

STILL_3D, STILL_2D = np.eye(4), np.eye(3)


def error_of(found: NDArray[np.float64], truth: NDArray[np.float64], radius: float) -> float:
    """Return the largest distance, mm, between where two motions bring points at ``radius`` mm."""
    n = len(truth) - 1
    corners = np.array(np.meshgrid(*[(-radius, radius)] * n)).reshape(n, -1).T
    there = [corners @ m[:n, :n].T + m[:n, n] for m in (found, truth)]
    return float(np.linalg.norm(there[0] - there[1], axis=1).max())


VOLUMES = [
    # Shape and spacing of the image, of the prior, by how much its grid is turned and flipped, degrees, mm, contrast.
    ((40, 60, 64), (2.2, 2.2, 3.5), (64, 60, 60), (2.2, 2.3, 2.2), 0, False, 5, 12, False),
    ((24, 72, 72), (2.0, 2.0, 6.0), (70, 24, 70), (2.0, 6.0, 2.0), 0, False, 9, 25, False),
    ((40, 60, 64), (2.2, 2.2, 3.5), (44, 64, 64), (2.2, 2.2, 3.0), 25, True, 12, 8, False),
    ((40, 60, 64), (2.2, 2.2, 3.5), (44, 64, 64), (2.2, 2.2, 3.0), 0, False, 6, 15, True),
    ((30, 44, 44), (3.0, 3.0, 4.0), (60, 70, 70), (2.2, 2.2, 2.2), 10, True, 0, 60, False),
]


@pytest.mark.parametrize("case", range(len(VOLUMES)))
def test_the_motion_between_two_volumes_is_found(case: int) -> None:
    shape, spacing, other, apart, turned, flip, degrees, shift, inverted = VOLUMES[case]
    patient = Patient.draw(case, 3)
    truth = motion_of(case, degrees, shift, 3)
    image, _ = picture(patient, grid_around(shape, spacing), STILL_3D, 1)
    grid = grid_around(other, apart, turned, flip)
    if shift > 40:
        # Where the files' places are of no use at all: the table was elsewhere.
        grid = replace(grid, origin=tuple(np.asarray(grid.origin) + truth[:3, 3]))
    prior, _ = picture(patient, grid, truth, 2, inverted=inverted)
    found = register_rigid(image, prior)
    assert error_of(found.matrix, truth, 30) < 0.5 * max(spacing + apart)
    assert found.moves
    assert found.information > found.information_before
    assert found.angle_degrees == pytest.approx(degrees, abs=1)


@pytest.mark.parametrize(("degrees", "shift", "inverted"), [(4, 10, False), (15, 5, False), (6, 12, True)])
def test_the_motion_between_two_pictures_is_found(degrees: float, shift: float, inverted: bool) -> None:
    patient = Patient.draw(3, 2)
    truth = motion_of(5, degrees, shift, 2)
    image, _ = picture(patient, grid_around((180, 160), (1.0, 1.0)), STILL_2D, 1)
    prior, _ = picture(patient, grid_around((120, 140), (1.4, 1.3)), truth, 2, inverted=inverted)
    found = register_rigid(image, prior)
    assert error_of(found.matrix, truth, 30) < 1.0
    assert found.angle_degrees == pytest.approx(degrees, abs=1)


def test_colour_and_samples_that_are_no_measurement_do_not_matter() -> None:
    patient = Patient.draw(3, 2)
    truth = motion_of(5, 5, 8, 2)
    image, _ = picture(patient, grid_around((180, 160), (1.0, 1.0)), STILL_2D, 1)
    prior, _ = picture(patient, grid_around((170, 170), (1.0, 1.0)), truth, 2)
    values = prior.array.copy()
    values[:9] = np.nan
    grey = register_rigid(image, replace(prior, array=values))
    assert error_of(grey.matrix, truth, 30) < 1.0
    bytes_ = np.clip(prior.array + 50, 0, 255).astype(np.uint8)
    colour = register_rigid(image, Image(np.repeat(bytes_[..., None], 3, -1), prior.geometry))
    assert error_of(colour.matrix, truth, 30) < 1.0


def test_equal_images_stay_where_they_are_and_the_result_is_the_same_each_time() -> None:
    patient = Patient.draw(1, 3)
    image, _ = picture(patient, grid_around((30, 40, 40), (3, 3, 4)), STILL_3D, 1)
    again, _ = picture(patient, grid_around((30, 40, 40), (3, 3, 4)), STILL_3D, 2)
    assert not register_rigid(image, again).moves
    moved, _ = picture(patient, grid_around((30, 40, 40), (3, 3, 4)), motion_of(2, 5, 9, 3), 2)
    assert np.allclose(register_rigid(image, moved).matrix, register_rigid(image, moved).matrix, atol=1e-4)


def test_images_that_have_nothing_in_common_are_left_where_they_are() -> None:
    rng = np.random.default_rng(0)
    images = [
        Image(rng.normal(size=(24, 30, 30)).astype(np.float32), grid_around((24, 30, 30), (1, 1, 1))) for _ in "ab"
    ]
    found = register_rigid(*images)
    assert not found.moves or found.information < 0.1


@given(st.integers(0, 1000), st.floats(0, 180), st.floats(0, 100), st.booleans(), st.sampled_from([2, 3]))
def test_a_grid_of_the_prior_lies_where_its_points_lie(
    seed: int, degrees: float, shift: float, flip: bool, axes: int
) -> None:
    matrix = motion_of(seed, degrees, shift, axes)
    motion = RigidMotion(matrix, (0.0,) * axes, 1.0, 1.0)
    prior = grid_around((5, 6, 7)[:axes], (0.7, 1.1, 3.0)[:axes], 20, flip)
    placed = motion.place(prior)
    points = np.random.default_rng(seed).uniform(-1, 8, (20, axes))
    there = placed.index_to_world(points) @ matrix[:axes, :axes].T + matrix[:axes, axes]
    assert np.allclose(there, prior.index_to_world(points), atol=1e-6)
    assert motion.angle_degrees == pytest.approx(degrees, abs=1e-3)
    assert motion.shift_mm == pytest.approx(shift, abs=1e-6)


def test_what_cannot_be_registered_is_told() -> None:
    volume, _ = picture(Patient.draw(1, 3), grid_around((10, 12, 12), (9, 9, 9)), STILL_3D, 1)
    plane, _ = picture(Patient.draw(1, 2), grid_around((12, 12), (9, 9)), STILL_2D, 1)
    with pytest.raises(InputError, match="expected 3 axes"):
        register_rigid(volume, plane)
    unknown = Image(volume.array, Geometry.create(volume.shape))
    with pytest.raises(InputError, match="the prior: expected the size of its voxels"):
        register_rigid(volume, unknown)
    with pytest.raises(InputError, match="the image: expected the size of its voxels"):
        register_rigid(unknown, volume)
    thin = Image(volume.array[:, :4, :4], Geometry.create((10, 4, 4), (9, 9, 9)))
    with pytest.raises(InputError, match="at least 8 voxels"):
        register_rigid(volume, thin)
    flat = replace(volume, array=np.ones_like(volume.array))
    with pytest.raises(InputError, match="several values"):
        register_rigid(volume, flat)


def test_it_can_be_stopped() -> None:
    volume, _ = picture(Patient.draw(1, 3), grid_around((20, 24, 24), (5, 5, 5)), STILL_3D, 1)
    stop = Stop()
    with stoppable(stop):
        stop.ask()
        with pytest.raises(StoppedError):
            register_rigid(volume, volume)


def test_two_visits_of_a_real_patient() -> None:
    folder = Path(__file__).parents[3] / "shared/data/train/3d/mr3d_pgbm_braintumor"
    if not folder.is_dir():
        pytest.skip("no data beside this checkout")
    from bedside.io import read_image

    image, prior = (read_image(folder / f"PGBM-001_{day}.image.nii.gz") for day in ("11191991", "04021992"))
    there, back = register_rigid(image, prior), register_rigid(prior, image)
    # No truth is known, but the way there and back ends where it began, within a voxel of 6.5 mm.
    assert there.information > 1.5 * there.information_before
    n = 3
    corners = np.asarray(there.centre) + np.array(np.meshgrid(*[(-50, 50)] * n)).reshape(n, -1).T
    way = back.matrix @ there.matrix
    assert np.linalg.norm(corners @ way[:n, :n].T + way[:n, n] - corners, axis=1).max() < 3
