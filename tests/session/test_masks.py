from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from bedside.core.mask import PackedMask
from bedside.core.region import Region, changed_region
from bedside.session.masks import Canvas

MASKS = st.integers(2, 3).flatmap(
    lambda n: hnp.arrays(np.uint8, st.just((5, 7, 4)[:n]), elements=st.sampled_from([0, 0, 0, 1]))
)


def pack(mask: NDArray[np.uint8]) -> PackedMask:
    return PackedMask.of_patch(mask, Region.whole(mask.shape))


@given(MASKS)
def test_a_mask_comes_back_from_its_bits(mask: NDArray[np.uint8]) -> None:
    packed = pack(mask)
    assert np.array_equal(packed.patch(Region.whole(mask.shape)), mask)
    assert np.array_equal(packed.patch(), mask[packed.region.slices])
    assert packed.voxels == mask.sum()
    assert np.array_equal(Canvas(mask.shape).show(packed), mask)


@given(st.data())
def test_the_changed_region_is_that_of_the_dense_masks(data: st.DataObject) -> None:
    shape = (6, 5)
    first, second = (data.draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, 1))) for _ in range(2))
    assert pack(first).changed(pack(second)).shape == changed_region(first, second).shape
    if (first != second).any():
        assert pack(first).changed(pack(second)) == changed_region(first, second)


@given(st.lists(hnp.arrays(np.uint8, (6, 5), elements=st.integers(0, 1)), max_size=5))
def test_a_canvas_shows_the_last_mask_and_nothing_of_those_before(masks: list[NDArray[np.uint8]]) -> None:
    canvas = Canvas((6, 5))
    for mask in masks:
        assert np.array_equal(canvas.show(pack(mask)), mask)


def test_what_a_canvas_shows_cannot_be_written() -> None:
    shown = Canvas((3, 3)).show(PackedMask.empty(2))
    with pytest.raises(ValueError, match="read-only"):
        shown[0, 0] = 1
