"""DICOM: ordering, choosing, and rejecting by name; single pictures; codes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from bedside import io
from bedside.core.errors import ChoiceError, FormatError, InputError
from bedside.core.geometry import Geometry

WriteSeries = Callable[..., list[Path]]

AXIAL = [(-10.0, -20.0, -40 + 2.5 * i) for i in range(6)]
SHUFFLED = (3, 0, 5, 1, 4, 2)


def test_shuffled_slices_are_sorted_by_position(tmp_path: Path, write_series: WriteSeries) -> None:
    write_series(tmp_path, AXIAL, order=SHUFFLED)
    image = io.read_image(tmp_path)
    assert image.array.shape == (6, 4, 5)
    assert image.array.dtype == np.int16
    np.testing.assert_array_equal(image.array[:, 0, 0], 100 * np.arange(6))
    assert image.geometry.spacing == (0.25, 0.5, 2.5)
    assert image.geometry.origin == (-10, -20, -40)
    assert image.modality == "CT"
    assert image.metadata["series_description"] == "axial"


def test_descending_numbers_do_not_matter(tmp_path: Path, write_series: WriteSeries) -> None:
    write_series(tmp_path, AXIAL[::-1])
    image = io.read_image(tmp_path)
    assert image.geometry.origin[2] == -40
    np.testing.assert_array_equal(image.array[:, 0, 0], 100 * np.arange(6)[::-1])


@pytest.mark.parametrize(
    "orientation", [(0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 0, -1), (0.8, 0.6, 0, 0, 0, -1), (0.6, 0.8, 0, -0.8, 0.6, 0)]
)
def test_oblique_stack_agrees_with_itk(tmp_path: Path, write_series: WriteSeries, orientation: Any) -> None:
    normal = np.cross(orientation[:3], orientation[3:])
    paths = write_series(tmp_path, [np.array([5, 6, 7]) + 3.0 * i * normal for i in range(5)], orientation=orientation)
    image = io.read_image(tmp_path)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(p) for p in paths])
    itk = reader.Execute()
    for index in ((0, 0, 0), (4, 3, 4), (1, 2, 3)):
        np.testing.assert_allclose(image.geometry.index_to_world(index), itk.TransformIndexToPhysicalPoint(index))
        assert image.array[index[::-1]] == itk[index]


def test_missing_slices_are_named(tmp_path: Path, write_series: WriteSeries) -> None:
    write_series(tmp_path, AXIAL[:2] + AXIAL[4:])
    with pytest.raises(FormatError, match=r"2 of 6 slices missing, at -35\.00 mm, -32\.50 mm"):
        io.read_image(tmp_path)


def test_one_slice_missing_of_three_gaps(tmp_path: Path, write_series: WriteSeries) -> None:
    write_series(tmp_path, [AXIAL[i] for i in (0, 2, 3, 5)])
    with pytest.raises(FormatError, match=r"2 of 6 slices missing, at -37\.50 mm, -30\.00 mm"):
        io.read_image(tmp_path)


def test_duplicated_slice_is_named(tmp_path: Path, write_series: WriteSeries) -> None:
    write_series(tmp_path, [*AXIAL, AXIAL[2]])
    with pytest.raises(FormatError, match=r"duplicated slices at -35\.00 mm \(IM0002, IM0006\)"):
        io.read_image(tmp_path)


def test_same_object_stored_twice_counts_once(tmp_path: Path, write_series: WriteSeries) -> None:
    first = write_series(tmp_path, AXIAL)[0]
    (tmp_path / "copy").write_bytes(first.read_bytes())
    assert io.read_image(tmp_path).array.shape == (6, 4, 5)


def test_several_volumes_at_the_same_positions_need_a_choice(tmp_path: Path, write_series: WriteSeries) -> None:
    write_series(tmp_path, AXIAL * 2)
    with pytest.raises(FormatError, match=r"2 volumes .*6 axial slices.*--volume 0 to 1"):
        io.read_image(tmp_path)
    np.testing.assert_array_equal(io.read_image(tmp_path, volume=1).array[:, 0, 0], 600 + 100 * np.arange(6))


def test_irregular_slices_are_rejected_by_name(tmp_path: Path, write_series: WriteSeries) -> None:
    write_series(tmp_path, [*AXIAL, (-10, -20, -26.2)])
    with pytest.raises(FormatError, match=r"irregular slices: expected 2\.5"):
        io.read_image(tmp_path)


def test_rounded_positions_are_no_irregularity(tmp_path: Path, write_series: WriteSeries) -> None:
    write_series(tmp_path, [(0, 0, round(1.3333 * i, 2)) for i in range(9)])
    np.testing.assert_allclose(io.read_image(tmp_path).geometry.spacing[2], 1.3333, atol=2e-3)


def test_gantry_tilt_is_rejected_by_name(tmp_path: Path, write_series: WriteSeries) -> None:
    shift = np.tan(np.radians(12)) * 2.5
    write_series(tmp_path, [(x, y + shift * i, z) for i, (x, y, z) in enumerate(AXIAL)])
    with pytest.raises(FormatError, match=r"gantry tilt: .*12\.00°"):
        io.read_image(tmp_path)


def test_slice_displaced_sideways_is_rejected(tmp_path: Path, write_series: WriteSeries) -> None:
    write_series(tmp_path, [(x + 4 * (i == 3), y, z) for i, (x, y, z) in enumerate(AXIAL)])
    with pytest.raises(FormatError, match=r"displaced sideways: got 4\.00 mm at 7\.50 mm"):
        io.read_image(tmp_path)


def test_slices_of_different_direction_are_a_choice(tmp_path: Path, write_series: WriteSeries) -> None:
    write_series(tmp_path, AXIAL[:1], series_uid="1.2.9")
    write_series(tmp_path, AXIAL[:1], series_uid="1.2.9", orientation=(0, 1, 0, 0, 0, -1), prefix="S")
    with pytest.raises(ChoiceError, match=r"2 volumes \(0: 1 axial slice .*1: 1 sagittal slice .*--volume 0 to 1"):
        io.read_image(tmp_path)


def test_a_slice_of_another_size_is_left_aside_and_said_so(tmp_path: Path, write_series: WriteSeries) -> None:
    write_series(tmp_path, AXIAL[:3], series_uid="1.2.9")
    write_series(tmp_path, AXIAL[3:4], series_uid="1.2.9", prefix="S", pixels=np.zeros((1, 6, 6), np.int16))
    image = io.read_image(tmp_path)
    assert image.shape == (3, 4, 5)
    assert "left aside: 1 axial slice of 6 x 6" in image.metadata["notes"][0]
    assert io.read_image(tmp_path, volume=1).shape == (1, 6, 6)


@pytest.fixture
def two_series(tmp_path: Path, write_series: WriteSeries) -> Path:
    write_series(tmp_path / "a", AXIAL, series_uid="1.2.40", number=3, description="T1 axial")
    write_series(tmp_path / "b", AXIAL[:4], series_uid="1.2.41", number=12, description="T2 axial")
    (tmp_path / "readme.txt").write_text("not an image")
    return tmp_path


def test_several_series_are_listed(two_series: Path) -> None:
    with pytest.raises(
        FormatError, match=r"holds 2 series: 3 'T1 axial' .CT, 6 images, 1.2.40.; 12 'T2 axial'"
    ) as caught:
        io.read_image(two_series)
    assert "--series" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("choice", ["1.2.41", 12, "12", "t2 AXIAL"])
def test_series_is_chosen_by_uid_number_or_description(two_series: Path, choice: str | int) -> None:
    image = io.read_image(two_series, series=choice)
    assert image.array.shape == (4, 4, 5)
    assert image.metadata["series_uid"] == "1.2.41"


def test_unknown_series_is_rejected_with_the_list(two_series: Path) -> None:
    with pytest.raises(FormatError, match=r"no series 'T3': expected one of: 3 'T1 axial'"):
        io.read_image(two_series, series="T3")


def test_ambiguous_series_asks_for_the_uid(two_series: Path, write_series: WriteSeries) -> None:
    write_series(two_series / "c", AXIAL, series_uid="1.2.42", number=12, description="T2 sagittal")
    with pytest.raises(FormatError, match=r"names 2 series.*UID"):
        io.read_image(two_series, series=12)


def test_series_means_nothing_to_other_formats(tmp_path: Path) -> None:
    io.write_mask(tmp_path / "m.png", np.zeros((2, 2), np.uint8), Geometry.create((2, 2)))
    with pytest.raises(InputError, match="--series"):
        io.read_image(tmp_path / "m.png", series="1")


def test_single_slice_with_position_is_a_volume(dicom_files: Path) -> None:
    image = io.read_image(dicom_files / "CT_small.dcm")
    dataset = pydicom.dcmread(dicom_files / "CT_small.dcm")
    assert image.array.shape == (1, 128, 128)
    assert image.array.dtype == np.int16
    np.testing.assert_array_equal(image.array[0], dataset.pixel_array.astype(int) - 1024)
    np.testing.assert_allclose(image.geometry.origin, [float(v) for v in dataset.ImagePositionPatient])
    np.testing.assert_allclose(image.geometry.spacing, (0.661468, 0.661468, 5))


def test_rescale_slope_and_intercept(tmp_path: Path, write_series: WriteSeries) -> None:
    write_series(tmp_path, AXIAL, RescaleSlope=2.5, RescaleIntercept=-7)
    image = io.read_image(tmp_path)
    assert image.array.dtype == np.float32
    np.testing.assert_allclose(image.array[:, 0, 1], 2.5 * (100 * np.arange(6) + 1) - 7)


def test_each_slice_may_have_its_own_slope(tmp_path: Path, write_series: WriteSeries) -> None:
    slopes = [1.0, 2, 3, 4, 5, 6]
    write_series(tmp_path, AXIAL, order=SHUFFLED, RescaleSlope=slopes, RescaleIntercept=[0.0, 1, 2, 3, 4, 5])
    image = io.read_image(tmp_path)
    np.testing.assert_allclose(image.array[:, 0, 1], np.array(slopes) * (100 * np.arange(6) + 1) + np.arange(6))


def test_white_is_turned_to_large(tmp_path: Path, write_series: WriteSeries) -> None:
    pixels = np.arange(20, dtype=np.uint16).reshape(1, 4, 5)
    path = write_series(tmp_path, AXIAL[:1], pixels=pixels, PhotometricInterpretation="MONOCHROME1", BitsStored=12)[0]
    np.testing.assert_array_equal(io.read_image(path).array, 4095 - pixels)
    np.testing.assert_array_equal(io.read_mask(path).array, pixels)


def test_pictures_without_position_are_two_dimensional(tmp_path: Path, write_series: WriteSeries) -> None:
    (path,) = write_series(tmp_path, AXIAL[:1])
    dataset = pydicom.dcmread(path)
    del dataset.ImagePositionPatient
    dataset.save_as(path)
    image = io.read_image(path)
    assert image.array.shape == (4, 5)
    assert image.geometry.spacing == (0.25, 0.5)


def test_ultrasound_spacing_comes_from_its_region(dicom_files: Path, tmp_path: Path) -> None:
    dataset = pydicom.dcmread(dicom_files / "examples_palette.dcm")
    region = Dataset()
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX, region.PhysicalDeltaY = 0.02, -0.03
    dataset.SequenceOfUltrasoundRegions = Sequence([region])
    dataset.save_as(tmp_path / "us.dcm")
    image = io.read_image(tmp_path / "us.dcm")
    assert image.is_colour
    np.testing.assert_allclose(image.geometry.spacing, (0.2, 0.3))
    assert io.read_image(dicom_files / "examples_palette.dcm").geometry.spacing_known is False


def test_film_loop_needs_a_choice(dicom_files: Path) -> None:
    with pytest.raises(FormatError, match=r"30 images without positions.*--volume 0 to 29"):
        io.read_image(dicom_files / "examples_ybr_color.dcm")
    assert io.read_image(dicom_files / "examples_ybr_color.dcm", volume=29).array.shape == (240, 320, 3)


def _enhanced(path: Path, source: Path, positions: list[float]) -> None:
    """One multi-frame file whose frames lie at ``positions`` along z, frame i filled with i."""
    dataset = pydicom.dcmread(source)
    for tag in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"):
        delattr(dataset, tag)
    shared, measures, plane, values = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, plane.ImageOrientationPatient = [0.5, 0.25], [1, 0, 0, 0, 1, 0]
    values.RescaleSlope, values.RescaleIntercept = 1, -100
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Sequence([measures]), Sequence([plane])
    shared.PixelValueTransformationSequence = Sequence([values])
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    groups = []
    for z in positions:
        group, place = Dataset(), Dataset()
        place.ImagePositionPatient = [0, 0, z]
        group.PlanePositionSequence = Sequence([place])
        groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = Sequence(groups)
    dataset.NumberOfFrames = len(positions)
    dataset.PixelData = np.repeat(np.arange(len(positions), dtype=np.int16), 20).tobytes()
    dataset.save_as(path)


def test_enhanced_multi_frame(tmp_path: Path, write_series: WriteSeries) -> None:
    (source,) = write_series(tmp_path / "source", AXIAL[:1])
    _enhanced(tmp_path / "enhanced.dcm", source, [6.0, 0.0, 3.0])
    image = io.read_image(tmp_path / "enhanced.dcm")
    np.testing.assert_array_equal(image.array[:, 0, 0], [-99, -98, -100])
    assert image.array.dtype == np.int16
    assert image.geometry.spacing == (0.25, 0.5, 3.0)
    assert image.geometry.origin == (0, 0, 0)


@pytest.mark.parametrize(
    "name", ["MR_small_RLE", "MR_small_jp2klossless", "MR_small_jpeg_ls_lossless", "MR_small_bigendian"]
)
def test_codes_give_the_samples_of_the_plain_file(dicom_files: Path, name: str) -> None:
    plain = io.read_image(dicom_files / "MR_small.dcm")
    np.testing.assert_array_equal(io.read_image(dicom_files / f"{name}.dcm").array, plain.array)


def test_rescaling_by_the_second_decoder_is_undone_and_redone(dicom_files: Path, tmp_path: Path) -> None:
    dataset = pydicom.dcmread(dicom_files / "MR_small_jpeg_ls_lossless.dcm")
    dataset.RescaleSlope, dataset.RescaleIntercept = 0.5, 3
    dataset.save_as(tmp_path / "ls.dcm")
    plain = io.read_image(dicom_files / "MR_small.dcm")
    np.testing.assert_allclose(io.read_image(tmp_path / "ls.dcm").array, plain.array * 0.5 + 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("MR_truncated.dcm", "samples cannot be decoded"),
        ("JPEG2000-embedded-sequence-delimiter.dcm", "JPEG 2000.*uncompressed transfer syntax"),
        ("rtstruct.dcm", "no DICOM image here"),
        ("test-SR.dcm", "no DICOM image here: got .*SR"),
    ],
)
def test_unusable_files_give_one_clear_line(
    dicom_files: Path, capfd: pytest.CaptureFixture[str], name: str, message: str
) -> None:
    with pytest.raises(FormatError, match=message) as caught:
        io.read_image(dicom_files / name)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_folder_without_images(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(FormatError, match="no DICOM image here"):
        io.read_image(tmp_path)


@pytest.mark.parametrize("kept", [0, 140, 400])
def test_files_that_were_cut_off_are_told(tmp_path: Path, write_series: WriteSeries, kept: int) -> None:
    """The last slice would be missed by nobody: no gap tells of it."""
    paths = write_series(tmp_path, [(0.0, 0.0, 2.0 * k) for k in range(5)], prefix="IM")
    last = paths[-1].rename(tmp_path / "last.dcm")
    last.write_bytes(last.read_bytes()[:kept])
    (tmp_path / "report.txt").write_text("no image")
    image = io.read_image(tmp_path)
    assert image.shape[0] == 4
    assert image.metadata["notes"] == [f"{tmp_path}: files that were cut off are left out: last.dcm"]
    with pytest.raises(FormatError, match="is empty" if kept == 0 else "was cut off: expected a whole header"):
        io.read_image(last)


def test_objects_that_are_no_images_are_not_told_to_be_cut_off(tmp_path: Path, write_series: WriteSeries) -> None:
    paths = write_series(tmp_path, [(0.0, 0.0, 2.0 * k) for k in range(4)])
    report = pydicom.dcmread(paths[0])
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.67"
    report.Modality = "SR"
    for name in ("Rows", "Columns", "PixelData"):
        delattr(report, name)
    report.save_as(tmp_path / "report.dcm")
    assert "notes" not in io.read_image(tmp_path).metadata
