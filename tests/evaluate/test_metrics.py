from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from bedside.core.errors import InputError
from bedside.core.geometry import Geometry
from bedside.evaluate.metrics import METRICS, EmptyValues, MetricSpec, Sampling, metric_specs
from bedside.evaluate.metrics.dice import dice
from bedside.evaluate.metrics.surface import element_sizes, surface_dice, surface_elements


def blobs(generator, shape, sharpness=0.5):
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


SPECS = dict(METRICS.items())


def test_two_overlap_and_two_distance_metrics_are_there():
    assert {n: (s.direction, s.unit) for n, s in SPECS.items()} == {
        "dsc": ("higher", ""), "nsd": ("higher", ""), "hd95": ("lower", "length"), "assd": ("lower", "length"),
    }  # fmt: skip


@st.composite
def mask_pairs(draw):
    """Two masks of one shape in 2D or 3D, either of them possibly empty, with a spacing."""
    shape = draw(st.lists(st.integers(1, 9), min_size=2, max_size=3))
    masks = draw(st.tuples(*[arrays(np.bool_, tuple(shape)) for _ in range(2)]))
    spacing = draw(st.lists(st.floats(0.1, 6.0), min_size=len(shape), max_size=len(shape)))
    return (*masks, Sampling.of(Geometry.create(tuple(shape), tuple(spacing))))


@pytest.mark.parametrize("name", SPECS)
@given(mask_pairs())
def test_conventions_hold_for_every_metric(name, pair):
    spec = SPECS[name]
    truth, prediction, sampling = pair
    (low, high), perfect = spec.range, {"higher": spec.range[1], "lower": spec.range[0]}[spec.direction]
    value = spec.score(truth, prediction, sampling)
    if not truth.any() and not prediction.any():
        assert math.isnan(value)
    elif truth.any() != prediction.any():
        worst = sampling.diagonal if spec.direction == "lower" else low
        assert value == worst
    else:
        assert low <= value <= high + 1e-12
        assert value <= sampling.diagonal or not spec.is_length
        assert value == pytest.approx(spec.score(prediction, truth, sampling))
    if truth.any():
        assert spec.score(truth, truth, sampling) == perfect
        assert spec.best([value, perfect]) == perfect
    shifted = [np.pad(m, [(2, 1)] * m.ndim) for m in (truth, prediction)]
    if truth.any() and prediction.any():
        assert spec.score(*shifted, sampling) == pytest.approx(value)


@pytest.mark.parametrize("name", SPECS)
def test_masks_that_do_not_fit_are_rejected(name):
    full = np.ones((8, 9), np.uint8)
    with pytest.raises(InputError, match=r"truth's shape \(8, 9\), got \(1, 9\)"):
        SPECS[name].score(full, full[:1], Sampling((1.0, 1.0)))
    with pytest.raises(InputError, match="2 spacings"):
        SPECS[name].score(full, full, Sampling((1.0, 1.0, 1.0)))


@pytest.mark.parametrize("name", [n for n, s in SPECS.items() if s.is_length])
@given(mask_pairs(), st.sampled_from([0.5, 2.0, 8.0]))
def test_distances_grow_with_the_spacing(name, pair, factor):
    truth, prediction, sampling = pair
    assume(truth.any() and prediction.any())
    larger = Sampling(tuple(factor * s for s in sampling.spacing))
    value = SPECS[name].score(truth, prediction, sampling)
    assert SPECS[name].score(truth, prediction, larger) == pytest.approx(factor * value)


def test_a_moved_block_is_as_far_off_as_it_was_moved():
    truth, prediction = np.zeros((2, 20, 20, 20), np.bool_)
    truth[4:10, 4:10, 4:10] = True
    prediction[7:13, 4:10, 4:10] = True
    # Three slices of 2 mm: of the faces across, every voxel is 6 mm off; all other voxels are nearer.
    assert SPECS["hd95"].score(truth, prediction, Sampling((2.0, 0.5, 0.5))) == 6.0
    assert 0 < SPECS["assd"].score(truth, prediction, Sampling((2.0, 0.5, 0.5))) < 6.0


def test_distances_of_single_voxels_by_hand():
    truth, prediction = np.zeros((2, 9, 9), np.bool_)
    truth[1, 1] = prediction[1, 5] = prediction[4, 1] = True
    sampling = Sampling((1.0, 0.5))
    # From the truth 2 (the nearer one), from the prediction 3 and 2; 95 % of the way from 2 to 3.
    assert SPECS["hd95"].score(truth, prediction, sampling) == pytest.approx(2.95)
    assert SPECS["assd"].score(truth, prediction, sampling) == pytest.approx((2 + 3 + 2) / 3)


def distances_by_transform(truth, prediction, spacing):
    """The same distances by scipy's distance transform, of borders found by their neighbours."""

    def border(mask):
        padded = np.pad(mask, 1)
        around = [np.roll(padded, step, axis) for axis in range(mask.ndim) for step in (-1, 1)]
        return (padded & ~np.logical_and.reduce(around))[(slice(1, -1),) * mask.ndim]

    one, other = border(truth), border(prediction)
    return [ndimage.distance_transform_edt(~b, spacing)[a] for a, b in ((one, other), (other, one))]


