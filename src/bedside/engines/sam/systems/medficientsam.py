"""MedficientSAM in three sizes: longest side to 512, tight boxes from slice to slice.

Two inferences of the same weights are public. What was submitted, in C++, hands boxes over as proportions of the image;
the Python scripts cut them to whole cells of the grid of 512, whose centres the network then takes. The first resizes
bytes by OpenCV, the second by torch.
"""

from __future__ import annotations

from dataclasses import replace

from bedside.engines.sam.system import System


def _system(name: str) -> System:
    submitted = System(
        name,
        side=512,
        kernel="linear",
        whole_boxes=False,
        half_pixel=False,
        answer_side=512,
        follow="image",
        margin=0.0,
        last_slice=False,
        middle_within=True,
    )
    return replace(submitted, second=replace(submitted, kernel="linear-torch", whole_boxes=True, half_pixel=True))


SYSTEMS = tuple(_system(name) for name in ("medficientsam-l0", "medficientsam-l1", "medficientsam-l2"))
