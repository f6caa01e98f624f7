"""The window engine with networks whose answer can be foreseen: every mask is known to the voxel."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.prompts import Box, InitialMask, Point, Prompt, Scribble
from bedside.core.region import mask_region
from bedside.engines.protocol import Prediction
from bedside.engines.window.segmenter import WindowSegmenter

Make = Callable[..., WindowSegmenter]
Mask = NDArray[np.uint8]


def whole(prediction: Prediction, shape: tuple[int, ...], previous: Mask | None = None) -> Mask:
    """The object's mask of the whole image."""
    mask = np.zeros(shape, np.uint8) if previous is None else previous.copy()
    prediction.paste(mask)
    return mask


def box_mask(shape: tuple[int, ...], box: Box) -> Mask:
    """The voxels of a box with whole corners."""
    mask = np.zeros(shape, np.uint8)
    mask[tuple(slice(int(a), int(b)) for a, b in zip(box.low[::-1], box.high[::-1], strict=True))] = 1
    return mask


def scene(objects: Mask, dtype: Any = np.uint8) -> NDArray[Any]:
    """An image in which the object is bright."""
    image: NDArray[Any] = (40 + 150 * objects.astype(np.int64)).astype(dtype)
    return image


def disc(shape: tuple[int, ...], centre: tuple[float, ...], radius: float) -> Mask:
    """A filled disc or ball; centre in array order."""
    offsets = np.indices(shape) - np.array(centre).reshape(-1, *(1,) * len(shape))
    mask: Mask = ((offsets**2).sum(axis=0) <= radius**2).astype(np.uint8)
    return mask


def dice(a: Mask, b: Mask) -> float:
    """Overlap of two masks."""
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


@st.composite
def placed_boxes(draw: st.DrawFn, dimensions: int, side: int) -> tuple[tuple[int, ...], Box]:
    """An image's shape and a box inside it whose window has cells no larger than a voxel."""
    shape = tuple(draw(st.integers(4, 60)) for _ in range(dimensions))
    low, high = [], []
    for n in shape[::-1]:
        low.append(draw(st.integers(0, n - 2)))
        high.append(draw(st.integers(low[-1] + 2, min(n, low[-1] + side))))
    return shape, Box(tuple(map(float, low)), tuple(map(float, high)))


@given(case=placed_boxes(dimensions=2, side=15))
def test_an_answer_in_the_box_is_pasted_to_the_pixel(window_segmenter: Make, case: tuple[tuple[int, ...], Box]) -> None:
    shape, box = case
    segmenter = window_segmenter("boxed")
    segmenter.set_image(Image.from_array(np.zeros(shape, np.uint8)))
    prediction = segmenter.predict([box])
    np.testing.assert_array_equal(whole(prediction, shape), box_mask(shape, box))
    assert prediction.changed == mask_region(box_mask(shape, box))
    assert prediction.passes == 1


@settings(max_examples=40)
@given(case=placed_boxes(dimensions=3, side=10))
def test_the_same_in_a_volume(window_segmenter: Make, case: tuple[tuple[int, ...], Box]) -> None:
    shape, box = case
    segmenter = window_segmenter("boxed", dimensions=3, grid=16, object_zoom=1.6)
    segmenter.set_image(volume(shape))
    prediction = segmenter.predict([box])
    np.testing.assert_array_equal(whole(prediction, shape), box_mask(shape, box))


def volume(shape: tuple[int, ...], spacing: tuple[float, ...] | None = None) -> Image:
    """A volume of zeros, also where its last axis has as few voxels as a colour has channels."""
    return Image(np.zeros(shape, np.int16), Geometry.create(shape, spacing))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
@pytest.mark.parametrize("corner", [(0, 0), (31, 17), (80, 50), (44, 0)])
def test_an_object_is_found_where_it_lies(window_segmenter: Make, dtype: Any, corner: tuple[int, int]) -> None:
    shape = (97, 63)
    truth = np.zeros(shape, np.uint8)
    truth[corner[0] : corner[0] + 17, corner[1] : corner[1] + 13] = 1
    segmenter = window_segmenter("bright")
    segmenter.set_image(Image.from_array(scene(truth, dtype)))
    region = mask_region(truth)
    box = Box(tuple(map(float, region.start[::-1])), tuple(map(float, region.stop[::-1])))
    np.testing.assert_array_equal(whole(segmenter.predict([box]), shape), truth)


