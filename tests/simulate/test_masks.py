from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from bedside.core.errors import InputError
from bedside.simulate.masks import degraded_mask, smooth_noise


def ellipse(shape, centre, radii):
    axes = np.ix_(*(np.arange(n) for n in shape))
    return sum(((a - c) / r) ** 2 for a, c, r in zip(axes, centre, radii, strict=True)) <= 1


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def whole(truth, seed, spacing=None):
    mask, region = degraded_mask(truth, np.random.default_rng(seed), spacing)
    assert mask.shape == region.shape
    assert region.clip(truth.shape) == region
    result = np.zeros(truth.shape, bool)
    result[region.slices] = mask
    return result


@pytest.mark.parametrize(
    "truth",
    [ellipse((80, 100), (40, 50), (20, 30)), ellipse((20, 60, 50), (9, 30, 25), (5, 18, 14))],
    ids=["image", "volume"],
)
def test_it_is_wrong_but_of_the_object(truth):
    scores = [dice(truth, whole(truth, seed)) for seed in range(12)]
    assert max(scores) < 0.99
    assert min(scores) > 0.4
    assert 0.6 < np.mean(scores) < 0.93


def test_masks_go_too_far_in_some_and_not_far_enough_in_others():
    truth = ellipse((80, 100), (40, 50), (20, 30))
    sizes = [np.count_nonzero(whole(truth, seed)) / truth.sum() for seed in range(16)]
    assert min(sizes) < 0.9
    assert max(sizes) > 1.1


def test_the_draw_depends_on_the_generator_alone():
    truth = ellipse((40, 50), (20, 25), (9, 12))
    np.testing.assert_array_equal(whole(truth, 4), whole(truth, 4))
    assert (whole(truth, 4) != whole(truth, 5)).any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 1), (5, 7), (4, 1, 6)])
def test_nothing_is_ever_empty_even_where_the_object_fills_the_image(shape):
    truth = np.ones(shape, bool)
    for seed in range(8):
        assert whole(truth, seed).any()


def test_a_thin_line_keeps_its_course():
    truth = np.zeros((60, 90), bool)
    truth[30, 5:85] = True
    near = ndimage.binary_dilation(truth, iterations=3)
    for seed in range(6):
        mask = whole(truth, seed)
        assert mask.any()
        assert not (mask & ~near).any()


def test_in_thick_slices_faults_are_as_long_in_millimetres_across_slices_as_along_them():
    truth = ellipse((15, 80, 80), (7, 40, 40), (2, 24, 24))
    masks = [whole(truth, seed, (6.0, 0.5, 0.5)) for seed in range(8)]
    along = [np.flatnonzero(mask.any(axis=(1, 2))) for mask in masks]
    assert all(found.min() >= 2 and found.max() <= 12 for found in along)
    # Counted in voxels the object is three deep, and the faults within a slice would be as small.
    flat = [whole(truth, seed) for seed in range(8)]
    assert np.mean([dice(truth[7], m[7]) for m in masks]) < np.mean([dice(truth[7], m[7]) for m in flat]) - 0.05


def test_an_empty_object_is_rejected():
    with pytest.raises(InputError, match="empty"):
        degraded_mask(np.zeros((4, 4)), np.random.default_rng(0))


def test_noise_has_no_mean_and_changes_slowly():
    noise = smooth_noise((200, 300), (20, 40), np.random.default_rng(1))
    assert abs(noise.mean()) < 1e-9
    assert noise.std() == pytest.approx(1)
    assert np.abs(np.diff(noise, axis=0)).max() < 0.6
    assert np.abs(np.diff(noise, axis=1)).max() < 0.3
