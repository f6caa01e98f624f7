"""Units of length as files name them, in millimetres."""

from __future__ import annotations

import math
import re

_POWERS = {
    **{"yotta": 24, "zetta": 21, "exa": 18, "peta": 15, "tera": 12, "giga": 9, "mega": 6, "kilo": 3, "hecto": 2},
    **{"deca": 1, "": 0, "deci": -1, "centi": -2, "milli": -3, "micro": -6, "nano": -9, "pico": -12, "femto": -15},
    **{"atto": -18, "zepto": -21, "yocto": -24},
}
_SYMBOLS = {"km": 3, "hm": 2, "dam": 1, "m": 0, "dm": -1, "cm": -2, "mm": -3, "um": -6, "nm": -9, "pm": -12, "fm": -15}
MILLIMETRES = {
    **{f"{prefix}{name}": 10.0 ** (n + 3) for prefix, n in _POWERS.items() for name in ("meter", "metre")},
    **{f"{prefix}{name}": 10.0 ** (n + 3) for prefix, n in _POWERS.items() for name in ("meters", "metres")},
    **{symbol: 10.0 ** (n + 3) for symbol, n in _SYMBOLS.items()},
    **dict.fromkeys(("µm", "μm", "micron", "microns"), 1e-3),
    **dict.fromkeys(("å", "angstrom", "ångström"), 1e-7),
    **dict.fromkeys(("in", "inch", "inches", '"'), 25.4),
    **{"thou": 0.0254, "li": 25.4 / 12, "pt": 25.4 / 72},
    **dict.fromkeys(("ft", "foot", "feet"), 304.8),
    **dict.fromkeys(("yd", "yard", "yards"), 914.4),
    **dict.fromkeys(("mi", "mile", "miles"), 1609344.0),
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
