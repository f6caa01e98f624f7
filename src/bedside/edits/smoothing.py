"""Smoothing of a mask's border."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from bedside.edits import EDITS, Edit, Mask, Value


def smooth(mask: Mask, spacing: tuple[float, ...], width: float) -> Mask:
    """Return the mask blurred by a Gaussian of standard deviation ``width`` mm and cut at one half.

    Borders stay where they are flat; what is thinner than about two widths goes.
    """
    sigma = [width / s for s in spacing]
    return np.asarray(ndimage.gaussian_filter(mask.astype(np.float32), sigma, mode="constant") >= 0.5)


EDITS.register("smooth")(
    Edit(
        "Smooth",
        "Smooth the border; what is thinner than about twice this width goes.",
        smooth,
        Value("mm", 1.0, 0.05, 50.0),
        grows=lambda width: width,
        goes_on=True,
    )
)
