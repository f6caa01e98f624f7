"""DAFT: sees as the baseline does, with a network for each group of modalities."""

from __future__ import annotations

from bedside.core.modality import modality_in
from bedside.engines.sam.system import System

SYSTEM = System("daft", side=256, last_slice=False, wide_map=True)
GENERAL = "daft"
"""Stem of the weights' files of the network that serves all other modalities."""
BASELINE = "lite-medsam"
"""What the submission used for ultrasound, and for whatever modality it did not know."""
_EXPERTS = {
    "CT": ("daft-ct", "daft-3d"),
    "MR": ("daft-3d",),
    "PET": ("daft-3d",),
    "X-Ray": ("daft-x-ray",),
    "US": ("daft-us", BASELINE),
    "Fundus": ("daft-fundus",),
    "Endoscopy": ("daft-endoscopy",),
    "Dermoscopy": ("daft-dermoscopy",),
    "Microscopy": ("daft-microscopy",),
    "OCT": ("daft-oct",),
    "Mammography": ("daft-mammography",),
}


def all_experts() -> tuple[str, ...]:
    """Return weights of all networks that may predict in place of the general one."""
    return tuple(dict.fromkeys(stem for stems in _EXPERTS.values() for stem in stems))


def experts(modality: str | None) -> tuple[str, ...]:
    """Return weights that are to predict images of a modality, the best first; the first that is installed is used."""
    return (*_EXPERTS.get(modality_in(modality) or "", (BASELINE,)), GENERAL)
