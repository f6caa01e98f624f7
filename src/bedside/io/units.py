"""Units of length as files name them, in millimetres."""

from __future__ import annotations

import math
import re

MILLIMETRES = {
    **dict.fromkeys(("mm", "millimeter", "millimetre", "millimeters", "millimetres"), 1.0),
    **dict.fromkeys(("cm", "centimeter", "centimetre", "centimeters", "centimetres"), 10.0),
    **dict.fromkeys(("dm", "decimeter", "decimetre"), 100.0),
    **dict.fromkeys(("m", "meter", "metre", "meters", "metres"), 1e3),
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "micrometre", "micrometers"), 1e-3),
    **dict.fromkeys(("nm", "nanometer", "nanometre", "nanometers", "nanometres"), 1e-6),
    **dict.fromkeys(("pm", "picometer", "picometre"), 1e-9),
    **dict.fromkeys(("å", "angstrom", "ångström"), 1e-7),
    **dict.fromkeys(("in", "inch", "inches", '"'), 25.4),
}
"""Millimetres of a unit by its name in lower case."""


def millimetres(unit: str) -> float | None:
    r"""Return millimetres of a unit; None where it is none of length ("pixel", "sec") or is not known.

    Escaped characters (``\u00B5m``, as ImageJ writes them) are understood.
    """
    plain = re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found.group(1), 16)), unit.strip())
    return MILLIMETRES.get(plain.lower())


def length(value: object, unit: str) -> float | None:
    """Return a stated length in millimetres; None where it or its unit cannot be used."""
    scale = millimetres(unit)
    try:
        number = abs(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number * scale if scale is not None and math.isfinite(number) and number > 0 else None
