from __future__ import annotations

from bedside.weights.licence import licence_notice
from bedside.weights.models import model_card


def test_conditions_are_said_in_one_line() -> None:
    notice = licence_notice("nninteractive", model_card("nninteractive").licence)
    assert "\n" not in notice
    for word in ("'nninteractive'", "CC BY-NC-SA 4.0", "non-commercial", "share-alike", "attribution", "https://"):
        assert word in notice


def test_other_licences_are_named() -> None:
    assert licence_notice("bedside-2d", "Apache-2.0") == "weights of 'bedside-2d': licence Apache-2.0"
