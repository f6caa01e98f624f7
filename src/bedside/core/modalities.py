"""The eleven modalities of the laptop challenge."""

from __future__ import annotations

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
