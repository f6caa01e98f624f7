"""What the page says of an image before anyone points at it: range, percentiles, modality, display windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bedside.core.image import Image
from bedside.core.no_data import absent
from bedside.serve.messages import WindowPreset
from bedside.serve.voxels import stored_dtype

PERCENTILES = (0.5, 1.0, 2.0, 5.0, 25.0, 50.0, 75.0, 95.0, 98.0, 99.0, 99.5)
SAMPLES = 2**20
"""Samples that the statistics of a large image are taken from."""

CT_WINDOWS = (
    WindowPreset(name="CT abdomen", level=40, width=400),
    WindowPreset(name="CT lung", level=-600, width=1500),
    WindowPreset(name="CT mediastinum", level=50, width=350),
    WindowPreset(name="CT bone", level=400, width=1800),
    WindowPreset(name="CT brain", level=40, width=80),
)
"""Display windows in Hounsfield units that radiology rooms use, the one to begin with first."""
_AIR, _DENSEST = -900, 20_000


@dataclass(frozen=True)
class Facts:
    """What is known of an image's samples.

    Attributes:
        modality: As the file says, or guessed from the values.
        guessed: Whether it was guessed.
        low: Smallest sample.
        high: Largest sample.
        percentiles: Samples by percentile.
        window: Display window to begin with.
        presets: Display windows that suit.
        stored: Name of the dtype that it is sent in.
    """

    modality: str | None
    guessed: bool
    low: float
    high: float
    percentiles: dict[str, float]
    window: WindowPreset
    presets: list[WindowPreset]
    stored: str


def facts_of(image: Image) -> Facts:
    """Look at an image once; of a large one at some of its samples."""
    flat = image.array.reshape(-1)
    # An odd step, so that the samples do not all lie in the same columns.
    step = max(1, flat.size // SAMPLES) | 1
    some = flat[::step]
    missing = absent(some, image.no_data)
    some = (some if missing is None else some[~missing]).astype(np.float64)
    if some.size == 0:
        some = np.zeros(1)
    values = np.percentile(some, PERCENTILES)
    percentiles = {f"{p:g}": float(v) for p, v in zip(PERCENTILES, values, strict=True)}
    guessed = image.modality is None and _looks_like_ct(image, percentiles)
    modality = "CT" if guessed else image.modality
    presets = _presets(image, modality, percentiles, float(some.min()), float(some.max()))
    return Facts(
        modality,
        guessed,
        float(some.min()),
        float(some.max()),
        percentiles,
        presets[0],
        presets,
        stored_dtype(image.array).name,
    )


def _looks_like_ct(image: Image, percentiles: dict[str, float]) -> bool:
    """Return whether a volume has the air of a CT in it and nothing denser than metal."""
    return image.ndim == 3 and percentiles["2"] <= _AIR and 0 <= percentiles["99.5"] <= _DENSEST


def _presets(
    image: Image, modality: str | None, percentiles: dict[str, float], low: float, high: float
) -> list[WindowPreset]:
    if image.array.dtype == np.uint8 and image.ndim == 2:
        return [WindowPreset(name="as it is", level=127.5, width=255)]
    shares = [
        _between("percentiles 1 to 99", percentiles["1"], percentiles["99"]),
        _between("percentiles 0.5 to 99.5", percentiles["0.5"], percentiles["99.5"]),
        _between("full range", low, high),
    ]
    # A window of the file's own, as DICOM has it, is what the modality's operator chose.
    own = image.metadata.get("window")
    written = [WindowPreset(name="of the file", level=own[0], width=own[1])] if own and own[1] > 0 else []
    if modality == "CT":
        return [CT_WINDOWS[0], *written, *CT_WINDOWS[1:], shares[-1]]
    return [*written, *shares]


def _between(name: str, low: float, high: float) -> WindowPreset:
    return WindowPreset(name=name, level=(low + high) / 2, width=max(high - low, 1e-6))
