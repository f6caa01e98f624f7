"""Bedside and a real PACS: the same tests by each protocol."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import RLELossless

from bedside import io
from bedside.archive.contract import Archive, Query
from bedside.archive.fetching import fetch_series, find_wanted, store_files
from bedside.archive.opening import open_archive
from bedside.archive.places import SeriesFolder
from bedside.archive.retries import ONCE
from bedside.archive.syntaxes import LABELMAP
from bedside.core.errors import ArchiveError
from bedside.io.dicom.segments import Segment, SegmentSet
from bedside.io.segmentations import read_segments, write_segments
from tests.support.dicom_sources import PLANTED, write_series
from tests.support.orthanc import running_orthanc

SHAPE = (6, 9, 12)


@pytest.fixture
def series(tmp_path: Path) -> list[Path]:
    return write_series(tmp_path / "ct", SHAPE, spacing=(0.7, 0.9, 2.5), origin=(3, -4, 5))


def test_echo(archive: Archive) -> None:
    archive.echo()


def test_what_was_stored_is_found_and_fetched(archive: Archive, series: list[Path], tmp_path: Path) -> None:
    assert store_files(archive, series, ONCE).stored == SHAPE[0]
    header = pydicom.dcmread(series[0])
    (study,) = archive.find_studies(Query(patient_id=PLANTED["PatientID"]))
    assert (study.uid, study.modalities, study.series, study.instances) == (header.StudyInstanceUID, ("CT",), 1, 6)
    assert (study.date, study.patient) == (PLANTED["StudyDate"], (PLANTED["PatientName"], PLANTED["PatientID"]))
    (found,) = find_wanted(archive, Query(patient_name="Quix*"), ONCE)
    assert (found.uid, found.modality, found.number, found.instances) == (header.SeriesInstanceUID, "CT", "3", 6)
    report = fetch_series(archive, found, tmp_path / "here", ONCE)
    assert (report.fetched, report.kept) == (6, 0)
    ours, theirs = io.read_image(tmp_path / "ct"), io.read_image(report.folder)
    np.testing.assert_array_equal(theirs.array, ours.array)
    assert theirs.geometry == ours.geometry


def test_what_is_missing_is_fetched_alone(archive: Archive, series: list[Path], tmp_path: Path) -> None:
    store_files(archive, series, ONCE)
    (found,) = find_wanted(archive, Query(patient_name="Quix*"), ONCE)
    folder = fetch_series(archive, found, tmp_path / "here", ONCE).folder
    for file in sorted(folder.glob("*.dcm"))[1:4]:
        file.unlink()
    report = fetch_series(archive, found, tmp_path / "here", ONCE)
    assert (report.fetched, report.kept) == (3, 3)
    np.testing.assert_array_equal(io.read_image(folder).array, io.read_image(tmp_path / "ct").array)


def test_a_disk_that_is_full_ends_the_fetch_and_keeps_what_came(
    archive: Archive, series: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_files(archive, series, ONCE)
    (found,) = find_wanted(archive, Query(patient_name="Quix*"), ONCE)
    keep, room = SeriesFolder.keep, [2]

    def full(folder: SeriesFolder, uid: str, content: bytes) -> Path:
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        room[0] -= 1
        return keep(folder, uid, content)

    monkeypatch.setattr(SeriesFolder, "keep", full)
    with pytest.raises(OSError, match="No space left"):
        fetch_series(archive, found, tmp_path / "here", ONCE)
    room[0] = 100
    report = fetch_series(archive, found, tmp_path / "here", ONCE)
    assert (report.fetched, report.kept) == (4, 2)


def test_compressed_instances_stay_as_they_are(archive: Archive, series: list[Path], tmp_path: Path) -> None:
    for file in series:
        header = pydicom.dcmread(file)
        header.compress(RLELossless, generate_instance_uid=False)
        header.save_as(file)
    assert store_files(archive, series, ONCE).stored == SHAPE[0]
    (found,) = find_wanted(archive, Query(patient_name="Quix*"), ONCE)
    folder = fetch_series(archive, found, tmp_path / "here", ONCE).folder
    ours = {pydicom.dcmread(p).SOPInstanceUID: pydicom.dcmread(p) for p in series}
    for file in folder.glob("*.dcm"):
        theirs = pydicom.dcmread(file)
        assert theirs.file_meta.TransferSyntaxUID == RLELossless
        assert theirs.PixelData == ours[theirs.SOPInstanceUID].PixelData


@pytest.mark.parametrize(
    "kind",
    [
        *(("dicom-seg", seg_type, compress) for seg_type in ("binary", "labelmap") for compress in (False, True)),
        ("rtstruct", "binary", False),
    ],
)
def test_objects_come_back_voxel_by_voxel(
    archive: Archive, series: list[Path], tmp_path: Path, kind: tuple[Any, Any, bool], request: pytest.FixtureRequest
) -> None:
    pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
    form, seg_type, compress = kind
    image = io.read_image(tmp_path / "ct")
    mask = np.random.default_rng(3).random(SHAPE) < 0.3
    found = SegmentSet((Segment.of_mask(1, "liver", mask),), image.geometry)
    write_segments(tmp_path / "o.dcm", found, image, form=form, seg_type=seg_type, compress=compress)
    store_files(archive, [*series, tmp_path / "o.dcm"], ONCE)
    study = str(image.metadata["study_uid"])
    modality = "RTSTRUCT" if form == "rtstruct" else "SEG"
    (there,) = find_wanted(archive, Query(study=study, modality=modality), ONCE)
    if seg_type == "labelmap" and request.node.callspec.params["archive"] == "get":
        # Orthanc 1.10 takes label maps when told to take what it does not know, and sends them by other ways alone.
        with pytest.raises(ArchiveError, match="0xa702; try --method move"):
            fetch_series(archive, there, tmp_path / "here", ONCE)
        return
    (file,) = fetch_series(archive, there, tmp_path / "here", ONCE).folder.glob("*.dcm")
    assert pydicom.dcmread(file) == pydicom.dcmread(tmp_path / "o.dcm")
    np.testing.assert_array_equal(read_segments(file, image).segments[0].mask(SHAPE), mask)


@pytest.mark.slow
def test_a_class_that_the_pacs_does_not_take_is_named(series: list[Path], tmp_path: Path) -> None:
    """Orthanc as it comes knows no label maps, and no private classes."""
    for number, (kind, message) in enumerate(
        [(LABELMAP, r"'Label Map Segmentation Storage'.*--seg-type binary"), ("1.2.3.4", "the class '1.2.3.4'")]
    ):
        header = pydicom.dcmread(series[0])
        header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = kind
        header.save_as(tmp_path / f"{number}.dcm")
        with (
            running_orthanc(tmp_path / f"orthanc{number}", UnknownSopClassAccepted=False) as picky,
            open_archive(picky.dicom) as archive,
            pytest.raises(ArchiveError, match=message),
        ):
            store_files(archive, [series[1], tmp_path / f"{number}.dcm"], ONCE)
