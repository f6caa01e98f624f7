from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from scipy import ndimage

from bedside.challenge.scores import LabelCrops, challenge_sampling, score_case
from bedside.core.geometry import Geometry


def score(truth, answer, labels=(1,), spacing=None, metrics=("dsc", "nsd"), **options):
    sampling = challenge_sampling(Geometry.create(truth.shape, spacing), **options)
    return score_case(LabelCrops(truth), LabelCrops(answer), labels, sampling, metrics)


def monai(truth, answer, label, spacing, tolerance=2.0):
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from monai.metrics import compute_dice, compute_surface_dice

        pair = [torch.from_numpy((m == label)[None, None].astype(np.float32)) for m in (answer, truth)]
        surface = compute_surface_dice(
            *pair, class_thresholds=[tolerance], include_background=True, spacing=spacing, use_subvoxels=True
        )
        return compute_dice(*pair, include_background=True).item(), surface.item()


def blobs(shape, seed):
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2)
    return np.digitize(field, np.quantile(field, (0.6, 0.8))).astype(np.uint8)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 0.9, 4.0)])
def test_agrees_with_monai_in_volumes(spacing):
    pytest.importorskip("monai")
    truth = blobs((14, 22, 26), 0)
    answer = np.roll(truth, (0, 2, 3), (0, 1, 2))
    theirs = np.mean([monai(truth, answer, label, spacing[::-1]) for label in (1, 2)], axis=0)
    assert list(score(truth, answer, (1, 2), spacing).values()) == pytest.approx(list(theirs), abs=1e-5)
    assert 0.2 < theirs[0] < 1
    assert 0 < theirs[1] < 1


def test_agrees_with_monai_in_pictures_as_volumes_of_one_slice():
    pytest.importorskip("monai")
    truth = blobs((40, 50), 1)
    answer = np.roll(truth, (3, 2), (0, 1))
    theirs = [monai(truth[..., None], answer[..., None], label, (1.0, 1.0, 1.0)) for label in (1, 2)]
    # The spacing of a picture does not count.
    ours = score(truth, answer, (1, 2), (0.1, 0.1))
    assert list(ours.values()) == pytest.approx(list(np.mean(theirs, axis=0)), abs=1e-5)


def test_dice_by_hand_is_the_mean_over_labels():
    truth, answer = np.zeros((2, 4, 6, 6), np.uint8)
    truth[0, :4], answer[0, 2:6] = 1, 1
    truth[2, :2], answer[2, :2] = 2, 2
    assert score(truth, answer, (1, 2))["dsc"] == pytest.approx((0.5 + 1) / 2)
    # A value that neither has does not count, one that only the answer has is wrong.
    assert score(truth, answer, (1, 2, 3))["dsc"] == pytest.approx(0.75)
    answer[3, 0, 0] = 3
    assert score(truth, answer, (1, 2, 3))["dsc"] == pytest.approx(0.5)


@pytest.mark.parametrize(("common", "passes"), [(2, False), (3, True)])
def test_the_gate(common, passes):
    # Two rows of 10: DSC is common / 10, and 0.2 is not above 0.2.
    truth, answer = np.zeros((2, 1, 1, 30), np.uint8)
    truth[..., :10] = 1
    answer[..., 10 - common : 20 - common] = 1
    result = score(truth, answer)
    assert result["dsc"] == pytest.approx(common / 10)
    assert (result["nsd"] > 0) == passes


def test_nothing_found():
    truth, empty = np.zeros((2, 5, 5, 5), np.uint8)
    truth[2:4, 2:4, 2:4] = 1
    assert score(truth, empty) == {"dsc": 0.0, "nsd": 0.0}
    assert score(truth, truth) == {"dsc": 1.0, "nsd": 1.0}


def test_any_metric_is_the_mean_over_labels_and_a_missed_one_is_the_diagonal_off():
    truth, answer = np.zeros((2, 6, 8, 10), np.uint8)
    truth[1:3, 1:3, 1:3] = answer[2:4, 1:3, 1:3] = 1
    found = score(truth, answer, (1,), (1.0, 1.0, 5.0), ("hd95", "nsd"))
    assert found["hd95"] == 5.0
    # The gate goes by DSC, whether or not that is asked for.
    assert list(found) == ["hd95", "nsd"]
    assert found["nsd"] == score(truth, answer, (1,), (1.0, 1.0, 5.0))["nsd"] > 0
    truth[4, 6, 6] = 2
    diagonal = math.hypot(6 * 5, 8, 10)
    assert score(truth, answer, (1, 2), (1.0, 1.0, 5.0), ("hd95",))["hd95"] == pytest.approx((5 + diagonal) / 2)


def test_the_official_order_of_spacing_changes_the_score():
    # Moved by one slice of 5 mm, beyond the tolerance; the official order takes it for 0.5 mm.
    truth, answer = np.zeros((2, 20, 20, 20), np.uint8)
    truth[5:15, 5:15, 5:15] = 1
    answer[6:16, 5:15, 5:15] = 1
    right = score(truth, answer, spacing=(0.5, 1.0, 5.0))
    official = score(truth, answer, spacing=(0.5, 1.0, 5.0), official_spacing_order=True)
    assert right["dsc"] == official["dsc"]
    assert right["nsd"] < 0.95
    assert official["nsd"] == 1.0
    cubic = [score(truth, answer, spacing=(2.0,) * 3, official_spacing_order=order) for order in (False, True)]
    assert cubic[0] == cubic[1]


def test_samplings():
    geometry = Geometry.create((3, 4, 5), (0.5, 1.0, 5.0))
    assert challenge_sampling(geometry).spacing == (5.0, 1.0, 0.5)
    assert challenge_sampling(geometry, official_spacing_order=True).spacing == (0.5, 1.0, 5.0)
    # Microscopy keeps its millimetres here, as officially.
    assert challenge_sampling(Geometry.create((3, 4, 5), (0.001,) * 3)).spacing == (0.001,) * 3
    assert challenge_sampling(Geometry.create((4, 5), (0.5, 1.0))).spacing == (1.0, 1.0, 1.0)


def test_labels_by_their_extent():
    labels = np.zeros((4, 5), np.uint16)
    labels[1:3, 2:4] = 300
    crops = LabelCrops(labels)
    region = crops.region(300)
    assert (region.start, region.stop) == ((1, 2), (3, 4))
    assert crops.mask(300, region).all()
    assert crops.region(7).is_empty
    assert crops.region(301).is_empty
    assert math.prod(LabelCrops(np.zeros((2, 2), np.uint8)).region(1).shape) == 0
