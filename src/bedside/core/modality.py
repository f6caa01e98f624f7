"""Names of modalities: the eleven of the laptop challenge, and what images call themselves."""

from __future__ import annotations

import re

MODALITIES = (
    "CT",
    "MR",
    "Endoscopy",
    "X-Ray",
    "PET",
    "Dermoscopy",
    "Mammography",
    "US",
    "OCT",
    "Fundus",
    "Microscopy",
)
"""Their names, in the order of MCP-MedSAM's numbers."""

_ALSO = {
    **dict.fromkeys(("CR", "DX", "RF", "XA", "XRAY", "CXR", "XR"), "X-Ray"),
    **{"MRI": "MR", "PT": "PET", "MG": "Mammography", "MAMMO": "Mammography", "IVUS": "US", "ULTRASOUND": "US"},
    **{"OPT": "OCT", "OP": "Fundus", "ES": "Endoscopy", "DMS": "Dermoscopy", "SM": "Microscopy", "GM": "Microscopy"},
}
_TISSUE = {"histology": "Microscopy"}
"""Further words of descriptions, that no name of a modality is made of."""
_KNOWN = {name.upper(): name for name in MODALITIES} | _ALSO


def challenge_modality(name: str | None) -> str | None:
    """Return the challenge's name of a modality, from its own, from DICOM's or from a common one; None where it has
    none.
    """
    return _KNOWN.get(name.strip().upper()) if name else None


def modality_in(text: str | None) -> str | None:
    """Return the challenge's name of a modality that a free text begins or goes on with, as in "MR T1 (slice)"; else
    None.
    """
    for word in re.findall(r"[A-Za-z-]+", text or ""):
        found = challenge_modality(word) or _TISSUE.get(word.lower())
        if found is not None:
            return found
    return None
