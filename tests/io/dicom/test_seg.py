"""DICOM SEG written and read back, and read by others: highdicom, ITK, dcmqi, dciodvfy."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom.uid import RLELossless
from scipy.spatial.transform import Rotation

from bedside import io
from bedside.core.errors import FormatError, InputError
from bedside.core.geometry import Geometry
from bedside.io.dicom.segments import Algorithm, Segment, segments_of_labels
from bedside.io.dicom.source import find_source
from tests.support.dicom_sources import PLANTED, write_enhanced, write_picture, write_series

hd = pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
from bedside.io.dicom.seg_reading import read_seg  # noqa: E402
from bedside.io.dicom.seg_writing import write_seg  # noqa: E402

SHAPE = (5, 7, 9)
OBLIQUE = (0.6, 0.8, 0, -0.8, 0.6, 0)


def program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path=Path(sys.executable).parent)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def blobs(seed: int = 0, shape: tuple[int, ...] = SHAPE, density: float = 0.3) -> NDArray[np.bool_]:
    return np.random.default_rng(seed).random(shape) < density


def three(overlap: bool = True, shape: tuple[int, ...] = SHAPE) -> list[Segment]:
    """Two segments, that overlap, and an empty one."""
    first, second = blobs(1, shape), blobs(2, shape)
    if not overlap:
        second &= ~first
    return [
        Segment.of_mask(1, "left kidney", first, colour="#ff8000", algorithm=Algorithm("net", "1.2", "AUTOMATIC")),
        Segment.of_mask(2, "GTV", second, tracking_uid="1.2.3.4", tracking_id="lesion A"),
        Segment.of_mask(3, "nothing", first & False),
    ]


@pytest.fixture
def series(tmp_path: Path) -> io.reading.Image:
    write_series(tmp_path / "ct", SHAPE, orientation=OBLIQUE, origin=(3, -4, 5), spacing=(0.7, 0.9, 2.5))
    return io.read_image(tmp_path / "ct")


def assert_same(found: Any, segments: list[Segment], shape: tuple[int, ...] = SHAPE) -> None:
    assert [s.name for s in found.segments] == [s.name for s in segments]
    for ours, theirs in zip(segments, found.segments, strict=True):
        np.testing.assert_array_equal(theirs.mask(shape), ours.mask(shape))


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("seg_type", ["binary", "labelmap"])
def test_voxels_and_facts_come_back(tmp_path: Path, series: Any, seg_type: Any, compress: bool) -> None:
    segments = three(overlap=seg_type == "binary")
    path = tmp_path / "seg.dcm"
    assert write_seg(path, segments, find_source(series), seg_type=seg_type, compress=compress) == ()
    found = read_seg(path, series)
    assert_same(found, segments)
    assert found.geometry == series.geometry
    assert found.notes == ()
    kidney, tumour, nothing = found.segments
    assert (kidney.colour, kidney.algorithm) == ("#ff8000", Algorithm("net", "1.2", "AUTOMATIC"))
    assert kidney.codes is not None
    assert (kidney.codes.type.meaning, kidney.codes.modifier and kidney.codes.modifier.meaning) == ("Kidney", "Left")
    assert (tumour.tracking_id, tumour.tracking_uid, tumour.colour) == ("lesion A", "1.2.3.4", None)
    assert nothing.is_empty
    assert nothing.coded.type.meaning == "Tissue"


def test_the_header_refers_to_series_patient_and_study(tmp_path: Path, series: Any) -> None:
    source = find_source(series)
    write_seg(tmp_path / "seg.dcm", three(), source)
    made, image = pydicom.dcmread(tmp_path / "seg.dcm"), source.instances[0]
    for keyword in (*PLANTED, "StudyInstanceUID", "FrameOfReferenceUID", "PatientSex", "StudyTime"):
        assert made[keyword].value == image[keyword].value, keyword
    assert made.SeriesInstanceUID != image.SeriesInstanceUID
    assert made.ReferencedSeriesSequence[0].SeriesInstanceUID == image.SeriesInstanceUID
    assert made.SpecificCharacterSet == "ISO_IR 192"
    positions = {str(i.SOPInstanceUID): list(i.ImagePositionPatient) for i in source.instances}
    for frame in made.PerFrameFunctionalGroupsSequence:
        referred = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        assert list(frame.PlanePositionSequence[0].ImagePositionPatient) == positions[referred]


def test_slices_without_a_segment_hold_no_frame(tmp_path: Path, series: Any) -> None:
    mask = np.zeros(SHAPE, bool)
    mask[1, 2, 3] = mask[4, 0, 0] = True
    write_seg(tmp_path / "seg.dcm", [Segment.of_mask(1, "dots", mask)], find_source(series))
    assert pydicom.dcmread(tmp_path / "seg.dcm").NumberOfFrames == 2
    np.testing.assert_array_equal(read_seg(tmp_path / "seg.dcm", series).segments[0].mask(SHAPE), mask)


def test_no_segment_has_a_voxel(tmp_path: Path, series: Any) -> None:
    segments = [Segment.of_mask(n, "nothing", np.zeros(SHAPE)) for n in (1, 2)]
    write_seg(tmp_path / "seg.dcm", segments, find_source(series))
    assert pydicom.dcmread(tmp_path / "seg.dcm").NumberOfFrames == 2
    assert_same(read_seg(tmp_path / "seg.dcm", series), segments)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 8), st.integers(1, 9)),
    spacing=st.tuples(*[st.floats(0.05, 6).map(lambda v: round(v, 3))] * 3),
    turn=st.tuples(*[st.floats(-180, 180)] * 3),
    seed=st.integers(0, 99),
    density=st.sampled_from([0.02, 0.3, 0.9]),
    labelmap=st.booleans(),
)
def test_any_grid_and_shape_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    shape: Any,
    spacing: Any,
    turn: Any,
    seed: int,
    density: float,
    labelmap: bool,
) -> None:
    folder = tmp_path_factory.mktemp("any")
    axes = Rotation.from_euler("zyx", turn, degrees=True).as_matrix()
    write_series(folder / "ct", shape, spacing=spacing, orientation=(*axes[:, 0], *axes[:, 1]), origin=(11, -7, 200))
    image = io.read_image(folder / "ct")
    labels = blobs(seed, shape, density) * (1 + blobs(seed + 1, shape))
    segments = list(segments_of_labels(labels.astype(np.uint8), ["a", "b"]))
    write_seg(folder / "seg.dcm", segments, find_source(image), seg_type="labelmap" if labelmap else "binary")
    assert_same(read_seg(folder / "seg.dcm", image), segments, shape)


@pytest.mark.parametrize("downward", [False, True])
def test_the_order_of_instances_does_not_matter(tmp_path: Path, downward: bool) -> None:
    write_series(tmp_path / "ct", SHAPE, order=(3, 0, 4, 1, 2), downward=downward)
    image = io.read_image(tmp_path / "ct")
    write_seg(tmp_path / "seg.dcm", three(), find_source(image))
    assert_same(read_seg(tmp_path / "seg.dcm", image), three())


def test_a_mask_from_a_left_handed_grid_with_other_axes(tmp_path: Path, series: Any) -> None:
    """A NIfTI file may store the same voxels with axes exchanged and turned over."""
    from bedside.io.segmentations import read_segments

    labels = blobs(5).astype(np.uint8)
    g = series.geometry
    axes = np.array(g.direction)
    turned = Geometry.create(
        (SHAPE[2], SHAPE[0], SHAPE[1]),
        (g.spacing[1], g.spacing[2], g.spacing[0]),
        g.index_to_world([0, 0, SHAPE[0] - 1]),
        np.column_stack([axes[:, 1], -axes[:, 2], axes[:, 0]]),
    )
    io.write_mask(tmp_path / "turned.nii.gz", labels[::-1].transpose(2, 0, 1), turned)
    found = read_segments(tmp_path / "turned.nii.gz", series)
    assert found.notes == ()
    np.testing.assert_array_equal(found.segments[0].mask(SHAPE), labels)


@pytest.mark.parametrize("order", [range(5), (2, 0, 4, 1, 3)])
@pytest.mark.parametrize("echoes", [1, 2])
def test_enhanced_multi_frame(tmp_path: Path, order: Any, echoes: int) -> None:
    path = write_enhanced(tmp_path / "mr.dcm", SHAPE, order=order, echoes=echoes)
    volume = None if echoes == 1 else 1
    image = io.read_image(path, volume=volume)
    write_seg(tmp_path / "seg.dcm", three(), find_source(image, volume=volume))
    assert_same(read_seg(tmp_path / "seg.dcm", image), three())
    made, source = pydicom.dcmread(tmp_path / "seg.dcm"), pydicom.dcmread(path)
    for frame in made.PerFrameFunctionalGroupsSequence:
        number = int(frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber)
        place = source.PerFrameFunctionalGroupsSequence[number - 1].PlanePositionSequence[0]
        assert frame.PlanePositionSequence[0].ImagePositionPatient == place.ImagePositionPatient
        assert (number - 1) % echoes == echoes - 1


def test_several_volumes_and_no_choice(tmp_path: Path) -> None:
    path = write_enhanced(tmp_path / "mr.dcm", SHAPE, echoes=2)
    image = io.read_image(path, volume=1)
    assert [plane.frame % 2 for plane in find_source(image).planes] == [1] * SHAPE[0]
    nameless = replace(image, metadata={k: v for k, v in image.metadata.items() if k != "volume"})
    with pytest.raises(FormatError, match="slice 0 has 2 instances or frames at its place; choose with --volume"):
        find_source(nameless)


@pytest.mark.parametrize("seg_type", ["binary", "labelmap"])
@pytest.mark.parametrize("kind", ["CR", "DX", "MG", "US"])
def test_pictures(tmp_path: Path, kind: str, seg_type: Any) -> None:
    image = io.read_image(write_picture(tmp_path / "image.dcm", kind))
    segments = three(overlap=seg_type == "binary", shape=(9, 12))
    write_seg(tmp_path / "seg.dcm", segments, find_source(image), seg_type=seg_type)
    assert_same(read_seg(tmp_path / "seg.dcm", image), segments, (9, 12))
    assert_same(read_seg(tmp_path / "seg.dcm"), segments, (9, 12))


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("seg_type", ["binary", "labelmap"])
def test_film_loops_frame_by_frame(tmp_path: Path, seg_type: Any, compress: bool) -> None:
    shape = (4, 9, 11)
    path = write_picture(tmp_path / "loop.dcm", "US loop", shape)
    segments = three(overlap=seg_type == "binary", shape=shape)
    whole = find_source(io.read_image(path, volume=0), loop=True)
    write_seg(tmp_path / "seg.dcm", segments, whole, seg_type=seg_type, compress=compress)
    for frame in range(4):
        image = io.read_image(path, volume=frame)
        found = read_seg(tmp_path / "seg.dcm", image, volume=frame)
        for ours, theirs in zip(segments, found.segments, strict=True):
            np.testing.assert_array_equal(theirs.mask(shape[1:]), ours.mask(shape)[frame])
    with pytest.raises(FormatError, match="segments of several pictures"):
        read_seg(tmp_path / "seg.dcm")


def test_one_frame_of_a_film_loop(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "loop.dcm", "US loop", (4, 9, 11))
    image = io.read_image(path, volume=2)
    write_seg(tmp_path / "seg.dcm", three(shape=(9, 11)), find_source(image, volume=2))
    assert_same(read_seg(tmp_path / "seg.dcm", image, volume=2), three(shape=(9, 11)), (9, 11))
    with pytest.raises(FormatError, match="another picture"):
        read_seg(tmp_path / "seg.dcm", io.read_image(path, volume=1), volume=1)


class TestWhatOthersWrite:
    """Objects that highdicom makes and Bedside does not: fractional ones, other grids."""

    @staticmethod
    def make(path: Path, series: Any, array: NDArray[Any], kind: str, **options: Any) -> None:
        codes = pydicom.sr.codedict.codes
        description = hd.seg.SegmentDescription(
            1, "thing", codes.SCT.Tissue, codes.SCT.Tissue, hd.seg.SegmentAlgorithmTypeValues.MANUAL
        )
        images = list(find_source(series).instances)
        seg = hd.seg.Segmentation(
            images, array, kind, [description], hd.UID(), 1, hd.UID(), 1, "x", "y", "1", "0", **options
        )
        seg.save_as(path)

    @pytest.mark.parametrize("syntax", [None, RLELossless])
    @pytest.mark.parametrize("threshold", [0.25, 0.5, 0.75])
    def test_fractional(self, tmp_path: Path, series: Any, threshold: float, syntax: Any) -> None:
        part = np.random.default_rng(3).random(SHAPE).round(2)
        part[part == threshold] += 0.01
        options = {} if syntax is None else {"transfer_syntax_uid": syntax}
        self.make(tmp_path / "seg.dcm", series, part[..., None], "FRACTIONAL", max_fractional_value=200, **options)
        found = read_seg(tmp_path / "seg.dcm", series, threshold=threshold)
        np.testing.assert_array_equal(found.segments[0].mask(SHAPE), part >= threshold)
        assert found.notes == (f"fractional segmentation: voxels of at least {threshold:g} of the largest value count",)

    def test_another_grid_is_resampled_by_the_nearest_and_said(self, tmp_path: Path, series: Any) -> None:
        g = series.geometry
        shape = (4, 12, 10)
        shift = g.index_to_world([0.4, 0.3, 0.2])
        axes = np.array(g.direction)
        fine = Geometry.create(shape, (0.5, 0.6, 2.5), shift, axes)
        mask = blobs(8, shape)
        volume = hd.Volume(
            mask[..., None].astype(np.uint8)[..., 0],
            np.block([[axes[:, ::-1] * np.array(fine.array_spacing), np.array(fine.origin)[:, None]], [0, 0, 0, 1]]),
            coordinate_system="PATIENT",
            frame_of_reference_uid=find_source(series).instances[0].FrameOfReferenceUID,
        )
        self.make(tmp_path / "seg.dcm", series, volume, "BINARY")
        itk = sitk.GetImageFromArray(mask.astype(np.uint8))
        itk.SetSpacing(fine.spacing)
        itk.SetOrigin(fine.origin)
        itk.SetDirection(axes.ravel().tolist())
        onto = sitk.GetImageFromArray(np.zeros(SHAPE, np.uint8))
        onto.SetSpacing(g.spacing)
        onto.SetOrigin(g.origin)
        onto.SetDirection(axes.ravel().tolist())
        expected = sitk.GetArrayFromImage(sitk.Resample(itk, onto, sitk.Transform(), sitk.sitkNearestNeighbor))
        found = read_seg(tmp_path / "seg.dcm", series)
        np.testing.assert_array_equal(found.segments[0].mask(SHAPE), expected)
        assert "resampled, nearest voxel" in found.notes[0]

    @pytest.mark.parametrize("slices", [[1], [0, 2], [0, 1, 2]], ids=str)
    def test_frames_of_coarser_voxels_are_as_thick_as_they_say(self, tmp_path: Path, slices: list[int]) -> None:
        """Each voxel covers 2 x 2 x 2 of the image's; centres on a border belong to one of its two sides."""
        write_series(tmp_path / "ct", (6, 8, 12), orientation=OBLIQUE, origin=(3, -4, 5), spacing=(0.7, 0.9, 2.5))
        image = io.read_image(tmp_path / "ct")
        g = image.geometry
        coarse = Geometry.create((3, 4, 6), [2 * s for s in g.spacing], g.origin, g.direction)
        mask = np.zeros(coarse.shape, np.uint8)
        mask[slices, 1:3, 2:5] = 1
        axes = np.array(g.direction)[:, ::-1] * np.array(coarse.array_spacing)
        volume = hd.Volume(
            mask,
            np.block([[axes, np.array(coarse.origin)[:, None]], [0, 0, 0, 1]]),
            coordinate_system="PATIENT",
            frame_of_reference_uid=find_source(image).instances[0].FrameOfReferenceUID,
        )
        self.make(tmp_path / "seg.dcm", image, volume, "BINARY")
        found = read_seg(tmp_path / "seg.dcm", image).segments[0].mask(image.shape)
        # The first centre of the image is that of a coarse voxel: half of one lies before it.
        index = [(np.arange(n) + 1) // 2 for n in image.shape]
        inside = [i < n for i, n in zip(index, mask.shape, strict=True)]
        expected = np.zeros(image.shape, np.uint8)
        expected[np.ix_(*inside)] = mask[np.ix_(*(i[k] for i, k in zip(index, inside, strict=True)))]
        np.testing.assert_array_equal(found, expected)

    def test_a_part_of_the_image(self, tmp_path: Path, series: Any) -> None:
        """Frames that cover some rows and columns of some slices are put where they lie."""
        write_seg(tmp_path / "seg.dcm", three()[:1], find_source(series))
        own = read_seg(tmp_path / "seg.dcm")
        assert own.geometry.shape[1:] == SHAPE[1:]
        g = series.geometry
        small = Geometry.create((3, 4, 5), g.spacing, g.index_to_world([2, 1, 1]), g.direction)
        from bedside.io.dicom.regrid import onto_grid

        there = onto_grid(own, small)
        np.testing.assert_array_equal(there.segments[0].mask((3, 4, 5)), three()[0].mask(SHAPE)[1:4, 1:5, 2:7])
        assert "voxels outside the image are left out" in there.notes[0]


class TestReaders:
    """What other software makes of what is written."""

    def test_highdicom(self, tmp_path: Path, series: Any) -> None:
        write_seg(tmp_path / "seg.dcm", three(), find_source(series))
        seg = hd.seg.segread(tmp_path / "seg.dcm")
        assert seg.number_of_segments == 3
        uids = [str(i.SOPInstanceUID) for i in find_source(series).instances]
        array = seg.get_pixels_by_source_instance(
            uids, ignore_spatial_locations=False, assert_missing_frames_are_empty=True
        )
        for index, segment in enumerate(three()):
            np.testing.assert_array_equal(array[..., index], segment.mask(SHAPE))

    @pytest.mark.parametrize("compress", [False, True])
    @pytest.mark.parametrize("seg_type", ["binary", "labelmap"])
    def test_dcmqi(self, tmp_path: Path, series: Any, seg_type: Any, compress: bool) -> None:
        segments = three(overlap=seg_type == "binary")
        write_seg(tmp_path / "seg.dcm", segments, find_source(series), seg_type=seg_type, compress=compress)
        command = [program("segimage2itkimage"), "--inputDICOM", tmp_path / "seg.dcm", "--outputDirectory", tmp_path]
        done = subprocess.run([str(c) for c in [*command, "-p", "out", "-t", "nrrd"]], capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        for segment in segments[:2]:
            # Of a label map dcmqi makes one file, of a binary object one for each segment.
            together = seg_type == "labelmap"
            image = io.read_mask(tmp_path / f"out-{1 if together else segment.label}.nrrd")
            first = np.rint(series.geometry.world_to_index(image.geometry.index_to_world([0, 0, 0])))
            last = np.rint(
                series.geometry.world_to_index(image.geometry.index_to_world(np.array(image.shape[::-1]) - 1))
            )
            low, high = sorted([int(first[2]), int(last[2])])
            got = image.array[:: -1 if first[2] > last[2] else 1] == (segment.label if together else image.array.max())
            np.testing.assert_array_equal(got, segment.mask(SHAPE)[low : high + 1])

    def test_itk_sees_the_frames(self, tmp_path: Path) -> None:
        """Where a frame fills whole bytes: ITK reads other frames shifted."""
        shape = (5, 6, 8)
        write_series(tmp_path / "ct", shape)
        segment = three(shape=shape)[0]
        write_seg(tmp_path / "seg.dcm", [segment], find_source(io.read_image(tmp_path / "ct")))
        frames = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "seg.dcm")))
        np.testing.assert_array_equal(frames != 0, segment.mask(shape))

    @pytest.mark.parametrize(("seg_type", "compress"), [("binary", False), ("labelmap", False), ("labelmap", True)])
    def test_dciodvfy(self, tmp_path: Path, series: Any, seg_type: Any, compress: bool) -> None:
        """No errors but the two that come with label maps, which the validator does not know; it reads no Deflate."""
        segments = three(overlap=seg_type == "binary")
        write_seg(tmp_path / "seg.dcm", segments, find_source(series), seg_type=seg_type, compress=compress)
        known = ("SegmentNumber not monotonically", "Information Object Not found") if seg_type == "labelmap" else ()
        assert [e for e in errors_of(tmp_path / "seg.dcm") if not any(k in e for k in known)] == []


