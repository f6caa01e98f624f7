"""MCP-MedSAM: with every box go what it holds, as a small crop and as a frozen CLIP sees it, and the modality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.modality import MODALITIES, modality_in
from bedside.engines.sam.content import CLIP_SIDE, CROP_SIDE, content_crop, crop_input
from bedside.engines.sam.system import Corners, System, View
from bedside.runtime.backend import Graph

SYSTEM = System("mcp-medsam", side=256, first_slice=False, last_slice=False)


class ContentPrompter:
    """Content and modality of boxes.

    Args:
        tower: The frozen CLIP's image encoder: ``crops`` (1, 3, 224, 224), 0 to 1, to ``image_features`` (1, 512).
    """

    def __init__(self, tower: Graph) -> None:
        self._tower = tower

    def __call__(self, view: View, corners: Corners, on_grid: Corners) -> Mapping[str, NDArray[Any]]:
        """Return further inputs of the decoder for one box.

        Raises:
            InputError: The image does not say its modality.
        """
        del on_grid
        modality = modality_in(view.modality)
        if modality is None:
            raise InputError(
                f"modality of an image for '{SYSTEM.name}'",
                expected=f"one of {', '.join(MODALITIES)}",
                got=view.modality or "none",
                fix="read it from DICOM, or from a challenge file whose name begins with it",
            )
        crop = content_crop(view.colours, corners)
        features = self._tower.run({"crops": crop_input(crop, CLIP_SIDE)})["image_features"]
        return {
            "crops": crop_input(crop, CROP_SIDE),
            "image_features": features,
            "modality": np.array([MODALITIES.index(modality)], dtype=np.int64),
        }
