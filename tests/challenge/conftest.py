"""Cases as files, and a segmenter whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from bedside.core.errors import PromptError
from bedside.core.image import Image
from bedside.core.prompts import Box, Point, place_prompt
from bedside.core.region import Region
from bedside.engines.protocol import Capabilities
from bedside.evaluate.baselines.window import make_prediction
from bedside.io.challenge import ChallengeCase


class Filler:
    """Keeps the mask before, fills boxes, and puts or takes a cube of 3 voxels' side at each click; notes its calls."""

    name = "filler"
    capabilities = Capabilities(
        (2, 3), frozenset({"box", "point"}), frozenset({"point"}), False, frozenset({"box", "point"})
    )

    def __init__(self):
        self.calls = []
        self.images = 0

    def set_image(self, image):
        self.image = image
        self.images += 1

    def predict(self, prompts, previous=None, fresh=1):
        self.calls.append((list(prompts), None if previous is None else previous.copy(), fresh))
        if not any(p.positive for p in prompts) and previous is None:
            raise PromptError("filler", expected="a positive prompt")
        mask = np.zeros(self.image.shape, np.uint8) if previous is None else previous.copy()
        for prompt in prompts:
            placed = place_prompt(prompt, self.image.geometry)
            if isinstance(placed, Point):
                low, high = (tuple(int(p) + s for p in placed.position) for s in (-1, 2))
            else:
                low, high = ([int(v) for v in ends] for ends in (placed.low, placed.high))
            part = tuple(slice(max(0, a), b) for a, b in zip(low[::-1], high[::-1], strict=True))
            if isinstance(placed, Box) and previous is not None:
                continue
            mask[part] = placed.positive
        region = Region.whole(self.image.shape)
        return make_prediction(mask, region, mask.astype(np.float32), previous, {})


@pytest.fixture
def filler():
    return Filler()


@pytest.fixture
def cubes():
    """A volume with two cubes: label 1 of 6 x 6 x 6 voxels, label 2 of 4 x 4 x 4."""
    truth = np.zeros((12, 20, 24), np.uint8)
    truth[2:8, 2:8, 3:9] = 1
    truth[5:9, 12:16, 14:18] = 2
    image = Image.from_array((truth * 100).astype(np.uint8), (1.0, 1.0, 3.0), modality="CT")
    return ChallengeCase("CT_cubes_1", image, ground_truth=truth)