def errors_of(path: Path) -> list[str]:
    done = subprocess.run(
        [program("dciodvfy"), str(path)], capture_output=True, text=True, errors="replace", check=False
    )
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]


class TestRejected:
    def test_overlapping_segments_in_a_labelmap(self, tmp_path: Path, series: Any) -> None:
        with pytest.raises(FormatError, match="'left kidney' and 'GTV'; use --seg-type binary"):
            write_seg(tmp_path / "seg.dcm", three(), find_source(series), seg_type="labelmap")
        assert not (tmp_path / "seg.dcm").exists()

    def test_a_failed_write_leaves_the_older_file(self, tmp_path: Path, series: Any) -> None:
        (tmp_path / "seg.dcm").write_bytes(b"old")
        with pytest.raises(FormatError):
            write_seg(tmp_path / "seg.dcm", three(), find_source(series), seg_type="labelmap")
        assert (tmp_path / "seg.dcm").read_bytes() == b"old"

    def test_another_frame_of_reference(self, tmp_path: Path, series: Any) -> None:
        write_seg(tmp_path / "seg.dcm", three(), find_source(series))
        write_series(tmp_path / "other", SHAPE)
        with pytest.raises(FormatError, match="another frame of reference than the image"):
            read_seg(tmp_path / "seg.dcm", io.read_image(tmp_path / "other"))

    def test_no_segment(self, tmp_path: Path, series: Any) -> None:
        with pytest.raises(InputError, match="at least one"):
            write_seg(tmp_path / "seg.dcm", [], find_source(series))

    def test_an_image_that_is_no_dicom(self) -> None:
        with pytest.raises(InputError, match="an image read from DICOM files"):
            find_source(io.reading.Image.from_array(np.zeros((3, 4, 5))))

    def test_a_series_without_frame_of_reference(self, tmp_path: Path) -> None:
        for path in write_series(tmp_path / "ct", SHAPE):
            dataset = pydicom.dcmread(path)
            del dataset.FrameOfReferenceUID
            dataset.save_as(path)
        with pytest.raises(FormatError, match="expected a FrameOfReferenceUID"):
            find_source(io.read_image(tmp_path / "ct"))

    def test_messages_hide_the_patient(self, tmp_path: Path) -> None:
        """Libraries quote values that they dislike."""
        write_series(tmp_path / "ct", SHAPE)
        source = find_source(io.read_image(tmp_path / "ct"))
        with pydicom.config.disable_value_validation():
            for instance in source.instances:
                instance.StudyDate = "29th of February"
        with pytest.raises(FormatError, match="cannot be written as DICOM SEG") as caught:
            write_seg(tmp_path / "seg.dcm", three(), source)
        assert "29th" not in str(caught.value)
        assert "[hidden]" in str(caught.value)


