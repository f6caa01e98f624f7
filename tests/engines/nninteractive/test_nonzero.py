from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.core.errors import InputError
from bedside.engines.nninteractive.nonzero import nonzero_statistics, normalise_nonzero


def scan(seed: int = 0) -> np.ndarray:
    array = np.zeros((9, 10, 11), dtype=np.int16)
    array[2:7, 3:8, 1:9] = np.random.default_rng(seed).integers(-1000, 2000, (5, 5, 8))
    # A zero within the box counts, those around it do not.
    array[4, 5, 5] = 0
    return array


def test_statistics_are_those_of_the_box_of_what_is_not_zero() -> None:
    array = scan()
    box = array[2:7, 3:8, 1:9].astype(np.float64)
    assert nonzero_statistics(array) == pytest.approx((box.mean(), box.std()))
    assert nonzero_statistics(array) != pytest.approx((array.mean(), array.std()), rel=0.05)


def test_they_are_applied_to_the_whole_image_without_clipping() -> None:
    array = scan()
    normalised = normalise_nonzero(array)
    assert normalised.dtype == np.float32
    assert normalised.shape == array.shape
    inside = normalised[2:7, 3:8, 1:9]
    assert inside.mean() == pytest.approx(0, abs=1e-5)
    assert inside.std() == pytest.approx(1, abs=1e-5)
    mean, deviation = nonzero_statistics(array)
    assert normalised[0, 0, 0] == pytest.approx(-mean / deviation, rel=1e-5)


def test_a_block_takes_the_statistics_of_its_image() -> None:
    array = scan()
    statistics = nonzero_statistics(array)
    np.testing.assert_array_equal(normalise_nonzero(array[3:5], statistics), normalise_nonzero(array)[3:5])


@given(st.integers(0, 100), st.floats(0.1, 10), st.sampled_from([np.uint8, np.uint16, np.float32]))
def test_scale_does_not_matter(seed: int, factor: float, kind: type) -> None:
    array = np.abs(scan(seed) % 250).astype(kind)
    np.testing.assert_allclose(
        normalise_nonzero(array), normalise_nonzero(array.astype(np.float64) * factor), atol=1e-4
    )


def test_an_image_of_zeros_is_rejected() -> None:
    with pytest.raises(InputError, match="samples other than zero"):
        normalise_nonzero(np.zeros((4, 4, 4)))


def test_an_image_of_one_value_stays_finite() -> None:
    np.testing.assert_array_equal(normalise_nonzero(np.full((4, 4, 4), 7, np.uint8)), 0)
