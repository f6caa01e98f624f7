from __future__ import annotations

import numpy as np
import pytest

from bedside.core.errors import FormatError, InputError
from bedside.core.image import Image
from bedside.session.stamp import ImageStamp, content_hash

ARRAY = np.arange(60, dtype=np.int16).reshape(3, 4, 5)


def test_the_hash_ignores_memory_layout_and_byte_order() -> None:
    assert content_hash(np.asfortranarray(ARRAY)) == content_hash(ARRAY)
    assert content_hash(ARRAY.astype(">i2")) == content_hash(ARRAY)
    assert content_hash(np.concatenate([ARRAY, ARRAY])[:3]) == content_hash(ARRAY)


def test_the_hash_tells_samples_shape_and_dtype_apart() -> None:
    other = ARRAY.copy()
    other[2, 3, 4] += 1
    hashes = {content_hash(a) for a in (ARRAY, other, ARRAY.reshape(4, 3, 5), ARRAY.view(np.uint16))}
    assert len(hashes) == 4


def test_a_stamp_comes_back_from_plain_values() -> None:
    for spacing in (None, (0.5, 0.5, 3.0)):
        stamp = ImageStamp.of(Image.from_array(ARRAY, spacing))
        assert ImageStamp.from_dict(stamp.to_dict()) == stamp


def test_the_grid_matters_only_to_prompts_in_the_world() -> None:
    here = ImageStamp.of(Image.from_array(ARRAY, (1.0, 1.0, 1.0)))
    there = ImageStamp.of(Image.from_array(ARRAY, (2.0, 1.0, 1.0)))
    here.check(there, world_prompts=False)
    with pytest.raises(InputError, match="elsewhere"):
        here.check(there, world_prompts=True)


def test_an_unusable_stamp_is_rejected() -> None:
    data = ImageStamp.of(Image.from_array(ARRAY)).to_dict()
    for key, value in (("shape", [1, 2]), ("geometry", {}), ("geometry", None), ("shape", "abc")):
        with pytest.raises(FormatError, match="journal image"):
            ImageStamp.from_dict({**data, key: value})
