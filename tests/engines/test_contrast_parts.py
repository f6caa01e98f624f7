"""Parts like examples by contrast: touching ones divided, those of another size left out, nothing out of noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.mask import PackedMask
from bedside.core.region import Region
from bedside.engines.contrast_parts import MOST_VOXELS, divide, parts_like


def ball(shape: tuple[int, ...], middle: tuple[float, ...], radius: float) -> NDArray[np.bool_]:
    offsets = [i - m for i, m in zip(np.indices(shape), middle, strict=True)]
    return np.asarray(np.sqrt(sum(o.astype(float) ** 2 for o in offsets)) < radius)


def packed(mask: NDArray[np.bool_]) -> PackedMask:
    return PackedMask.of_patch(mask.astype(np.uint8), Region.whole(mask.shape))


SHAPE = (120, 150)
MIDDLES = [(20, 20), (20, 60), (60, 30), (60, 46), (95, 100), (40, 120), (100, 30)]
"""The third and the fourth touch."""
BALLS = [ball(SHAPE, middle, 9) for middle in MIDDLES]
LARGE, SMALL = ball(SHAPE, (80, 130), 18), ball(SHAPE, (100, 60), 3.5)


def picture(colour: bool = False, sign: float = 1.0) -> NDArray[Any]:
    shown = np.any([*BALLS, LARGE, SMALL], axis=0)
    noise = np.random.default_rng(0).normal(0, 4, (*SHAPE, 3) if colour else SHAPE)
    if colour:
        return np.where(shown[..., None], [150.0, 100.0, 60.0], [60.0, 100.0, 150.0]) + noise
    return 100 + sign * 50 * shown + noise


def overlap(part: PackedMask, truth: NDArray[np.bool_]) -> float:
    mask = np.zeros(truth.shape, dtype=bool)
    mask[part.region.slices] = part.patch() > 0
    return float((mask & truth).sum() / (mask | truth).sum())


@pytest.mark.parametrize(
    "array", [picture(), picture(sign=-1.0), picture(colour=True)], ids=["bright", "dark", "colour"]
)
def test_all_of_the_examples_kind_are_cut_out_one_by_one(array: NDArray[Any]) -> None:
    fit, parts = parts_like(Image.from_array(array.clip(0, 255).astype(np.uint8)), [packed(BALLS[0])])
    assert fit > 0.8
    assert len(parts) == len(BALLS)
    for truth in BALLS:
        assert max(overlap(part, truth) for part in parts) > 0.7


def test_the_same_in_a_volume_of_thick_slices() -> None:
    shape, spacing = (20, 60, 70), (1.0, 1.0, 3.0)
    z, y, x = (np.arange(n) * s for n, s in zip(shape, spacing[::-1], strict=True))
    middles = [(18.0, 15.0, 15.0), (30.0, 40.0, 20.0), (30.0, 30.0, 50.0)]
    balls = [
        (z[:, None, None] - a) ** 2 + (y[None, :, None] - b) ** 2 + (x[None, None, :] - c) ** 2 < 81
        for a, b, c in middles
    ]
    array = 100 + 50 * np.any(balls, axis=0) + np.random.default_rng(0).normal(0, 4, shape)
    image = Image(array.astype(np.float32), Geometry.create(shape, spacing))
    fit, parts = parts_like(image, [packed(balls[0])])
    assert fit > 0.7
    assert sorted(max(overlap(part, truth) for truth in balls) > 0.7 for part in parts) == [True] * 3


def test_nothing_comes_of_noise_of_a_flat_image_or_of_no_number() -> None:
    example = [packed(BALLS[0])]
    noise = np.random.default_rng(0).normal(100, 20, SHAPE).astype(np.float32)
    assert parts_like(Image.from_array(noise), example)[1] == []
    assert parts_like(Image.from_array(np.full(SHAPE, 7, np.uint8)), example) == (0.0, [])
    assert parts_like(Image.from_array(np.full(SHAPE, np.nan, np.float32)), example) == (0.0, [])


def test_samples_that_are_no_number_spoil_nothing_else() -> None:
    array = picture().astype(np.float32)
    array[70:75, 100:110] = np.nan
    assert len(parts_like(Image.from_array(array), [packed(BALLS[1])])[1]) >= len(BALLS) - 1


def test_what_is_too_large_is_not_cut() -> None:
    image = Image.from_array(np.zeros((2, MOST_VOXELS // 2 + 1), np.uint8))
    assert parts_like(image, [packed(np.ones(image.shape, bool))]) == (0.0, [])


def test_touching_parts_are_divided_at_the_waist() -> None:
    pair = BALLS[2] | BALLS[3]
    parts = divide(pair, 9.0, np.ones(2))
    assert int(parts.max()) == 2
    assert ((parts > 0) == pair).all()
    assert {int(parts[m]) for m in MIDDLES[2:4]} == {1, 2}
    assert not divide(np.zeros((9, 9), bool), 3.0, np.ones(2)).any()
