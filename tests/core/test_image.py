"""Images: shape, axes and samples are checked against the geometry."""

from __future__ import annotations

import numpy as np
import pytest

from bedside.core.errors import BedsideError, FormatError
from bedside.core.geometry import Geometry
from bedside.core.image import Image


@pytest.mark.parametrize(
    ("shape", "spatial", "colour"),
    [((4, 5), (4, 5), False), ((4, 5, 3), (4, 5), True), ((6, 4, 5), (6, 4, 5), False), ((3, 4, 5), (3, 4, 5), False)],
)
def test_from_array_tells_grey_colour_and_volume(
    shape: tuple[int, ...], spatial: tuple[int, ...], colour: bool
) -> None:
    image = Image.from_array(np.zeros(shape, np.int16))
    assert image.shape == image.geometry.shape == spatial
    assert image.ndim == len(spatial)
    assert image.is_colour is colour


def test_from_array_keeps_samples_spacing_and_modality() -> None:
    array = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    image = Image.from_array(array, (0.5, 0.6, 3.0), "CT")
    assert image.array is array
    assert image.geometry.spacing == (0.5, 0.6, 3.0)
    assert image.geometry.spacing_known
    assert not Image.from_array(array).geometry.spacing_known
    assert image.modality == "CT"


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.uint16, np.int64, np.float16, np.float32, np.float64])
def test_every_real_dtype_is_taken(dtype: type) -> None:
    assert Image.from_array(np.zeros((2, 2), dtype)).array.dtype == dtype


@pytest.mark.parametrize("dtype", [np.complex64, "U3", "datetime64[s]", object])
def test_other_dtypes_are_rejected(dtype: object) -> None:
    with pytest.raises(FormatError, match="real numbers"):
        Image.from_array(np.zeros((2, 2), dtype))  # type: ignore[call-overload]


@pytest.mark.parametrize("shape", [(), (5,), (3,), (2, 2, 2, 2), (2, 2, 2, 3), (0, 4)])
def test_other_shapes_are_rejected_by_one_of_our_errors(shape: tuple[int, ...]) -> None:
    with pytest.raises(BedsideError):
        Image.from_array(np.zeros(shape))


@pytest.mark.parametrize(
    ("array_shape", "grid_shape", "message"),
    [
        ((4, 5), (5, 4), r"shape \(5, 4\)"),
        ((4, 5), (4, 5, 6), r"shape \(4, 5, 6\)"),
        ((4, 5, 4), (4, 5), "RGB"),
        ((4, 5, 6, 3), (4, 5, 6), "grey volume"),
    ],
)
def test_an_array_off_its_grid_is_rejected(
    array_shape: tuple[int, ...], grid_shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(FormatError, match=message):
        Image(np.zeros(array_shape), Geometry.create(grid_shape))
