from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from bedside.core.errors import InputError
from bedside.core.geometry import Geometry
from bedside.evaluate.metrics import METRICS, Sampling
from bedside.evaluate.metrics.dice import dice
from bedside.evaluate.metrics.surface import element_sizes, surface_dice, surface_elements


def blobs(generator, shape, sharpness=0.5):
    from scipy import ndimage

    return ndimage.gaussian_filter(generator.normal(size=shape), 1.5) > sharpness * 0.1


def monai_surface_dice(truth, prediction, spacing, tolerance):
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from monai.metrics import compute_surface_dice

        masks = [torch.from_numpy(m[None, None].astype(np.float32)) for m in (prediction, truth)]
        return compute_surface_dice(
            *masks, class_thresholds=[tolerance], include_background=True, spacing=spacing, use_subvoxels=True
        ).item()


def monai_dice(truth, prediction):
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from monai.metrics import compute_dice

        masks = [torch.from_numpy(m[None, None].astype(np.float32)) for m in (prediction, truth)]
        return compute_dice(*masks, include_background=True).item()


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.7, 1.9), (1.0, 1.0, 1.0), (5.0, 0.8, 0.7), (0.3, 2.0, 1.1)])
def test_element_sizes_are_those_of_the_reference_tables(spacing):
    pytest.importorskip("monai")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from monai.metrics.utils import get_code_to_measure_table
    theirs = get_code_to_measure_table(spacing)[0].numpy()
    bits = 2 ** len(spacing)
    # The reference numbers a neighbourhood's bits from the other end.
    mirrored = [int(f"{code:0{bits}b}"[::-1], 2) for code in range(2**bits)]
    np.testing.assert_allclose(element_sizes(spacing)[mirrored], theirs, rtol=1e-5)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 1.7), (1.0, 1.0, 1.0), (3.0, 0.9, 0.6)])
@pytest.mark.parametrize("tolerance", [0.0, 1.0, 2.0])
def test_agrees_with_monai(spacing, tolerance):
    pytest.importorskip("monai")
    generator = np.random.default_rng(7)
    shape = (20, 31, 26)[: len(spacing)]
    for _ in range(3):
        truth = blobs(generator, shape)
        prediction = np.roll(truth, generator.integers(0, 3, len(shape)), range(len(shape))) ^ (
            generator.random(shape) < 0.01
        )
        expected = monai_surface_dice(truth, prediction, spacing, tolerance)
        assert 0 < expected < 1
        assert surface_dice(truth, prediction, Sampling(spacing, tolerance)) == pytest.approx(expected, abs=1e-5)
        assert dice(truth, prediction) == pytest.approx(monai_dice(truth, prediction), abs=1e-6)


def test_dice_by_hand():
    truth, prediction = np.zeros((2, 6, 6), np.uint8)
    truth[0, :4] = 1
    prediction[0, 2:6] = 1
    assert dice(truth, prediction) == 0.5


def test_surface_of_a_square_by_hand():
    points, lengths = surface_elements(np.ones((3, 4)), (2.0, 1.0))
    # Two sides of 3 - 1 steps of 2, two of 4 - 1 steps of 1, and four corners cut by half a diagonal.
    assert lengths.sum() == pytest.approx(2 * 2 * 2 + 2 * 3 + 4 * math.sqrt(5) / 2)
    assert len(points) == 14
    assert points.max(axis=0).tolist() == [6.0, 4.0]


def test_surface_of_a_cube_by_hand():
    _, areas = surface_elements(np.ones((5, 5, 5)), (1.0, 1.0, 1.0))
    face, edge, corner = 4 * 4, math.sqrt(0.5), math.sqrt(3) / 8
    assert areas.sum() == pytest.approx(6 * face + 12 * 4 * edge + 8 * corner)


@pytest.mark.parametrize("tolerance", [1.9, 2.0, 2.1])
def test_shifted_by_exactly_the_tolerance_agrees(tolerance):
    truth, prediction = np.zeros((2, 30, 30), np.bool_)
    truth[5:20, 5:20] = True
    prediction[7:22, 5:20] = True
    score = surface_dice(truth, prediction, Sampling((1.0, 1.0), tolerance))
    assert (score == 1.0) == (tolerance >= 2)


def test_a_distance_equal_to_the_tolerance_survives_rounding():
    truth, prediction = np.zeros((2, 40, 40), np.bool_)
    truth[5:20, 5:20] = True
    prediction[8:23, 5:20] = True
    assert surface_dice(truth, prediction, Sampling((0.1, 0.1), 0.3)) == 1.0


@pytest.mark.parametrize("name", METRICS.names())
def test_conventions_hold_for_every_metric(name):
    metric = METRICS.get(name)
    sampling = Sampling((1.0, 1.0))
    empty, full = np.zeros((8, 9), np.uint8), np.ones((8, 9), np.uint8)
    assert math.isnan(metric(empty, empty, sampling))
    assert metric(full, empty, sampling) == metric(empty, full, sampling) == 0
    assert metric(full, full, sampling) == 1
    with pytest.raises(InputError):
        metric(full, full[:1], sampling)


def test_position_in_the_image_does_not_matter():
    generator = np.random.default_rng(1)
    truth, prediction = blobs(generator, (12, 14, 9)), blobs(generator, (12, 14, 9))
    sampling = Sampling((1.0, 2.0, 0.5), 1.0)
    padded = [np.pad(m, ((5, 1), (0, 9), (3, 3))) for m in (truth, prediction)]
    assert surface_dice(*padded, sampling) == pytest.approx(surface_dice(truth, prediction, sampling))


def test_sampling_follows_the_geometry():
    assert Sampling.of(Geometry.create((4, 5, 6), (0.7, 0.8, 5.0))) == Sampling((5.0, 0.8, 0.7), 2.0, "mm")
    assert Sampling.of(Geometry.create((4, 5))) == Sampling((1.0, 1.0), 2.0, "px")
    microscopic = Sampling.of(Geometry.create((4, 5, 6), (0.0001, 0.0001, 0.0003)))
    assert microscopic.unit == "px"
    assert microscopic.spacing == pytest.approx((3.0, 1.0, 1.0))
    with pytest.raises(InputError):
        Sampling((1.0,), -1.0)
