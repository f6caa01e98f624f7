"""The first prompt and corrections of every kind: on the object or on the error, and of its sign."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.geometry import Geometry
from bedside.core.prompts import Box, Point, place_prompt
from bedside.simulate.placing import Drawn
from bedside.simulate.users import KINDS, Kind, correction, first_prompt

Mask = NDArray[np.bool_]
seeds = st.integers(0, 2**32 - 1)
kinds = st.sampled_from(KINDS)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Mask, Mask]:
    shape = draw(st.integers(2, 3).flatmap(lambda n: st.tuples(*[st.integers(1, 9)] * n)))
    truth = draw(npst.arrays(np.bool_, shape))
    truth[tuple(draw(st.integers(0, n - 1)) for n in shape)] = True
    return truth, draw(npst.arrays(np.bool_, shape))


def touched(prompt: Drawn, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Voxels that a prompt is drawn through, or the box that it spans."""
    if isinstance(prompt, Box):
        grid = [
            np.arange(max(0, int(np.floor(a + 0.5))), min(n, max(int(np.floor(a + 0.5)) + 1, int(np.ceil(b - 0.5)))))
            for a, b, n in zip(prompt.low[::-1], prompt.high[::-1], shape, strict=True)
        ]
        return np.stack(np.meshgrid(*grid, indexing="ij"), axis=-1).reshape(-1, len(shape))
    return np.floor(prompt.vertices()[:, ::-1] + 0.5).astype(np.int64)


def is_on(prompt: Drawn, mask: Mask) -> bool:
    """Whether a click lies on a mask, the middle of a stroke does, or an area or its extent touches it."""
    voxels = touched(prompt, mask.shape)
    if prompt.kind == "scribble":
        voxels = voxels[len(voxels) // 2 :][:1]
    if prompt.kind == "lasso":
        low, high = voxels.min(axis=0), voxels.max(axis=0)
        return bool(mask[tuple(slice(max(0, a), b + 1) for a, b in zip(low, high, strict=True))].any())
    return bool(mask[tuple(voxels.T)].any())


@given(pair=pairs(), kind=kinds, seed=seeds)
def test_a_first_prompt_lies_on_the_object(pair: tuple[Mask, Mask], kind: Kind, seed: int) -> None:
    truth, _ = pair
    prompt = first_prompt(kind, truth, np.random.default_rng(seed))
    assert prompt == first_prompt(kind, truth.copy(), np.random.default_rng(seed))
    assert prompt.positive
    assert prompt.kind == kind.split()[-1]
    assert is_on(prompt, truth)
    place_prompt(prompt, Geometry.create(truth.shape))


@given(pair=pairs(), kind=kinds, seed=seeds)
def test_a_correction_lies_on_an_error_of_its_sign(pair: tuple[Mask, Mask], kind: Kind, seed: int) -> None:
    truth, prediction = pair
    prompt = correction(kind, truth, prediction, np.random.default_rng(seed))
    if np.array_equal(truth, prediction):
        assert prompt is None
        return
    assert prompt is not None
    assert prompt.kind == kind.split()[-1]
    assert is_on(prompt, truth & ~prediction if prompt.positive else prediction & ~truth)
    place_prompt(prompt, Geometry.create(truth.shape))


@pytest.mark.parametrize("kind", KINDS)
def test_frames_are_those_of_the_image_for_any_axis(kind: Kind) -> None:
    shape = (20, 30, 40)
    truth = np.zeros(shape, bool)
    truth[3:8, 12:20, 25:38] = True
    for seed in range(20):
        prompt = first_prompt(kind, truth, np.random.default_rng(seed))
        low, high = prompt.vertices().min(axis=0), prompt.vertices().max(axis=0)
        # x, y, z with the room that a jittered box or a loose lasso takes.
        for a, b, start, stop in zip(low, high, (25, 12, 3), (38, 20, 8), strict=True):
            room = 0.35 * (stop - start) + 3
            assert start - room <= a <= b <= stop + room
    widths = {
        tuple(np.ptp(first_prompt(kind, truth, np.random.default_rng(s)).vertices(), axis=0) <= 1) for s in range(60)
    }
    if kind in ("flat box", "lasso"):
        assert {(True, False, False), (False, True, False), (False, False, True)} <= widths


def test_clicks_are_drawn_towards_the_middle() -> None:
    truth = np.zeros((31, 31, 31), bool)
    truth[5:26, 5:26, 5:26] = True
    distances = []
    for seed in range(60):
        click = first_prompt("point", truth, np.random.default_rng(seed))
        assert isinstance(click, Point)
        distances.append(max(abs(c - 15) for c in click.position))
    # A click drawn evenly would lie at 7.6 from the middle on average.
    assert np.mean(distances) < 4.5
    assert len(set(distances)) > 2


def test_only_the_generator_that_is_passed_in_is_used() -> None:
    truth = np.zeros((12, 12, 12), bool)
    truth[2:9, 3:9, 4:9] = True
    before = pickle.dumps(np.random.get_state())  # noqa: NPY002
    for kind in KINDS:
        first_prompt(kind, truth, np.random.default_rng(0))
        correction(kind, truth, np.roll(truth, 2), np.random.default_rng(0))
    assert pickle.dumps(np.random.get_state()) == before  # noqa: NPY002


def test_what_cannot_be_drawn_is_refused() -> None:
    truth = np.ones((3, 3), bool)
    with pytest.raises(InputError, match="one of point, box, flat box, scribble, lasso, got 'circle'"):
        first_prompt("circle", truth, np.random.default_rng(0))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="empty mask"):
        first_prompt("point", ~truth, np.random.default_rng(0))
