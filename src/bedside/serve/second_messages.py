"""Messages of a second image beside an open one."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bedside.serve.message import Message
from bedside.serve.messages import WindowPreset


class SecondRequest(Message):
    """Link a second image of the patient, by its path on this machine.

    Attributes:
        path: A file, a folder of DICOM files, or a zip of either.
        series: Which DICOM series, where there are several.
        volume: Which volume, where there are several, from 0.
        register: Whether to find by rigid registration how the patient moved, rather than to take the files' places.
    """

    path: Annotated[str, Field(min_length=1, max_length=4096)]
    series: Annotated[str, Field(max_length=200)] | None = None
    volume: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    register_: Annotated[bool, Field(alias="register")] = False


class SecondInfo(Message):
    """The second image of an open one.

    Attributes:
        shape: Array order (z, y, x), on its own grid.
        spacing: mm, (x, y, z).
        origin: LPS mm, as it lies in the world of the first image.
        direction: Rows of the matrix whose columns are the axes x, y, z, LPS, in the world of the first image.
        modality: As its file says, or "CT" where the values leave no doubt.
        stored_dtype: Stored dtype of ``/second/image.nii``.
        range: Smallest and largest value (sampled in large volumes).
        percentiles: Values by percentile, as in ``ImageInfo``.
        window: Display window to begin with.
        presets: Display windows that suit the modality.
        shift: By how much registration moved it, mm; None where the files' places were taken.
        turn: By how much registration turned it, degrees; None where the files' places were taken.
        overlap: Part of the first image that it covers, 0 to 1.
        notes: What to know of how it was read and where it lies.
    """

    name: str
    path: str
    shape: list[int]
    spacing: list[float]
    origin: list[float]
    direction: list[list[float]]
    modality: str | None
    stored_dtype: str
    range: list[float]
    percentiles: dict[str, float]
    window: WindowPreset
    presets: list[WindowPreset]
    shift: float | None
    turn: float | None
    overlap: float
    notes: list[str]
