"""MedSAM: stretched to 1024 by a cubic kernel, and probabilities brought back to the image's size.

It was published for single images. Through volumes it is followed here as the baseline is.
"""

from __future__ import annotations

from bedside.engines.sam.system import System

SYSTEM = System(
    "medsam", side=1024, framing="stretch", kernel="cubic", whole_boxes=False, probabilities=True, follow="image"
)
