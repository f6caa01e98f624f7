"""What the samples of a PET are: their unit, and how they become standardised uptake values (SUV) by body weight.

After the QIBA profile of FDG-PET/CT and PS3.3 C.8.9.1: SUV = activity x weight / dose, the dose decayed to the moment
that the activity was corrected to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bedside.core.errors import BedsideError
from bedside.core.image import Image
from bedside.io.dicom.source import find_source
from bedside.io.dicom.values import first_number, text

_UNITS = {"BQML": "Bq/ml", "GML": "g/ml", "CNTS": "counts", "CPS": "counts/s", "PROPCPS": "counts/s"}


@dataclass(frozen=True)
class PetUnits:
    """What the samples of a PET are.

    Attributes:
        unit: "Bq/ml", "g/ml", ...; as the file names it where it is another.
        suv_bw: What a sample is multiplied by for the SUV by body weight, in g/ml; None where the headers do not tell.
    """

    unit: str
    suv_bw: float | None


def pet_units(image: Image) -> PetUnits | None:
    """Return what the samples of a PET from DICOM files are; None for any other image."""
    if image.modality not in ("PET", "PT") or not image.metadata.get("series_uid"):
        return None
    try:
        headers = find_source(image).instances
    except BedsideError:
        return None
    units = text(headers[0].get("Units"))
    return PetUnits(_UNITS.get(units, units), _factor(headers, units))


def _factor(headers: tuple[Any, ...], units: str) -> float | None:
    header = headers[0]
    if units == "GML":
        return 1.0 if text(header.get("SUVType")) in ("", "BW") else None
    corrected = header.get("CorrectedImage") or ()
    corrections = {corrected} if isinstance(corrected, str) else {str(c) for c in corrected}
    drug = (header.get("RadiopharmaceuticalInformationSequence") or [None])[0]
    if units != "BQML" or not {"ATTN", "DECY"} <= corrections or drug is None:
        return None
    weight, dose = first_number(header.get("PatientWeight")), first_number(drug.get("RadionuclideTotalDose"))
    if not weight or not dose or weight <= 0 or dose <= 0:
        return None
    match text(header.get("DecayCorrection")):
        case "ADMIN":
            left: float | None = 1.0
        case "START":
            left = _left(headers, drug)
        case _:
            return None
    return None if left is None else weight * 1000 / (dose * left)


def _left(headers: tuple[Any, ...], drug: Any) -> float | None:
    """Return the part of the dose that is left when the scan begins."""
    half_life = first_number(drug.get("RadionuclideHalfLife"))
    begun = _scan_start(headers)
    if begun is None or not half_life or half_life <= 0:
        return None
    given = _moment(text(drug.get("RadiopharmaceuticalStartDateTime")))
    if given is None:
        clock = text(drug.get("RadiopharmaceuticalStartTime"))
        given = _moment(f"{begun:%Y%m%d}{clock}") if clock else None
        # Given before midnight, scanned after it.
        if given is not None and given > begun:
            given -= timedelta(days=1)
    if given is None or given > begun:
        return None
    return math.exp(-math.log(2) * (begun - given).total_seconds() / half_life)


def _scan_start(headers: tuple[Any, ...]) -> datetime | None:
    """Return the time of the series, where no slice was acquired before it; else that of the first slice."""
    acquired = [_moment(text(h.get("AcquisitionDate")) + text(h.get("AcquisitionTime"))) for h in headers]
    first = min((a for a in acquired if a is not None), default=None)
    series = _moment(text(headers[0].get("SeriesDate")) + text(headers[0].get("SeriesTime")))
    known = [moment for moment in (series, first) if moment is not None]
    return min(known) if known else None


def _moment(stamp: str) -> datetime | None:
    """Return a date and time of DICOM; None where it is not one of both."""
    digits = stamp.partition(".")[0].partition("+")[0].partition("-")[0]
    try:
        return datetime.strptime(digits[:14], "%Y%m%d%H%M%S")
    except ValueError:
        return None
