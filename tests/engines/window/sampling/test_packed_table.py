from __future__ import annotations

import numpy as np
import torch

from bedside.engines.window.sampling.packed_table import ALIGNMENT, PackedTable


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
