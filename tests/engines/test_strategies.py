"""Strategies by name, and each as a configuration of the window engine."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bedside.core.errors import InputError
from bedside.core.image import Image
from bedside.core.prompts import Box, Point
from bedside.engines.adaptive_crop import AdaptiveCrop
from bedside.engines.autozoom import AutoZoom
from bedside.engines.strategies import EVIDENCE, make_strategy
from bedside.engines.window.load import _windows
from bedside.engines.window.policy import VOLUMES, WindowPolicy
from bedside.engines.window.segmenter import WindowSegmenter

Make = Callable[..., WindowSegmenter]


def test_names() -> None:
    assert isinstance(make_strategy("autozoom"), AutoZoom)
    assert isinstance(make_strategy("adaptive-crop"), AdaptiveCrop)
    assert {make_strategy(name).name for name in ("autozoom", "adaptive-crop")} == {"autozoom", "adaptive-crop"}
    with pytest.raises(
        InputError, match=r"window strategy: expected one of adaptive-crop, autozoom, evidence, got 'x'"
    ):
        make_strategy("x", (EVIDENCE,))


def test_the_window_engine_takes_all_three() -> None:
    for dimensions, usual in ((2, WindowPolicy()), (3, VOLUMES)):
        assert _windows(None, dimensions) == _windows("evidence", dimensions) == (usual, None)
        policy = WindowPolicy(object_zoom=3.0)
        assert _windows(policy, dimensions) == (policy, None)
        assert _windows("autozoom", dimensions) == (usual, AutoZoom())
        assert _windows("adaptive-crop", dimensions) == (usual, AdaptiveCrop())
        with pytest.raises(InputError, match="evidence"):
            _windows("zoom", dimensions)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("strategy", [AutoZoom(), AdaptiveCrop()])
def test_an_object_is_found_by_any_strategy(window_segmenter: Make, dimensions: int, strategy: object) -> None:
    shape = (90, 96, 94)[:dimensions]
    truth = np.zeros(shape, np.uint8)
    truth[(slice(20, 62),) * dimensions] = 1
    segmenter = window_segmenter("bright", dimensions, 32)
    segmenter.strategy = strategy  # type: ignore[assignment]
    segmenter.set_image(Image(40 + 150 * truth, Image.from_array(np.zeros(shape, np.uint8)).geometry))
    mask = np.zeros(shape, np.uint8)
    prediction = segmenter.predict([Box((20.0,) * dimensions, (62.0,) * dimensions)])
    prediction.paste(mask)
    overlap = 2 * np.count_nonzero(mask & truth) / (np.count_nonzero(mask) + np.count_nonzero(truth))
    assert overlap > (0.99 if isinstance(strategy, AutoZoom) else 0.9)
    # One window, or the coarse one and what refines it.
    assert (prediction.passes == 1) == isinstance(strategy, AdaptiveCrop)


def test_autozoom_grows_from_a_click_in_the_window_engine(window_segmenter: Make) -> None:
    truth = np.zeros((200, 210), np.uint8)
    truth[80:110, 30:180] = 1
    segmenter = window_segmenter("bright", 2, 64)
    segmenter.strategy = AutoZoom()
    segmenter.set_image(Image.from_array(40 + 150 * truth))
    mask = np.zeros(truth.shape, np.uint8)
    prediction = segmenter.predict([Point((100.0, 95.0))])
    prediction.paste(mask)
    assert 2 * np.count_nonzero(mask & truth) / (mask.sum() + truth.sum()) > 0.99
    assert prediction.window[1][1] - prediction.window[1][0] >= 144