def test_colour_reaches_the_network_and_grey_fills_three_channels(window_segmenter: Make) -> None:
    truth = disc((50, 60), (25, 30), 8)
    colour = np.stack([scene(truth), np.full_like(truth, 40), np.full_like(truth, 40)], axis=-1)
    box = Box((22.0, 17.0), (39.0, 34.0))
    for array, equal in ((colour, False), (scene(truth), True)):
        segmenter = window_segmenter("bright")
        segmenter.set_image(Image.from_array(array))
        assert dice(whole(segmenter.predict([box]), truth.shape), truth) > 0.95
        first = segmenter._graph.inputs[0][0]  # type: ignore[attr-defined]
        assert np.array_equal(first[0], first[1]) == equal


def test_all_channels_hold_what_the_model_card_says(window_segmenter: Make) -> None:
    segmenter = window_segmenter("corrected")
    segmenter.set_image(Image.from_array(scene(disc((60, 60), (30, 30), 9))))
    previous = disc((60, 60), (30, 30), 8)
    prompts: list[Prompt] = [
        Box((20.0, 20.0), (41.0, 41.0)),
        Box((43.0, 20.0), (46.0, 30.0), positive=False),
        Point((30.0, 30.0)),
        Scribble(((20.0, 44.0), (40.0, 44.0)), positive=False),
    ]
    segmenter.predict(prompts, previous)
    stacked = segmenter._graph.inputs[0][0]  # type: ignore[attr-defined]
    assert set(np.unique(stacked[3])) == {0.0, 1.0}
    assert stacked[4].sum() > stacked[5].sum() > 0
    # Array order: the negative stroke lies below the positive click.
    assert np.nonzero(stacked[7])[0].mean() > np.nonzero(stacked[6])[0].mean()


