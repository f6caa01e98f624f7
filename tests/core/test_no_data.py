"""What is no measurement is found by its values, and nothing else is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.core.image import Image
from bedside.core.no_data import absent, is_blank
from bedside.imaging.intensity import normalise_window
from bedside.imaging.window import Window

RANDOM = np.random.default_rng(0)
Y, X = np.ogrid[:48, :48]
OUTSIDE = np.broadcast_to((Y - 24) ** 2 + (X - 24) ** 2 > 22**2, (12, 48, 48))


def scan(level: float = 1000, noise: float = 20, dtype: Any = np.int16) -> NDArray[Any]:
    body = RANDOM.normal(level, noise, (12, 48, 48))
    body[4:8, 16:32, 16:32] += 6 * noise
    return body.astype(dtype)


def image(array: NDArray[Any], modality: str | None = None, **more: Any) -> Image:
    from dataclasses import replace

    return replace(Image.from_array(array, modality=modality), **more)


@pytest.mark.parametrize(
    ("value", "level", "dtype", "modality"),
    [
        (-3024, 0, np.int16, "CT"),
        (-2000, 0, np.int16, "CT"),
        (-3024, 0, np.float32, None),
        (-32768, 500, np.int16, "MR"),
        (-32768, 0, np.int32, None),
        (65535, 1000, np.uint16, None),
        (0, 1000, np.uint16, "MR"),
        (-1024, 0, np.int16, "CT"),
        (1e30, 1.0, np.float32, None),
    ],
)
def test_frames_and_sentinels_are_found(value: float, level: float, dtype: Any, modality: str | None) -> None:
    array = scan(level, 20 if dtype != np.float32 else 0.1, dtype)
    array[OUTSIDE] = value
    found = image(array, modality).no_data
    mask = absent(array, found)
    assert mask is not None
    np.testing.assert_array_equal(mask, OUTSIDE)


@pytest.mark.parametrize("side", ["top", "left", "first slice", "all sides", "last slices"])
def test_frames_on_one_side_are_found(side: str) -> None:
    array = scan()
    where = {"top": np.s_[:, :5], "left": np.s_[:, :, :3], "first slice": np.s_[:1], "last slices": np.s_[-3:]}
    if side == "all sides":
        for edge in (np.s_[:, :4], np.s_[:, -4:], np.s_[:, :, :4], np.s_[:, :, -4:]):
            array[edge] = 30_000
    else:
        array[where[side]] = 30_000
    np.testing.assert_array_equal(absent(array, image(array, "MR").no_data), array == 30_000)


def test_declared_ranges_are_taken_as_they_are() -> None:
    array = scan()
    array[OUTSIDE] = -500
    found = image(array, padding=((-600.0, -400.0),)).no_data
    assert found[0] == (-600.0, -400.0)
    np.testing.assert_array_equal(absent(array, found), OUTSIDE)


def test_what_is_not_finite_is_no_measurement() -> None:
    array = scan(dtype=np.float32)
    array[OUTSIDE] = np.nan
    np.testing.assert_array_equal(absent(array, ()), OUTSIDE)


@pytest.mark.parametrize("kind", ["air", "black", "phantom", "phase", "labels", "colour"])
def test_measurements_are_left_alone(kind: str) -> None:
    """Backgrounds that are part of the picture."""
    if kind == "air":
        array = RANDOM.normal(-1000, 15, (12, 48, 48)).clip(-1024).astype(np.int16)
        array[:, 10:40, 10:40] = RANDOM.normal(40, 20, (12, 30, 30))
    elif kind == "black":
        array = np.abs(RANDOM.normal(0, 80, (12, 48, 48))).astype(np.uint16)
        array[OUTSIDE] = 0
    elif kind == "phantom":
        array = np.zeros((12, 48, 48), np.int16)
        array[4:8, 10:20, 10:20] = 400
    elif kind == "phase":
        array = RANDOM.integers(-32768, 32767, (12, 48, 48)).astype(np.int16)
        array[0, 0, 0] = -32768
    elif kind == "labels":
        array = np.zeros((12, 48, 48), np.uint8)
        array[2:4] = 3
    else:
        array = np.zeros((48, 48, 3), np.uint8)
        array[10:30] = RANDOM.integers(150, 250, (20, 48, 3))
    assert image(array).no_data == ()


@settings(max_examples=40, deadline=None)
@given(
    value=st.sampled_from([-3024, -32768, 20000]),
    seed=st.integers(0, 1000),
    start=st.floats(-5, 20),
    side=st.floats(8, 40),
)
def test_a_window_looks_the_same_with_any_frame(value: int, seed: int, start: float, side: float) -> None:
    """The statistics are those of what was measured, whatever stands where nothing was."""
    body = np.random.default_rng(seed).normal(100, 20, (40, 40)).astype(np.int16)
    frame = np.ones((40, 40), bool)
    frame[6:34, 6:34] = False
    window = Window((start, start), (start + side, start + side), (16, 16))
    shown = []
    for padding in (value, 2 * value if value > 0 else value // 2):
        array = np.where(frame, padding, body.astype(np.int32))
        looked_at = image(array, padding=((float(padding), float(padding)),))
        samples, inside = window.sample(array)
        missing = window.sample_absent(array, looked_at.no_data)
        normalised = normalise_window(samples, inside, missing)
        shown.append(normalised)
        if missing is not None and (inside & ~missing).sum() > 30:
            measured = normalised[0][inside & ~missing]
            assert abs(float(measured.mean())) < 0.01
    np.testing.assert_allclose(shown[0], shown[1], atol=1e-5)


def test_blank_is_what_holds_no_number() -> None:
    array = np.full((3, 4, 5), np.nan, np.float32)
    assert is_blank(array)
    array[0] = -np.inf
    assert is_blank(array)
    array[2, 3, 4] = 0
    assert not is_blank(array)
    assert not is_blank(np.zeros((3, 4), np.uint8))