def test_labels_that_binary_must_renumber_are_told(tmp_path: Path, series: Any) -> None:
    segments = [Segment.of_mask(n, f"s{n}", blobs(n)) for n in (2, 300)]
    notes = write_seg(tmp_path / "seg.dcm", segments, find_source(series))
    assert notes == ("segments are numbered from 1 on: label 2 is segment 1, 300 is segment 2",)


def test_a_labelmap_keeps_large_labels(tmp_path: Path, series: Any) -> None:
    labels = blobs(1).astype(np.uint16) * 300
    write_seg(tmp_path / "seg.dcm", segments_of_labels(labels), find_source(series), seg_type="labelmap")
    np.testing.assert_array_equal(read_seg(tmp_path / "seg.dcm", series).label_map(), labels)


def test_names_beyond_latin(tmp_path: Path, series: Any) -> None:
    segments = [Segment.of_mask(1, "肝臓 \\ печень", blobs(1))]
    write_seg(tmp_path / "seg.dcm", segments, find_source(series))
    assert read_seg(tmp_path / "seg.dcm", series).segments[0].name == "肝臓 / печень"


def test_tiles_of_a_slide_are_named(tmp_path: Path, series: Any) -> None:
    write_seg(tmp_path / "seg.dcm", three(), find_source(series))
    made = pydicom.dcmread(tmp_path / "seg.dcm")
    del made.PerFrameFunctionalGroupsSequence
    made.DimensionOrganizationType = "TILED_FULL"
    made.save_as(tmp_path / "seg.dcm")
    with pytest.raises(FormatError, match="got tiles of a slide"):
        read_seg(tmp_path / "seg.dcm", series)


