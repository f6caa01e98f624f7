"""Which instances an object refers to: those whose samples were read, in whatever order they are stored."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import UID

from bedside import io
from bedside.core.errors import FormatError
from bedside.core.image import Image
from bedside.io.dicom.segments import Segment
from bedside.io.dicom.source import Source, find_source
from tests.support.dicom_sources import write_series

SLICES = 3
SHAPE = (SLICES, 7, 9)


def samples_referred_to(source: Source) -> np.ndarray[Any, Any]:
    """The samples of the instances and frames of a source, read by pydicom."""
    found = []
    for plane in source.planes:
        dataset = pydicom.dcmread(source.instances[plane.instance].filename)
        samples = dataset.pixel_array * float(dataset.get("RescaleSlope", 1)) + float(
            dataset.get("RescaleIntercept", 0)
        )
        found.append(samples[plane.frame] if samples.ndim == 3 else samples)
    return np.stack(found)


def rewrite(path: Path, **tags: Any) -> None:
    dataset = pydicom.dcmread(path)
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)


def echoes(folder: Path, order: list[int], numbers: list[int]) -> Path:
    """Volumes at the same places, stored and numbered in any order, each with samples of its own."""
    for place, echo in enumerate(order):
        write_series(folder / str(place), SHAPE)
        for i, path in enumerate(sorted(p for p in (folder / str(place)).iterdir())):
            dataset = pydicom.dcmread(path)
            samples = np.full(SHAPE[1:], 100 * echo + i, np.int16)
            dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
            dataset.PixelData = samples.tobytes()
            dataset.SeriesInstanceUID = "1.2.3"
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"1.2.{echo}.{i + 1}")
            dataset.EchoTime, dataset.InstanceNumber = 10.0 * echo, numbers[place * SLICES + i]
            dataset.save_as(path)
    return folder


@settings(max_examples=15, deadline=None)
@given(
    order=st.permutations([1, 2, 3]),
    numbers=st.permutations(list(range(1, 3 * SLICES + 1))),
    volume=st.integers(0, 2),
    told=st.booleans(),
)
def test_echoes_in_any_order(order: list[int], numbers: list[int], volume: int, told: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = echoes(Path(folder), order, numbers)
        image = io.read_image(path, volume=volume)
        source = find_source(image, volume=volume if told else None)
        np.testing.assert_array_equal(samples_referred_to(source), np.asarray(image.array))


def test_a_localizer_at_the_place_of_a_slice_is_not_referred_to(tmp_path: Path) -> None:
    write_series(tmp_path, (5, 7, 9))
    files = sorted(tmp_path.iterdir())
    localizer = pydicom.dcmread(files[2])
    localizer.ImageType, localizer.InstanceNumber = ["ORIGINAL", "PRIMARY", "LOCALIZER"], 0
    localizer.SOPInstanceUID = localizer.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3.999")
    localizer.save_as(tmp_path / "localizer.dcm")
    source = find_source(io.read_image(tmp_path))
    assert "1.2.3.999" not in {i.SOPInstanceUID for i in source.instances}


@pytest.mark.parametrize(("uid", "got"), [("1.2.3.4", "got 1 for 3 files"), ("", "got none")])
def test_slices_without_an_identifier_of_their_own_are_rejected_by_name(tmp_path: Path, uid: str, got: str) -> None:
    write_series(tmp_path, SHAPE)
    for path in tmp_path.iterdir():
        rewrite(path, SOPInstanceUID=uid)
    with pytest.raises(FormatError, match=f"a SOPInstanceUID of its own in each file.*{got}.*dcmodify -gin"):
        find_source(io.read_image(tmp_path))


def old_multi_frame(path: Path) -> Path:
    """A file of many frames with one position, as nuclear medicine and old exports write them."""
    write_series(path.parent / "slices", SHAPE)
    files = sorted((path.parent / "slices").iterdir())
    dataset = pydicom.dcmread(files[0])
    samples = np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(np.int16)
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.NumberOfFrames, dataset.PixelData = SLICES, samples.tobytes()
    dataset.Modality, dataset.SpacingBetweenSlices = "MR", 2.5
    dataset.save_as(path)
    return path


def test_frames_with_one_position_are_referred_to_by_number(tmp_path: Path) -> None:
    pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
    from bedside.io.dicom.seg_reading import read_seg
    from bedside.io.dicom.seg_writing import write_seg

    image: Image = io.read_image(old_multi_frame(tmp_path / "old.dcm"))
    mask = np.zeros(SHAPE, np.uint8)
    mask[1:, 2:5, 3:7] = 1
    write_seg(tmp_path / "seg.dcm", [Segment.of_mask(1, "a", mask)], find_source(image))
    np.testing.assert_array_equal(read_seg(tmp_path / "seg.dcm", image).segments[0].mask(SHAPE), mask)
    made = pydicom.dcmread(tmp_path / "seg.dcm")
    numbers = [
        f.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber
        for f in made.PerFrameFunctionalGroupsSequence
    ]
    assert numbers == [2, 3]
    for frame, z in zip(made.PerFrameFunctionalGroupsSequence, (1, 2), strict=True):
        place = frame.PlanePositionSequence[0].ImagePositionPatient
        np.testing.assert_allclose(place, image.geometry.index_to_world([0, 0, z]), atol=1e-6)


@pytest.mark.parametrize("empty", [True, False])
@pytest.mark.parametrize(
    "keyword", ["SliceThickness", "ImageOrientationPatient", "PatientName", "SeriesNumber", "Modality"]
)
def test_what_a_source_may_lack(tmp_path: Path, keyword: str, empty: bool) -> None:
    pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
    from bedside.io.dicom.seg_reading import read_seg
    from bedside.io.dicom.seg_writing import write_seg

    image = io.read_image(without(tmp_path / "ct", keyword, empty=empty))
    mask = np.zeros(SHAPE, np.uint8)
    mask[1:, 2:5, 3:7] = 1
    write_seg(tmp_path / "seg.dcm", [Segment.of_mask(1, "a", mask)], find_source(image))
    np.testing.assert_array_equal(read_seg(tmp_path / "seg.dcm", image).segments[0].mask(SHAPE), mask)


@pytest.mark.parametrize("empty", [True, False])
@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SOPClassUID", "FrameOfReferenceUID", "PixelSpacing"])
def test_what_a_source_must_have_is_named(tmp_path: Path, keyword: str, empty: bool) -> None:
    image = io.read_image(without(tmp_path / "ct", keyword, empty=empty))
    with pytest.raises(FormatError, match=f"source images.*expected a {keyword}, got none"):
        find_source(image)


def without(folder: Path, keyword: str, *, empty: bool) -> Path:
    """A series whose slices lack an element, or have it without a value."""
    for path in write_series(folder, SHAPE):
        dataset = pydicom.dcmread(path)
        if empty:
            dataset[keyword].value = None
        else:
            del dataset[keyword]
        dataset.save_as(path)
    return folder
