"""Bedside and a real PACS: the same tests by each protocol."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from bedside import io
from bedside.archive.contract import Archive, Query
from bedside.archive.fetching import fetch_series, find_wanted, store_files
from bedside.archive.retries import ONCE
from tests.support.dicom_sources import PLANTED, write_series

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
