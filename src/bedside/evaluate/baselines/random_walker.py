"""Random walks between seeds (Grady, 2006), by scikit-image: the interactive tool that many programs have."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import DependencyError
from bedside.core.region import mask_region
from bedside.evaluate.baselines import BASELINES
from bedside.evaluate.baselines.window import BACKGROUND, FOREGROUND, UNKNOWN, Grid, WindowBaseline

EDGE_WEIGHT = 130.0
"""scikit-image's default penalty on differences of intensity."""
CORE = 0.3
"""Half-axis of the foreground seed in the middle of the box, in sides of the box."""


@BASELINES.register("random-walker")
class RandomWalkerBaseline(WindowBaseline):
    """Foreground seeds in the box's middle and at positive clicks, background outside the box and at negative ones."""

    name = "random-walker"

    def __init__(self) -> None:
        super().__init__()
        try:
            from skimage.segmentation import random_walker
        except ImportError as error:
            raise DependencyError(
                "baseline 'random-walker'",
                expected="scikit-image",
                got=str(error),
                fix="pip install 'bedside[evaluate]'",
            ) from error
        self._random_walker = random_walker

    def probability(self, grid: Grid) -> NDArray[np.floating[Any]]:
        """Return probability that a walk from a sample reaches a foreground seed first."""
        seeds = seeded(grid)
        if not all((seeds == value).any() for value in (UNKNOWN, BACKGROUND, FOREGROUND)):
            return np.where(seeds == FOREGROUND, 1.0, 0.0)
        # Its numbering: 0 is unknown, labels start at 1.
        labels = np.select([seeds == BACKGROUND, seeds == FOREGROUND], [1, 2], default=0).astype(np.int32)
        with warnings.catch_warnings():
            # It recommends an optional solver and reports samples that seeds cut off, which stay background.
            warnings.simplefilter("ignore")
            chances = self._random_walker(
                grid.samples, labels, beta=EDGE_WEIGHT, mode="cg_j", tol=1e-3, spacing=grid.spacing,
                channel_axis=-1, return_full_prob=True,
            )  # fmt: skip
        foreground: NDArray[np.float64] = np.asarray(chances[1], dtype=np.float64)
        return np.nan_to_num(foreground)


def seeded(grid: Grid) -> NDArray[np.uint8]:
    """Return the grid's seeds with those that the prompts leave out.

    A box is given a core of foreground in its middle; without a box the window's border is background.
    """
    seeds = grid.seeds.copy()
    open_ = (seeds == UNKNOWN) & ~grid.clicked
    if grid.boxed:
        seeds[open_ & _core(open_)] = FOREGROUND
    else:
        inner = tuple(slice(1, -1) if n > 2 else slice(None) for n in seeds.shape)
        border = np.ones(seeds.shape, dtype=np.bool_)
        border[inner] = False
        seeds[border & open_] = BACKGROUND
    return seeds


def _core(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return an ellipse in the middle of the smallest box around ``inside``."""
    box = mask_region(inside)
    axes = [
        (np.arange(n) - (a + b - 1) / 2) / max(0.5, CORE * (b - a))
        for n, a, b in zip(inside.shape, box.start, box.stop, strict=True)
    ]
    square: NDArray[np.float64] = np.zeros(inside.shape)
    for axis in np.ix_(*axes):
        square = square + np.square(axis)
    return square <= 1.0
