"""GrabCut without the graph cut: colour models of object and background, refined in turns, smoothed in space."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit, logsumexp

from bedside.evaluate.baselines import BASELINES
from bedside.evaluate.baselines.window import BACKGROUND, FOREGROUND, UNKNOWN, Grid, WindowBaseline

COMPONENTS = 3
ROUNDS = 5
SMOOTHING = 1.5
"""Width of the Gaussian that stands for the graph cut's smoothness, in samples of the grid."""
MOST_EVIDENCE = 2.0
"""Bound of what one sample's colour adds to the logits, so that it cannot drown its neighbours."""
CLICK_REACH = 6.0
"""Distance in samples over which a click speaks for its neighbourhood."""
NEIGHBOURHOOD = 0.15
"""Radius around a first click, in sides of the window, whose colours are taken for the object's."""
LEAST_VARIANCE = 2e-3

Mixture = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""Weights (k), means (k, channels) and variances (k, channels)."""


@BASELINES.register("colour-models")
class ColourModelsBaseline(WindowBaseline):
    """Two Gaussian mixtures as in GrabCut (Rother et al., 2004), with a Gaussian filter in place of the graph cut."""

    name = "colour-models"

    def probability(self, grid: Grid) -> NDArray[np.floating[Any]]:
        """Return posterior of the object's colour model against the background's, never outside the box."""
        values = grid.samples.reshape(-1, grid.samples.shape[-1]).astype(np.float64)
        free = (grid.seeds == UNKNOWN) & ~grid.clicked
        pull = _pull_of_clicks(grid)
        inside = _first_guess(grid)
        logits = np.zeros(grid.seeds.shape)
        for _ in range(ROUNDS):
            object_colours, rest_colours = values[inside.ravel()], values[~inside.ravel()]
            if len(object_colours) < COMPONENTS or len(rest_colours) < COMPONENTS:
                break
            difference = _log_density(values, _fit(object_colours)) - _log_density(values, _fit(rest_colours))
            logits = (
                ndimage.gaussian_filter(
                    np.clip(difference, -MOST_EVIDENCE, MOST_EVIDENCE).reshape(inside.shape), SMOOTHING
                )
                + pull
            )
            inside = np.where(free, logits > 0, inside)
        return np.where(free, expit(logits), inside.astype(np.float64))


def _first_guess(grid: Grid) -> NDArray[np.bool_]:
    """Return all that the box leaves open, or the neighbourhood of positive clicks where there is no box."""
    guess: NDArray[np.bool_] = grid.seeds != BACKGROUND
    if not grid.boxed:
        positive = (grid.seeds == FOREGROUND) & grid.clicked
        guess &= ndimage.distance_transform_edt(~positive) <= NEIGHBOURHOOD * max(grid.seeds.shape)
    return guess


def _pull_of_clicks(grid: Grid) -> NDArray[np.float64]:
    """Return what clicks add to the logits around them."""
    pull = np.zeros(grid.seeds.shape)
    for value, sign in ((FOREGROUND, 1.0), (BACKGROUND, -1.0)):
        here = grid.clicked & (grid.seeds == value)
        if here.any():
            distance = ndimage.distance_transform_edt(~here)
            pull += sign * 6.0 * np.exp(-0.5 * np.square(distance / CLICK_REACH))
    return pull


def _fit(values: NDArray[np.float64]) -> Mixture:
    """Return a mixture with diagonal variances: a few steps of k-means from evenly spaced quantiles of brightness."""
    order = np.argsort(values.mean(axis=1), kind="stable")
    groups = np.empty(len(values), dtype=int)
    groups[order] = np.arange(len(values)) * COMPONENTS // len(values)
    for _ in range(4):
        means = np.stack([values[groups == k].mean(axis=0) for k in np.unique(groups)])
        groups = np.argmin(np.square(values[:, None] - means).sum(axis=2), axis=1)
    kept = np.unique(groups)
    weights = np.array([np.mean(groups == k) for k in kept])
    means = np.stack([values[groups == k].mean(axis=0) for k in kept])
    variances = np.stack([values[groups == k].var(axis=0) for k in kept]) + LEAST_VARIANCE
    return weights, means, variances


def _log_density(values: NDArray[np.float64], mixture: Mixture) -> NDArray[np.float64]:
    weights, means, variances = mixture
    distance = (np.square(values[:, None] - means) / variances).sum(axis=2)
    terms = np.log(weights) - 0.5 * (distance + np.log(variances).sum(axis=1))
    result: NDArray[np.float64] = logsumexp(terms, axis=1)
    return result
