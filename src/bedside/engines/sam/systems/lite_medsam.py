"""LiteMedSAM, the baseline: longest side to 256 by areas, whole boxes, three pixels more from slice to slice."""

from __future__ import annotations

from bedside.engines.sam.system import System

SYSTEM = System("lite-medsam", side=256)
