"""Rep-MedSAM: sees and follows as the baseline does, with both ends of a box predicted."""

from __future__ import annotations

from bedside.engines.sam.system import System

SYSTEM = System("rep-medsam", side=256)
