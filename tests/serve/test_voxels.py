from __future__ import annotations

import io
from typing import Any

import nibabel as nib
import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from bedside.core.errors import InputError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.serve.voxels import CHUNK, affine_of, nifti_size, nifti_stream, picture, stored_dtype


def sent(array: Any, geometry: Geometry) -> nib.Nifti1Image:
    dtype = stored_dtype(array)
    content = b"".join(nifti_stream(array, geometry, dtype))
    assert len(content) == nifti_size(geometry, dtype)
    return nib.Nifti1Image.from_bytes(content)


@given(
    seed=st.integers(0, 10**6),
    mirrored=st.booleans(),
    spacing=st.tuples(*[st.floats(0.1, 9)] * 3),
    origin=st.tuples(*[st.floats(-500, 500)] * 3),
)
def test_any_grid_is_where_it_was(seed: int, mirrored: bool, spacing: Any, origin: Any) -> None:
    direction = Rotation.random(random_state=seed).as_matrix()
    if mirrored:
        direction[:, 1] *= -1
    geometry = Geometry.create((2, 3, 4), spacing, origin, direction)
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    file = sent(array, geometry)
    assert np.array_equal(np.asarray(file.dataobj).T, array)
    assert np.allclose(file.get_sform(), affine_of(geometry), atol=1e-3)
    assert np.allclose(file.get_qform(), affine_of(geometry), atol=1e-2)
    assert file.header.get_xyzt_units()[0] == "mm"


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        ("uint8", (0, 255), "uint8"),
        ("int16", (-32768, 32767), "int16"),
        ("uint16", (0, 65535), "uint16"),
        ("float32", (-1.5, 1e30), "float32"),
        ("bool", (0, 1), "uint8"),
        ("int8", (-128, 127), "int16"),
        ("int32", (-1000, 3000), "int16"),
        ("int64", (0, 60000), "uint16"),
        ("uint32", (0, 200), "uint8"),
        ("int32", (-1, 40000), "float32"),
        ("float64", (0.25, 2.0), "float32"),
        ("float16", (0.25, 2.0), "float32"),
    ],
)
def test_samples_come_in_a_dtype_that_viewers_read(dtype: str, values: Any, expected: str) -> None:
    array = np.array([[values]], dtype=dtype)
    file = sent(array, Geometry.create(array.shape, (1, 1, 1)))
    assert file.get_data_dtype() == np.dtype(expected)
    assert np.array_equal(np.asarray(file.dataobj).T, array.astype(expected))


def test_large_volumes_come_in_pieces_and_byte_orders_are_turned() -> None:
    array = np.arange(3 * 1000 * 1200, dtype=">i2").reshape(3, 1000, 1200)
    pieces = list(nifti_stream(array, Geometry.create(array.shape), np.dtype(np.int16)))
    assert len(pieces) == 4
    assert max(map(len, pieces)) <= CHUNK
    assert np.array_equal(np.frombuffer(b"".join(pieces[1:]), "<i2").reshape(array.shape), array)


def test_pictures_are_one_slice_and_unknown_spacing_stays_unknown() -> None:
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    file = sent(array, Geometry.create((2, 3)))
    assert file.shape == (3, 2, 1)
    assert file.header.get_xyzt_units()[0] == "unknown"
    assert file.get_sform(coded=True)[1] == 0


def test_axes_too_long_for_the_format_are_rejected() -> None:
    with pytest.raises(InputError, match="32767"):
        list(nifti_stream(np.zeros((1, 40000), np.uint8), Geometry.create((1, 40000)), np.dtype(np.uint8)))


def test_a_window_maps_values_to_grey() -> None:
    array = np.array([[-np.inf, 0, 50, 100, np.nan]], np.float32)
    shown = picture(Image(array, Geometry.create((1, 5))), 50, 100)
    assert np.asarray(PIL.Image.open(io.BytesIO(shown))).tolist() == [[0, 0, 127, 255, 0]]
    with pytest.raises(InputError, match="width"):
        picture(Image(array, Geometry.create((1, 5))), 50, 0)
