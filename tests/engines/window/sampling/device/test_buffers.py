from __future__ import annotations

import numpy as np
import pytest
import torch

from bedside.data.store import Item, Store
from bedside.engines.window.sampling.device.buffers import BufferWriter, Level, channels_first

CPU = torch.device("cpu")


def read(buffer: torch.Tensor, begin: int, level: Level, number: int = 0) -> np.ndarray:
    start = begin + number * level.cells
    return buffer[start : start + level.cells].reshape(level.shape).numpy()


def test_every_level_of_every_item_is_found_again(store: Store) -> None:
    writer = BufferWriter()
    pyramids = [writer.add(item, [(0,), (1,)] if item.axes == 3 else [()]) for item in store.items]
    buffers = writer.finish(CPU)
    assert buffers.image.dtype == torch.int16
    assert buffers.nbytes > 0
    for item, found in zip(store.items, pyramids, strict=True):
        image = channels_first(item)
        for pyramid in found:
            full = pyramid[0]
            assert full.shape == item.maps.shape[1:]
            assert full.second == 0
            for channel, wanted in enumerate(image):
                got = read(buffers.image, full.image, full, channel).astype(np.float64)
                # Up to shift and scale the values are the item's own.
                slope, shift = np.polyfit(wanted.ravel(), got.ravel(), 1)
                np.testing.assert_allclose(got, slope * wanted + shift, atol=1e-3 * slope)
                assert np.abs(got).max() <= 32_767
            np.testing.assert_array_equal(read(buffers.first, full.first, full) >> 8, item.maps[0])
            for level in pyramid[1:]:
                shares = [read(getattr(buffers, name), getattr(level, name), level) for name in ("first", "second")]
                covered = sum(np.where(s >> 8 == 1, s & 255, 0) for s in shares).mean() / 255
                assert covered == pytest.approx((item.maps[0] == 1).mean(), abs=0.03)
        if item.axes == 3:
            assert {level.factor[0] for level in found[0]} == {1}
            assert found[0][0] == found[1][0]


def test_whole_numbers_of_any_range_stay_apart(store: Store) -> None:
    for values in ([0, 1, 65_535], [-32_768, -32_767, 32_767], [7, 7, 8], [0, 0, 0]):
        item = store.items[0]
        image = np.tile(np.array(values, dtype=np.float32), (24, 8))
        made = Item(item.info, image, np.zeros((1, 24, 24), dtype=np.uint16), item.objects)
        writer = BufferWriter()
        level = writer.add(made, [()])[0][0]
        got = read(writer.finish(CPU).image, level.image, level)[0, :3].astype(int)
        assert len(set(got)) == len(set(values))
        assert (np.diff(got) >= 0).all()
