"""RTSTRUCT written and read back, and read by others: plastimatch, dciodvfy, dcmdump."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from scipy.spatial.transform import Rotation

from bedside import io
from bedside.core.errors import FormatError, InputError
from bedside.core.image import Image
from bedside.io.dicom.codes import PropertyCodes
from bedside.io.dicom.rtstruct_reading import read_rtstruct
from bedside.io.dicom.rtstruct_writing import roi_type, write_rtstruct
from bedside.io.dicom.segments import Algorithm, Segment
from bedside.io.dicom.source import find_source
from tests.support.dicom_sources import PLANTED, write_enhanced, write_picture, write_series

SHAPE = (5, 9, 11)
OBLIQUE = (0.6, 0.8, 0, -0.8, 0.6, 0)


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def shapes(shape: tuple[int, int, int] = SHAPE, seed: int = 0, density: float = 0.6) -> NDArray[np.bool_]:
    """Voxels thrown at random: holes, islands, voxels alone and voxels that touch at corners."""
    return np.random.default_rng(seed).random(shape) < density


def dice(a: NDArray[Any], b: NDArray[Any]) -> float:
    both = float((a != 0).sum() + (b != 0).sum())
    return 1.0 if both == 0 else 2 * float(((a != 0) & (b != 0)).sum()) / both


@pytest.fixture
def series(tmp_path: Path) -> Image:
    write_series(tmp_path / "ct", SHAPE, orientation=OBLIQUE, origin=(3, -4, 5), spacing=(0.7, 0.9, 2.5))
    return io.read_image(tmp_path / "ct")


@pytest.fixture
def upright(tmp_path: Path) -> Image:
    """Slices 2 mm apart whose voxel (x, y, z) lies at (x, y, 2 z)."""
    write_series(tmp_path / "ct", SHAPE)
    return io.read_image(tmp_path / "ct")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 10)),
    spacing=st.tuples(*[st.floats(0.02, 6).map(lambda v: round(v, 4))] * 3),
    turn=st.tuples(*[st.floats(-180, 180)] * 3),
    origin=st.tuples(*[st.floats(-900, 900)] * 3),
    seed=st.integers(0, 99),
    density=st.sampled_from([0.02, 0.3, 0.6, 0.9]),
    keyhole=st.booleans(),
)
def test_any_grid_and_shape_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    shape: Any,
    spacing: Any,
    turn: Any,
    origin: Any,
    seed: int,
    density: float,
    keyhole: bool,
) -> None:
    folder = tmp_path_factory.mktemp("any")
    axes = Rotation.from_euler("zyx", turn, degrees=True).as_matrix()
    write_series(folder / "ct", shape, spacing=spacing, orientation=(*axes[:, 0], *axes[:, 1]), origin=origin)
    image = io.read_image(folder / "ct")
    mask = shapes(shape, seed, density)
    write_rtstruct(folder / "rt.dcm", [Segment.of_mask(1, "a", mask)], find_source(image), keyhole=keyhole)
    found = read_rtstruct(folder / "rt.dcm", image)
    assert found.notes == ()
    assert dice(found.segments[0].mask(shape), mask) >= 0.99


@pytest.mark.parametrize("keyhole", [True, False])
def test_facts_come_back(tmp_path: Path, series: Image, keyhole: bool) -> None:
    mask = shapes()
    segments = [
        Segment.of_mask(2, "left kidney", mask, colour="#102030", algorithm=Algorithm("net", "1", "AUTOMATIC")),
        Segment.of_mask(5, "GTV 1", ~mask, roi_type="CTV"),
        Segment.of_mask(9, "肝臓", mask & False),
    ]
    write_rtstruct(tmp_path / "rt.dcm", segments, find_source(series), keyhole=keyhole)
    found = read_rtstruct(tmp_path / "rt.dcm", series).segments
    assert [(s.label, s.name, s.roi_type) for s in found] == [
        (2, "left kidney", "ORGAN"),
        (5, "GTV 1", "CTV"),
        (9, "肝臓", ""),
    ]
    assert found[0].colour == "#102030"
    assert found[0].algorithm == Algorithm("net 1", "unknown", "AUTOMATIC")
    assert isinstance(found[0].codes, PropertyCodes)
    assert (found[0].codes.type.meaning, found[0].codes.modifier and found[0].codes.modifier.meaning) == (
        "Kidney",
        "Left",
    )
    assert found[2].is_empty
    for ours, theirs in zip(segments, found, strict=True):
        np.testing.assert_array_equal(theirs.mask(SHAPE), ours.mask(SHAPE))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("GTV", "GTV"), ("ptv_60", "PTV"), ("CTV2", "CTV"), ("External", "EXTERNAL"), ("spleen", "ORGAN"), ("thing", "")],
)
def test_types_by_name(name: str, expected: str) -> None:
    assert roi_type(Segment.of_mask(1, name, np.zeros(SHAPE))) == expected


def test_the_header_refers_to_series_patient_and_study(tmp_path: Path, series: Image) -> None:
    source = find_source(series)
    write_rtstruct(tmp_path / "rt.dcm", [Segment.of_mask(1, "a", shapes())], source)
    made, image = pydicom.dcmread(tmp_path / "rt.dcm"), source.instances[0]
    for keyword in (*PLANTED, "StudyInstanceUID", "PatientSex", "StudyTime"):
        assert made[keyword].value == image[keyword].value, keyword
    frame = made.ReferencedFrameOfReferenceSequence[0]
    assert frame.FrameOfReferenceUID == image.FrameOfReferenceUID
    listed = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    assert listed.SeriesInstanceUID == image.SeriesInstanceUID
    assert len(listed.ContourImageSequence) == SHAPE[0]
    positions = {str(i.SOPInstanceUID): np.array(i.ImagePositionPatient, float) for i in source.instances}
    normal = np.array(series.geometry.direction)[:, 2]
    for contour in made.ROIContourSequence[0].ContourSequence:
        points = np.array(contour.ContourData, float).reshape(-1, 3)
        assert len(points) == contour.NumberOfContourPoints
        at = positions[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
        assert np.abs((points - at) @ normal).max() < 1e-3


def test_frames_of_an_enhanced_instance_are_named(tmp_path: Path) -> None:
    path = write_enhanced(tmp_path / "mr.dcm", SHAPE, order=(2, 0, 4, 1, 3))
    image = io.read_image(path)
    mask = shapes()
    write_rtstruct(tmp_path / "rt.dcm", [Segment.of_mask(1, "a", mask)], find_source(image))
    np.testing.assert_array_equal(read_rtstruct(tmp_path / "rt.dcm", image).segments[0].mask(SHAPE), mask)
    source = pydicom.dcmread(path)
    for contour in pydicom.dcmread(tmp_path / "rt.dcm").ROIContourSequence[0].ContourSequence:
        frame = int(contour.ContourImageSequence[0].ReferencedFrameNumber)
        place = source.PerFrameFunctionalGroupsSequence[frame - 1].PlanePositionSequence[0].ImagePositionPatient
        assert float(contour.ContourData[2]) == pytest.approx(float(place[2]))


Square = Sequence[tuple[float, float]]


def square(low: float, high: float) -> Square:
    return [(low, low), (high, low), (high, high), (low, high)]


def structure_set(path: Path, image: Image, contours: Sequence[tuple[float, Square]], **facts: Any) -> Path:
    """A structure set of one region with contours at heights (mm) of ``upright``, as other software might write it."""
    write_rtstruct(path, [Segment.of_mask(1, "theirs", np.zeros(image.shape))], find_source(image))
    made = pydicom.dcmread(path)
    items = []
    for z, points in contours:
        item = Dataset()
        item.ContourGeometricType = facts.get("kind", "CLOSED_PLANAR")
        item.NumberOfContourPoints = len(points)
        item.ContourData = [float(v) for x, y in points for v in (x, y, z + facts.get("tilt", 0) * x)]
        if "slab" in facts:
            item.ContourSlabThickness = facts["slab"]
        items.append(item)
    made.ROIContourSequence[0].ContourSequence = items
    made.save_as(path)
    return path


class TestContoursOfOthers:
    def test_holes_by_contours_of_their_own(self, tmp_path: Path, upright: Image) -> None:
        path = structure_set(tmp_path / "rt.dcm", upright, [(4, square(0.6, 7.4)), (4, square(2.6, 4.4))])
        mask = read_rtstruct(path, upright).segments[0].mask(SHAPE)
        assert mask.sum() == mask[2].sum() == 49 - 4
        assert mask[2, 3, 3] == 0

    def test_several_contours_on_a_slice(self, tmp_path: Path, upright: Image) -> None:
        path = structure_set(tmp_path / "rt.dcm", upright, [(4, square(0.6, 2.4)), (4, square(4.6, 7.4))])
        assert read_rtstruct(path, upright).segments[0].mask(SHAPE)[2].sum() == 4 + 9

    def test_several_items_of_one_region_are_taken_together(self, tmp_path: Path, upright: Image) -> None:
        path = structure_set(tmp_path / "rt.dcm", upright, [(4, square(0.6, 2.4)), (6, square(4.6, 7.4))])
        made = pydicom.dcmread(path)
        (whole,) = made.ROIContourSequence
        parts = []
        for contour in whole.ContourSequence:
            part = Dataset()
            part.ReferencedROINumber, part.ContourSequence = whole.ReferencedROINumber, [contour]
            parts.append(part)
        made.ROIContourSequence = parts
        made.save_as(path)
        mask = read_rtstruct(path, upright).segments[0].mask(SHAPE)
        assert mask.sum(axis=(1, 2)).tolist()[2:4] == [4, 9]

    def test_gaps_between_slices_with_contours_stay(self, tmp_path: Path, upright: Image) -> None:
        path = structure_set(tmp_path / "rt.dcm", upright, [(0, square(1, 3)), (8, square(1, 3))])
        found = read_rtstruct(path, upright)
        assert found.segments[0].mask(SHAPE).any(axis=(1, 2)).tolist() == [True, False, False, False, True]
        assert found.notes == ()

    def test_unless_the_contours_state_their_thickness(self, tmp_path: Path, upright: Image) -> None:
        path = structure_set(tmp_path / "rt.dcm", upright, [(2, square(1, 3))], slab=6)
        found = read_rtstruct(path, upright).segments[0].mask(SHAPE)
        assert found.any(axis=(1, 2)).tolist() == [True, True, True, False, False]

    def test_contours_between_slices_count_for_the_nearest(self, tmp_path: Path, upright: Image) -> None:
        contours = [(0.8, square(1, 3)), (4.8, square(1, 5)), (8.8, square(1, 3))]
        found = read_rtstruct(structure_set(tmp_path / "rt.dcm", upright, contours), upright)
        assert found.segments[0].mask(SHAPE).sum(axis=(1, 2)).tolist() == [9, 9, 25, 25, 9]
        assert found.notes == (
            "region 1: 3 of 3 planes of contours lie between slices; each slice takes the nearest within 2 mm",
        )

    def test_a_single_point_is_a_voxel(self, tmp_path: Path, upright: Image) -> None:
        mask = (
            read_rtstruct(structure_set(tmp_path / "rt.dcm", upright, [(4, [(3, 5)])]), upright).segments[0].mask(SHAPE)
        )
        assert np.argwhere(mask).tolist() == [[2, 5, 3]]

    def test_points_and_lines_are_left_out_and_said(self, tmp_path: Path, upright: Image) -> None:
        found = read_rtstruct(structure_set(tmp_path / "rt.dcm", upright, [(4, square(1, 3))], kind="POINT"), upright)
        assert found.segments[0].is_empty
        assert found.notes == ("region 1: what is no closed contour is left out (POINT)",)

    def test_off_plane_points_are_rejected_by_name(self, tmp_path: Path, upright: Image) -> None:
        path = structure_set(tmp_path / "rt.dcm", upright, [(4, square(1, 3)), (6, square(1, 3))], tilt=0.2)
        with pytest.raises(FormatError, match=r"contour 1 does not lie in the plane of a slice.*0\.4 mm apart"):
            read_rtstruct(path, upright)

    def test_beyond_the_image_is_cut_and_said(self, tmp_path: Path, upright: Image) -> None:
        path = structure_set(tmp_path / "rt.dcm", upright, [(4, square(-9, 3)), (40, square(1, 2))])
        found = read_rtstruct(path, upright)
        assert found.segments[0].mask(SHAPE).sum() == 16
        assert found.notes == ("region 1 reaches beyond the image and is cut at its border",)

    def test_another_frame_of_reference(self, tmp_path: Path, upright: Image) -> None:
        path = structure_set(tmp_path / "rt.dcm", upright, [(4, square(1, 3))])
        write_series(tmp_path / "other", SHAPE)
        with pytest.raises(FormatError, match="another frame of reference than the image"):
            read_rtstruct(path, io.read_image(tmp_path / "other"))

    def test_a_damaged_contour(self, tmp_path: Path, upright: Image) -> None:
        path = structure_set(tmp_path / "rt.dcm", upright, [(4, square(1, 3))])
        made = pydicom.dcmread(path)
        made.ROIContourSequence[0].ContourSequence[0].ContourData = [1.0, 2.0, 4.0, 5.0]
        made.save_as(path)
        with pytest.raises(FormatError, match="region 1, contour 1: expected x, y, z of points"):
            read_rtstruct(path, upright)


class TestReaders:
    def test_plastimatch_finds_every_voxel(self, tmp_path: Path) -> None:
        """Parts, holes by keyhole, voxels alone; on slices that lie axially, as plastimatch wants them."""
        shape = (5, 12, 14)
        write_series(tmp_path / "ct", shape, spacing=(0.8, 0.8, 2.0), origin=(-20, 10, 5))
        image = io.read_image(tmp_path / "ct")
        mask = np.zeros(shape, bool)
        mask[0:4, 1:9, 1:9] = True
        mask[0:4, 3:6, 3:7] = False
        mask[1, 4, 4] = mask[2, 10, 12] = mask[3, 1:11, 11] = True
        write_rtstruct(tmp_path / "rt.dcm", [Segment.of_mask(1, "part", mask)], find_source(image))
        command = ["convert", "--input", tmp_path / "rt.dcm", "--referenced-ct", tmp_path / "ct"]
        command += ["--output-prefix", tmp_path / "out", "--prefix-format", "mha"]
        done = subprocess.run([program("plastimatch"), *map(str, command)], capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        got = io.read_mask(tmp_path / "out" / "part.mha")
        np.testing.assert_array_equal(got.array, mask)

    @pytest.mark.parametrize("seed", range(3))
    def test_what_plastimatch_writes_comes_back(self, tmp_path: Path, seed: int) -> None:
        """From masks: contours along the border, holes as contours of their own."""
        shape = (4, 12, 14)
        write_series(tmp_path / "ct", shape, spacing=(0.8, 0.8, 2.0), origin=(-20, 10, 5))
        image = io.read_image(tmp_path / "ct")
        parts = np.random.default_rng(seed).random((2, *shape)) < (0.3, 0.5, 0.8)[seed]
        # At the image's border plastimatch leaves corners out of its contours.
        parts[..., [0, -1], :] = parts[..., [0, -1]] = False
        (tmp_path / "masks").mkdir()
        for name, mask in zip("ab", parts, strict=True):
            io.write_mask(tmp_path / "masks" / f"{name}.nrrd", mask.astype(np.uint8), image.geometry)
        command = ["convert", "--input-prefix", tmp_path / "masks", "--referenced-ct", tmp_path / "ct"]
        command += ["--output-dicom", tmp_path / "theirs"]
        done = subprocess.run([program("plastimatch"), *map(str, command)], capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        (path,) = (tmp_path / "theirs").glob("rtss*.dcm")
        found = {s.name: s.mask(shape) for s in read_rtstruct(path, image).segments}
        for name, mask in zip("ab", parts, strict=True):
            np.testing.assert_array_equal(found[name], mask)

    def test_dciodvfy(self, tmp_path: Path, series: Image) -> None:
        segments = [Segment.of_mask(1, "left kidney", shapes()), Segment.of_mask(2, "none", shapes() & False)]
        write_rtstruct(tmp_path / "rt.dcm", segments, find_source(series))
        done = subprocess.run([program("dciodvfy"), str(tmp_path / "rt.dcm")], capture_output=True, check=False)
        lines = (done.stdout + done.stderr).decode("latin-1").splitlines()
        assert [line for line in lines if line.startswith("Error")] == []

    def test_dcmdump(self, tmp_path: Path, series: Image) -> None:
        write_rtstruct(tmp_path / "rt.dcm", [Segment.of_mask(1, "a", shapes())], find_source(series))
        done = subprocess.run([program("dcmdump"), str(tmp_path / "rt.dcm")], capture_output=True, check=False)
        assert done.returncode == 0
        assert done.stderr == b""


class TestRejected:
    def test_an_image_without_positions(self, tmp_path: Path) -> None:
        image = io.read_image(write_picture(tmp_path / "us.dcm", "US"))
        with pytest.raises(FormatError, match="expected an image with positions in the patient"):
            write_rtstruct(tmp_path / "rt.dcm", [Segment.of_mask(1, "a", np.ones((9, 12)))], find_source(image))
        assert not (tmp_path / "rt.dcm").exists()

    def test_a_picture_to_lie_in(self, tmp_path: Path, upright: Image) -> None:
        path = structure_set(tmp_path / "rt.dcm", upright, [(4, square(1, 3))])
        with pytest.raises(InputError, match="a volume to lie in"):
            read_rtstruct(path, Image.from_array(np.zeros((9, 11))))

    def test_no_structure_set(self, tmp_path: Path, upright: Image) -> None:
        with pytest.raises(FormatError, match="expected an RT Structure Set, got CT"):
            read_rtstruct(next((tmp_path / "ct").iterdir()), upright)
