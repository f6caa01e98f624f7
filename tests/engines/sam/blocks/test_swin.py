from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bedside.engines.sam.blocks.swin import HEAD_WIDTH, SIDE, MergePatches, ShiftedAttention, Swin, seam_mask

pytestmark = pytest.mark.usefixtures("quiet_torch")

Stir = Callable[[nn.Module], nn.Module]


def groups_along(length: int, shifted: bool) -> list[int]:
    """Which window each position along an axis lies in; a shift makes a half one at either end."""
    shift = SIDE // 2 if shifted else 0
    return [(position + shift) // SIDE for position in range(length)]


def brute_force(attention: ShiftedAttention, image: Tensor) -> Tensor:
    """Attention of a map (y, x, width) by where the windows lie on it, without rolling or masks."""
    height, width, _ = image.shape
    q, k, v = attention.to_qkv(image).reshape(height, width, 3, attention.heads, HEAD_WIDTH).unbind(2)
    rows, columns = groups_along(height, attention.shifted), groups_along(width, attention.shifted)
    shift = SIDE // 2 if attention.shifted else 0
    out = torch.zeros_like(q)
    for y in range(height):
        for x in range(width):
            ys = [a for a in range(height) if rows[a] == rows[y]]
            xs = [b for b in range(width) if columns[b] == columns[x]]
            keys, values = k[ys][:, xs].flatten(0, 1), v[ys][:, xs].flatten(0, 1)
            inside = [((a + shift) % SIDE, (b + shift) % SIDE) for a in ys for b in xs]
            at = ((y + shift) % SIDE, (x + shift) % SIDE)
            bias = torch.stack([attention.pos_embedding[v - at[0] + 7, u - at[1] + 7] for v, u in inside])
            scores = torch.einsum("hd,khd->hk", q[y, x], keys) / math.sqrt(HEAD_WIDTH) + bias
            out[y, x] = torch.einsum("hk,khd->hd", scores.softmax(-1), values)
    projected: Tensor = attention.to_out(out.flatten(2))
    return projected


@pytest.mark.parametrize("shifted", [False, True])
def test_attention_is_that_among_the_pixels_of_a_window(
    shifted: bool, generator: torch.Generator, stirred: Stir
) -> None:
    attention = stirred(ShiftedAttention(12, 2, shifted=shifted))
    assert isinstance(attention, ShiftedAttention)
    images = torch.randn(2, 16, 24, 12, generator=generator)
    expected = torch.stack([brute_force(attention, image) for image in images])
    torch.testing.assert_close(attention(images), expected, rtol=1e-4, atol=1e-5)


def test_the_bias_is_of_the_offset_from_query_to_key() -> None:
    attention = ShiftedAttention(12, 1, shifted=False)
    attention.pos_embedding.copy_(torch.arange(225.0).reshape(15, 15))
    bias = attention.bias()
    last_row, last_column = 7 * SIDE, 7
    assert bias[0, 0] == attention.pos_embedding[7, 7]
    assert bias[0, last_row] == attention.pos_embedding[14, 7]
    assert bias[0, last_column] == attention.pos_embedding[7, 14]
    assert bias[last_row, 0] == attention.pos_embedding[0, 7]


def test_seams_part_the_halves_of_a_window() -> None:
    rows, columns = seam_mask(4, axis=0), seam_mask(4, axis=1)
    assert rows[0, 7] == 0  # (0, 0) and (1, 3)
    assert rows[0, 8] == -torch.inf  # (0, 0) and (2, 0)
    assert columns[0, 8] == 0
    assert columns[0, 2] == -torch.inf  # (0, 0) and (0, 2)
    assert torch.equal(rows, rows.T)


def test_patches_hold_channels_first_then_rows() -> None:
    merge = MergePatches(2, 8, 2)
    merge.linear.weight.copy_(torch.eye(8))
    merge.linear.bias.zero_()
    x = torch.arange(8.0).reshape(1, 2, 2, 2)
    assert merge(x).flatten().tolist() == x.flatten().tolist()
    wide = torch.randn(1, 2, 6, 4)
    unfolded = nn.functional.unfold(wide, 2, stride=2).reshape(1, 8, 3, 2).permute(0, 2, 3, 1)
    torch.testing.assert_close(merge(wide), unfolded)


def test_the_maps_of_all_stages_follow_the_embedding() -> None:
    network = Swin(widths=(8, 16, 24, 32, 32), depths=(2, 2, 2, 2), heads=(1, 1, 1, 1)).eval()
    shapes = [tuple(x.shape) for x in network(torch.zeros(1, 3, 64, 32))]
    assert shapes == [(1, 256, 16, 8), (1, 16, 32, 16), (1, 24, 16, 8), (1, 32, 16, 8), (1, 32, 16, 8)]
