"""Randomness without state: what is drawn depends on a key and a counter alone.

Parameters of samples are drawn with NumPy by (seed, sample number, slot); noise is drawn on the device by (key of the
sample, cell). Whole numbers decide, so that every device gives the same stream up to the rounding of the last step.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

GOLDEN = 0x9E3779B97F4A7C15
"""2^64 divided by the golden ratio, the step of SplitMix64 (Steele et al., OOPSLA 2014)."""


class Draws:
    """Independent uniform numbers for many samples at once.

    Each call of a method takes the next slots, so that the order of the calls is part of the stream.

    Args:
        seed: Seed of the run.
        numbers: int64 (samples,), the samples' numbers.
        salt: Tells streams of one seed apart.
    """

    def __init__(self, seed: int, numbers: NDArray[np.int64], salt: int = 0) -> None:
        with np.errstate(over="ignore"):
            key = _mix(np.array([seed], dtype=np.uint64) * np.uint64(GOLDEN) + np.uint64(salt))
            self._keys = _mix(numbers.astype(np.uint64) * np.uint64(GOLDEN) + key)
        self._slot = 0

    def rows(self, chosen: NDArray[np.int64]) -> Draws:
        """Draw for some of the samples, on slots that no other call takes."""
        part = Draws.__new__(Draws)
        part._keys, part._slot = _mix(self._keys[chosen] ^ np.uint64(GOLDEN)), self._slot
        return part

    def bits(self, count: int = 1) -> NDArray[np.uint64]:
        """Return (samples, count) of 64 random bits each."""
        slots = np.arange(self._slot + 1, self._slot + 1 + count, dtype=np.uint64)
        self._slot += count
        with np.errstate(over="ignore"):
            return _mix(self._keys[:, None] + slots * np.uint64(GOLDEN))

    def uniform(self, low: float = 0.0, high: float = 1.0) -> NDArray[np.float64]:
        """Return (samples,), at least ``low`` and below ``high``."""
        return self.uniforms(1, low, high)[:, 0]

    def uniforms(self, count: int, low: float = 0.0, high: float = 1.0) -> NDArray[np.float64]:
        """Return (samples, count)."""
        unit = (self.bits(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return low + unit * (high - low)

    def below(self, limits: NDArray[np.int64] | int) -> NDArray[np.int64]:
        """Map (samples,) whole numbers from 0 to below ``limits``, which are at least 1."""
        return (self.uniform() * limits).astype(np.int64)

    def chance(self, probability: float) -> NDArray[np.bool_]:
        """Return (samples,), True with ``probability``."""
        result: NDArray[np.bool_] = self.uniform() < probability
        return result

    def normals(self, count: int) -> NDArray[np.float64]:
        """Return (samples, count) of the standard normal distribution."""
        half = (count + 1) // 2
        # 1 - u is above 0, which the logarithm needs.
        radius = np.sqrt(-2 * np.log(1 - self.uniforms(half)))
        angle = 2 * np.pi * self.uniforms(half)
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)[:, :count]


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the finaliser of SplitMix64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def cell_bits(keys: Tensor, stream: int, count: int) -> Tensor:
    """Return 31 random bits for each of ``count`` cells of every sample.

    Args:
        keys: int64 (batch,), one key a sample, 0 or more.
        stream: Tells uses of one key apart.
        count: Cells.

    Returns:
        int32 (batch, count), 0 or more.
    """
    low = _mix32(((keys & 0xFFFFFFFF) + 0x632BE5AB * (stream + 1)).to(torch.int32))
    # Inverted, because a key of 32 bits would meet itself in the first cell.
    high = _mix32((keys >> 32).to(torch.int32) ^ ~low)
    cells = torch.arange(count, dtype=torch.int32, device=keys.device) * -1640531535
    return _mix32(_mix32(cells + low[:, None]) ^ high[:, None]) & 0x7FFFFFFF


def _mix32(values: Tensor) -> Tensor:
    """Return a bijection of 32 bits in which every bit depends on every other, after MurmurHash3's (Appleby, 2011)."""
    values = values ^ ((values >> 16) & 0xFFFF)
    values = values * -2048144789
    values = values ^ ((values >> 13) & 0x7FFFF)
    values = values * -1028477387
    return values ^ ((values >> 16) & 0xFFFF)


def uniform_cells(keys: Tensor, stream: int, count: int) -> Tensor:
    """Return float32 (batch, count), uniform, above 0 and below 1; arguments as for ``cell_bits``."""
    return ((cell_bits(keys, stream, count) >> 8).float() + 0.5) * 2.0**-23


def normal_cells(keys: Tensor, stream: int, count: int) -> Tensor:
    """Return float32 (batch, count) of the standard normal distribution; arguments as for ``cell_bits``."""
    half = (count + 1) // 2
    uniform = uniform_cells(keys, stream, 2 * half)
    radius = (-2 * uniform[:, :half].log()).sqrt()
    angle = 2 * math.pi * uniform[:, half:]
    return torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)[:, :count]
