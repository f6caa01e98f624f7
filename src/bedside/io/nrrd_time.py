"""NRRD's spaces of four axes, space and time: brought to three, because ITK takes each of them for LPS.

Source: teem's description of the format, section "space".
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import FormatError

_DIRECTION = re.compile(r"none|\([^()]*\)", re.IGNORECASE)
_ENDING = "-time"
_SHORT = {"rast": "right-anterior-superior", "last": "left-anterior-superior", "lpst": "left-posterior-superior"}
_AXES = 4
_SMALL = 1e-6


def without_time(path: Path, fields: dict[str, str], axes: int) -> dict[str, str]:
    """Return the fields of a header in a space of three axes; those of other headers as they are.

    The axis of the samples that runs along time is then one without a direction in space, of the kind "time".

    Args:
        path: For messages.
        fields: By name in lower case.
        axes: Axes of the samples.

    Raises:
        FormatError: Directions that are not of space alone or of time alone.
    """
    name = fields.get("space", "").strip().lower()
    space = _SHORT.get(name) or (name.removesuffix(_ENDING) if name.endswith(_ENDING) else None)
    if space is None:
        return fields
    made = {**fields, "space": space}
    words = _DIRECTION.findall(fields.get("space directions", ""))
    kinds = fields["kinds"].split() if len(fields.get("kinds", "").split()) == axes else ["domain"] * axes
    if words:
        vectors = [_vector(word) for word in words]
        for axis, vector in enumerate(vectors):
            if vector is None:
                continue
            small = _SMALL * float(np.abs(vector).max())
            in_space, in_time = (
                bool(np.any(np.abs(vector[:3]) > small)),
                len(vector) == _AXES and abs(vector[3]) > small,
            )
            if len(vector) != _AXES or in_space == in_time:
                raise FormatError(
                    f"{path}: space directions", expected="axes of space, and one of time", got=words[axis][:80]
                )
            if in_time and axis < axes:
                kinds[axis] = "time"
            words[axis] = "none" if in_time else f"({','.join(repr(float(v)) for v in vector[:3])})"
        made |= {"space directions": " ".join(words), "kinds": " ".join(kinds)}
    origin = _vector(fields.get("space origin", ""))
    if origin is not None and len(origin) == _AXES:
        made["space origin"] = f"({','.join(repr(float(v)) for v in origin[:3])})"
    if "space units" in fields:
        made["space units"] = " ".join(re.findall(r'"[^"]*"|\S+', fields["space units"])[:3])
    return made


def _vector(word: str) -> NDArray[np.float64] | None:
    """Return the numbers in "(a,b,c,d)"; None for other words."""
    try:
        return np.array([float(v) for v in word.strip().strip("()").split(",")])
    except ValueError:
        return None
