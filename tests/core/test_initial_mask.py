from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bedside.core.errors import PromptError
from bedside.core.initial_mask import InitialMask
from bedside.core.region import Region

MASKS = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=7))


@given(mask=MASKS)
def test_a_mask_comes_back_from_its_box(mask: Any) -> None:
    prompt = InitialMask(mask)
    assert np.array_equal(prompt.mask, mask)
    again = InitialMask.from_dict(json.loads(json.dumps(prompt.to_dict())))
    assert again == prompt
    assert hash(again) == hash(prompt)


@given(mask=MASKS, data=st.data())
def test_a_patch_is_the_mask_that_holds_it(mask: Any, data: st.DataObject) -> None:
    start = [data.draw(st.integers(0, n - 1)) for n in mask.shape]
    stop = [data.draw(st.integers(a + 1, n)) for a, n in zip(start, mask.shape, strict=True)]
    region = Region(tuple(start), tuple(stop))
    whole = np.zeros(mask.shape, bool)
    whole[region.slices] = mask[region.slices]
    assert InitialMask.of_patch(mask[region.slices], region, mask.shape) == InitialMask(whole)


def test_a_stroke_in_a_large_volume_stays_small() -> None:
    patch = np.ones((1, 10, 10), np.uint8)
    prompt = InitialMask.of_patch(patch, Region((150, 200, 200), (151, 210, 210)), (300, 512, 512))
    assert prompt.packed.bits.nbytes == 13
    assert len(json.dumps(prompt.to_dict())) < 300


def test_masks_written_without_a_box_are_read() -> None:
    data = InitialMask(np.ones((3, 4), bool)).to_dict()
    assert "box" not in data
    assert InitialMask.from_dict(data).mask.all()


@pytest.mark.parametrize(
    "box", [[[0, 0], [9, 2]], [[-1, 0], [1, 2]], [[2, 0], [1, 2]], [[0], [2]], [[0, 0, 0], [1, 1, 1]]]
)
def test_a_box_outside_the_image_is_rejected(box: Any) -> None:
    mask = np.zeros((3, 4), bool)
    mask[1, 1] = True
    with pytest.raises((PromptError, ValueError)):
        InitialMask.from_dict({**InitialMask(mask).to_dict(), "box": box})
