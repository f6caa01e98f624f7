"""One slice or picture of a DICOM file: where its samples are stored, where it lies, and what it belongs to."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import FormatError


@dataclass(frozen=True)
class Storage:
    """How the samples of a file are stored.

    Attributes:
        path: The file.
        frames: Frames in it.
        shape: (rows, columns).
        syntax: UID of the transfer syntax; "" where the file does not say.
        offset: First byte of the samples; -1 where they are compressed or have to be decoded by a library.
        bits: Bits that a sample takes in the file.
        stored: Bits of them that are used; others may hold overlays, and are no part of the sample.
        below: Bits below those that are used, by HighBit; 0 as the standard asks today.
        signed: Whether samples are signed.
        inverted: Whether the smallest sample is white.
        problem: Why its samples cannot be read, where the header alone shows that; it then counts as one frame.
    """

    path: Path
    frames: int
    shape: tuple[int, int]
    syntax: str = ""
    offset: int = -1
    bits: int = 16
    stored: int = 16
    below: int = 0
    signed: bool = False
    inverted: bool = False
    problem: FormatError | None = None

    @property
    def plain(self) -> bool:
        """Whether the samples can be taken from the file as they are."""
        return self.offset >= 0


@dataclass(frozen=True, eq=False)
class Frame:
    """One slice or picture.

    Attributes:
        storage: Its file.
        index: Its place in a multi-frame file, 0 otherwise.
        uid: SOPInstanceUID; "" where the file has none.
        number: InstanceNumber of a file of one frame; None where the file does not say.
        shape: (rows, columns).
        colour: Whether a sample has three channels.
        localizer: Whether the file calls it one.
        position: Centre of its first sample, LPS mm, (3,); None where the file does not say.
        digits: What the last written digit of each coordinate of the position is worth, mm, (3,).
        orientation: Directions along a row and along a column, (2, 3); None where the file does not say.
        pixel_spacing: mm between rows and between columns; None where unknown.
        thickness: mm between slices, as the file claims; None where it does not.
        slope: Rescale slope.
        intercept: Rescale intercept.
        padding: Lowest and highest stored sample that is no measurement; None where none is declared.
        attributes: What may tell apart volumes that share positions, by keyword.
    """

    storage: Storage
    index: int
    uid: str
    number: int | None
    shape: tuple[int, int]
    colour: bool
    localizer: bool
    position: NDArray[np.float64] | None
    digits: NDArray[np.float64]
    orientation: NDArray[np.float64] | None
    pixel_spacing: tuple[float, float] | None
    thickness: float | None
    slope: float
    intercept: float
    padding: tuple[float, float] | None = None
    attributes: Mapping[str, Hashable] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Its file."""
        return self.storage.path

    @property
    def name(self) -> str:
        """File name, with the frame's number in a multi-frame file."""
        return f"{self.path.name}[{self.index}]" if self.storage.frames > 1 else self.path.name
