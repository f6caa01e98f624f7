"""Codes by name against pydicom's dictionary of SNOMED terms; colours against highdicom's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.sr._concepts_dict import concepts

from bedside.io.dicom import codes
from bedside.io.dicom.codes import ABNORMAL, ANATOMY, DEFAULT, LEFT, RIGHT, TISSUE, Code, property_codes
from bedside.io.dicom.colours import cielab_of, colour_of, colour_of_cielab, rgb_of

TERMS: dict[str, set[str]] = {}
for entry in concepts["SCT"].values():
    for number, term in entry.items():
        TERMS.setdefault(number, set()).add(term[0])


@pytest.mark.parametrize("code", [ANATOMY, ABNORMAL, TISSUE, LEFT, RIGHT, *(Code(*c) for c in codes._ANATOMY.values())])
def test_codes_mean_what_the_dictionary_says(code: Code) -> None:
    assert code.meaning in TERMS[code.value]


@pytest.mark.parametrize("name", [*codes._ANATOMY, *codes._ABNORMAL])
def test_every_name_of_the_table_is_found(name: str) -> None:
    assert property_codes(name) != DEFAULT
    assert property_codes(name.title().replace(" ", "_") + "s") == property_codes(name)
    assert (property_codes(name).type.value, property_codes(name).type.meaning) in {
        *codes._ANATOMY.values(),
        *codes._ABNORMAL.values(),
    }
    assert property_codes(name).type.meaning in TERMS[property_codes(name).type.value]


@pytest.mark.parametrize("name", codes._OTHER_NAMES)
def test_other_names_lead_to_the_table(name: str) -> None:
    assert property_codes(name) == property_codes(codes._OTHER_NAMES[name]) != DEFAULT


@pytest.mark.parametrize(
    ("name", "meaning", "side"),
    [
        ("Kidney_L", "Kidney", LEFT),
        ("right lung", "Lung", RIGHT),
        ("Lung, left", "Lung", LEFT),
        ("left ventricle", "Left ventricle", None),
        ("tumour 2", "Tumor", None),
        ("GTV", "Tumor", None),
        ("lymph nodes", "Lymph Node", None),
    ],
)
def test_names_as_people_write_them(name: str, meaning: str, side: Code | None) -> None:
    assert (property_codes(name).type.meaning, property_codes(name).modifier) == (meaning, side)


@pytest.mark.parametrize("name", ["", "object 1", "42", "left", "r", "肝臓", "deliverance"])
def test_other_names_are_tissue(name: str) -> None:
    assert property_codes(name) == DEFAULT


BYTE = st.integers(0, 255)


@given(BYTE, BYTE, BYTE)
def test_colours_survive_cielab(red: int, green: int, blue: int) -> None:
    assert rgb_of(colour_of_cielab(cielab_of(colour_of((red, green, blue))))) == (red, green, blue)


@given(BYTE, BYTE, BYTE)
def test_cielab_as_highdicom_has_it(red: int, green: int, blue: int) -> None:
    hd = pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
    theirs = list(hd.color.CIELabColor.from_rgb(red, green, blue).value)
    # Theirs goes through a profile of bytes, which is up to 5 % off in deep blue: 3015 at most, in steps of 7 to 17.
    assert cielab_of(colour_of((red, green, blue))) == pytest.approx(theirs, abs=3200)
