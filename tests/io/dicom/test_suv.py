"""SUV of a PET: only where its headers tell all that it takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from bedside.io import read_image
from bedside.io.dicom.suv import pet_units
from tests.support.dicom_sources import write_series


def pet(folder: Path, change: Callable[[Any], None] = lambda _: None) -> Path:
    for path in write_series(folder, (2, 6, 7)):
        header = dcmread(path)
        header.Modality, header.Units, header.DecayCorrection = "PT", "BQML", "START"
        header.CorrectedImage, header.PatientWeight = ["NORM", "ATTN", "SCAT", "DECY"], 70
        header.SeriesDate = header.AcquisitionDate = "20240229"
        header.SeriesTime, header.AcquisitionTime = "101500", "101530"
        drug = Dataset()
        drug.RadionuclideTotalDose, drug.RadionuclideHalfLife = 370e6, 6586.2
        drug.RadiopharmaceuticalStartTime = "091500.00"
        header.RadiopharmaceuticalInformationSequence = [drug]
        change(header)
        header.save_as(path)
    return folder


def test_the_dose_is_decayed_to_the_start_of_the_scan(tmp_path: Path) -> None:
    found = pet_units(read_image(pet(tmp_path / "pet")))
    assert found is not None
    # An hour is 0.5466 half-lives: 253.3 MBq of 370 are left for 70,000 g.
    assert (found.unit, found.suv_bw) == ("Bq/ml", pytest.approx(70_000 / 253.31e6, rel=1e-4))


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("Units", "GML", 1.0),
        ("DecayCorrection", "ADMIN", 70_000 / 370e6),
        ("DecayCorrection", "NONE", None),
        ("Units", "CNTS", None),
        ("PatientWeight", None, None),
        ("CorrectedImage", ["NORM", "DECY"], None),
        ("RadiopharmaceuticalInformationSequence", [], None),
    ],
)
def test_nothing_is_assumed(tmp_path: Path, field: str, value: object, expected: float | None) -> None:
    found = pet_units(read_image(pet(tmp_path / "pet", lambda header: setattr(header, field, value))))
    assert found is not None
    assert found.suv_bw == (None if expected is None else pytest.approx(expected))


def test_a_scan_after_midnight_and_one_before_the_injection(tmp_path: Path) -> None:
    def late(header: Any) -> None:
        header.SeriesTime = header.AcquisitionTime = "001500"
        header.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartTime = "231500"

    night = pet_units(read_image(pet(tmp_path / "night", late)))
    assert night is not None
    assert night.suv_bw == pytest.approx(70_000 / 253.31e6, rel=1e-4)

    def wrong(header: Any) -> None:
        header.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartDateTime = "20240301090000"

    found = pet_units(read_image(pet(tmp_path / "wrong", wrong)))
    assert found is not None
    assert found.suv_bw is None


def test_other_images_have_none(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", (2, 6, 7))
    assert pet_units(read_image(tmp_path / "ct")) is None
