from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import bedside.engines.window.sampling.plane_sampler as module
from bedside.core.errors import InputError
from bedside.core.prompts import Box, Point, Scribble
from bedside.core.region import mask_region
from bedside.data.prepare import object_table
from bedside.data.store import Item, ItemInfo, Store, write_store
from bedside.engines.window.sampling.plane_sampler import MINIMUM_CELLS, PlaneSampler
from bedside.engines.window.sampling.plane_starts import degrade_mask, draw_start, warped_box
from bedside.engines.window.sampling.plane_windows import Warp, grid_positions, sample_plane
from bedside.imaging.paint import paint_prompts
from bedside.simulate.boxes import tight_box
from bedside.train.sampling import SamplingConfig
from tests.support.generators import make_under_global_seeds
from tests.support.samples import same, sample_of

BOX, NEGATIVE_BOX, CLICK, NEGATIVE_CLICK = range(4)


def make_item(
    set_name: str,
    number: int,
    shape: tuple[int, ...] = (60, 72),
    variant: str = "image",
    spacing: tuple[float, ...] | None = None,
) -> Item:
    """A bright ball or disc on noise; colour where the shape ends in 3."""
    generator = np.random.default_rng((number, *set_name.encode()))
    spatial = shape[:2] if shape[2:] == (3,) else shape
    offsets = np.indices(spatial) - np.array([n // 2 for n in spatial]).reshape(-1, *(1,) * len(spatial))
    mask = (offsets**2).sum(axis=0) <= (min(spatial) / 3) ** 2
    bright = mask[..., None] if len(spatial) < len(shape) else mask
    image = (generator.normal(60, 15, shape) + 90 * bright).clip(0, 255).astype(np.uint8)
    maps = mask[None].astype(np.uint16)
    kind = "label" if variant == "image" else "superpixel"
    return Item(ItemInfo(f"{set_name}/{number}", set_name, variant, "made", spacing, (kind,)), image, maps,
                object_table(maps))  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One set of a single image, one of nine, one in colour, one of volumes; superpixels of two."""
    folder = tmp_path_factory.mktemp("store")
    items = [make_item("single", 0), *[make_item("many", n) for n in range(9)], make_item("colour", 0, (50, 64, 3))]
    items += [make_item("volume", n, (20, 30, 40), spacing=(2.0, 1.0, 0.8)) for n in range(2)]
    items += [make_item("single", 0, variant="superpixel"), make_item("many", 0, variant="superpixel")]
    write_store(folder, items)
    return Store(folder)


CONFIG = SamplingConfig(grid=64)


def test_samples_are_as_described(store: Store) -> None:
    sampler = PlaneSampler(store, CONFIG, 0)
    for index in range(40):
        sample = sample_of(sampler, index)
        assert {k: (v.shape, v.dtype.name) for k, v in vars(sample).items() if k != "colour"} == {
            "image": ((3, 64, 64), "float32"),
            "previous": ((64, 64), "float32"),
            "prompts": ((4, 64, 64), "float32"),
            "truth": ((64, 64), "uint8"),
            "inside": ((64, 64), "bool"),
        }
        assert np.isfinite(sample.image).all()
        assert set(np.unique(sample.truth)) <= {0, 1}
        assert set(np.unique(sample.previous)) <= {0, 1}
        assert sample.truth.sum() >= MINIMUM_CELLS
        assert not sample.truth[~sample.inside].any() or sample.truth[~sample.inside].sum() < 0.05 * sample.truth.sum()
        assert (sample.image[:, ~sample.inside] == 0).all()
        assert sample.prompts.min() >= 0
        assert sample.prompts.max() <= 1
        assert sample.prompts.any() or sample.previous.any()


def test_a_sample_depends_on_seed_and_number_alone(store: Store) -> None:
    sampler = PlaneSampler(store, CONFIG, 5)
    first = [sample_of(sampler, index) for index in range(6)]
    for index in (3, 0, 5):
        assert same(sample_of(sampler, index), first[index])
    assert same(sample_of(PlaneSampler(store, CONFIG, 5), 4), first[4])
    assert not same(sample_of(PlaneSampler(store, CONFIG, 6), 4), first[4])
    assert not same(first[0], first[1])


def test_global_generators_neither_matter_nor_move(store: Store) -> None:
    first, second = make_under_global_seeds(lambda: [sample_of(PlaneSampler(store, CONFIG, 0), n) for n in range(12)])
    assert all(same(a, b) for a, b in zip(first, second, strict=True))


def test_sets_are_drawn_equally_often_but_those_of_a_few_cases(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: Counter[tuple[str, str]] = Counter()

    def record(item: Item, generator: np.random.Generator) -> None:
        drawn[item.info.set_name, item.info.variant] += 1
        # A miss makes the sampler draw again, which is quick.

    monkeypatch.setattr(module, "_draw_object", record)
    sampler = PlaneSampler(store, CONFIG, 0)
    for index in range(100):
        with pytest.raises(InputError, match="objects large enough to sample"):
            sample_of(sampler, index)
    total = sum(drawn.values())
    assert total == 2000
    # The roots of 1, 9 (capped at 4), 1 and 2 cases, in parts of the largest.
    weights = {"single": 0.5, "many": 1.0, "colour": 0.5, "volume": 0.5**0.5}
    for name, weight in weights.items():
        assert drawn[name, "image"] / total == pytest.approx(0.6 * weight / sum(weights.values()), abs=0.03)
    for name in ("single", "many"):
        assert drawn[name, "superpixel"] / total == pytest.approx(0.4 / 2, abs=0.03)


def test_inserted_shapes_take_their_share_and_leave_the_others_as_they_were(store: Store) -> None:
    plain = PlaneSampler(store, SamplingConfig(grid=64, superpixel_share=0.3, inserted_share=0.0), 0)
    mixed = PlaneSampler(store, SamplingConfig(grid=64, superpixel_share=0.3, inserted_share=0.3), 0)
    changed = [not same(sample_of(plain, n), sample_of(mixed, n)) for n in range(80)]
    assert np.mean(changed) == pytest.approx(0.3, abs=0.12)
    only = PlaneSampler(store, SamplingConfig(grid=64, superpixel_share=0.0, inserted_share=1.0), 0)
    for index in range(20):
        assert sample_of(only, index).truth.sum() >= MINIMUM_CELLS


def test_synthetic_shapes_take_their_share_and_leave_the_others_as_they_were(store: Store) -> None:
    plain = PlaneSampler(store, SamplingConfig(grid=64, superpixel_share=0.3, inserted_share=0.2), 0)
    config = SamplingConfig(grid=64, superpixel_share=0.3, inserted_share=0.2, synthetic_share=0.3)
    mixed = PlaneSampler(store, config, 0)
    changed = [not same(sample_of(plain, n), sample_of(mixed, n)) for n in range(80)]
    assert np.mean(changed) == pytest.approx(0.3, abs=0.12)
    only = PlaneSampler(store, SamplingConfig(grid=64, superpixel_share=0.0, synthetic_share=1.0), 0)
    samples = [sample_of(only, n) for n in range(20)]
    for sample in samples:
        assert sample.image.shape == (3, 64, 64)
        assert sample.truth.sum() >= MINIMUM_CELLS
        assert sample.inside.all()
    coloured = [bool(np.abs(s.image[0] - s.image[1]).max() > 1e-3) for s in samples]
    assert 2 < sum(coloured) < 18


def test_jitter_moves_windows_off_their_object(store: Store) -> None:
    def offsets(jitter: float) -> list[float]:
        config = SamplingConfig(grid=64, superpixel_share=0.0, wide_share=0.0, close_share=0.0, jitter=jitter,
                                augment=False)  # fmt: skip
        samples = [sample_of(PlaneSampler(store, config, 0), n) for n in range(30)]
        return [float(np.abs(np.argwhere(s.truth).mean(axis=0) - 31.5).max()) for s in samples]

    assert max(offsets(0.0)) < 2.5
    assert np.mean(offsets(0.6)) < np.mean(offsets(1.0))


def test_a_store_without_superpixels_gives_labels(store: Store, tmp_path: Path) -> None:
    write_store(tmp_path, [i for i in store.items if i.info.variant == "image"])
    assert sample_of(PlaneSampler(Store(tmp_path), SamplingConfig(grid=32, superpixel_share=1.0), 0), 0).truth.any()


def test_a_store_without_objects_is_rejected(store: Store, tmp_path: Path) -> None:
    item = store.items[0]
    write_store(tmp_path, [Item(item.info, item.image, item.maps * 0, item.objects[:0])])
    with pytest.raises(InputError, match="at least one object"):
        PlaneSampler(Store(tmp_path), CONFIG, 0)


def test_volumes_are_cut_where_planes_are_usable(store: Store) -> None:
    flat = make_item("v", 0, (20, 20, 40), spacing=(9.0, 1.0, 1.0))
    generator = np.random.default_rng(0)
    for _ in range(20):
        drawn = module._draw_object(flat, generator)
        assert drawn is not None
        plane, mask, spacing, others = drawn
        assert others is not None
        assert not (others & mask).any()
        assert plane.shape == mask.shape == (20, 40)
        assert spacing == (1.0, 1.0)
        assert mask.any()
    assert module._draw_object(make_item("v", 0, (12, 14, 15)), generator) is None


def test_windows_are_square_in_millimetres() -> None:
    mask = np.zeros((40, 80), dtype=bool)
    mask[10:30, 20:60] = True
    for mode in ("box", "wide", "close"):
        for seed in range(20):
            generator = np.random.default_rng(seed)
            centre, sides = module._draw_window(mask, (10, 20), (30, 60), (2.0, 0.5), mode, CONFIG, generator)
            assert sides[0] * 2.0 == pytest.approx(sides[1] * 0.5)
            low, high = {"box": (1.15, 2.6), "wide": (1.1, 6.0), "close": (0.3, 1.0)}[mode]
            assert low - 1e-6 <= sides[0] * 2.0 / 40 <= high + 1e-6
            if mode != "close":
                # The object stays in sight but for a rim of 6 % at most.
                for axis, (first, last, rim) in enumerate([(10, 30, 1.2), (20, 60, 4.8)]):
                    assert centre[axis] - sides[axis] / 2 <= first + rim
                    assert centre[axis] + sides[axis] / 2 >= last - rim


def truths(smallest: int = 6) -> list[NDArray[np.uint8]]:
    """Rectangles on a grid of 64 cells, with sides from ``smallest`` to 26."""
    made = []
    for seed in range(60):
        generator = np.random.default_rng((9, seed))
        truth = np.zeros((64, 64), dtype=np.uint8)
        y, x = generator.integers(4, 34, 2)
        height, width = generator.integers(smallest, 26, 2)
        truth[y : y + height, x : x + width] = 1
        made.append(truth)
    return made


def painted(
    truth: NDArray[np.uint8], mode: str, seed: int, others: NDArray[np.uint8] | None = None
) -> tuple[NDArray[np.float32], list[Any], NDArray[Any]]:
    previous, prompts = draw_start(truth, mode, np.random.default_rng(seed), others=others)
    return previous, prompts, paint_prompts(prompts, truth.shape)


def test_the_box_channel_covers_the_object_exactly_unless_the_box_is_jittered() -> None:
    exact = 0
    for seed, truth in enumerate(truths()):
        _, prompts, channels = painted(truth, "box", seed)
        assert isinstance(prompts[0], Box)
        assert channels[BOX].any()
        if prompts[0] == tight_box(truth):
            exact += 1
            region = mask_region(truth)
            expected = np.zeros(truth.shape)
            expected[region.slices] = 1
            np.testing.assert_array_equal(channels[BOX], expected)
            assert (channels[BOX][truth > 0] == 1).all()
        else:
            # However it is jittered, most of the object stays inside.
            assert channels[BOX][truth > 0].mean() > 0.6
        assert not channels[NEGATIVE_BOX].any()
    assert 5 < exact < 55


def test_clicks_lie_on_what_they_say() -> None:
    seen: Counter[str] = Counter()
    for mode in ("wide", "box", "close"):
        for seed, truth in enumerate(truths()):
            _, prompts, channels = painted(truth, mode, seed)
            for prompt in prompts:
                if isinstance(prompt, Point):
                    y, x = (round(c) for c in reversed(prompt.position))
                    assert truth[y, x] == int(prompt.positive)
                    assert channels[CLICK if prompt.positive else NEGATIVE_CLICK, y, x] == 1
                    seen["positive" if prompt.positive else "negative"] += 1
                elif isinstance(prompt, Scribble):
                    seen["scribble"] += 1
                    assert channels[CLICK][truth > 0].any()
    assert min(seen["positive"], seen["negative"], seen["scribble"]) > 5


def test_starts_without_a_box_have_none_and_refinements_have_a_mask() -> None:
    boxes = 0
    for seed, truth in enumerate(truths(smallest=18)):
        _, prompts, channels = painted(truth, "wide", seed)
        assert prompts
        assert not channels[BOX].any()
        previous, prompts, _ = painted(truth, "close", seed)
        assert previous.any()
        boxes += any(isinstance(p, Box) for p in prompts)
    assert 20 < boxes < 50


@given(
    seed=st.integers(0, 2**32 - 1),
    angle=st.floats(-np.pi, np.pi),
    flip=st.tuples(st.booleans(), st.booleans()),
    sides=st.tuples(st.floats(60, 160), st.floats(60, 160)),
)
def test_the_box_of_a_window_is_that_of_the_object_seen_in_a_wider_one(
    seed: int, angle: float, flip: tuple[bool, bool], sides: tuple[float, float]
) -> None:
    mask = np.zeros((120, 140), dtype=bool)
    for y, x in np.random.default_rng(seed).integers(20, 80, (3, 2)):
        mask[y : y + 18, x : x + 12] = True
    narrow = Warp((60.0, 60.0), sides, angle, flip, None)
    wide = dataclasses.replace(narrow, sides=(4 * sides[0], 4 * sides[1]))
    # What is seen in a window of four times the side is four times as small about the middle.
    positions = grid_positions(wide, 512)
    seen = tight_box(sample_plane(mask.astype(np.float32), positions, 1.0, zeros=True)[0].numpy() > 0.5)
    found = warped_box(mask, narrow, 128)
    for ours, theirs in zip(found.low + found.high, seen.low + seen.high, strict=True):
        assert ours == pytest.approx((theirs / 512 - 0.5) * 4 * 128 + 64, abs=4.5)


def test_tiles_show_the_box_of_the_whole_object_and_no_mask_of_before(store: Store) -> None:
    config = SamplingConfig(grid=64, superpixel_share=0.0, wide_share=0.0, close_share=0.0, tile_share=1.0)
    samples = [sample_of(PlaneSampler(store, config, 0), n) for n in range(120)]
    # Objects too small for tiles start from a box, which may come with a mask.
    assert np.mean([bool(sample.previous.any()) for sample in samples]) < 0.15
    # A lasso never takes the box's place; a deformation of the window, which the box leaves aside, may.
    covered = [float(sample.prompts[BOX][sample.truth > 0].mean()) for sample in samples]
    assert np.median(covered) > 0.95
    # The object goes on beyond the window, and its box with it.
    edges = [np.concatenate([s.prompts[BOX][[0, -1]].ravel(), s.prompts[BOX][:, [0, -1]].ravel()]) for s in samples]
    assert np.mean([edge.max() for edge in edges]) > 0.7


def test_mistakes_are_in_the_mask_of_before_and_a_negative_click_lies_on_them() -> None:
    clicked = 0
    for seed, truth in enumerate(truths(smallest=10)):
        others = np.zeros_like(truth)
        others[50:60, 50:60] = truth[50:60, 50:60] == 0
        previous, prompts, channels = painted(truth, "mistake", seed, others=others)
        assert any(prompt.positive for prompt in prompts)
        for prompt in prompts:
            if not prompt.positive:
                clicked += 1
                y, x = (round(c) for c in reversed(prompt.position))
                assert (truth[y, x], previous[y, x]) == (0, 1)
                assert channels[NEGATIVE_CLICK, y, x] == 1
    assert clicked > 20


def test_whole_samples_agree_with_their_truth(store: Store) -> None:
    sampler = PlaneSampler(store, SamplingConfig(grid=64, wide_share=1.0, close_share=0.0), 0)
    clicks = 0
    for index in range(40):
        sample = sample_of(sampler, index)
        assert not sample.prompts[BOX].any()
        centres = np.argwhere(sample.prompts[CLICK] == 1)
        if len(centres) == 1:
            clicks += 1
            assert sample.truth[tuple(centres[0])] == 1
        for y, x in np.argwhere(sample.prompts[NEGATIVE_CLICK] == 1):
            assert sample.truth[y, x] == 0
    assert clicks > 10


def test_degraded_masks_resemble_the_truth_without_being_it() -> None:
    overlaps = []
    for seed, truth in enumerate(truths(smallest=18)):
        degraded = degrade_mask(truth, np.random.default_rng(seed))
        assert degraded.shape == truth.shape
        assert degraded.dtype == np.float32
        assert set(np.unique(degraded)) <= {0, 1}
        np.testing.assert_array_equal(degraded, degrade_mask(truth, np.random.default_rng(seed)))
        overlaps.append(2 * (degraded * truth).sum() / (degraded.sum() + truth.sum()))
    assert 0.6 < np.mean(overlaps) < 0.97
    assert np.mean(np.array(overlaps) == 1) < 0.1


@pytest.mark.parametrize(
    "values",
    [
        {"grid": 48},
        {"grid": 0},
        {"wide_share": -0.1},
        {"superpixel_share": 1.1},
        {"wide_share": 0.6, "close_share": 0.6},
        {"wide_share": 0.6, "close_share": 0.0, "tile_share": 0.3, "mistake_share": 0.2},
        {"tile_zoom": (0.5, 0.25)},
        {"wide_zoom": (0.0, 2.0)},
        {"close_zoom": (1.0, 0.5)},
        {"jitter": -0.1},
        {"jitter": float("nan")},
        {"anisotropy": 6.0},
        {"superpixel_share": 0.5, "inserted_share": 0.3, "synthetic_share": 0.3},
    ],
)
def test_settings_out_of_range_are_rejected(values: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"sampling"):
        SamplingConfig(**values)
