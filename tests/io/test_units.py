"""Units of length as files name them, against NGFF's and OME's lists and the definition of each unit."""

from __future__ import annotations

import math

import pytest

from bedside.io.units import length, millimetres

METRES = {
    **{"angstrom": 1e-10, "attometer": 1e-18, "centimeter": 1e-2, "decimeter": 1e-1, "exameter": 1e18, "inch": 0.0254},
    **{"femtometer": 1e-15, "foot": 0.3048, "gigameter": 1e9, "hectometer": 1e2, "kilometer": 1e3, "megameter": 1e6},
    **{"meter": 1.0, "micrometer": 1e-6, "mile": 1609.344, "millimeter": 1e-3, "nanometer": 1e-9, "petameter": 1e15},
    **{"picometer": 1e-12, "terameter": 1e12, "yard": 0.9144, "yoctometer": 1e-24, "yottameter": 1e24},
    **{"zeptometer": 1e-21, "zettameter": 1e21},
    **{"km": 1e3, "hm": 1e2, "dam": 10.0, "m": 1.0, "dm": 0.1, "cm": 1e-2, "mm": 1e-3, "µm": 1e-6, "nm": 1e-9},
    **{"pm": 1e-12, "fm": 1e-15, "Å": 1e-10, "thou": 25.4e-6, "li": 0.0254 / 12, "in": 0.0254, "ft": 0.3048},
    **{"yd": 0.9144, "mi": 1609.344, "pt": 0.0254 / 72},
}
"""The units of length of OME-NGFF 0.4 and 0.5 but the parsec, and symbols of OME-XML 2016-06 on the earth's scale."""


@pytest.mark.parametrize("unit", METRES)
def test_units_of_length(unit: str) -> None:
    assert millimetres(unit) == pytest.approx(1e3 * METRES[unit], rel=1e-9)


@pytest.mark.parametrize("unit", ["", "pixel", "reference frame", "second", "s", "px"])
def test_what_is_no_length_has_no_millimetres(unit: str) -> None:
    assert millimetres(unit) is None


@pytest.mark.parametrize("value", [0, math.nan, math.inf, "wide", None])
def test_what_is_no_number_has_no_length(value: object) -> None:
    assert length(value, "mm") is None
