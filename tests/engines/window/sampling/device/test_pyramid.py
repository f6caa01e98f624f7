from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bedside.engines.window.sampling.device.pyramid import FULL, Entry, halve_image, halve_labels, halving_steps


@pytest.mark.parametrize(
    ("shape", "spacing", "kept", "expected"),
    [
        ((64, 64), (1.0, 1.0), (), [(1, 1), (2, 2), (4, 4), (8, 8)]),
        ((64, 20), (1.0, 1.0), (), [(1, 1), (2, 2), (4, 2), (8, 2)]),
        ((32, 64, 64), (4.0, 1.0, 1.0), (), [(1, 1, 1), (1, 2, 2), (1, 4, 4), (2, 8, 8), (4, 8, 8)]),
        ((9, 64, 32), (1.0, 1.0, 1.0), (0,), [(1, 1, 1), (1, 2, 2), (1, 4, 4), (1, 8, 4)]),
        ((9, 9), (1.0, 1.0), (), [(1, 1)]),
    ],
)
def test_the_finest_axes_are_halved_first(
    shape: tuple[int, ...], spacing: tuple[float, ...], kept: tuple[int, ...], expected: list[tuple[int, ...]]
) -> None:
    assert halving_steps(shape, spacing, kept) == expected


def test_images_are_averaged_as_pooling_does() -> None:
    image = np.random.default_rng(0).random((3, 7, 10)).astype(np.float32)
    pooled = F.avg_pool2d(torch.from_numpy(image)[None], (2, 2), ceil_mode=True, count_include_pad=False)[0]
    np.testing.assert_allclose(halve_image(image, (1, 2)), pooled.numpy(), rtol=1e-6)
    pooled = F.avg_pool2d(torch.from_numpy(image)[None], (2, 1), ceil_mode=True, count_include_pad=False)[0]
    np.testing.assert_allclose(halve_image(image, (1,)), pooled.numpy(), rtol=1e-6)


@pytest.mark.parametrize("axes", [(0, 1), (1,)])
def test_shares_of_objects_are_exact_where_no_more_than_two_meet(axes: tuple[int, ...]) -> None:
    labels = np.zeros((37, 50), dtype=np.int32)
    labels[5:20, 4:23] = 700
    labels[25:31, 30:47] = 3
    entries: tuple[Entry, ...] = (Entry(labels, np.full(labels.shape, FULL, dtype=np.uint8)),)
    masks = {value: (labels == value).astype(np.float32) for value in (0, 3, 700)}
    for _ in range(3):
        entries = halve_labels(entries, axes)
        masks = {value: halve_image(mask, axes) for value, mask in masks.items()}
        for value, mask in masks.items():
            share = sum(np.where(e.value == value, e.cover, 0) for e in entries) / FULL
            assert entries[0].value.shape == mask.shape
            np.testing.assert_allclose(share, mask, atol=0.02)


def test_the_two_most_frequent_of_many_are_kept() -> None:
    labels = np.array([[1, 2, 3, 3], [1, 0, 3, 3]], dtype=np.int32)
    first, second = halve_labels([Entry(labels, np.full(labels.shape, FULL, dtype=np.uint8))], (0, 1))
    assert first.value.tolist() == [[1, 3]]
    assert first.cover.tolist() == [[128, 255]]
    assert second.cover.tolist() == [[64, 0]]
    assert int(first.packed()[0, 0]) == 1 * 256 + 128
