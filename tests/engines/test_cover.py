"""The boxes of a refinement: everything that changed is held by the inside of one of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from bedside.engines.cover import greedy_cover, opened

torch = pytest.importorskip("torch")
Mask = NDArray[np.bool_]


def pooled(mask: Mask, size: int = 5) -> Mask:
    """Opening as two max-poolings, the first of the complement, as the reference does it."""
    pool = torch.nn.functional.max_pool3d
    values = torch.from_numpy(mask.astype(np.float32))[None]
    eroded = -pool(-values, size, 1, size // 2)
    return np.asarray(pool(eroded, size, 1, size // 2)[0].numpy() > 0)


@settings(max_examples=40)
@given(st.tuples(*[st.integers(1, 16)] * 3), st.integers(0, 2**16), st.floats(0.0, 1.0))
def test_opening_is_that_of_two_poolings(shape: tuple[int, int, int], seed: int, share: float) -> None:
    generator = np.random.default_rng(seed)
    mask = generator.random(shape) < share
    corner = [int(generator.integers(0, n)) for n in shape]
    mask[tuple(slice(c, c + 7) for c in corner)] = True
    np.testing.assert_array_equal(opened(mask), pooled(mask))


def test_opening_takes_away_specks_and_keeps_blocks() -> None:
    mask = np.zeros((30, 30, 30), bool)
    mask[10:16, 10:15, 10:17] = True
    block = mask.copy()
    mask[2:6, 20:28, 20:28] = True
    mask[25, 25, 25] = True
    np.testing.assert_array_equal(opened(mask), block)
    assert not opened(np.zeros((4, 4, 4), bool)).any()


@settings(max_examples=25)
@given(
    npst.arrays(np.bool_, npst.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=24)),
    st.sampled_from([(10, 1), (16, 2), (16, 5)]),
)
def test_everything_is_held_by_the_inside_of_a_box(mask: Mask, box: tuple[int, int]) -> None:
    side, margin = box
    left = mask.copy()
    centres = greedy_cover(mask, (side,) * mask.ndim, (margin,) * mask.ndim)
    gained = []
    for centre in centres:
        inner = tuple(
            slice(max(0, c - (side - 2 * margin) // 2), max(0, c - (side - 2 * margin) // 2 + side - 2 * margin))
            for c in centre
        )
        gained.append(np.count_nonzero(left[inner]))
        left[inner] = False
    assert not left.any()
    assert all(gained)


def test_a_small_change_takes_one_box_in_its_middle() -> None:
    mask = np.zeros((60, 60, 60), bool)
    mask[20:30, 21:31, 22:32] = True
    (centre,) = greedy_cover(mask, (32,) * 3, (4,) * 3)
    assert max(abs(a - b) for a, b in zip(centre, (24.5, 25.5, 26.5), strict=True)) <= 2


def test_the_fullest_place_comes_first() -> None:
    mask = np.zeros((100, 20), bool)
    mask[2:4, 5:15] = True
    mask[80:96, 2:18] = True
    centres = greedy_cover(mask, (24, 24), (3, 3))
    assert centres[0][0] > 60
    assert min(centre[0] for centre in centres) < 20


def test_a_long_change_takes_as_many_boxes_as_it_is_long() -> None:
    mask = np.zeros((8, 8, 400), bool)
    mask[3:6, 3:6] = True
    centres = greedy_cover(mask, (32,) * 3, (4,) * 3)
    assert 17 <= len(centres) <= 34
    assert greedy_cover(np.zeros((5, 5, 5), bool), (32,) * 3, (4,) * 3) == []


def test_a_block_takes_few_more_boxes_than_lie_side_by_side() -> None:
    mask = np.zeros((60, 80, 70), bool)
    mask[5:45, 6:66, 7:67] = True
    # Insides of 24 voxels a side: 2 x 3 x 3. A lattice alone, which leaves slivers between boxes, takes 59.
    assert 18 <= len(greedy_cover(mask, (32,) * 3, (4,) * 3)) <= 24
