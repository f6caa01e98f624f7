"""What the window engine rejects, by name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bedside.core.errors import InputError, PromptError
from bedside.core.image import Image
from bedside.core.prompts import Box, InitialMask, Lasso, Point, Prompt, Scribble
from bedside.engines.protocol import Capabilities
from bedside.engines.window.segmenter import WindowSegmenter

Make = Callable[..., WindowSegmenter]


@pytest.mark.parametrize(
    "prompt",
    [
        Point((200.0, 5.0)),
        Point((5.0, -3.0)),
        Box((90.0, 10.0), (95.0, 20.0)),
        Box((-20.0, 10.0), (0.0, 20.0)),
        Scribble(((5.0, 70.0), (20.0, 99.0))),
        Lasso(((-9.0, 1.0), (-3.0, 1.0), (-4.0, 9.0))),
        Point((3.0, 4.0, 5.0)),
        InitialMask(np.ones((80, 70), bool)),
    ],
)
def test_prompts_that_miss_the_image_are_rejected(window_segmenter: Make, prompt: Prompt) -> None:
    segmenter = window_segmenter("bright")
    segmenter.set_image(Image.from_array(np.zeros((70, 80), np.uint8)))
    with pytest.raises(PromptError) as error:
        segmenter.predict([prompt])
    assert "\n" not in str(error.value)
    assert not segmenter._graph.inputs  # type: ignore[attr-defined]


def test_kinds_that_the_model_cannot_take_are_rejected_by_name(window_segmenter: Make) -> None:
    segmenter = window_segmenter("bright")
    segmenter.capabilities = Capabilities((2,), frozenset({"box", "point"}), frozenset({"point"}), True, frozenset())
    segmenter.set_image(Image.from_array(np.zeros((70, 80), np.uint8)))
    box = Box((5.0, 5.0), (20.0, 20.0))
    with pytest.raises(PromptError, match="scribble"):
        segmenter.predict([box, Scribble(((5.0, 5.0), (9.0, 9.0)))])
    with pytest.raises(PromptError, match="negative box"):
        segmenter.predict([box, Box((5.0, 5.0), (9.0, 9.0), positive=False)])
    segmenter.predict([box, Point((6.0, 6.0), positive=False)])


@pytest.mark.parametrize("prompts", [[], [Point((5.0, 5.0), positive=False)], [Box((1.0, 1.0), (9.0, 9.0), False)]])
def test_nothing_positive_is_rejected(window_segmenter: Make, prompts: list[Prompt]) -> None:
    segmenter = window_segmenter("bright")
    segmenter.set_image(Image.from_array(np.zeros((70, 80), np.uint8)))
    with pytest.raises(PromptError, match="at least one"):
        segmenter.predict(prompts)


def test_images_of_other_dimensions_and_no_image_are_rejected(window_segmenter: Make) -> None:
    segmenter = window_segmenter("bright")
    with pytest.raises(InputError, match="call set_image before predict"):
        segmenter.predict([Point((5.0, 5.0))])
    with pytest.raises(InputError, match="2 axes"):
        segmenter.set_image(Image.from_array(np.zeros((9, 9, 9), np.uint8)))
    with pytest.raises(InputError, match="3 axes"):
        window_segmenter("bright", dimensions=3).set_image(Image.from_array(np.zeros((9, 9), np.uint8)))