@given(mask_pairs())
def test_distances_agree_with_a_distance_transform(pair):
    truth, prediction, sampling = pair
    assume(truth.any() and prediction.any())
    both = distances_by_transform(truth, prediction, sampling.spacing)
    assert SPECS["hd95"].score(truth, prediction, sampling) == pytest.approx(max(np.percentile(d, 95) for d in both))
    assert SPECS["assd"].score(truth, prediction, sampling) == pytest.approx(np.concatenate(both).mean())


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 1.7), (1.0, 1.0, 1.0), (3.0, 0.9, 0.6)])
def test_distances_agree_with_monai(spacing):
    pytest.importorskip("monai")
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance
    generator = np.random.default_rng(3)
    for _ in range(3):
        truth = blobs(generator, (14, 21, 18)[: len(spacing)])
        moved = np.roll(truth, generator.integers(0, 3, truth.ndim), range(truth.ndim))
        prediction = moved ^ (generator.random(truth.shape) < 0.01)
        masks = [torch.from_numpy(m[None, None].astype(np.float32)) for m in (prediction, truth)]
        options = {"include_background": True, "spacing": list(spacing)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            hausdorff = compute_hausdorff_distance(*masks, percentile=95, **options).item()
            average = compute_average_surface_distance(*masks, symmetric=True, **options).item()
        sampling = Sampling(spacing)
        assert hausdorff > 0
        assert SPECS["hd95"].score(truth, prediction, sampling) == pytest.approx(hausdorff, rel=1e-5)
        assert SPECS["assd"].score(truth, prediction, sampling) == pytest.approx(average, rel=1e-5)


def spec(**changes):
    usual = {
        "name": "x", "direction": "higher", "unit": "", "range": (0.0, 1.0), "empty": EmptyValues(), "paper": "",
        "compute": lambda truth, prediction, sampling: 0.5,
    }  # fmt: skip
    return MetricSpec(**{**usual, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "My metric"}, "lower case"), ({"name": ""}, "lower case"), ({"direction": "up"}, "higher or lower"),
        ({"range": (1.0, 0.0)}, "lowest value"), ({"range": (-math.inf, 0.0)}, "lowest value"),
    ],
)  # fmt: skip
def test_a_specification_that_makes_no_sense_is_rejected(changes, message):
    with pytest.raises(InputError, match=message):
        spec(**changes)


def test_a_specification_says_how_values_are_shown():
    share, length, seconds = spec(), spec(unit="length", range=(0.0, math.inf)), spec(unit="s", range=(0.0, 60.0))
    assert [s.text(0.12345) for s in (share, length, seconds)] == ["0.123", "0.12", "0.12"]
    assert share.text(math.nan) == length.text(math.inf) == "-"
    assert [s.heading({"px", "mm"}) for s in (share, length, seconds)] == ["X", "X mm or px", "X s"]
    assert length.heading(["mm", "mm"]) == "X mm"


def test_the_best_value_goes_by_direction_and_is_never_nan():
    assert spec().best([0.2, math.nan, 0.7]) == 0.7
    assert spec(direction="lower").best([0.2, math.nan, 0.7]) == 0.2
    assert math.isnan(spec().best([math.nan]))


def test_empty_masks_never_reach_the_function():
    def fail(truth, prediction, sampling):
        raise AssertionError

    empty, full, sampling = np.zeros((4, 4)), np.ones((4, 4)), Sampling((1.0, 1.0), diagonal=9.0)
    one = spec(compute=fail, empty=EmptyValues(both=1.0, one=0.25))
    assert [one.score(*pair, sampling) for pair in ((empty, empty), (full, empty), (empty, full))] == [1.0, 0.25, 0.25]
    assert spec(compute=fail, empty=EmptyValues(one="diagonal")).score(full, empty, sampling) == 9.0


def test_an_unknown_metric_is_rejected_with_those_that_there_are():
    with pytest.raises(InputError, match="one of assd, dsc, hd95, nsd, got 'hd59'; did you mean 'hd95'"):
        metric_specs(["dsc", "hd59"])
    for names in ([], ["dsc", "dsc"]):
        with pytest.raises(InputError, match="each once of assd, dsc, hd95, nsd"):
            metric_specs(names)


def test_position_in_the_image_does_not_matter():
    generator = np.random.default_rng(1)
    truth, prediction = blobs(generator, (12, 14, 9)), blobs(generator, (12, 14, 9))
    sampling = Sampling((1.0, 2.0, 0.5), 1.0)
    padded = [np.pad(m, ((5, 1), (0, 9), (3, 3))) for m in (truth, prediction)]
    assert surface_dice(*padded, sampling) == pytest.approx(surface_dice(truth, prediction, sampling))


def test_sampling_follows_the_geometry():
    assert Sampling.of(Geometry.create((4, 5, 6), (0.7, 0.8, 5.0))) == Sampling((5.0, 0.8, 0.7), 2.0, "mm")
    assert Sampling.of(Geometry.create((4, 5))) == Sampling((1.0, 1.0), 2.0, "px")
    assert Sampling.of(Geometry.create((4, 5, 6), (0.7, 0.8, 5.0))).diagonal == pytest.approx(math.hypot(20, 4, 4.2))
    microscopic = Sampling.of(Geometry.create((4, 5, 6), (0.0001, 0.0001, 0.0003)))
    assert microscopic.unit == "px"
    assert microscopic.spacing == pytest.approx((3.0, 1.0, 1.0))
    with pytest.raises(InputError):
        Sampling((1.0,), -1.0)
