"""nnInteractive's loop around networks whose answer can be foreseen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.core.errors import InputError, PromptError
from bedside.core.image import Image
from bedside.core.prompts import Box, InitialMask, Lasso, Point, Prompt, Scribble
from bedside.core.region import Region, mask_region
from bedside.engines.adaptive_crop import AdaptiveCrop
from bedside.engines.autozoom import AutoZoom
from bedside.engines.nninteractive.nonzero import nonzero_statistics
from bedside.engines.nninteractive.segmenter import InteractionSegmenter, since_mask
from bedside.engines.nninteractive.settings import InteractionSettings
from bedside.engines.protocol import Capabilities, Prediction
from bedside.session import Session

Array = NDArray[np.float32]
Mask = NDArray[np.uint8]
KINDS = frozenset({"box", "point", "scribble", "lasso", "mask"})
GRID = 32
SETTINGS = InteractionSettings(point_radius=2)


class FakeGraph:
    """Obeys ``runtime.backend.Graph``; keeps every input."""

    device, precision = "CPU", "fp32"

    def __init__(self, answer: Callable[[Array], Array]) -> None:
        self._answer = answer
        self.inputs: list[Array] = []

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        stacked = inputs["input"]
        assert stacked.shape == (1, 8, GRID, GRID, GRID)
        assert stacked.dtype == np.float32
        assert np.isfinite(stacked).all()
        self.inputs.append(stacked[0].copy())
        return {"logits": self._answer(stacked[0])[None, None].astype(np.float32)}


def segmenter(
    answer: Callable[[Array], Array], settings: InteractionSettings = SETTINGS, strategy: Any = None
) -> tuple[InteractionSegmenter, FakeGraph]:
    graph = FakeGraph(answer)
    capabilities = Capabilities(
        (3,), KINDS, KINDS - {"mask"}, False, KINDS, flat_boxes=not settings.supported["bbox3d"]
    )
    return InteractionSegmenter("fake", graph, GRID, capabilities, settings, strategy or AutoZoom()), graph


def scene(truth: Mask, dtype: Any = np.int16) -> NDArray[Any]:
    array: NDArray[Any] = (50 + 150 * truth.astype(np.int64)).astype(dtype)
    return array


def bright(array: NDArray[Any]) -> Callable[[Array], Array]:
    """A network that finds what is brighter than 125 in the image before it was normalised."""
    mean, deviation = nonzero_statistics(array)
    return lambda stacked: 8 * (stacked[0] - np.float32((125 - mean) / deviation))


def block(shape: tuple[int, ...], start: tuple[int, ...], stop: tuple[int, ...]) -> Mask:
    mask = np.zeros(shape, np.uint8)
    mask[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = 1
    return mask


def whole(prediction: Prediction, shape: tuple[int, ...], previous: Mask | None = None) -> Mask:
    mask = np.zeros(shape, np.uint8) if previous is None else previous.copy()
    prediction.paste(mask)
    return mask


def nothing(stacked: Array) -> Array:
    return np.full(stacked.shape[1:], -1, np.float32)


@settings(max_examples=25)
@given(
    shape=st.tuples(*[st.integers(8, 48)] * 3),
    corner=st.tuples(*[st.floats(0, 1)] * 3),
    dtype=st.sampled_from([np.uint8, np.int16, np.uint16, np.float32]),
)
def test_a_small_object_is_found_where_it_lies(
    shape: tuple[int, ...], corner: tuple[float, ...], dtype: type[np.generic]
) -> None:
    start = tuple(int(c * (n - 6)) for c, n in zip(corner, shape, strict=True))
    truth = block(shape, start, tuple(s + 6 for s in start))
    image = scene(truth, dtype)
    engine, graph = segmenter(bright(image))
    engine.set_image(Image.from_array(image))
    prediction = engine.predict([Point(tuple(float(s + 3) for s in start[::-1]))])
    assert prediction.passes == len(graph.inputs) == 1
    np.testing.assert_array_equal(whole(prediction, shape), truth)
    assert prediction.changed == mask_region(truth)
    assert max(prediction.mask.shape) <= GRID


def test_outside_the_image_is_the_mean() -> None:
    image = scene(block((20, 20, 20), (5, 5, 5), (12, 12, 12)))
    engine, graph = segmenter(nothing)
    engine.set_image(Image.from_array(image))
    engine.predict([Point((0.0, 0.0, 0.0))])
    given_ = graph.inputs[0][0]
    assert not given_[:16].any()
    assert given_[16:, 16:, 16:].any()
    mean, deviation = nonzero_statistics(image)
    np.testing.assert_allclose(given_[16, 16, 16], (50 - mean) / deviation, rtol=1e-5)


def test_a_large_object_is_looked_at_from_further_away_and_then_closely() -> None:
    shape = (110, 120, 116)
    truth = block(shape, (20, 25, 22), (90, 95, 92))
    image = scene(truth)
    engine, graph = segmenter(bright(image))
    engine.set_image(Image.from_array(image))
    prediction = engine.predict([Point((57.0, 60.0, 55.0))])
    np.testing.assert_array_equal(whole(prediction, shape), truth)
    assert prediction.passes == len(graph.inputs) > 4
    # 32, 48, 72 and then 108 voxels wide.
    assert [round(b - a) for a, b in prediction.window] == [108] * 3


def test_zooming_stops_once_the_object_is_held() -> None:
    shape = (90, 90, 90)
    truth = block(shape, (25, 25, 25), (65, 65, 65))
    image = scene(truth)
    engine, _ = segmenter(bright(image))
    engine.set_image(Image.from_array(image))
    prediction = engine.predict([Point((45.0, 45.0, 45.0))])
    # 32 and then 48 voxels wide; the rest are refinements of the whole change of 40 voxels a side.
    assert [round(b - a) for a, b in prediction.window] == [48] * 3
    assert 2 + 8 <= prediction.passes <= 2 + 12
    np.testing.assert_array_equal(whole(prediction, shape), truth)


def corrected(image: NDArray[Any], specks: list[tuple[int, int, int]]) -> Callable[[Array], Array]:
    """Finds the object, and in coarse windows alone specks besides."""
    find = bright(image)

    def answer(stacked: Array) -> Array:
        logits = find(stacked)
        if not stacked[1].any():
            for speck in specks:
                logits[speck] = 8
        return logits

    return answer


def test_only_what_was_refined_is_kept() -> None:
    shape = (140, 140, 140)
    truth = block(shape, (60, 60, 60), (80, 80, 80))
    image = scene(truth)
    engine, _ = segmenter(corrected(image, [(2, 2, 2)]))
    engine.set_image(Image.from_array(image))
    # A flat box of 80 voxels starts with a window of 90.
    prediction = engine.predict([Box((30.0, 30.0, 70.0), (110.0, 110.0, 71.0))])
    assert [round(b - a) for a, b in prediction.window] == [90] * 3
    np.testing.assert_array_equal(whole(prediction, shape), truth)


def test_without_a_change_the_last_prompt_is_refined() -> None:
    shape = (140, 140, 140)
    truth = block(shape, (60, 60, 60), (80, 80, 80))
    image = scene(truth)
    engine, graph = segmenter(bright(image))
    engine.set_image(Image.from_array(image))
    prediction = engine.predict([Box((30.0, 30.0, 70.0), (110.0, 110.0, 71.0))], truth)
    assert prediction.passes == 2
    assert prediction.changed.is_empty
    # The fine window sees the coarse mask: the whole object and the box, at full resolution.
    assert graph.inputs[1][1].sum() == pytest.approx(20**3, rel=0.2)
    assert graph.inputs[1][2].sum() == pytest.approx(32 * 32, rel=1e-3)


def test_later_windows_see_what_earlier_ones_drew() -> None:
    shape = (100, 40, 40)
    truth = block(shape, (10, 10, 10), (90, 30, 30))
    image = scene(truth)
    find = bright(image)
    rounds = []

    def shrinking(stacked: Array) -> Array:
        """Coarse windows are right, fine ones answer nothing."""
        rounds.append(float(stacked[1].sum()))
        return find(stacked) if rounds[-1] == 0 else nothing(stacked)

    engine, graph = segmenter(shrinking)
    engine.set_image(Image.from_array(image))
    prediction = engine.predict([Scribble(((20.0, 20.0, 20.0), (20.0, 20.0, 80.0)))])
    fine = [stacked[1] for stacked in graph.inputs if stacked[1].any()]
    assert len(fine) >= 3
    # A window of 32 voxels along an object of 20 x 20 would see 12,800 voxels; its neighbours took theirs away.
    assert min(float(f.sum()) for f in fine) < 20 * 20 * 24
    assert not whole(prediction, shape).any()


def test_prompts_age_over_all_channels() -> None:
    image = scene(block((32, 32, 32), (10, 10, 10), (20, 20, 20)))
    engine, graph = segmenter(nothing)
    engine.set_image(Image.from_array(image))
    prompts: list[Prompt] = [
        Box((8.0, 8.0, 14.0), (22.0, 22.0, 15.0)),
        Scribble(((10.0, 4.0, 16.0), (20.0, 4.0, 16.0)), positive=False),
        Lasso(((4.0, 25.0, 16.0), (10.0, 25.0, 16.0), (7.0, 30.0, 16.0)), positive=False),
        Point((25.0, 16.0, 16.0), positive=False),
        Point((16.0, 16.0, 16.0)),
    ]
    engine.predict(prompts, None, len(prompts))
    channels = graph.inputs[0][1:]
    highest = [float(c.max()) for c in channels]
    np.testing.assert_allclose(highest, [0, 0.98**4, 0.98**2, 1, 0.98, 0, 0.98**3], rtol=2e-3)
    # The ball of the newest click stands in the middle of the window.
    assert np.unravel_index(channels[3].argmax(), (GRID,) * 3) == (16, 16, 16)


def test_version_one_ages_within_a_pair() -> None:
    image = scene(block((32, 32, 32), (10, 10, 10), (20, 20, 20)))
    engine, graph = segmenter(nothing, InteractionSettings.version_1())
    engine.set_image(Image.from_array(image))
    engine.predict([Box((8.0, 8.0, 14.0), (22.0, 22.0, 15.0)), Point((16.0, 16.0, 16.0)), Point((4.0, 4.0, 4.0))])
    channels = graph.inputs[0][1:]
    assert channels[1].max() == 1
    assert sorted({round(float(channels[3][p]), 2) for p in ((16, 16, 16), (28, 28, 28))}) in ([0.9, 1.0], [0.0, 1.0])


def test_the_last_prompt_places_the_window() -> None:
    image = scene(block((100, 100, 100), (10, 10, 10), (20, 20, 20)))
    engine, _ = segmenter(nothing)
    engine.set_image(Image.from_array(image))
    prompts = [Point((80.0, 80.0, 80.0)), Point((15.0, 15.0, 15.0))]
    prediction = engine.predict(prompts, None, 2)
    assert prediction.window == ((-1.0, 31.0),) * 3


def test_an_answer_depends_on_nothing_asked_before() -> None:
    image = scene(block((60, 60, 60), (20, 20, 20), (40, 40, 40)))
    mask = block((60, 60, 60), (25, 25, 25), (35, 35, 35))
    prompts: list[Prompt] = [Point((30.0, 30.0, 30.0)), Point((5.0, 5.0, 5.0), positive=False)]
    fresh, asked = segmenter(bright(image))[0], segmenter(bright(image))[0]
    for engine in (fresh, asked):
        engine.set_image(Image.from_array(image))
    asked.predict([Point((50.0, 50.0, 50.0))])
    asked.predict(prompts[:1])
    one, other = fresh.predict(prompts, mask), asked.predict(prompts, mask)
    assert one.region == other.region
    np.testing.assert_array_equal(one.mask, other.mask)
    np.testing.assert_array_equal(one.logits, other.logits)


def test_outside_the_window_the_mask_before_stays() -> None:
    shape = (100, 40, 40)
    truth = block(shape, (70, 10, 10), (80, 20, 20))
    image = scene(truth)
    engine, _ = segmenter(bright(image))
    engine.set_image(Image.from_array(image))
    before = block(shape, (5, 5, 5), (20, 30, 30))
    prediction = engine.predict([Point((15.0, 15.0, 75.0))], before)
    np.testing.assert_array_equal(whole(prediction, shape, before), before | truth)
    assert prediction.changed == mask_region(truth)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_flat_box_lies_on_any_plane(axis: int) -> None:
    image = scene(block((40, 40, 40), (15, 15, 15), (25, 25, 25)))
    engine, graph = segmenter(nothing)
    engine.set_image(Image.from_array(image))
    low, high = [14.0] * 3, [26.0] * 3
    low[axis], high[axis] = 20.0, 21.0
    engine.predict([Box(tuple(low), tuple(high))])
    painted = graph.inputs[0][2]
    assert painted.sum() == pytest.approx(144, rel=1e-3)
    assert np.ptp(np.argwhere(painted)[:, 2 - axis]) == 0


def test_a_thick_box_is_rejected_before_the_network_runs_and_says_what_to_do() -> None:
    engine, graph = segmenter(nothing)
    engine.set_image(Image.from_array(scene(np.zeros((40, 40, 40), np.uint8))))
    thick = Box((10.0, 10.0, 10.0), (20.0, 22.0, 14.0))
    with pytest.raises(PromptError, match=r"box for 'fake'.*one slice.*10 x 12 x 4 voxels; draw it on .* middle slice"):
        engine.predict([Point((5.0, 5.0, 5.0)), thick])
    assert not graph.inputs
    deep, taken = segmenter(
        nothing, InteractionSettings(point_radius=2, supported={**SETTINGS.supported, "bbox3d": True})
    )
    deep.set_image(Image.from_array(scene(np.zeros((40, 40, 40), np.uint8))))
    deep.predict([thick])
    assert taken.inputs[0][2].sum() == pytest.approx(10 * 12 * 4, rel=1e-3)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((20, 20), np.uint8), "'fake': expected a volume, got 2 axes"),
        (np.zeros((20, 20, 20), np.uint8), "samples other than zero"),
    ],
)
def test_images_that_it_cannot_take(image: NDArray[Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        segmenter(nothing)[0].set_image(Image.from_array(image))


def test_an_image_must_come_first() -> None:
    with pytest.raises(InputError, match="call set_image"):
        segmenter(nothing)[0].predict([Point((1.0, 1.0, 1.0))])


def test_a_prompt_outside_is_rejected_by_name() -> None:
    engine, _ = segmenter(nothing)
    engine.set_image(Image.from_array(np.ones((20, 20, 20), np.uint8)))
    with pytest.raises(PromptError, match="point lies outside the image on axis z"):
        engine.predict([Point((5.0, 5.0, 25.0))])


def test_samples_that_are_no_numbers_become_zero() -> None:
    image = scene(block((40, 40, 40), (15, 15, 15), (25, 25, 25)), np.float32)
    image[0, 0, :3] = (np.nan, np.inf, -np.inf)
    engine, _ = segmenter(bright(np.nan_to_num(image, posinf=0, neginf=0)))
    engine.set_image(Image.from_array(image))
    assert whole(engine.predict([Point((20.0, 20.0, 20.0))]), image.shape).sum() == 1000
    assert np.isnan(image[0, 0, 0])


class TestInitialMasks:
    shape = (40, 40, 40)
    drawn = block(shape, (10, 10, 10), (20, 20, 20))
    other = block(shape, (25, 25, 25), (30, 30, 30))

    def engine(self) -> tuple[InteractionSegmenter, FakeGraph]:
        engine, graph = segmenter(lambda stacked: 8 * (np.maximum(stacked[1], stacked[4]) - 0.9))
        engine.set_image(Image.from_array(scene(self.drawn)))
        return engine, graph

    def test_alone_it_is_the_answer(self) -> None:
        engine, graph = self.engine()
        prediction = engine.predict([InitialMask(self.drawn)], self.other)
        assert prediction.passes == 0
        assert not graph.inputs
        np.testing.assert_array_equal(whole(prediction, self.shape, self.other), self.drawn)
        assert prediction.changed == mask_region(self.drawn | self.other)

    def test_prompts_before_it_are_forgotten(self) -> None:
        engine, graph = self.engine()
        old, new = Point((5.0, 5.0, 5.0)), Point((25.0, 15.0, 15.0))
        prediction = engine.predict([old, InitialMask(self.drawn), new], None, 3)
        assert graph.inputs[0][4].max() == pytest.approx(1, rel=1e-3)
        assert np.count_nonzero(graph.inputs[0][4]) == 33
        assert graph.inputs[0][1].sum() == 1000
        found = whole(prediction, self.shape)
        np.testing.assert_array_equal(found, self.drawn | block(self.shape, (15, 15, 25), (16, 16, 26)))

    def test_a_mask_before_is_newer_than_one_that_is_not_fresh(self) -> None:
        engine, _ = self.engine()
        prompts: list[Prompt] = [InitialMask(self.drawn), Point((27.0, 27.0, 27.0))]
        prediction = engine.predict(prompts, self.other, 1)
        np.testing.assert_array_equal(whole(prediction, self.shape, self.other), self.other)
        # Fresh, it takes that mask's place, also beyond the window.
        prediction = engine.predict(prompts, self.other, 2)
        expected = self.drawn | block(self.shape, (27, 27, 27), (28, 28, 28))
        np.testing.assert_array_equal(whole(prediction, self.shape, self.other), expected)

    def test_since_mask(self) -> None:
        point, mask = Point((1.0, 1.0, 1.0)), InitialMask(self.drawn)
        assert since_mask([point], None, 1) == ([point], None)
        assert since_mask([point], np.zeros(self.shape, np.uint8), 1) == ([point], None)
        asked, start = since_mask([point, mask, point, point], self.other, 2)
        assert asked == [point, point]
        assert start is self.other


def test_adaptive_cropping_asks_once_and_sees_zeros_beyond_the_nonzero_box() -> None:
    shape = (60, 60, 60)
    truth = block(shape, (20, 20, 20), (50, 50, 50))
    image = np.zeros(shape, np.int16)
    image[10:, 10:, 10:] = scene(truth)[10:, 10:, 10:]
    engine, graph = segmenter(bright(image), strategy=AdaptiveCrop())
    engine.set_image(Image.from_array(image))
    prediction = engine.predict([Box((20.0, 20.0, 30.0), (50.0, 50.0, 31.0))])
    assert prediction.passes == 1
    # The box's 30 voxels and 32 / 3 more.
    assert [b - a for a, b in prediction.window] == [41.0] * 3
    # The window begins at 35 - 20; z at 30 - 20.
    assert prediction.window[1] == (15.0, 56.0)
    assert prediction.window[0] == (10.0, 51.0)
    mean, deviation = nonzero_statistics(image)
    engine.predict([Point((10.0, 10.0, 10.0))])
    np.testing.assert_allclose(graph.inputs[1][0][16, 16, 16], (50 - mean) / deviation, rtol=1e-4)
    assert not graph.inputs[1][0][:16].any()


def test_regions_are_as_large_as_the_window_and_not_as_the_image() -> None:
    image = scene(block((100, 100, 100), (45, 45, 45), (55, 55, 55)))
    engine, _ = segmenter(bright(image))
    engine.set_image(Image.from_array(image))
    prediction = engine.predict([Point((50.0, 50.0, 50.0))])
    assert prediction.region == Region((34,) * 3, (66,) * 3)
    assert set(prediction.seconds) == {"window", "network", "paste"}


def test_a_session_corrects_takes_back_and_replays() -> None:
    truth = block((60, 60, 60), (20, 20, 20), (30, 30, 30))
    image = scene(truth)
    image[45:51, 45:51, 45:51] = 200
    find = bright(image)

    def clicked(stacked: Array) -> Array:
        """What is bright, without what lies near a negative click."""
        return np.asarray(np.where(stacked[5] > 0, -1, find(stacked)))

    session = Session(Image.from_array(image), segmenter=segmenter(clicked)[0])
    masks = []
    for prompt in (Point((25.0, 25.0, 25.0)), Point((48.0, 48.0, 48.0)), Point((47.0, 47.0, 47.0), positive=False)):
        session.add(prompt)
        masks.append(session.mask.copy())
    np.testing.assert_array_equal(masks[0], truth)
    assert masks[1].sum() == truth.sum() + 6**3
    assert truth.sum() < masks[2].sum() < masks[1].sum()
    session.undo()
    np.testing.assert_array_equal(session.mask, masks[1])
    session.redo()
    session.replay()
    np.testing.assert_array_equal(session.mask, masks[2])
