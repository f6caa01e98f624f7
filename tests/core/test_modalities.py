from __future__ import annotations

from bedside.core.modalities import MODALITIES


def test_numbers_are_those_of_the_published_embedding() -> None:
    numbers = {name: number for number, name in enumerate(MODALITIES)}
    assert numbers == {
        **{"CT": 0, "MR": 1, "Endoscopy": 2, "X-Ray": 3, "PET": 4, "Dermoscopy": 5},
        **{"Mammography": 6, "US": 7, "OCT": 8, "Fundus": 9, "Microscopy": 10},
    }
