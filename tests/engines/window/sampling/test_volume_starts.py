from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.prompts import Box
from bedside.engines.window.sampling import volume_starts
from bedside.engines.window.sampling.volume_starts import (
    LARGEST_SHIFT,
    beside,
    degrade_volume,
    draw_slice,
    draw_start,
    jitter,
    slice_box,
    slice_lasso,
    slice_scribble,
)
from bedside.imaging.paint import paint_prompts
from bedside.simulate.boxes import tight_box

BOX, NEGATIVE_BOX, CLICK, NEGATIVE_CLICK = range(4)
GRID = 32
MODES = ("box", "wide", "close")


def make_truth(seed: int, smallest: int = 1) -> NDArray[np.uint8]:
    """A box, an ellipsoid or two parts, down to a cell across."""
    generator = np.random.default_rng((3, seed))
    size = generator.integers(smallest, 18, size=3)
    start = generator.integers(0, GRID - size + 1)
    truth = np.zeros((GRID,) * 3, dtype=np.uint8)
    region = tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))
    if seed % 3 == 1:
        offsets = (np.indices(size) + 0.5 - size.reshape(3, 1, 1, 1) / 2) / (size.reshape(3, 1, 1, 1) / 2)
        truth[region] = (offsets**2).sum(axis=0) <= 1
    else:
        truth[region] = 1
    if seed % 3 == 2:
        truth[tuple(generator.integers(0, GRID, size=3))] = 1
    truth[tuple(start + size // 2)] = 1
    return truth


@settings(max_examples=150)
@given(seed=st.integers(0, 100_000), mode=st.sampled_from(MODES))
def test_every_start_says_something_within_the_range_of_the_channels(seed: int, mode: str) -> None:
    truth = make_truth(seed)
    previous, painted = draw_start(truth, mode, np.random.default_rng(seed))
    assert previous.shape == truth.shape
    assert previous.dtype == painted.dtype == np.float32
    assert set(np.unique(previous)) <= {0.0, 1.0}
    assert painted.shape == (4, *truth.shape)
    assert painted.min() >= 0
    assert painted.max() <= 1
    assert previous.any() or painted[[BOX, CLICK]].any()
    assert not painted[NEGATIVE_BOX].any()
    # The middle of a click lies on what the click says.
    assert truth[painted[NEGATIVE_CLICK] == 1].sum() == 0
    again = draw_start(truth, mode, np.random.default_rng(seed))
    assert np.array_equal(previous, again[0])
    assert np.array_equal(painted, again[1])


@settings(max_examples=100)
@given(seed=st.integers(0, 100_000))
def test_positive_clicks_and_boxes_lie_on_the_object(seed: int) -> None:
    truth = make_truth(seed)
    _, painted = draw_start(truth, "wide", np.random.default_rng(seed))
    assert not painted[BOX].any()
    assert painted[CLICK][truth > 0].max() > 0.5
    _, painted = draw_start(truth, "box", np.random.default_rng(seed))
    assert painted[BOX][truth > 0].any()


def test_refinements_have_a_mask_and_not_always_a_box() -> None:
    boxes = masks = 0
    for seed in range(60):
        previous, painted = draw_start(make_truth(seed, 8), "close", np.random.default_rng(seed))
        masks += bool(previous.any())
        boxes += bool(painted[BOX].any())
    assert masks > 55
    assert 12 < boxes < 45


def test_a_mask_that_was_degraded_to_nothing_gets_a_box(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume_starts, "degrade_volume", lambda truth, _: np.zeros(truth.shape, np.float32))
    for seed in range(30):
        truth = make_truth(seed)
        _, painted = draw_start(truth, "close", np.random.default_rng(seed))
        assert (painted[BOX][truth > 0] == 1).all()


def test_a_lasso_that_missed_every_cell_gives_way_to_a_box(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume_starts, "slice_lasso", lambda truth, _: np.zeros(truth.shape, np.float32))
    for seed in range(60):
        _, painted = draw_start(make_truth(seed), "box", np.random.default_rng(seed))
        assert painted[BOX].any()


def test_starts_are_of_every_kind() -> None:
    seen: Counter[str] = Counter()
    for seed in range(200):
        truth = make_truth(seed, 6)
        previous, painted = draw_start(truth, "box", np.random.default_rng(seed))
        thickness = [np.count_nonzero(painted[BOX].any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
        seen["flat" if min(thickness) == 1 else "deep"] += 1
        seen["mask"] += bool(previous.any())
        seen["exact"] += np.array_equal(painted[BOX], paint_prompts([tight_box(truth)], truth.shape)[BOX])
        _, painted = draw_start(truth, "wide", np.random.default_rng(seed))
        seen["negative"] += bool(painted[NEGATIVE_CLICK].any())
    assert 40 < seen["flat"] < 110
    assert 5 < seen["mask"] < 35
    assert 15 < seen["exact"] < 80
    assert 15 < seen["negative"] < 80


@settings(max_examples=80)
@given(seed=st.integers(0, 100_000))
def test_boxes_and_marks_of_one_slice_lie_on_it(seed: int) -> None:
    truth = make_truth(seed)
    axis, index, plane = draw_slice(truth, np.random.default_rng(seed))
    assert plane.any()
    assert np.array_equal(plane, np.take(truth, index, axis=axis))
    box = slice_box(truth, np.random.default_rng(seed))
    painted = paint_prompts([box], truth.shape)[BOX]
    expected = np.zeros_like(painted)
    flat = paint_prompts([tight_box(plane)], plane.shape)[BOX]
    np.moveaxis(expected, axis, 0)[index] = flat
    assert np.array_equal(painted, expected)
    drawn = paint_prompts([slice_scribble(truth, np.random.default_rng(seed))], truth.shape)[CLICK]
    layers = np.flatnonzero(drawn.any(axis=tuple(a for a in range(3) if a != axis)))
    assert index in layers
    assert np.abs(layers - index).max() <= 2
    area = slice_lasso(truth, np.random.default_rng(seed))
    layers = np.flatnonzero(area.any(axis=tuple(a for a in range(3) if a != axis)))
    assert layers.tolist() in ([index], [])


def test_slices_are_drawn_by_the_area_of_the_object() -> None:
    truth = np.zeros((GRID,) * 3, dtype=np.uint8)
    truth[4, :30, :30] = 1
    truth[20, 3, 3] = 1
    drawn = Counter(draw_slice(truth, np.random.default_rng(seed))[:2] for seed in range(300))
    assert {index for axis, index in drawn if axis == 0} <= {4, 20}
    assert drawn[0, 4] > 20 * max(1, drawn[0, 20])
    assert {axis for axis, _ in drawn} == {0, 1, 2}


@settings(max_examples=100)
@given(seed=st.integers(0, 100_000))
def test_jitter_keeps_flat_boxes_flat_and_boxes_in_order(seed: int) -> None:
    generator = np.random.default_rng(seed)
    low = generator.integers(0, 20, size=3).astype(float)
    side = generator.integers(1, 10, size=3).astype(float)
    box = Box(tuple(low), tuple(low + side))
    moved = jitter(box, generator)
    for a, b, c, d in zip(box.low, box.high, moved.low, moved.high, strict=True):
        assert c < d
        if b - a <= 1:
            assert (c, d) == (a, b)
        else:
            assert c >= a - 0.35 * (b - a) - 1e-9
            assert d <= b + max(0.35 * (b - a), 1.0) + 1e-9


def test_clicks_beside_an_object_are_off_it_and_near() -> None:
    found = 0
    for seed in range(80):
        truth = make_truth(seed, 4)
        click = beside(truth, np.random.default_rng(seed))
        if click is None:
            continue
        found += 1
        place = tuple(int(c) for c in reversed(click.position))
        assert not click.positive
        assert truth[place] == 0
        assert ndimage.distance_transform_edt(truth == 0)[place] < 25
    assert found > 40
    assert beside(np.ones((8, 8, 8), np.uint8), np.random.default_rng(0)) is None


class TestDegraded:
    def test_masks_resemble_the_truth_without_being_it(self) -> None:
        overlaps = []
        for seed in range(60):
            truth = make_truth(seed, 8)
            mask = degrade_volume(truth, np.random.default_rng(seed))
            assert mask.shape == truth.shape
            assert mask.dtype == np.float32
            overlaps.append(2 * (mask * truth).sum() / (mask.sum() + truth.sum()))
        assert 0.55 < np.mean(overlaps) < 0.97
        assert np.mean(np.array(overlaps) == 1) < 0.1

    def test_nothing_comes_in_from_the_other_side(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(volume_starts, "smooth_noise", lambda grid, *_: torch.zeros((grid,) * 3))
        truth = np.zeros((GRID,) * 3, dtype=np.uint8)
        truth[:, :, :8] = 1
        for seed in range(40):
            mask = degrade_volume(truth, np.random.default_rng(seed))
            assert mask[:, :, : 8 - 6 - LARGEST_SHIFT].all()
            assert not mask[:, :, 8 + 6 + LARGEST_SHIFT :].any()


def test_smooth_noise_stays_in_its_range() -> None:
    noise = volume_starts.smooth_noise(24, 5, np.random.default_rng(0))
    assert noise.shape == (24, 24, 24)
    assert float(noise.abs().max()) <= 1
    assert float(noise.diff(dim=0).abs().max()) < 0.5