@pytest.mark.parametrize("shape", [(200, 210), (64, 70, 66)])
def test_the_window_grows_while_the_answer_runs_into_its_border(window_segmenter: Make, shape: tuple[int, ...]) -> None:
    dimensions = len(shape)
    truth = np.zeros(shape, np.uint8)
    long = tuple(slice(n // 2 - n // 10, n // 2 + n // 10) for n in shape[:-1])
    truth[(*long, slice(6, -6))] = 1
    segmenter = window_segmenter("bright", dimensions, 32, refine_limit=0)
    segmenter.set_image(Image.from_array(scene(truth)))
    centre = np.array(shape[::-1]) / 2
    half = shape[0] / 10
    prediction = segmenter.predict([Box(tuple(centre - half), tuple(centre + half))])
    assert 1 < prediction.passes <= 1 + segmenter.policy.grow_limit
    assert dice(whole(prediction, shape), truth) > 0.9
    assert prediction.window[-1][0] < 6
    assert prediction.window[-1][1] > shape[-1] - 6


def test_the_window_stays_where_the_object_ends_at_the_images_edge(window_segmenter: Make) -> None:
    truth = np.zeros((50, 80), np.uint8)
    truth[:, :30] = 1
    segmenter = window_segmenter("bright", grid=64)
    segmenter.set_image(Image.from_array(scene(truth)))
    prediction = segmenter.predict([Box((0.0, 0.0), (30.0, 50.0))])
    assert prediction.passes == 1
    np.testing.assert_array_equal(whole(prediction, truth.shape), truth)


def test_a_window_as_large_as_the_image_does_not_grow(window_segmenter: Make) -> None:
    segmenter = window_segmenter("everything", object_zoom=1.6)
    segmenter.set_image(Image.from_array(np.zeros((32, 32), np.uint8)))
    prediction = segmenter.predict([Box((6.0, 6.0), (26.0, 26.0))])
    assert prediction.window == ((0.0, 32.0), (0.0, 32.0))
    assert prediction.passes == 1


def test_a_larger_window_that_loses_the_object_is_not_taken(window_segmenter: Make) -> None:
    segmenter = window_segmenter("short_sighted", object_zoom=1.6)
    segmenter.set_image(Image.from_array(np.zeros((300, 300), np.uint8)))
    prediction = segmenter.predict([Box((100.0, 100.0), (120.0, 120.0))])
    assert prediction.passes == 2
    assert prediction.mask.all()
    assert prediction.region.shape == (32, 32)


def test_growing_ends(window_segmenter: Make) -> None:
    segmenter = window_segmenter("everything", grow_limit=3, refine_limit=0)
    segmenter.set_image(Image.from_array(np.zeros((900, 900), np.uint8)))
    prediction = segmenter.predict([Box((400.0, 400.0), (420.0, 420.0))])
    assert prediction.passes <= 4
    prediction = window_on_all(segmenter)
    assert whole(prediction, (20, 30)).all()


def window_on_all(segmenter: WindowSegmenter) -> Prediction:
    """A prediction on a small image that the answer covers."""
    segmenter.set_image(Image.from_array(np.zeros((20, 30), np.uint8)))
    return segmenter.predict([Box((0.0, 0.0), (30.0, 20.0))])


@pytest.mark.parametrize(("dimensions", "radius"), [(2, 4.0), (2, 15.0), (2, 60.0), (2, 130.0), (3, 4.0), (3, 30.0)])
def test_a_point_finds_an_object_of_any_size(window_segmenter: Make, dimensions: int, radius: float) -> None:
    shape = (int(2.9 * radius) + 70, int(3.1 * radius) + 70, int(2.7 * radius) + 70)[:dimensions]
    centre = tuple(n * 0.48 for n in shape)
    truth = disc(shape, centre, radius)
    segmenter = window_segmenter("bright", dimensions, 32)
    segmenter.set_image(Image.from_array(scene(truth)))
    prediction = segmenter.predict([Point(tuple(c + 1 for c in centre[::-1]))])
    assert dice(whole(prediction, shape), truth) > 0.9


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_coarse_border_is_refined(window_segmenter: Make, dimensions: int) -> None:
    shape = (500, 520) if dimensions == 2 else (110, 120, 116)
    radius = 0.3 * min(shape)
    truth = disc(shape, tuple(n / 2 + 0.3 for n in shape), radius)
    box = mask_region(truth)
    prompt = Box(tuple(map(float, box.start[::-1])), tuple(map(float, box.stop[::-1])))
    scores = []
    for limit in (0, 64):
        segmenter = window_segmenter("bright", dimensions, 32, refine_limit=limit)
        segmenter.set_image(Image.from_array(scene(truth)))
        prediction = segmenter.predict([prompt])
        assert 1 <= prediction.passes <= 1 + limit
        scores.append(dice(whole(prediction, shape), truth))
    assert scores[1] > scores[0]
    assert scores[1] > 0.99


def test_what_lies_outside_the_window_is_left_as_it_was(window_segmenter: Make) -> None:
    segmenter = window_segmenter("boxed")
    segmenter.set_image(Image.from_array(np.zeros((120, 130), np.uint8)))
    box = Box((50.0, 60.0), (66.0, 71.0))
    prediction = segmenter.predict([box])
    before = np.random.default_rng(0).integers(0, 2, (120, 130)).astype(np.uint8)
    after = whole(prediction, (120, 130), before)
    outside = np.ones((120, 130), bool)
    outside[prediction.region.slices] = False
    np.testing.assert_array_equal(after[outside], before[outside])
    np.testing.assert_array_equal(after[~outside], box_mask((120, 130), box)[~outside])
    assert prediction.mask.shape == prediction.region.shape
    assert prediction.mask.size < 120 * 130 / 4


@pytest.mark.parametrize("corner", [(3, 4), (60, 90)])
def test_a_correction_keeps_the_rest_of_the_previous_mask(window_segmenter: Make, corner: tuple[int, int]) -> None:
    shape = (120, 130)
    segmenter = window_segmenter("corrected", grid=64, refine_limit=0)
    segmenter.set_image(Image.from_array(np.zeros(shape, np.uint8)))
    previous = np.zeros(shape, np.uint8)
    previous[corner[0] : corner[0] + 30, corner[1] : corner[1] + 22] = 1
    click = Point((corner[1] + 4.0, corner[0] + 5.0), positive=False)
    prompts: list[Prompt] = [Point((corner[1] + 15.0, corner[0] + 20.0)), click]
    prediction = segmenter.predict(prompts, previous)
    after = whole(prediction, shape, previous)
    removed = (previous == 1) & (after == 0)
    assert not ((previous == 0) & (after == 1)).any()
    assert removed[corner[0] + 5, corner[1] + 4]
    y, x = np.nonzero(removed)
    assert np.hypot(x - click.position[0], y - click.position[1]).max() < 6
    assert prediction.changed == mask_region(previous != after)


def test_the_changed_region_is_exact_and_empty_where_nothing_changed(window_segmenter: Make) -> None:
    segmenter = window_segmenter("corrected")
    segmenter.set_image(Image.from_array(np.zeros((70, 80), np.uint8)))
    box = Box((20.0, 30.0), (33.0, 41.0))
    first = segmenter.predict([box])
    mask = whole(first, (70, 80))
    assert first.changed == mask_region(mask)
    again = segmenter.predict([box], mask)
    assert again.changed.is_empty
    np.testing.assert_array_equal(whole(again, (70, 80), mask), mask)


def test_an_empty_answer_removes_the_object_and_says_so(window_segmenter: Make) -> None:
    previous = box_mask((70, 80), Box((20.0, 30.0), (33.0, 41.0)))
    segmenter = window_segmenter("nothing")
    segmenter.set_image(Image.from_array(np.zeros((70, 80), np.uint8)))
    box = [Box((20.0, 30.0), (33.0, 41.0))]
    prediction = segmenter.predict(box, previous)
    assert not whole(prediction, (70, 80), previous).any()
    assert prediction.changed == mask_region(previous)
    assert segmenter.predict(box).changed.is_empty


def test_of_an_empty_answer_only_what_was_clicked_is_left(window_segmenter: Make) -> None:
    previous = box_mask((70, 80), Box((20.0, 30.0), (33.0, 41.0)))
    segmenter = window_segmenter("nothing")
    segmenter.set_image(Image.from_array(np.zeros((70, 80), np.uint8)))
    left = whole(segmenter.predict([Point((25.0, 35.0))], previous), (70, 80), previous)
    np.testing.assert_array_equal(np.argwhere(left), [(35, 25)])


def test_an_initial_mask_is_where_the_network_starts(window_segmenter: Make) -> None:
    shape = (70, 80)
    start = box_mask(shape, Box((20.0, 30.0), (33.0, 41.0)))
    segmenter = window_segmenter("corrected")
    segmenter.set_image(Image.from_array(np.zeros(shape, np.uint8)))
    prompts: list[Prompt] = [InitialMask(start == 1)]
    np.testing.assert_array_equal(whole(segmenter.predict(prompts), shape), start)
    # What has been made from it since comes first.
    newer = box_mask(shape, Box((22.0, 32.0), (31.0, 40.0)))
    np.testing.assert_array_equal(whole(segmenter.predict(prompts, newer), shape, newer), newer)


@pytest.mark.parametrize("spacing", [(1.0, 3.0), (0.2, 0.1)])
@pytest.mark.parametrize("prompt", [Box((40.0, 20.0), (60.0, 30.0)), Point((50.0, 25.0))])
def test_windows_are_square_in_millimetres(
    window_segmenter: Make, spacing: tuple[float, float], prompt: Prompt
) -> None:
    segmenter = window_segmenter("boxed")
    segmenter.set_image(Image.from_array(np.zeros((50, 100), np.uint8), spacing))
    (y0, y1), (x0, x1) = segmenter.predict([prompt]).window
    assert (y1 - y0) * spacing[1] == pytest.approx((x1 - x0) * spacing[0])
    assert y0 < 20
    assert y1 > 30 - 1
    if isinstance(prompt, Box):
        longest = max(20 * spacing[0], 10 * spacing[1])
        expected = max(segmenter.policy.object_zoom * longest, segmenter.policy.least_side * min(spacing))
        assert (x1 - x0) * spacing[0] == pytest.approx(expected)


def test_a_volume_of_thick_slices_has_cubic_windows(window_segmenter: Make) -> None:
    segmenter = window_segmenter("boxed", dimensions=3, grid=16)
    segmenter.set_image(volume((20, 90, 80), (0.5, 0.5, 4.0)))
    window = segmenter.predict([Box((30.0, 40.0, 9.0), (46.0, 52.0, 10.0))]).window
    sides = [b - a for a, b in window]
    np.testing.assert_allclose(np.multiply(sides, (4.0, 0.5, 0.5)), sides[2] * 0.5)


@pytest.mark.parametrize("prompt", [Box((3000.0, 2000.0), (3040.0, 2030.0)), Point((5990.0, 10.0))])
def test_a_small_box_in_a_large_image_needs_little_memory(window_segmenter: Make, prompt: Prompt) -> None:
    segmenter = window_segmenter("boxed")
    segmenter.set_image(Image.from_array(np.zeros((6000, 6000), np.uint8)))
    previous = box_mask((6000, 6000), Box((3000.0, 2000.0), (3040.0, 2030.0)))
    for mask in (None, previous) if isinstance(prompt, Box) else (None,):
        tracemalloc.start()
        segmenter.predict([prompt], mask)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        # The point searches up to the whole image, resampled to the grid.
        assert peak < (2_000_000 if isinstance(prompt, Box) else 16_000_000)


def test_refining_builds_no_more_than_the_window(window_segmenter: Make) -> None:
    segmenter = window_segmenter("boxed")
    segmenter.set_image(Image.from_array(np.zeros((6000, 6000), np.uint8)))
    tracemalloc.start()
    prediction = segmenter.predict([Box((3000.0, 2000.0), (3200.0, 2180.0))])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert prediction.passes > 1
    assert peak < 6_000_000


@pytest.mark.parametrize("answer", ["bright", "corrected", "boxed"])
def test_the_same_prompts_give_the_same_answer(window_segmenter: Make, answer: str) -> None:
    shape = (90, 110)
    image = Image.from_array(np.random.default_rng(0).integers(0, 999, shape).astype(np.uint16))
    box, point = Box((20.0, 20.0), (50.0, 60.0)), Point((33.0, 30.0))
    previous = disc(shape, (40, 40), 20)
    segmenter, other = window_segmenter(answer), window_segmenter(answer)
    segmenter.set_image(image)
    other.set_image(image)
    kept = previous.copy()
    first = segmenter.predict([box, point], previous)
    np.testing.assert_array_equal(previous, kept)
    # What is asked in between leaves no trace.
    segmenter.predict([Point((90.0, 70.0))])
    for again in (segmenter.predict([box, point], previous), other.predict([box, point], previous)):
        np.testing.assert_array_equal(again.mask, first.mask)
        np.testing.assert_array_equal(again.logits, first.logits)
        assert (again.region, again.window, again.changed, again.passes) == (
            first.region,
            first.window,
            first.changed,
            first.passes,
        )


def test_a_prediction_says_how_long_each_stage_took(window_segmenter: Make) -> None:
    segmenter = window_segmenter("bright")
    segmenter.set_image(Image.from_array(scene(disc((90, 90), (45, 45), 20))))
    prediction = segmenter.predict([Point((45.0, 45.0))])
    assert set(prediction.seconds) == {"window", "network", "paste"}
    assert all(seconds >= 0 for seconds in prediction.seconds.values())
    assert prediction.passes == len(segmenter._graph.inputs)  # type: ignore[attr-defined]
    assert prediction.logits.shape == (32, 32)
    assert prediction.mask.dtype == np.uint8


def test_a_mask_that_was_searched_for_is_refined_in_few_windows(window_segmenter: Make) -> None:
    """The border of a first proposal is drawn coarsely, that of a box or a correction finely."""
    shape = (300, 300)
    truth = disc(shape, (150.0, 150.0), 90.0)
    click, box = Point((150.0, 150.0)), Box((60.0, 60.0), (241.0, 241.0))
    passes: dict[tuple[str, int | None], int] = {}
    for limit in (None, 6, 1, 0):
        segmenter = window_segmenter("bright", refine_limit=6, search_refine_limit=limit)
        segmenter.set_image(Image.from_array(scene(truth)))
        for name, prompts, previous in (("click", [click], None), ("box", [box], None), ("both", [click], truth)):
            passes[name, limit] = segmenter.predict(prompts, previous).passes
    assert passes["click", None] == passes["click", 6] > passes["click", 1] >= passes["click", 0]
    for name in ("box", "both"):
        assert len({passes[name, limit] for limit in (None, 6, 1, 0)}) == 1


def test_the_window_around_a_box_on_one_slice_is_the_wider_one(window_segmenter: Make) -> None:
    segmenter = window_segmenter("bright", 3, 32, object_zoom=1.5, flat_zoom=2.5, grow_limit=0)
    truth = np.zeros((64, 64, 64), np.uint8)
    truth[28:36, 28:36, 28:36] = 1
    segmenter.set_image(Image.from_array(scene(truth)))
    for thickness, side in ((1.0, 20.0), (8.0, 12.0)):
        box = Box((28.0, 28.0, 28.0), (36.0, 36.0, 28.0 + thickness))
        window = segmenter.predict([box]).window
        assert [stop - start for start, stop in window] == pytest.approx([side] * 3)


class TestTwiceTheGrid:
    """A network that was trained on two grids."""

    SHAPE = (210, 230)

    def answer(self, make: Make, truth: Mask, **policy: Any) -> tuple[Mask, Prediction, list[Any]]:
        fine: list[Any] = []
        segmenter = make("bright", fine=fine, refine_limit=0, **policy)
        segmenter.set_image(Image.from_array(scene(truth)))
        region = mask_region(truth)
        box = Box(tuple(map(float, region.start[::-1])), tuple(map(float, region.stop[::-1])))
        prediction = segmenter.predict([box])
        return whole(prediction, truth.shape), prediction, fine

    def cross(self) -> Mask:
        truth = np.zeros(self.SHAPE, np.uint8)
        truth[100:106, 30:200] = 1
        truth[40:170, 110:116] = 1
        return truth

    def test_thin_objects_are_looked_at_again_on_twice_the_grid(self, window_segmenter: Make) -> None:
        truth = self.cross()
        coarse, prediction, fine = self.answer(window_segmenter, truth, fine_thickness=0.0)
        assert (prediction.passes, fine) == (1, [])
        finer, prediction, fine = self.answer(window_segmenter, truth, fine_thickness=3.0)
        assert (prediction.passes, len(fine[0].inputs)) == (2, 1)
        assert prediction.logits.shape == (64, 64)
        assert dice(finer, truth) > dice(coarse, truth) + 0.02

    def test_thick_ones_and_those_of_a_pixel_a_cell_are_not(self, window_segmenter: Make) -> None:
        thick = disc(self.SHAPE, (100, 110), 60)
        assert self.answer(window_segmenter, thick, fine_thickness=3.0)[2] == []
        assert len(self.answer(window_segmenter, thick, fine_thickness=1e9)[2]) == 1
        small = disc(self.SHAPE, (100, 110), 5)
        assert self.answer(window_segmenter, small, fine_thickness=1e9)[2] == []

    def test_corrections_go_on_from_the_mask(self, window_segmenter: Make) -> None:
        truth = self.cross()
        fine: list[Any] = []
        segmenter = window_segmenter("corrected", fine=fine, refine_limit=0)
        segmenter.set_image(Image.from_array(scene(truth)))
        box = Box((30.0, 40.0), (200.0, 170.0))
        prediction = segmenter.predict([box, Point((60.0, 60.0), positive=False)], truth)
        mask = whole(prediction, truth.shape, truth)
        assert len(fine) == 1
        assert not mask[60, 60]
        assert dice(mask, truth) > 0.8
