from __future__ import annotations

import pytest

from bedside.core.modality import MODALITIES, challenge_modality, modality_in


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("CT", "CT"),
        (" ct ", "CT"),
        ("MRI", "MR"),
        ("PT", "PET"),
        ("DX", "X-Ray"),
        ("xray", "X-Ray"),
        ("MG", "Mammography"),
        ("OPT", "OCT"),
        ("SM", "Microscopy"),
        ("", None),
        (None, None),
        ("photograph", None),
        ("CT head", None),
    ],
)
def test_names_as_they_are_used(name: str | None, wanted: str | None) -> None:
    assert challenge_modality(name) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("CT (cardiac slice)", "CT"),
        ("MR T1 post-contrast (slice)", "MR"),
        ("PET (FDG, SUV)", "PET"),
        ("ultrasound (transrectal, 3D)", "US"),
        ("electron microscopy (SEM)", "Microscopy"),
        ("histology H&E", "Microscopy"),
        ("fundus photography", "Fundus"),
        ("dermoscopy", "Dermoscopy"),
        ("mammography (contrast-enhanced)", "Mammography"),
        ("X-ray of a hand", "X-Ray"),
        ("clinical photograph", None),
        ("", None),
        (None, None),
    ],
)
def test_descriptions_of_data_sets(text: str | None, wanted: str | None) -> None:
    assert modality_in(text) == wanted


def test_numbers_are_those_of_the_published_embedding() -> None:
    numbers = {name: number for number, name in enumerate(MODALITIES)}
    assert numbers == {
        **{"CT": 0, "MR": 1, "Endoscopy": 2, "X-Ray": 3, "PET": 4, "Dermoscopy": 5},
        **{"Mammography": 6, "US": 7, "OCT": 8, "Fundus": 9, "Microscopy": 10},
    }
