"""Masks by contrast: patterns are found whatever makes them differ, and nothing where nothing differs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.core.prompts import Point, Scribble
from bedside.engines.contrast import (
    MARGIN,
    MOST_CELLS,
    ContrastMask,
    agrees,
    contrast_masks,
    contrast_window,
    otsu_threshold,
)

Floats = NDArray[np.float32]


def spots(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Balls of 4 cells' radius on a lattice, away from the image's border."""
    offsets = [(index % 16) - 8 for index in np.indices(shape)]
    inner = np.all([(i >= 16) & (i < 16 * ((n - 16) // 16)) for i, n in zip(np.indices(shape), shape, strict=True)], 0)
    return np.asarray((np.sqrt(sum(o.astype(float) ** 2 for o in offsets)) < 4) & inner)


def tree(shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Lines three cells wide that cross."""
    y, x = np.indices(shape)
    lines = (np.abs(y - x) < 2) | (np.abs(y + x - shape[0]) < 2) | (np.abs(y - shape[0] // 2) < 2)
    return np.asarray(lines & (np.minimum(y, x) > 12) & (np.maximum(y, x) < shape[0] - 12))


def box_of(truth: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    places = np.argwhere(truth)
    return places.min(axis=0).astype(float), places.max(axis=0) + 1.0


def found_in(array: Floats, truth: NDArray[np.bool_]) -> list[tuple[float, ContrastMask, NDArray[np.bool_]]]:
    """DSC, mask and voxels of all that is found in the box around an object."""
    window = contrast_window(box_of(truth))
    samples, inside = window.sample(array)
    whole = window.region(truth.shape)
    found = []
    for one in contrast_masks(window, samples, inside, box_of(truth)):
        mask = np.zeros(truth.shape, dtype=bool)
        mask[whole.slices] = window.expand_mask(one.answer.logits, whole) > 0
        found.append((2 * np.count_nonzero(mask & truth) / (mask.sum() + truth.sum()), one, mask))
    return found


@given(
    pattern=st.sampled_from(["spots", "tree", "balls"]),
    contrast=st.sampled_from([-60.0, 60.0, 900.0]),
    slope=st.sampled_from([0.0, 0.5]),
    offset=st.sampled_from([-1000.0, 0.0, 30000.0]),
    seed=st.integers(0, 99),
)
def test_what_differs_in_brightness_is_found(
    pattern: str, contrast: float, slope: float, offset: float, seed: int
) -> None:
    truth = {"spots": spots((112, 128)), "tree": tree((112, 112)), "balls": spots((48, 64, 48))}[pattern]
    ground = offset + slope * contrast * np.indices(truth.shape)[-1] / truth.shape[-1]
    noise = np.random.default_rng(seed).normal(0, 0.06 * abs(contrast), truth.shape)
    found = found_in((ground + contrast * truth + noise).astype(np.float32), truth)
    best, _, mask = max(found, key=lambda f: f[0])
    assert best > (0.75 if pattern == "tree" else 0.85)
    kinds = {f[1].kind for f in found}
    assert {f[1].kind for f in found[: len(kinds)]} == kinds
    for part in (found[: len(kinds)], found[len(kinds) :]):
        assert [f[1].score for f in part] == sorted((f[1].score for f in part), reverse=True)
    outside = np.ones(truth.shape, dtype=bool)
    low, high = box_of(truth)
    outside[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))] = False
    assert not any((f[2] & outside).any() for f in found)
    assert mask.any()


def test_what_differs_in_colour_alone_is_found() -> None:
    truth = spots((112, 128))
    red, blue = np.array([150.0, 100.0, 50.0]), np.array([50.0, 100.0, 150.0])
    noise = np.random.default_rng(0).normal(0, 5, (*truth.shape, 3))
    found = found_in((np.where(truth[..., None], red, blue) + noise).astype(np.float32), truth)
    assert max(f[0] for f in found) > 0.9
    grey = np.where(truth[..., None], red, blue).mean(axis=-1, keepdims=True).repeat(3, axis=-1) + noise
    assert max((f[0] for f in found_in(grey.astype(np.float32), truth)), default=0.0) < 0.6


def test_nothing_is_found_where_nothing_differs() -> None:
    assert found_in(np.full((64, 64), 7.0, np.float32), spots((64, 64))) == []


def test_samples_that_are_no_measurement_are_left_out() -> None:
    truth = spots((112, 128))
    array = (60 + 90 * truth + np.random.default_rng(0).normal(0, 5, truth.shape)).astype(np.float32)
    array[40:50, 20:30] = np.nan
    window = contrast_window(box_of(truth))
    samples, inside = window.sample(array)
    known = inside & np.isfinite(samples[0])
    found = contrast_masks(window, samples, known, box_of(truth))
    kept = known & (window.sample(truth.astype(np.float32))[0][0] > 0.5)
    scores = [2 * np.count_nonzero(f.answer.mask & kept) / (f.answer.mask.sum() + kept.sum()) for f in found]
    assert max(scores) > 0.85
    assert contrast_masks(window, samples, np.zeros_like(inside), box_of(truth)) == []


@pytest.mark.parametrize("sides", [(40.0, 60.0), (3000.0, 4000.0), (4.0, 30.0, 30.0), (200.0, 300.0, 250.0)])
def test_a_window_has_the_voxels_cells_or_as_many_as_are_worth_it(sides: tuple[float, ...]) -> None:
    low = np.full(len(sides), 7.0)
    window = contrast_window((low, low + np.array(sides)))
    cells = np.prod(np.array(window.grid) - 2 * MARGIN)
    assert np.allclose(window.scale, window.scale[0])
    assert window.scale[0] >= 1
    assert cells < 1.1 * MOST_CELLS
    assert cells > 0.9 * min(MOST_CELLS, np.prod(sides))
    assert np.allclose(window.centre, low + np.array(sides) / 2)


def test_marks_are_held_or_the_mask_does_not_agree() -> None:
    truth = spots((112, 128))
    array = (60 + 90 * truth).astype(np.float32)
    answer = max(found_in(array, truth), key=lambda f: f[0])[1].answer
    on, off = Point((24.0, 24.0)), Point((32.0, 32.0))
    negative = Point(off.position, positive=False)
    assert agrees(answer, [])
    assert agrees(answer, [on, negative])
    assert not agrees(answer, [off])
    assert not agrees(answer, [Point(on.position, positive=False)])
    assert agrees(answer, [Scribble(((23.0, 24.0), (25.0, 24.0)))])
    assert not agrees(answer, [Scribble(((24.0, 24.0), (32.0, 32.0)))])
    assert not agrees(answer, [Point((-40.0, 24.0))])


@given(low=st.floats(-1e4, 1e4), gap=st.floats(1, 1e4), share=st.floats(0.2, 0.8), seed=st.integers(0, 9))
def test_the_threshold_lies_between_two_classes(low: float, gap: float, share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    upper = rng.random(2000) < share
    values = (low + gap * upper + rng.normal(0, 0.05 * gap, 2000)).astype(np.float32)
    threshold = otsu_threshold(values)
    assert np.mean((values > threshold) == upper) > 0.99
