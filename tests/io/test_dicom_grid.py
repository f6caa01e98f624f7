"""Grids fitted to rounded positions: what rounding explains is regular, and nothing else is."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from bedside import io
from bedside.core.errors import FormatError
from bedside.io.dicom.grid import fit_grid

WriteSeries = Callable[..., list[Path]]

steps = st.floats(0.4, 12)
counts = st.integers(3, 120)
starts = st.floats(-900, 900)


@settings(deadline=None)
@given(step=steps, count=counts, start=starts, decimals=st.integers(1, 4))
def test_a_rounded_grid_is_a_grid(step: float, count: int, start: float, decimals: int) -> None:
    unit = 10.0**-decimals
    assume(step > 4 * unit)
    along = np.round(start + step * np.arange(count), decimals)
    grid = fit_grid(along, unit / 2)
    assert grid is not None
    assert grid.missing == []
    # Both lie within half a unit of each position, so within a unit of each other at either end.
    assert abs(grid.step - step) <= 2 * unit / (count - 1) + 1e-9
    assert np.abs(grid.start + grid.step * grid.index - along).max() <= unit / 2 + 0.005 * step + 1e-6


@settings(deadline=None)
@given(step=steps, count=st.integers(6, 120), decimals=st.integers(1, 4), data=st.data())
def test_a_missing_slice_is_named_however_positions_are_rounded(
    step: float, count: int, decimals: int, data: st.DataObject
) -> None:
    unit = 10.0**-decimals
    assume(step > 5 * unit)
    gone = data.draw(st.integers(1, count - 2))
    along = np.delete(np.round(-300 + step * np.arange(count), decimals), gone)
    grid = fit_grid(along, unit / 2)
    assert grid is not None
    assert len(grid.missing) == 1
    assert abs(grid.missing[0] - (-300 + step * gone)) <= unit + 0.01 * step


@settings(deadline=None)
@given(step=st.floats(0.5, 10), count=st.integers(5, 80), part=st.floats(0.05, 0.4), data=st.data())
def test_a_slice_off_its_place_by_more_than_rounding_is_no_grid(
    step: float, count: int, part: float, data: st.DataObject
) -> None:
    moved = data.draw(st.integers(1, count - 2))
    along = step * np.arange(count, dtype=float)
    along[moved] += part * step
    assert fit_grid(along, 0.0005) is None


def test_digits_as_coarse_as_the_step_do_not_hide_a_missing_slice() -> None:
    along = np.delete(np.arange(40.0), 17)
    grid = fit_grid(along, 0.5, claimed=1.0)
    assert grid is not None
    assert grid.missing == [17.0]
    # Whole millimetres of slices 1.5 mm apart, which the header confirms.
    grid = fit_grid(np.floor(1.5 * np.arange(40)), 0.5, claimed=1.5)
    assert grid is not None
    assert grid.missing == []


@pytest.mark.parametrize("decimals", [1, 2, 3])
@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1), (0.8, 0.6, 0, 0, 0, -1)], ids=str)
def test_rounded_series_are_read_at_their_true_step(
    tmp_path: Path, write_series: Any, orientation: tuple[float, ...], decimals: int
) -> None:
    normal = np.cross(orientation[:3], orientation[3:])
    positions = [np.round(np.array([-120.37, 81.9, -5.55]) + 0.9375 * i * normal, decimals) for i in range(30)]
    write_series(tmp_path, positions, orientation=orientation)
    image = io.read_image(tmp_path)
    assert image.shape[0] == 30
    assert abs(image.geometry.spacing[2] / 0.9375 - 1) < 0.005
    np.testing.assert_allclose(image.geometry.index_to_world([0, 0, 29]), positions[-1], atol=0.12)


def test_what_digits_do_not_allow_is_rejected(tmp_path: Path, write_series: Any) -> None:
    positions = [(0.0, 0.0, round(1.25 * i, 3)) for i in range(20)]
    positions[7] = (0.0, 0.0, round(1.25 * 7 + 0.1, 3))
    write_series(tmp_path, positions)
    with pytest.raises(FormatError, match=r"irregular slices: expected 1\.250 mm"):
        io.read_image(tmp_path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    degrees=st.floats(0.3, 30),
    digits=st.integers(2, 5),
    whole=st.booleans(),
    count=st.integers(8, 30),
)
def test_a_tilt_is_seen_whatever_the_digits_of_other_axes(
    tmp_path: Path, write_series: WriteSeries, degrees: float, digits: int, whole: bool, count: int
) -> None:
    """A CT begins at x = -250, written so; that says nothing of how y was rounded."""
    step = 3.0 * np.tan(np.radians(degrees))
    assume(step * (count - 1) > 0.25 * 0.25 + 10.0**-digits)
    x: Any = -250 if whole else "-249.51172"
    places = [(0.0, 0.0, 3.0 * i) for i in range(count)]
    written = [[x, f"{step * i:.{digits}f}", f"{3 * i}"] for i in range(count)]
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    write_series(folder, places, ImagePositionPatient=written)
    with pytest.raises(FormatError, match="gantry tilt"):
        io.read_image(folder)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(angle=st.floats(0, 90), digits=st.integers(0, 3), count=st.integers(4, 20))
def test_rounding_aside_is_no_tilt(
    tmp_path: Path, write_series: WriteSeries, angle: float, digits: int, count: int
) -> None:
    """Sagittal to coronal slices: the digits of both axes decide where they lie."""
    turn = np.radians(angle)
    along, normal = np.array([np.cos(turn), np.sin(turn), 0]), np.array([-np.sin(turn), np.cos(turn), 0])
    places = [tuple(10 * along + 4.0 * i * normal) for i in range(count)]
    written = [[f"{v:.{digits}f}" for v in place] for place in places]
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    orientation = [*np.round(along, 6), 0, 0, -1]
    write_series(folder, places, orientation=orientation, ImagePositionPatient=written, SliceThickness=4.0)
    assert io.read_image(folder).shape[0] == count
