"""Series that hold more than one volume: generated families, each volume of one kind or rejected, never a mixture."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence as Items
from pydicom.uid import MPEG4HP41, DeflatedExplicitVRLittleEndian, RLELossless

from bedside import io
from bedside.core.errors import ChoiceError, FormatError
from bedside.io.contents import contents
from bedside.io.dicom import series

WriteSeries = Callable[..., list[Path]]
SIZE = (4, 5)

ATTRIBUTES: dict[str, Sequence[Any]] = {
    "EchoTime": (4.6, 9.2, 13.8),
    "ImageType": ("ORIGINAL\\PRIMARY\\M", "ORIGINAL\\PRIMARY\\P", "ORIGINAL\\PRIMARY\\R"),
    "AcquisitionNumber": (1, 2, 3),
    "TemporalPositionIdentifier": (1, 2, 3),
    "TriggerTime": (0.0, 41.0, 82.0),
    "DiffusionBValue": (0.0, 500.0, 1000.0),
    "InversionTime": (100.0, 400.0, 900.0),
    "FlipAngle": (5.0, 15.0, 30.0),
    "AcquisitionTime": ("100000.00", "100010.00", "100020.00"),
    "ContentTime": ("100000.00", "100010.00", "100020.00"),
    "ConvolutionKernel": ("B30f", "B70f", "B45f"),
    "KVP": (80.0, 140.0, 100.0),
    "FrameReferenceTime": (0.0, 1000.0, 2000.0),
    "SequenceName": ("ep_b0", "ep_b500", "ep_b1000"),
}


def positions(count: int, step: float = 2.0) -> list[tuple[float, float, float]]:
    return [(0.0, 0.0, step * k) for k in range(count)]


def write_volume(folder: Path, write: WriteSeries, kind: int, slices: int, **tags: Any) -> None:
    """Slices filled with 100 * (kind + 1) + slice, under names in no order and without InstanceNumber unless given."""
    pixels = np.array([np.full(SIZE, 100 * (kind + 1) + k) for k in range(slices)], np.int16)
    prefix = f"{random.Random(kind).getrandbits(32):08x}"
    for path in write(folder, positions(slices), series_uid="1.2.3", pixels=pixels, prefix=prefix, **tags):
        dataset = pydicom.dcmread(path)
        if "InstanceNumber" not in tags:
            del dataset.InstanceNumber
        dataset.save_as(path)


def kinds_in(array: Any) -> list[int]:
    return sorted(set((array // 100 - 1).ravel().tolist()))


@pytest.mark.parametrize("attribute", ATTRIBUTES)
@pytest.mark.parametrize(("volumes", "repeated"), [(2, True), (3, False)])
def test_volumes_at_equal_positions_are_told_apart_by_their_attribute(
    tmp_path: Path, write_series: WriteSeries, attribute: str, volumes: int, repeated: bool
) -> None:
    for kind in range(volumes):
        tags = {attribute: ATTRIBUTES[attribute][kind]}
        if repeated:
            tags["InstanceNumber"] = list(range(1, 8))
        write_volume(tmp_path, write_series, kind, 7, **tags)
    with pytest.raises(ChoiceError, match=rf"{volumes} volumes \(0: 7 axial slices.*1: 7 axial"):
        io.read_image(tmp_path)
    found = [io.read_image(tmp_path, volume=v) for v in range(volumes)]
    assert sorted(kinds_in(image.array)[0] for image in found) == list(range(volumes))
    for image in found:
        assert len(kinds_in(image.array)) == 1
        np.testing.assert_array_equal(image.array[:, 0, 0] % 100, np.arange(7))
        # Magnitude and phase are told by the image's type.
        assert {"ImageType": "Component"}.get(attribute, attribute) in image.metadata["volume"]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    slices=st.integers(2, 6),
    echoes=st.integers(1, 3),
    components=st.integers(1, 2),
    seed=st.integers(0, 2**20),
)
def test_products_of_attributes_are_divided_wholly(
    tmp_path_factory: pytest.TempPathFactory,
    write_series: WriteSeries,
    slices: int,
    echoes: int,
    components: int,
    seed: int,
) -> None:
    folder = tmp_path_factory.mktemp("product")
    order = [(e, c) for e in range(echoes) for c in range(components)]
    random.Random(seed).shuffle(order)
    for e, c in order:
        kind = e * components + c
        tags = {"EchoTime": ATTRIBUTES["EchoTime"][e], "ImageType": ATTRIBUTES["ImageType"][c]}
        write_volume(folder, write_series, kind, slices, **tags)
    count = echoes * components
    found = [io.read_image(folder, volume=v).array for v in range(count)]
    assert sorted(kinds_in(array)[0] for array in found) == list(range(count))
    assert all(len(kinds_in(array)) == 1 and len(array) == slices for array in found)
    with pytest.raises(FormatError, match="--volume"):
        io.read_image(folder, volume=count)


def test_times_that_differ_between_slices_are_taken_in_their_order(tmp_path: Path, write_series: WriteSeries) -> None:
    """A cine in which the trigger times of a phase differ from slice to slice."""
    for phase in range(3):
        times = [40.0 * phase + 1.5 * k for k in range(6)]
        write_volume(tmp_path, write_series, phase, 6, TriggerTime=times)
    for phase in range(3):
        assert kinds_in(io.read_image(tmp_path, volume=phase).array) == [phase]


def test_nothing_tells_apart_and_so_nothing_is_read(tmp_path: Path, write_series: WriteSeries) -> None:
    for kind in range(2):
        write_volume(tmp_path, write_series, kind, 5)
    with pytest.raises(
        FormatError, match="2 volumes of 5 slices at the same positions, which no attribute tells apart"
    ):
        io.read_image(tmp_path)


def test_instance_numbers_in_no_order_are_no_attribute(tmp_path: Path, write_series: WriteSeries) -> None:
    numbers = random.Random(3).sample(range(1, 13), 12)
    for kind in range(2):
        write_volume(tmp_path, write_series, kind, 6, InstanceNumber=numbers[6 * kind : 6 * kind + 6])
    with pytest.raises(FormatError, match="no attribute tells apart"):
        io.read_image(tmp_path)


@pytest.mark.parametrize("side_by_side", [False, True])
def test_instance_numbers_in_a_clear_order_are(tmp_path: Path, write_series: WriteSeries, side_by_side: bool) -> None:
    for kind in range(2):
        numbers = [2 * k + kind + 1 if side_by_side else 6 * kind + k + 1 for k in range(6)]
        write_volume(tmp_path, write_series, kind, 6, InstanceNumber=numbers)
    for kind in range(2):
        assert kinds_in(io.read_image(tmp_path, volume=kind).array) == [kind]


def test_echoes_on_slices_between_each_other_are_not_one_volume(tmp_path: Path, write_series: WriteSeries) -> None:
    for kind, offset in enumerate((0.0, 1.0)):
        places = [(0.0, 0.0, offset + 2.0 * k) for k in range(5)]
        pixels = np.full((5, *SIZE), 100 * (kind + 1), np.int16)
        echo = ATTRIBUTES["EchoTime"][kind]
        write_series(tmp_path, places, series_uid="1.2.3", pixels=pixels, prefix=f"E{kind}", EchoTime=echo)
    for kind in range(2):
        assert kinds_in(io.read_image(tmp_path, volume=kind).array) == [kind]


def test_acquisitions_that_follow_each_other_are_one_volume(tmp_path: Path, write_series: WriteSeries) -> None:
    write_series(
        tmp_path, positions(9), AcquisitionNumber=[1, 1, 1, 2, 2, 2, 3, 3, 3], TriggerTime=[7.0 * k for k in range(9)]
    )
    assert io.read_image(tmp_path).shape[0] == 9


def test_a_phase_that_lacks_slices_leaves_the_other_readable(tmp_path: Path, write_series: WriteSeries) -> None:
    write_volume(tmp_path, write_series, 0, 12, AcquisitionNumber=1)
    write_volume(tmp_path, write_series, 1, 12, AcquisitionNumber=2)
    doomed = [p for p in tmp_path.iterdir() if pydicom.dcmread(p).pixel_array[0, 0] == 206]
    doomed[0].unlink()
    assert kinds_in(io.read_image(tmp_path, volume=0).array) == [0]
    with pytest.raises(FormatError, match=r"1 of 12 slices missing, at 12\.00 mm"):
        io.read_image(tmp_path, volume=1)
    with pytest.raises(ChoiceError, match=r"0: 12 axial.*AcquisitionNumber 1; 1: 11 axial.*slices missing"):
        io.read_image(tmp_path)


# Copies


@pytest.mark.parametrize("uid", ["1.2.3.4", ""])
def test_slices_of_one_identifier_are_all_there(tmp_path: Path, write_series: WriteSeries, uid: str) -> None:
    for path in write_series(tmp_path, positions(8)):
        dataset = pydicom.dcmread(path)
        dataset.SOPInstanceUID = uid
        dataset.save_as(path)
    np.testing.assert_array_equal(io.read_image(tmp_path).array[:, 0, 0], 100 * np.arange(8))


def test_one_identifier_and_one_place_but_other_samples_are_no_copies(
    tmp_path: Path, write_series: WriteSeries
) -> None:
    path = write_series(tmp_path, positions(5))[2]
    dataset = pydicom.dcmread(path)
    dataset.PixelData = np.full(SIZE, 7, np.int16).tobytes()
    dataset.save_as(tmp_path / "other")
    with pytest.raises(FormatError, match=r"duplicated slices at 4\.00 mm .*of one SOPInstanceUID"):
        io.read_image(tmp_path)


def test_blank_slices_of_echoes_with_one_identifier_are_no_copies(tmp_path: Path, write_series: WriteSeries) -> None:
    blank = np.zeros((4, *SIZE), np.int16)
    for kind in range(2):
        echo = ATTRIBUTES["EchoTime"][kind]
        for path in write_series(
            tmp_path, positions(4), series_uid="1.2.3", pixels=blank, prefix=f"E{kind}", EchoTime=echo
        ):
            dataset = pydicom.dcmread(path)
            dataset.SOPInstanceUID = "1.2.3.4"
            dataset.save_as(path)
    assert [io.read_image(tmp_path, volume=v).shape[0] for v in (0, 1)] == [4, 4]


# Parts


@pytest.mark.parametrize("kind", ["localizer", "size", "picture", "spacing", "colour"])
def test_an_odd_image_does_not_keep_the_stack_from_being_read(
    tmp_path: Path, write_series: WriteSeries, kind: str
) -> None:
    write_series(tmp_path, positions(6), series_uid="1.2.3")
    (path,) = write_series(
        tmp_path,
        [(0.0, 5.0, 30.0)],
        series_uid="1.2.3",
        prefix="ODD",
        pixels=np.zeros((1, 7, 9) if kind == "size" else (1, *SIZE), np.int16),
        orientation=(1, 0, 0, 0, 0, -1) if kind == "localizer" else (1, 0, 0, 0, 1, 0),
    )
    dataset = pydicom.dcmread(path)
    if kind == "localizer":
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    elif kind == "picture":
        del dataset.ImagePositionPatient
    elif kind == "spacing":
        dataset.PixelSpacing = [2.0, 2.0]
    elif kind == "colour":
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
        dataset.PixelData = bytes(60)
    dataset.save_as(path)
    image = io.read_image(tmp_path)
    np.testing.assert_array_equal(image.array[:, 0, 0], 100 * np.arange(6))
    assert "left aside: " in image.metadata["notes"][0]
    assert io.read_image(tmp_path, volume=1).array.shape[0] in (1, 4, 7)


def test_two_stacks_beside_each_other_are_two_volumes(tmp_path: Path, write_series: WriteSeries) -> None:
    for knee, x in enumerate((-150.0, 40.0)):
        places = [(x, 0.0, 3.0 * k) for k in range(6)]
        pixels = np.full((6, *SIZE), 100 * (knee + 1), np.int16)
        write_series(tmp_path, places, series_uid="1.2.3", pixels=pixels, prefix=f"K{knee}")
    origins = [io.read_image(tmp_path, volume=v).geometry.origin[0] for v in (0, 1)]
    assert sorted(origins) == [-150.0, 40.0]


def test_three_planes_are_a_choice(tmp_path: Path, write_series: WriteSeries) -> None:
    for number, axes in enumerate([(1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 0, -1)]):
        normal = np.cross(axes[:3], axes[3:])
        write_series(
            tmp_path, [5.0 * k * normal for k in range(3)], series_uid="1.2.3", orientation=axes, prefix=f"P{number}"
        )
    with pytest.raises(ChoiceError, match=r"axial.*sagittal.*coronal"):
        io.read_image(tmp_path)
    for volume in range(3):
        assert io.read_image(tmp_path, volume=volume).shape == (3, 4, 5)


# Several frames in a file


def multiframe(path: Path, write_series: WriteSeries, frames: int, **tags: Any) -> Path:
    (source,) = write_series(path.parent / f"{path.name}.source", [(-50.0, -40.0, 10.0)])
    dataset = pydicom.dcmread(source)
    dataset.NumberOfFrames = frames
    dataset.PixelData = np.arange(frames * 20, dtype=np.int16).tobytes()
    dataset.PixelSpacing = [4.4, 4.4]
    for key, value in tags.items():
        if value is None:
            delattr(dataset, key)
        else:
            setattr(dataset, key, value)
    dataset.save_as(path)
    return path


@pytest.mark.parametrize("step", [4.4, 2.0, -3.0])
def test_frames_with_one_position_follow_by_their_signed_step(
    tmp_path: Path, write_series: WriteSeries, step: float
) -> None:
    path = multiframe(tmp_path / "m.dcm", write_series, 6, SpacingBetweenSlices=step)
    image = io.read_image(path)
    assert image.shape == (6, *SIZE)
    np.testing.assert_allclose(image.geometry.spacing, (4.4, 4.4, abs(step)))
    # The first stored frame lies at the stated position, whichever way the others follow.
    first = 0 if step > 0 else 5
    np.testing.assert_allclose(image.geometry.index_to_world([0, 0, first]), (-50, -40, 10))
    np.testing.assert_array_equal(image.array[first].ravel(), np.arange(20))


def test_a_single_file_volume_lies_where_itk_lays_it(tmp_path: Path, write_series: WriteSeries) -> None:
    path = multiframe(tmp_path / "m.dcm", write_series, 6, SpacingBetweenSlices=4.4)
    ours, itk = io.read_image(path), sitk.ReadImage(str(path))
    np.testing.assert_array_equal(ours.array, sitk.GetArrayFromImage(itk))
    np.testing.assert_allclose(ours.geometry.index_to_world([4, 3, 5]), itk.TransformIndexToPhysicalPoint((4, 3, 5)))


@pytest.mark.parametrize("time_slots", [1, 2])
def test_reconstructed_emission_tomography(tmp_path: Path, write_series: WriteSeries, time_slots: int) -> None:
    detector = Dataset()
    detector.ImagePositionPatient, detector.ImageOrientationPatient = [-9.0, -8.0, 7.0], [1.0, 0, 0, 0, 1, 0]
    slices = list(range(1, 7)) * time_slots
    tags: dict[str, Any] = {"TimeSlotVector": [1 + i // 6 for i in range(6 * time_slots)]} if time_slots > 1 else {}
    path = multiframe(
        tmp_path / "nm.dcm",
        write_series,
        6 * time_slots,
        Modality="NM",
        ImageType=["ORIGINAL", "PRIMARY", "RECON GATED TOMO", "EMISSION"],
        SliceVector=slices,
        NumberOfSlices=6,
        SpacingBetweenSlices=4.4,
        DetectorInformationSequence=Items([detector]),
        ImagePositionPatient=None,
        ImageOrientationPatient=None,
        **tags,
    )
    for slot in range(time_slots):
        image = io.read_image(path, volume=slot if time_slots > 1 else None)
        np.testing.assert_array_equal(image.array.ravel(), np.arange(120) + 120 * slot)
        assert image.geometry.origin == (-9, -8, 7)


@pytest.mark.parametrize("kinds", [["ORIGINAL", "PRIMARY", "TOMO"], ["ORIGINAL", "PRIMARY", "WHOLE BODY"]])
def test_projections_are_no_volume(tmp_path: Path, write_series: WriteSeries, kinds: list[str]) -> None:
    detector = Dataset()
    detector.ImagePositionPatient, detector.ImageOrientationPatient = [0.0, 0, 0], [1.0, 0, 0, 0, 1, 0]
    path = multiframe(
        tmp_path / "nm.dcm",
        write_series,
        6,
        Modality="NM",
        ImageType=kinds,
        SpacingBetweenSlices=4.4,
        DetectorInformationSequence=Items([detector]),
        ImagePositionPatient=None,
    )
    with pytest.raises(FormatError, match="6 images without positions"):
        io.read_image(path)


@pytest.mark.parametrize("offsets", [[0, 3, 6, 9], [0, -3, -6, -9], [10, 13, 16, 19]])
def test_dose_grids_lie_by_their_offsets_and_are_scaled(
    tmp_path: Path, write_series: WriteSeries, offsets: list[float]
) -> None:
    path = multiframe(
        tmp_path / "dose.dcm",
        write_series,
        4,
        Modality="RTDOSE",
        GridFrameOffsetVector=offsets,
        DoseGridScaling=0.25,
        RescaleSlope=None,
        RescaleIntercept=None,
    )
    image = io.read_image(path)
    order = np.argsort(offsets)
    np.testing.assert_allclose(image.array, np.arange(80).reshape(4, 4, 5)[order] * 0.25)
    np.testing.assert_allclose(image.geometry.origin[2], 10 + min(o - offsets[0] for o in offsets))


def test_films_stay_films(tmp_path: Path, write_series: WriteSeries) -> None:
    path = multiframe(tmp_path / "us.dcm", write_series, 5, Modality="US", FrameTime=33.0)
    with pytest.raises(FormatError, match="5 images without positions"):
        io.read_image(path)
    path = multiframe(
        tmp_path / "xa.dcm", write_series, 5, Modality="XA", FrameIncrementPointer=0x00181063, FrameTime=33.0
    )
    with pytest.raises(FormatError, match="5 images without positions"):
        io.read_image(path)


def enhanced(path: Path, source: Path, frames: list[dict[str, Any]]) -> None:
    """An enhanced file whose frames have a place ``z``, perhaps an ``index`` of dimensions, ``echo`` and ``slope``."""
    dataset = pydicom.dcmread(source)
    for tag in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"):
        delattr(dataset, tag)
    shared, measures, plane = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, plane.ImageOrientationPatient = [0.5, 0.25], [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Items([measures]), Items([plane])
    dataset.SharedFunctionalGroupsSequence = Items([shared])
    groups = []
    for frame in frames:
        group, place = Dataset(), Dataset()
        place.ImagePositionPatient = [0, 0, frame["z"]]
        group.PlanePositionSequence = Items([place])
        if "index" in frame:
            content = Dataset()
            content.DimensionIndexValues = frame["index"]
            group.FrameContentSequence = Items([content])
        if "echo" in frame:
            echo = Dataset()
            echo.EffectiveEchoTime = frame["echo"]
            group.MREchoSequence = Items([echo])
        if "slope" in frame:
            values = Dataset()
            values.RescaleSlope, values.RescaleIntercept = frame["slope"], 0
            group.PixelValueTransformationSequence = Items([values])
        groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = Items(groups)
    if "index" in frames[0]:
        dimensions = []
        for pointer in (0x00209057, 0x00209128)[: len(frames[0]["index"])]:
            dimension = Dataset()
            dimension.DimensionIndexPointer = pointer
            dimensions.append(dimension)
        dataset.DimensionIndexSequence = Items(dimensions)
    dataset.NumberOfFrames = len(frames)
    samples = [np.full(SIZE, frame.get("value", i), np.int16) for i, frame in enumerate(frames)]
    dataset.PixelData = np.array(samples).tobytes()
    dataset.save_as(path)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations([(k, t) for k in range(4) for t in range(2)]), by=st.sampled_from(["index", "echo"]))
def test_frames_of_an_enhanced_file_belong_together_by_what_they_say(
    tmp_path_factory: pytest.TempPathFactory, write_series: WriteSeries, order: list[tuple[int, int]], by: str
) -> None:
    folder = tmp_path_factory.mktemp("enhanced")
    (source,) = write_series(folder / "source", [(0, 0, 0)])
    frames = [
        {"z": 3.0 * k, "value": 100 * (t + 1) + k, by: [k + 1, t + 1] if by == "index" else 5.0 * (t + 1)}
        for k, t in order
    ]
    enhanced(folder / "e.dcm", source, frames)
    for t in range(2):
        array = io.read_image(folder / "e.dcm", volume=t).array
        np.testing.assert_array_equal(array[:, 0, 0], 100 * (t + 1) + np.arange(4))


def test_frames_that_say_nothing_are_rejected(tmp_path: Path, write_series: WriteSeries) -> None:
    (source,) = write_series(tmp_path / "source", [(0, 0, 0)])
    enhanced(tmp_path / "e.dcm", source, [{"z": 3.0 * k} for k in (0, 0, 1, 1, 2, 2)])
    with pytest.raises(FormatError, match="no attribute tells apart"):
        io.read_image(tmp_path / "e.dcm", volume=0)


def test_each_frame_has_its_own_slope(tmp_path: Path, write_series: WriteSeries) -> None:
    (source,) = write_series(tmp_path / "source", [(0, 0, 0)])
    frames = [{"z": -2.0 * k, "value": 100, "slope": slope} for k, slope in enumerate((3.0, 2.0, 1.0))]
    enhanced(tmp_path / "e.dcm", source, frames)
    np.testing.assert_allclose(io.read_image(tmp_path / "e.dcm").array[:, 0, 0], [100, 200, 300])


def test_a_mosaic_is_rejected_by_name(tmp_path: Path, write_series: WriteSeries) -> None:
    """Siemens wrote the slices of one moment side by side into one picture."""
    kinds = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    paths = write_series(tmp_path, [(0, 0, 0)] * 3, ImageType=[kinds] * 3, AcquisitionNumber=[1, 2, 3])
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.add_new(0x0019_0010, "LO", "SIEMENS MR HEADER")
        dataset.add_new(0x0019_100A, "US", 12)
        dataset.save_as(path)
    for volume in (None, 1):
        with pytest.raises(FormatError, match=r"a mosaic of 12 slices in one picture.*dcm2niix"):
            io.read_image(tmp_path, volume=volume)
    assert all("a mosaic of 12 slices" in str(content.problem) for content in contents(tmp_path))


def test_a_slide_of_tiles_is_rejected_by_name(tmp_path: Path, write_series: WriteSeries) -> None:
    (path,) = write_series(tmp_path, [(0, 0, 0)], Modality="SM", TotalPixelMatrixColumns=15, TotalPixelMatrixRows=4)
    dataset = pydicom.dcmread(path)
    dataset.NumberOfFrames, dataset.PixelData = 3, dataset.PixelData * 3
    del dataset.ImagePositionPatient, dataset.ImageOrientationPatient
    dataset.save_as(path)
    with pytest.raises(FormatError, match=r"a slide in 3 tiles.*OME-TIFF"):
        io.read_image(path)


@pytest.mark.parametrize("step", [1e-4, 5e-4, 1e-3, 2e-3, 0.05])
def test_slices_of_a_microscope_are_one_volume(tmp_path: Path, write_series: WriteSeries, step: float) -> None:
    positions = [(0.0, 0.0, round(i * step, 6)) for i in range(6)]
    write_series(tmp_path, positions, PixelSpacing=[[step, step]] * 6)
    image = io.read_image(tmp_path)
    assert image.shape == (6, *SIZE)
    np.testing.assert_allclose(image.geometry.spacing, step, rtol=1e-6)


def test_a_film_in_a_code_of_films_has_a_remedy_that_works(tmp_path: Path, write_series: WriteSeries) -> None:
    (path,) = write_series(tmp_path, [(0, 0, 0)], SamplesPerPixel=3, PhotometricInterpretation="YBR_PARTIAL_420")
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = MPEG4HP41
    dataset.PixelData = encapsulate([b"\0" * 64])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path)
    with pytest.raises(FormatError, match=r"MPEG-4.*gdcmraw, then ffmpeg"):
        io.read_image(path)


def test_files_of_many_frames_at_the_same_places_are_a_volume_each(tmp_path: Path, write_series: WriteSeries) -> None:
    """Doses of several beams, or an enhanced file for each moment, which nothing but their number tells apart."""
    for number in (2, 1):
        (path,) = write_series(tmp_path, [(0.0, 0.0, 0.0)], series_uid="1.2.3", prefix=f"F{number}")
        dataset = pydicom.dcmread(path)
        samples = np.full((3, *SIZE), 100 * number, np.int16)
        dataset.Modality, dataset.InstanceNumber = "RTDOSE", number
        dataset.NumberOfFrames, dataset.GridFrameOffsetVector = 3, [0.0, 2.0, 4.0]
        dataset.PixelData = samples.tobytes()
        dataset.save_as(path)
    with pytest.raises(ChoiceError, match=r"2 volumes \(0: .*InstanceNumber 1; 1: .*InstanceNumber 2\)"):
        io.read_image(tmp_path)
    for volume in (0, 1):
        assert np.unique(io.read_image(tmp_path, volume=volume).array).tolist() == [100 * (volume + 1)]


def test_slices_of_two_frames_of_reference_are_two_volumes(tmp_path: Path, write_series: WriteSeries) -> None:
    """Places of one say nothing of places of the other, even where they follow each other."""
    frames = ["1.2.3"] * 5 + ["1.2.4"] * 5
    write_series(tmp_path, positions(10), FrameOfReferenceUID=frames)
    with pytest.raises(ChoiceError, match=r"2 volumes \(0: 5 axial .*FrameOfReferenceUID 1\.2\.3"):
        io.read_image(tmp_path)
    assert io.read_image(tmp_path, volume=1).array[:, 0, 0].tolist() == [500, 600, 700, 800, 900]


def test_a_frame_of_reference_for_each_slice_says_nothing(tmp_path: Path, write_series: WriteSeries) -> None:
    write_series(tmp_path, positions(10), FrameOfReferenceUID=[f"1.2.{i}" for i in range(10)])
    assert io.read_image(tmp_path).shape[0] == 10


def test_b_values_of_philips(tmp_path: Path, write_series: WriteSeries) -> None:
    paths = write_series(tmp_path, positions(4) * 2)
    for number, path in enumerate(paths):
        dataset = pydicom.dcmread(path)
        dataset.add_new(0x2001_0010, "LO", "Philips Imaging DD 001")
        dataset.add_new(0x2001_1003, "FL", 800.0 * (number // 4))
        dataset.InstanceNumber = None
        dataset.save_as(path)
    assert io.read_image(tmp_path, volume=1).array[:, 0, 0].tolist() == [400, 500, 600, 700]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    counts=st.lists(st.integers(2, 6), min_size=2, max_size=3),
    gap=st.integers(1, 30),
    step=st.sampled_from([2.0, 5.0]),
)
def test_acquisitions_far_apart_are_stacks_and_near_ones_lack_a_slice(
    tmp_path_factory: pytest.TempPathFactory, write_series: WriteSeries, counts: list[int], gap: int, step: float
) -> None:
    """A chest and an abdomen in one series, or a stack whose parts were acquired one after the other."""
    folder = tmp_path_factory.mktemp("ranges")
    start = 0.0
    for number, count in enumerate(counts):
        own = step if number else 2.0
        where = [(0.0, 0.0, start + own * k) for k in range(count)]
        pixels = np.array([np.full(SIZE, 100 * (number + 1) + k) for k in range(count)], np.int16)
        write_series(folder, where, series_uid="1.2.3", pixels=pixels, prefix=f"{number}", AcquisitionNumber=number + 1)
        start = where[-1][2] + gap * max(own, step)
    if step == 2.0 and gap == 1:
        assert io.read_image(folder).shape[0] == sum(counts)
    elif gap > 2:
        with pytest.raises(ChoiceError, match=f"{len(counts)} volumes.*AcquisitionNumber 1.*AcquisitionNumber 2"):
            io.read_image(folder)
        for number, count in enumerate(counts):
            image = io.read_image(folder, volume=number)
            np.testing.assert_array_equal(image.array[:, 0, 0], 100 * (number + 1) + np.arange(count))
    else:
        with pytest.raises(FormatError, match=r"missing|irregular"):
            io.read_image(folder)


@pytest.mark.parametrize("syntax", [RLELossless, DeflatedExplicitVRLittleEndian], ids=lambda s: s.keyword)
@pytest.mark.parametrize("changed", [False, True])
def test_the_same_samples_in_another_code_are_a_copy(
    tmp_path: Path, write_series: WriteSeries, syntax: Any, changed: bool
) -> None:
    for path in write_series(tmp_path, positions(4), series_uid="1.2.3"):
        dataset = pydicom.dcmread(path)
        if changed:
            dataset.PixelData = bytes(reversed(dataset.PixelData))
        if syntax == RLELossless:
            dataset.compress(syntax, generate_instance_uid=False)
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.save_as(path.with_name(f"{path.name}.again"))
    if changed:
        with pytest.raises(FormatError, match="which no attribute tells apart"):
            io.read_image(tmp_path)
        return
    assert io.read_image(tmp_path).shape == (4, *SIZE)


def test_copies_of_a_file_of_many_frames_are_looked_into_once(
    tmp_path: Path, write_series: WriteSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = write_series(tmp_path, positions(1))
    dataset = pydicom.dcmread(path)
    frames = np.arange(50 * SIZE[0] * SIZE[1], dtype=np.int16)
    dataset.NumberOfFrames, dataset.SpacingBetweenSlices, dataset.PixelData = 50, 2.0, frames.tobytes()
    dataset.save_as(path)
    shutil.copy(path, tmp_path / "again")
    looked: list[Path] = []
    content = series._content

    def counted(place: Path) -> bytes:
        looked.append(place)
        return content(place)

    monkeypatch.setattr(series, "_content", counted)
    np.testing.assert_array_equal(io.read_image(tmp_path).array, frames.reshape(50, *SIZE))
    assert sorted(looked) == sorted([path, tmp_path / "again"])


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_localizers_side_by_side_are_no_second_stack(tmp_path: Path, write_series: WriteSeries, count: int) -> None:
    write_volume(tmp_path, write_series, 0, 8, ImageType="ORIGINAL\\PRIMARY\\AXIAL")
    write_series(
        tmp_path,
        [(0.0, 5.0 * k, 9.0) for k in range(count)],
        orientation=(1, 0, 0, 0, 0, -1),
        series_uid="1.2.3",
        prefix="L",
        ImageType="ORIGINAL\\PRIMARY\\LOCALIZER",
    )
    image = io.read_image(tmp_path)
    assert kinds_in(image.array) == [0]
    assert f"left aside: {count} coronal localizer slice" in image.metadata["notes"][0]
    alone = io.read_image(tmp_path, volume=1)
    assert alone.shape[0] == count
