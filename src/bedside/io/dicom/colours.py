"""Colours between "#rrggbb" (sRGB) and DICOM's CIELab values: PS3.3 C.10.7.1.1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# IEC 61966-2-1 primaries, adapted to the D50 white of ICC's connection space (Bradford).
_TO_XYZ = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
_WHITE = np.array([0.9642, 1.0, 0.8249])
_EPSILON = 6 / 29
_RANGE = np.array([100.0, 255.0, 255.0])
_SHIFT = np.array([0.0, 128.0, 128.0])
_STEPS = 65535

PALETTE = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#46f0f0", "#f032e6", "#d2f53c", "#fabebe", "#008080")
"""Colours for segments without one, in this order and again from the start."""


def rgb_of(colour: str) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255, of "#rrggbb"."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def colour_of(rgb: tuple[int, int, int]) -> str:
    """Return "#rrggbb" of red, green and blue, 0 to 255."""
    return "#" + "".join(f"{min(255, max(0, int(v))):02x}" for v in rgb)


def cielab_of(colour: str) -> list[int]:
    """The three values, 0 to 65535, that Recommended Display CIELab Value holds for "#rrggbb"."""
    rgb = np.array(rgb_of(colour)) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    f = _forward(_TO_XYZ @ linear / _WHITE)
    lab = np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])
    return [int(v) for v in np.clip(np.rint((lab + _SHIFT) / _RANGE * _STEPS), 0, _STEPS)]


def colour_of_cielab(values: list[int]) -> str:
    """Return "#rrggbb", the nearest in sRGB, of three values 0 to 65535 of Recommended Display CIELab Value."""
    lightness, a, b = np.array(values, dtype=np.float64) / _STEPS * _RANGE - _SHIFT
    y = (lightness + 16) / 116
    f = np.array([y + a / 500, y, y - b / 200])
    linear = np.clip(np.linalg.inv(_TO_XYZ) @ (_backward(f) * _WHITE), 0, 1)
    rgb = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    red, green, blue = (int(v) for v in np.rint(rgb * 255))
    return colour_of((red, green, blue))


def _forward(ratio: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(ratio > _EPSILON**3, np.cbrt(ratio), ratio / (3 * _EPSILON**2) + 4 / 29)


def _backward(f: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(f > _EPSILON, f**3, 3 * _EPSILON**2 * (f - 4 / 29))
