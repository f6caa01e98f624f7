from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from bedside.engines.sam.blocks.windows import from_windows, to_windows


@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.integers(1, 5))
def test_windows_put_together_are_the_map(batch: int, height: int, width: int, side: int) -> None:
    x = torch.arange(batch * height * width * 2.0).reshape(batch, height, width, 2)
    windows = to_windows(x, side)
    assert windows.shape == (batch * -(-height // side) * -(-width // side), side, side, 2)
    assert torch.equal(from_windows(windows, height, width), x)


def test_windows_run_in_rows_and_are_padded_at_their_ends() -> None:
    x = torch.arange(1.0, 7.0).reshape(1, 2, 3, 1)
    windows = to_windows(x, 2)[..., 0]
    assert windows.tolist() == [[[1, 2], [4, 5]], [[3, 0], [6, 0]]]
