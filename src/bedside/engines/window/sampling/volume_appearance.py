"""Random appearance of windows of volumes: contrast, inversion, bias field, blur, thick slices, noise."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bedside.engines.window.sampling import appearance
from bedside.engines.window.sampling.appearance import smooth_field
from bedside.engines.window.sampling.packed_table import Arrays, Table
from bedside.engines.window.sampling.plane_appearance import FIELD_KNOTS, NOISE
from bedside.engines.window.sampling.separable import along_axes, slice_matrices
from bedside.engines.window.sampling.volume_windows import AXES
from bedside.train.hashing import Draws

THICK_CHANCE = 0.2
"""Of windows that are shown in thick slices."""
LARGEST_BLUR = 1.3
THICKEST = 6
"""Cells that a slice is thick at most."""
SOFT = 0.8
"""Standard deviation of the Gaussian of soft noise, in cells."""


def draw_volume_appearance(draws: Draws, anisotropy: float = 1.0) -> Arrays:
    """Return how the appearance of samples changes.

    Args:
        draws: Draws of the samples.
        anisotropy: How often slices are thick, in parts of ``THICK_CHANCE``.

    Returns:
        Rows are int64 numbers of samples; what follows rows has one entry for each.

        ranks: float32 (samples, 2), quantiles that become 0 and 1.
        sign: float32 (samples, 2), factor and summand that invert or do not.
        gamma: float32 (samples,).
        curved: Rows; curve: float32 (curved, 6).
        shaded: Rows; shade: float32 (shaded, 1, 4, 4, 4).
        thick: Rows; thickness: int64 (thick, 3), of slices across each axis in cells.
        blurred: Rows; sigma: float32 (blurred,).
        noisy: Rows; strength: float32 (noisy,); speckle: bool (noisy,); soft: which of ``noisy`` have smooth noise.
    """
    odd, low, high = draws.chance(0.15), draws.uniform(0.0, 0.2), draws.uniform(0.8, 1.0)
    ranks = np.stack([np.where(odd, low, 0.005), np.where(odd, high, 0.995)], axis=1)
    inverted = draws.chance(0.2)
    gamma = np.where(draws.chance(0.5), np.exp(draws.uniform(-0.6, 0.6)), 1.0)
    curved, shaded = np.flatnonzero(draws.chance(0.08)), np.flatnonzero(draws.chance(0.2))
    sliced, soft_edged = draws.chance(THICK_CHANCE * anisotropy), draws.chance(0.2)
    thick, blurred = np.flatnonzero(sliced), np.flatnonzero(~sliced & soft_edged)
    axis, layers, sigma = draws.below(AXES), 2 + draws.below(THICKEST - 1), draws.uniform(0.4, LARGEST_BLUR)
    thickness = np.where(np.arange(AXES) == axis[:, None], layers[:, None], 1)
    noisy = np.flatnonzero(draws.chance(0.25))
    strength, speckle, soft = draws.uniform(0.0, 0.12), draws.chance(0.4), draws.chance(0.3)
    curve = draws.uniforms(appearance.CURVE_KNOTS)
    shade = draws.rows(shaded).uniforms(FIELD_KNOTS**AXES, -0.4, 0.4)
    return {
        "ranks": ranks.astype(np.float32),
        "sign": np.where(inverted[:, None], [-1.0, 1.0], [1.0, 0.0]).astype(np.float32),
        "gamma": gamma.astype(np.float32),
        "curved": curved,
        "curve": curve[curved].astype(np.float32),
        "shaded": shaded,
        "shade": shade.reshape(-1, 1, *(FIELD_KNOTS,) * AXES).astype(np.float32),
        "thick": thick,
        "thickness": thickness[thick],
        "blurred": blurred,
        "sigma": sigma[blurred].astype(np.float32),
        "noisy": noisy,
        "strength": strength[noisy].astype(np.float32),
        "speckle": speckle[noisy],
        "soft": np.flatnonzero(soft[noisy]),
    }


def change_volumes(image: Tensor, table: Table) -> Tensor:
    """Return windows with their appearance changed.

    Args:
        image: float32 (batch, 1, grid, grid, grid), any range.
        table: As ``draw_volume_appearance`` gives it, with "key".

    Returns:
        float32 of the same shape, roughly 0 to 1.
    """
    grid = image.shape[-1]
    image = appearance.stretch(image, table["ranks"])
    factor, summand = (table["sign"][:, n, None, None, None, None] for n in (0, 1))
    image = (image * factor + summand) ** table["gamma"][:, None, None, None, None]
    if len(rows := table["curved"]):
        image.index_copy_(0, rows, appearance.apply_curve(image[rows], table["curve"]))
    if len(rows := table["shaded"]):
        image.index_copy_(0, rows, image[rows] * (1 + smooth_field(table["shade"], grid)))
    if len(rows := table["thick"]):
        matrices = slice_matrices(grid, THICKEST, image.device)[table["thickness"] - 1]
        image.index_copy_(0, rows, along_axes(image[rows, 0], matrices)[:, None])
    if len(rows := table["blurred"]):
        image.index_copy_(0, rows, appearance.blur(image[rows], table["sigma"], "replicate", round(2 * LARGEST_BLUR)))
    if len(rows := table["noisy"]):
        noise = _noise(table["key"][rows], grid, table["soft"])
        image.index_copy_(0, rows, appearance.add_noise(image[rows], noise, table["strength"], table["speckle"]))
    return image


def _noise(keys: Tensor, grid: int, soft: Tensor) -> Tensor:
    """Return noise (rows, 1, grid, grid, grid), white but where ``soft`` says otherwise."""
    noise = appearance.white_noise(keys, NOISE, (1, *(grid,) * AXES))
    if len(soft):
        sigma = torch.full((len(soft),), SOFT, device=noise.device)
        noise.index_copy_(0, soft, 2 * appearance.blur(noise[soft], sigma, "replicate", round(2 * SOFT)))
    return noise
