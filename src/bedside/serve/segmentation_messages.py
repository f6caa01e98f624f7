"""Messages of segmentations that are opened onto an image."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bedside.serve.message import Message


class SegmentationRequest(Message):
    """Open a segmentation by its path on this machine; ``prior`` is the other image that it was drawn on, if any.

    Attributes:
        prior_series: Which DICOM series of ``prior``, where there are several.
        prior_volume: Which volume of ``prior``, where there are several.
    """

    path: Annotated[str, Field(min_length=1, max_length=4096)]
    prior: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    prior_series: Annotated[str, Field(max_length=200)] | None = None
    prior_volume: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
