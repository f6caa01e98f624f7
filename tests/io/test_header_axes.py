"""Axes of NRRD that are none of space, and what MetaImage allows besides; the second readers are NumPy and ITK."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside import io
from bedside.core.errors import ChoiceError, FormatError

VOLUME = np.random.default_rng(0).integers(-99, 99, (5, 6, 7, 3)).astype("<i2")
"""(z, y, x, component)."""
STEPS, ORIGIN = (2.0, 3.0, 4.0), (10.0, 20.0, 30.0)


def nrrd(path: Path, array: NDArray[Any], *fields: str) -> Path:
    sizes = " ".join(map(str, array.shape[::-1]))
    lines = ["NRRD0005", "type: short", "encoding: raw", "endian: little"]
    lines += [f"dimension: {array.ndim}", f"sizes: {sizes}", *fields, "", ""]
    path.write_bytes("\n".join(lines).encode() + np.ascontiguousarray(array).tobytes())
    return path


@settings(max_examples=60, deadline=None)
@given(
    place=st.integers(0, 3),
    kind=st.sampled_from(["list", "vector", "3-vector", "time", "RGB-color", "???", "none", ""]),
    in_space=st.booleans(),
    chosen=st.integers(0, 2),
)
def test_the_axis_of_components_may_stand_anywhere(place: int, kind: str, in_space: bool, chosen: int) -> None:
    """In the order of the header; named by its kind or by having no direction."""
    # Without a place in space nothing would tell it from an axis of space.
    assume(in_space or kind not in ("???", "none", ""))
    array = np.moveaxis(VOLUME, -1, 3 - place)

    def among(own: list[str], other: str) -> str:
        return " ".join([*own[:place], other, *own[place:]])

    fields = [f"kinds: {among(['domain'] * 3, kind)}"] if kind else []
    if in_space:
        directions = among(["(2,0,0)", "(0,3,0)", "(0,0,4)"], "none")
        fields += ["space: left-posterior-superior", f"space directions: {directions}", "space origin: (10,20,30)"]
    else:
        fields += [f"spacings: {among(['2', '3', '4'], '0.5')}"]
    with tempfile.TemporaryDirectory() as folder:
        image = io.read_image(nrrd(Path(folder) / "a.nrrd", array, *fields), volume=chosen)
    np.testing.assert_array_equal(image.array, VOLUME[..., chosen])
    assert image.geometry.spacing == STEPS
    assert image.geometry.spacing_known
    assert image.geometry.origin == (ORIGIN if in_space else (0.0, 0.0, 0.0))


def test_moments_of_a_picture_are_no_colours(tmp_path: Path) -> None:
    films = np.moveaxis(VOLUME[0], -1, 0)
    stack = io.read_image(nrrd(tmp_path / "a.nrrd", films, "kinds: space space time"))
    np.testing.assert_array_equal(stack.array, films)
    first = io.read_image(nrrd(tmp_path / "b.nrrd", VOLUME[0], "kinds: time space space"), volume=1)
    np.testing.assert_array_equal(first.array, VOLUME[0, ..., 1])


@settings(max_examples=30, deadline=None)
@given(turns=st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: np.linalg.norm(q) > 0.2))
def test_a_picture_in_space_is_a_volume_of_one_slice(turns: list[float]) -> None:
    from scipy.spatial.transform import Rotation

    matrix = Rotation.from_quat(turns).as_matrix()
    along, down = (f"({','.join(map(repr, (step * matrix[:, i]).tolist()))})" for i, step in ((0, 2.0), (1, 3.0)))
    fields = ["space: LPS", f"space directions: {along} {down}", "space origin: (10,20,30)"]
    with tempfile.TemporaryDirectory() as folder:
        image = io.read_image(nrrd(Path(folder) / "a.nrrd", VOLUME[0, ..., 0], *fields))
    np.testing.assert_array_equal(image.array, VOLUME[:1, ..., 0])
    np.testing.assert_allclose(image.geometry.direction, matrix, atol=1e-9)
    np.testing.assert_allclose(image.geometry.spacing, (2, 3, 1))
    np.testing.assert_allclose(image.geometry.origin, ORIGIN)


def metaimage(path: Path, array: NDArray[Any], kind: str, *fields: str) -> Path:
    sizes = " ".join(map(str, array.shape[:3][::-1]))
    lines = ["ObjectType = Image", "NDims = 3", f"DimSize = {sizes}", *fields]
    lines += [f"ElementType = {kind}", "ElementDataFile = LOCAL", ""]
    path.write_bytes("\n".join(lines).encode() + array.tobytes())
    return path


@pytest.mark.parametrize(
    ("kind", "dtype"), [("MET_FLOAT_ARRAY", "<f4"), ("MET_SHORT_ARRAY", "<i2"), ("MET_UCHAR_ARRAY", "u1")]
)
def test_arrays_of_metaimage(tmp_path: Path, kind: str, dtype: str) -> None:
    array = np.abs(VOLUME).astype(dtype)
    path = metaimage(tmp_path / "a.mha", array, kind, "ElementNumberOfChannels = 3", "ElementSpacing = 2 3 4")
    theirs = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    for number in range(3):
        np.testing.assert_array_equal(io.read_image(path, volume=number).array, theirs[..., number])


@pytest.mark.parametrize("spacing", ["2 3 -4", "-2 3 4", "-2 -3 -4"])
def test_negative_spacings_turn_their_axes_round(tmp_path: Path, spacing: str) -> None:
    matrix = "TransformMatrix = 0 1 0 -1 0 0 0 0 1"
    fields = ["Offset = 10 20 30", f"ElementSpacing = {spacing}", matrix]
    path = metaimage(tmp_path / "a.mha", VOLUME[..., 0].copy(), "MET_SHORT", *fields)
    image, theirs = io.read_image(path), sitk.ReadImage(str(path))
    np.testing.assert_array_equal(image.array, sitk.GetArrayFromImage(theirs))
    np.testing.assert_allclose(image.geometry.spacing, theirs.GetSpacing())
    np.testing.assert_allclose(np.ravel(image.geometry.direction), theirs.GetDirection())
    np.testing.assert_allclose(image.geometry.origin, theirs.GetOrigin())


TURNED = {"right-anterior-superior": (-1, -1, 1), "left-anterior-superior": (1, -1, 1), "scanner-xyz": (1, 1, 1)}
SHORT = {"RAST": "right-anterior-superior", "LAST": "left-anterior-superior", "LPST": "left-posterior-superior"}


@settings(max_examples=40, deadline=None)
@given(
    space=st.sampled_from([*SHORT, *(f"{name}-time" for name in TURNED), "3D-right-handed-time"]),
    place=st.integers(0, 3),
    kinds=st.sampled_from(["", "domain", "space"]),
    chosen=st.integers(0, 2),
)
def test_spaces_with_time_lie_where_those_without_do(space: str, place: int, kinds: str, chosen: int) -> None:
    """ITK turns only spaces of three axes to LPS (findings/nrrd-space-with-time.sh); so it is asked for these."""
    array = np.moveaxis(VOLUME, -1, 3 - place)
    directions, words = ["(2,0,0,0)", "(0,0,3,0)", "(0,-4,0,0)"], [kinds] * 3
    directions.insert(place, "(0,0,0,7)")
    words.insert(place, "time" if kinds == "space" else kinds)
    fields = [f"space: {space}", f"space directions: {' '.join(directions)}", "space origin: (10,20,30,0)"]
    fields += [f"kinds: {' '.join(words)}"] if kinds else []
    fields += ['space units: "mm" "mm" "mm" "s"']
    without = SHORT.get(space, space.removesuffix("-time"))
    three = [f"space: {without}", "space directions: (2,0,0) (0,0,3) (0,-4,0)", "space origin: (10,20,30)"]
    with tempfile.TemporaryDirectory() as folder:
        image = io.read_image(nrrd(Path(folder) / "a.nrrd", array, *fields), volume=chosen)
        single = io.read_image(nrrd(Path(folder) / "b.nrrd", VOLUME[..., chosen], *three))
        theirs = sitk.ReadImage(str(Path(folder) / "b.nrrd"))
    np.testing.assert_array_equal(image.array, VOLUME[..., chosen])
    np.testing.assert_allclose(image.geometry.index_to_world_matrix, single.geometry.index_to_world_matrix)
    assert image.geometry.spacing_known
    assert image.geometry.origin == pytest.approx(theirs.GetOrigin())
    np.testing.assert_allclose(np.ravel(image.geometry.direction), theirs.GetDirection())


def test_spaces_with_time_are_rejected_where_they_mix_it_with_space(tmp_path: Path) -> None:
    directions = "space directions: (2,0,0,1) (0,3,0,0) (0,0,4,0) (0,0,0,7)"
    path = nrrd(tmp_path / "a.nrrd", np.moveaxis(VOLUME, -1, 0), "space: RAST", directions)
    with pytest.raises(FormatError, match=r"axes of space, and one of time, got \(2,0,0,1\)"):
        io.read_image(path, volume=0)


def test_moments_and_lists_are_named_so(tmp_path: Path) -> None:
    series = np.moveaxis(VOLUME, -1, 0)
    for kind, told in (("time", "3 moments"), ("list", "3 volumes"), ("vector", "3 components")):
        path = nrrd(tmp_path / f"{kind}.nrrd", series, f"kinds: domain domain domain {kind}")
        with pytest.raises(ChoiceError, match=told):
            io.read_image(path)


@pytest.mark.parametrize("kind", ["stub", "scalar", "vector"])
@pytest.mark.parametrize("place", [0, 2, 3])
def test_an_axis_of_one_component_is_none(tmp_path: Path, kind: str, place: int) -> None:
    array = np.expand_dims(VOLUME[..., 0], 3 - place)
    words = ["domain"] * 3
    words.insert(place, kind)
    image = io.read_image(nrrd(tmp_path / "a.nrrd", array, f"kinds: {' '.join(words)}"))
    np.testing.assert_array_equal(image.array, VOLUME[..., 0])


@pytest.mark.parametrize(("numbers", "order"), [("1 5 1", 1), ("5 1 -1", -1)])
def test_numbered_files_may_be_counted_down(tmp_path: Path, numbers: str, order: int) -> None:
    for number, samples in enumerate(VOLUME[..., 0], start=1):
        (tmp_path / f"s{number:02d}.raw").write_bytes(samples.tobytes())
    lines = ["NRRD0005", "type: short", "encoding: raw", "endian: little", "dimension: 3", "sizes: 7 6 5"]
    (tmp_path / "a.nhdr").write_text("\n".join([*lines, f"data file: s%02d.raw {numbers}", "", ""]))
    np.testing.assert_array_equal(io.read_image(tmp_path / "a.nhdr").array, VOLUME[::order, ..., 0])
