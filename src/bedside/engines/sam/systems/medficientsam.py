"""MedficientSAM in three sizes: longest side to 512, boxes as proportions, tight boxes from slice to slice."""

from __future__ import annotations

from bedside.engines.sam.system import System

SYSTEMS = tuple(
    System(
        name,
        side=512,
        kernel="linear",
        whole_boxes=False,
        half_pixel=False,
        answer_side=512,
        follow="image",
        margin=0.0,
        last_slice=False,
    )
    for name in ("medficientsam-l0", "medficientsam-l1", "medficientsam-l2")
)
