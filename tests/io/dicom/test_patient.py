"""What a header says of its patient is found in texts, and little else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from bedside.io.dicom.patient import HIDDEN, scrubbed


def header(**values: str) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


@pytest.mark.parametrize(
    ("values", "content", "expected"),
    [
        ({"PatientName": "Quixote^Dulcinea"}, "Thorax QUIXOTE, dulcinea", f"Thorax {HIDDEN}, {HIDDEN}"),
        ({"PatientName": "Quixote^Dulcinea"}, "of Quixote^Dulcinea.", f"of {HIDDEN}."),
        ({"PatientName": "Yamada^Tarou=山田^太郎"}, "山田 CT", f"{HIDDEN} CT"),
        ({"PatientName": "Li^Wu"}, "Liver of Wu, LI", f"Liver of {HIDDEN}, {HIDDEN}"),
        ({"PatientName": "X^Y"}, "X-ray", "X-ray"),
        ({"PatientID": "HZ-4711"}, "no. hz-4711 (old)", f"no. {HIDDEN} (old)"),
        ({"PatientID": "1"}, "series 1", "series 1"),
        ({"StudyDate": "20240229"}, "20240229 2024-02-29 2024.02.29", " ".join([HIDDEN] * 3)),
        ({"AcquisitionDateTime": "20240229101112"}, "seen 20240229", f"seen {HIDDEN}"),
        ({"OperatorsName": ["Panza^Sancho", "Rocinante"]}, "by Sancho and Rocinante", f"by {HIDDEN} and {HIDDEN}"),
        ({"Modality": "CT", "SeriesNumber": "123"}, "CT 123", "CT 123"),
        ({}, "Thorax", "Thorax"),
        ({"PatientName": ""}, "Thorax", "Thorax"),
    ],
)
def test_texts(values: dict[str, str], content: str, expected: str) -> None:
    assert scrubbed(content, header(**values)) == expected


@given(st.text(st.characters(codec="latin-1", categories=["Lu", "Ll"]), min_size=4, max_size=12), st.text(max_size=20))
def test_no_name_of_four_letters_or_more_is_left(name: str, around: str) -> None:
    made = scrubbed(f"{around} {name.upper()} {around}", header(PatientName=name))
    assert name.lower() not in made.lower().replace(HIDDEN, "")


def test_an_element_that_cannot_be_understood_is_taken_as_it_is_stored() -> None:
    made = header(PatientName="Quixote")
    made[0x00080020] = RawDataElement(BaseTag(0x00080020), "DA", 18, b"29th of February  ", 0, False, True)
    assert scrubbed("quixote on the 29th of February", made) == f"{HIDDEN} on the {HIDDEN}"


def test_an_element_without_bytes_of_a_kind_that_there_is_not_tells_nothing() -> None:
    made = header(PatientName="Quixote")
    made[0x00080050] = RawDataElement(BaseTag(0x00080050), "TH", 4, None, 0, False, True)
    assert scrubbed("quixote 4711", made) == f"{HIDDEN} 4711"
