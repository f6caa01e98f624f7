from __future__ import annotations

import numpy as np
import pytest
import torch

from bedside.data.store import Store
from bedside.engines.window.sampling.device.packed_table import ALIGNMENT, PackedTable
from bedside.engines.window.sampling.device.plane_engine import PlaneEngine
from bedside.train.sampling import SamplingConfig


def test_arrays_come_out_as_they_went_in() -> None:
    table = {
        "flags": np.array([True, False, True]),
        "numbers": np.arange(10, dtype=np.int64).reshape(2, 5)[:, ::2],
        "none": np.zeros((0, 3), dtype=np.float32),
        "shares": np.linspace(0, 1, 3, dtype=np.float32),
    }
    packed = PackedTable.pack(table).to(torch.device("cpu"))
    assert packed.data.dtype == torch.uint8
    assert all(field.begin % ALIGNMENT == 0 for field in packed.fields.values())
    out = packed.unpack()
    assert list(out) == list(table)
    for name, values in table.items():
        assert out[name].numpy().dtype == values.dtype
        np.testing.assert_array_equal(out[name].numpy(), values)


@pytest.mark.parametrize("count", [1, 7])
def test_records_are_packed_whole(store: Store, count: int) -> None:
    engine = PlaneEngine(store, SamplingConfig(grid=32), 0, torch.device("cpu"))
    drawn = engine.records.draw(np.arange(count))
    for name, values in PackedTable.pack(drawn).unpack().items():
        np.testing.assert_array_equal(values.numpy(), drawn[name])
