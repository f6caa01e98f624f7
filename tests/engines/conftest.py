"""Networks whose answer can be foreseen, behind the engine under test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bedside.engines.planes import PlaneSegmenter
from bedside.engines.protocol import Capabilities
from bedside.engines.window.policy import WindowPolicy
from bedside.engines.window.segmenter import WindowSegmenter

Array = NDArray[np.float32]
KINDS = ("box", "point", "scribble", "lasso", "mask")


def bright(stacked: Array) -> Array:
    """Whatever is brighter than halfway between the darkest and the brightest sample."""
    image = stacked[0]
    return np.asarray(8 * (image - (image.min() + image.max()) / 2))


def boxed(stacked: Array) -> Array:
    """The positive box or lasso."""
    return np.asarray(8 * (stacked[-4] - 0.5))


def corrected(stacked: Array) -> Array:
    """The previous mask or else the box, with the positive clicks and without the negative ones."""
    start = stacked[-5] if stacked[-5].any() else stacked[-4]
    return np.asarray(8 * (np.maximum(start, stacked[-2]) - 2 * stacked[-1] - 2 * stacked[-3] - 0.5))


def everything(stacked: Array) -> Array:
    """The whole window."""
    return np.full(stacked.shape[1:], 8, np.float32)


def nothing(stacked: Array) -> Array:
    """No cell."""
    return np.full(stacked.shape[1:], -8, np.float32)


def short_sighted(stacked: Array) -> Array:
    """The whole window where the box fills much of it, and nothing otherwise."""
    return everything(stacked) if stacked[-4].mean() > 0.3 else nothing(stacked)


ANSWERS = {f.__name__: f for f in (bright, boxed, corrected, everything, nothing, short_sighted)}


class FakeGraph:
    """Obeys ``runtime.backend.Graph``; keeps every input that it was given."""

    device = "CPU"
    precision = "fp32"

    def __init__(self, answer: Callable[[Array], Array], dimensions: int, grid: int) -> None:
        self._answer = answer
        channels = 8 if dimensions == 2 else 6
        self.shape = (1, channels, *(grid,) * dimensions)
        self.inputs: list[Array] = []

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        stacked = inputs["input"]
        assert stacked.shape == self.shape
        assert stacked.dtype == np.float32
        assert np.isfinite(stacked).all()
        self.inputs.append(stacked.copy())
        return {"logits": self._answer(stacked[0])[None, None].astype(np.float32)}


def capabilities(dimensions: tuple[int, ...]) -> Capabilities:
    """Everything may be asked, as of the bundled models."""
    negative = frozenset(KINDS) - {"mask"}
    return Capabilities(dimensions, frozenset(KINDS), negative, dimensions[0] == 2, frozenset(KINDS))


def make_window(
    answer: str, dimensions: int = 2, grid: int = 32, *, fine: list[FakeGraph] | None = None, **policy: Any
) -> WindowSegmenter:
    """The window engine around a fake network; with a list as ``fine`` also one on twice the grid, put there once."""
    graph = FakeGraph(ANSWERS[answer], dimensions, grid)

    def load() -> FakeGraph:
        assert fine is not None
        if not fine:
            fine.append(FakeGraph(ANSWERS[answer], dimensions, 2 * grid))
        return fine[0]

    return WindowSegmenter(
        "fake",
        graph,
        dimensions,
        grid,
        capabilities((dimensions,)),
        WindowPolicy(**policy),
        fine=load if fine is not None else None,
    )


def make_plane(answer: str, grid: int = 32, **policy: Any) -> PlaneSegmenter:
    """The slice by slice engine around a fake network of two dimensions."""
    return PlaneSegmenter(make_window(answer, 2, grid, **policy), capabilities((2, 3)))


@pytest.fixture(scope="session")
def window_segmenter() -> Callable[..., WindowSegmenter]:
    """Makes window segmenters: ``(answer, dimensions=2, grid=32, **policy)``."""
    return make_window


@pytest.fixture(scope="session")
def plane_segmenter() -> Callable[..., PlaneSegmenter]:
    """Makes plane segmenters: ``(answer, grid=32, **policy)``."""
    return make_plane