@pytest.mark.parametrize("seg_type", ["binary", "labelmap"])
def test_frames_without_positions_lie_on_the_slices_that_they_refer_to(
    tmp_path: Path, series: Any, seg_type: Any
) -> None:
    segments = three(overlap=seg_type == "binary")
    write_seg(tmp_path / "seg.dcm", segments, find_source(series), seg_type=seg_type)
    made = pydicom.dcmread(tmp_path / "seg.dcm")
    for frame in made.PerFrameFunctionalGroupsSequence:
        del frame.PlanePositionSequence
    made.save_as(tmp_path / "without.dcm")
    found = read_seg(tmp_path / "without.dcm", series)
    assert_same(found, segments)
    assert found.geometry == series.geometry
    with pytest.raises(FormatError, match="segments of several pictures, whose frames have no positions"):
        read_seg(tmp_path / "without.dcm")
    for frame in made.PerFrameFunctionalGroupsSequence:
        del frame.DerivationImageSequence
    made.save_as(tmp_path / "neither.dcm")
    with pytest.raises(FormatError, match=r"of \d+ frames have no position: expected a PlanePosition.* got neither"):
        read_seg(tmp_path / "neither.dcm", series)


def test_segments_of_one_slice_may_share_their_position(tmp_path: Path, series: Any) -> None:
    masks = np.zeros((2, *SHAPE), bool)
    masks[0, 2, 1:4, 2:5] = masks[1, 2, 3:6, 4:8] = True
    segments = [Segment.of_mask(n + 1, f"part {n}", mask) for n, mask in enumerate(masks)]
    write_seg(tmp_path / "seg.dcm", segments, find_source(series))
    made = pydicom.dcmread(tmp_path / "seg.dcm")
    assert made.NumberOfFrames == 2
    for frame in made.PerFrameFunctionalGroupsSequence:
        made.SharedFunctionalGroupsSequence[0].PlanePositionSequence = frame.PlanePositionSequence
        del frame.PlanePositionSequence
    made.save_as(tmp_path / "shared.dcm")
    assert_same(read_seg(tmp_path / "shared.dcm", series), segments)
