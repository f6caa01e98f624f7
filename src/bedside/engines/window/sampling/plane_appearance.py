"""Random appearance of windows of images: contrast, colours, inversion, shading, blur, coarseness, noise."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bedside.engines.window.sampling import appearance
from bedside.engines.window.sampling.appearance import smooth_field
from bedside.engines.window.sampling.packed_table import Arrays, Table
from bedside.train.hashing import Draws

LARGEST_BLUR = 1.6
FIELD_KNOTS = 4
SMALLEST_GRID = 8
NOISE = 20
"""Stream of noise."""


def draw_plane_appearance(colour: NDArray[np.bool_], draws: Draws) -> Arrays:
    """Return how the appearance of samples changes.

    Args:
        colour: bool (samples,), whether their channels differ.
        draws: Draws of the samples.

    Returns:
        Rows are int64 numbers of samples; what follows rows has one entry for each.

        ranks: float32 (samples, 2), quantiles that become 0 and 1.
        mixed: Rows whose colours change; mixing: float32 (mixed, 3, 4), a matrix and a shift; saturation: float32
            (mixed,), spread of the colours about their mean.
        sign: float32 (samples, 2), factor and summand that invert or do not.
        gamma: float32 (samples,).
        curved: Rows; curve: float32 (curved, 6).
        shaded: Rows; shade: float32 (shaded, 1, 4, 4).
        blurred: Rows; sigma: float32 (blurred,).
        coarsened: Rows; factor: float32 (coarsened,).
        noisy: Rows; strength: float32 (noisy,); speckle: bool (noisy,); coloured: bool (noisy,).
    """
    count = len(colour)
    odd, low, high = draws.chance(0.15), draws.uniform(0.0, 0.2), draws.uniform(0.8, 1.0)
    ranks = np.stack([np.where(odd, low, 0.005), np.where(odd, high, 0.995)], axis=1)
    mixed, mixing, saturation = _draw_colours(colour, draws)
    inverted = draws.chance(0.15)
    gamma = np.where(draws.chance(0.5), np.exp(draws.uniform(-0.6, 0.6)), 1.0)
    curved, shaded = np.flatnonzero(draws.chance(0.06)), np.flatnonzero(draws.chance(0.15))
    blurred, sigma = np.flatnonzero(draws.chance(0.15)), draws.uniform(0.4, LARGEST_BLUR)
    coarsened, factor = np.flatnonzero(draws.chance(0.1)), draws.uniform(1.5, 4.0)
    noisy, strength, speckle = np.flatnonzero(draws.chance(0.25)), draws.uniform(0.0, 0.1), draws.chance(0.4)
    curve, shade = draws.uniforms(appearance.CURVE_KNOTS), draws.uniforms(FIELD_KNOTS**2, -0.4, 0.4)
    return {
        "ranks": ranks.astype(np.float32),
        "mixed": mixed,
        "mixing": mixing,
        "saturation": saturation,
        "sign": np.where(inverted[:, None], [-1.0, 1.0], [1.0, 0.0]).astype(np.float32),
        "gamma": gamma.astype(np.float32),
        "curved": curved,
        "curve": curve[curved].astype(np.float32),
        "shaded": shaded,
        "shade": shade[shaded].reshape(-1, 1, FIELD_KNOTS, FIELD_KNOTS).astype(np.float32),
        "blurred": blurred,
        "sigma": sigma[blurred].astype(np.float32),
        "coarsened": coarsened,
        "factor": factor[coarsened].astype(np.float32),
        "noisy": noisy,
        "strength": strength[noisy].astype(np.float32),
        "speckle": speckle[noisy],
        "coloured": colour[noisy] if count else np.zeros(0, dtype=np.bool_),
    }


def _draw_colours(
    colour: NDArray[np.bool_], draws: Draws
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    """Return rows in colour, and of each a matrix with a shift, and a saturation."""
    grey, permuted, gained, faded = (draws.chance(p) for p in (0.2, 0.15, 0.6, 0.3))
    # Exponential variables divided by their sum are uniform on the triangle.
    shares = -np.log(1 - draws.uniforms(3))
    shares /= shares.sum(axis=1, keepdims=True)
    order = draws.uniforms(3).argsort(axis=1)
    gain, shift, saturation = draws.uniforms(3, 0.7, 1.3), draws.uniforms(3, -0.1, 0.1), draws.uniform(0.2, 1.8)
    rows = np.flatnonzero(colour)
    matrix = np.eye(3)[np.where(permuted[rows, None], order[rows], np.arange(3))]
    change = (gained & ~grey)[rows, None]
    matrix = matrix * np.where(change, gain[rows], 1.0)[:, :, None]
    matrix = np.where(grey[rows, None, None], shares[rows, None, :], matrix)
    moved = np.where(change, shift[rows], 0.0)
    mixing = np.concatenate([matrix, moved[:, :, None]], axis=2).astype(np.float32)
    kept = np.where((faded & ~grey)[rows], saturation[rows], 1.0).astype(np.float32)
    return rows, mixing, kept


def change_planes(image: Tensor, table: Table) -> Tensor:
    """Return windows with their appearance changed.

    Args:
        image: float32 (batch, 3, grid, grid), any range; changed in place where that is possible.
        table: As ``draw_plane_appearance`` gives it, with "key".

    Returns:
        float32 of the same shape, roughly 0 to 1.
    """
    grid = image.shape[-1]
    image = appearance.stretch(image, table["ranks"])
    if len(rows := table["mixed"]):
        mixed = torch.einsum("bij,bjyx->biyx", table["mixing"][:, :, :3], image[rows]) + table["mixing"][:, :, 3:, None]
        mean = mixed.mean(dim=1, keepdim=True)
        mixed = mean + (mixed - mean) * table["saturation"][:, None, None, None]
        image.index_copy_(0, rows, mixed.clamp(0, 1))
    factor, summand = (table["sign"][:, n, None, None, None] for n in (0, 1))
    image = (image * factor + summand) ** table["gamma"][:, None, None, None]
    if len(rows := table["curved"]):
        image.index_copy_(0, rows, appearance.apply_curve(image[rows], table["curve"]))
    if len(rows := table["shaded"]):
        image.index_copy_(0, rows, image[rows] * (1 + smooth_field(table["shade"], grid)))
    if len(rows := table["blurred"]):
        image.index_copy_(0, rows, appearance.blur(image[rows], table["sigma"], "reflect", round(2 * LARGEST_BLUR)))
    if len(rows := table["coarsened"]):
        matrix = appearance.coarsening(table["factor"], grid, SMALLEST_GRID)[:, None]
        image.index_copy_(0, rows, matrix @ image[rows] @ matrix.transpose(2, 3))
    if len(rows := table["noisy"]):
        noise = appearance.white_noise(table["key"][rows], NOISE, (3, grid, grid))
        # Grey images keep equal channels.
        noise = torch.where(table["coloured"][:, None, None, None], noise, noise[:, :1])
        image.index_copy_(0, rows, appearance.add_noise(image[rows], noise, table["strength"], table["speckle"]))
    return image
