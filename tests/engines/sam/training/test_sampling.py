from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bedside.core.errors import InputError
from bedside.core.modality import MODALITIES
from bedside.data.prepare import object_table
from bedside.data.store import Item, ItemInfo, Store
from bedside.engines.sam.content import crop_input
from bedside.engines.sam.training.sampling import SamSampler, SamSampling, quadrant_points
from bedside.engines.sam.training.slices import SliceTable

PLAIN = SamSampling(side=64, flips=0.0, enlargement=0)


def table_of(*masks: np.ndarray, modality: str = "ultrasound") -> SliceTable:
    items = []
    for number, mask in enumerate(masks):
        maps = mask[None].astype(np.uint16)
        image = (mask * 100 + np.arange(mask.shape[1]) % 50).astype(np.uint8)
        info = ItemInfo(f"made/{number}", "made", "image", modality, None, ("label",))
        items.append(Item(info, image, maps, object_table(maps)))
    store = Store.__new__(Store)
    store.items, store.sha256 = items, "0" * 64
    return SliceTable(store)


@pytest.fixture
def table() -> SliceTable:
    """Twice as wide as it is high, so that half of the grid is padding."""
    mask = np.zeros((64, 128), dtype=np.uint8)
    mask[20:40, 32:96] = 1
    return table_of(mask)


def test_box_and_truth_lie_on_the_object_and_padding_is_empty(table: SliceTable) -> None:
    sample = SamSampler(table, PLAIN, 0, 64).sample(0)
    assert {name: value.shape for name, value in sample.items()} == {
        "image": (3, 64, 64),
        "boxes": (1, 4),
        "truth": (1, 64, 64),
    }
    # The last cells belong to the box.
    assert sample["boxes"].tolist() == [[16, 10, 47, 19]]
    rows, columns = np.nonzero(sample["truth"][0])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 19, 16, 47)
    assert not sample["image"][:, 32:].any()
    assert sample["image"].min() == 0
    assert sample["image"].max() == 1


def test_a_sample_depends_on_seed_and_number_alone(table: SliceTable) -> None:
    config = replace(PLAIN, flips=0.5, enlargement=5, turns=0.5, colours=0.5, masks=2)
    first, again = SamSampler(table, config, 3, 64), SamSampler(table, config, 3, 64)
    again.sample(0)
    for name, value in first.sample(7).items():
        assert np.array_equal(value, again.sample(7)[name])
    other = SamSampler(table, config, 4, 64)
    assert any(not np.array_equal(first.sample(n)["image"], other.sample(n)["image"]) for n in range(4))


@pytest.mark.parametrize("jitter", ["sides", "whole"])
def test_boxes_grow_by_whole_cells_up_to_the_limit(table: SliceTable, jitter: str) -> None:
    sampler = SamSampler(table, replace(PLAIN, enlargement=5, jitter=jitter), 1, 64)  # type: ignore[arg-type]
    boxes = np.array([sampler.sample(n)["boxes"][0] for n in range(200)])
    grown = np.stack([16 - boxes[:, 0], 10 - boxes[:, 1], boxes[:, 2] - 47, boxes[:, 3] - 19], axis=1)
    assert set(np.unique(grown)) == {0, 1, 2, 3, 4, 5}
    assert (np.ptp(grown, axis=1) == 0).all() == (jitter == "whole")


def test_proportions_lose_the_half_cell(table: SliceTable) -> None:
    sample = SamSampler(table, replace(PLAIN, half_pixel=False), 0, 64).sample(0)
    assert sample["boxes"].tolist() == [[15.5, 9.5, 46.5, 18.5]]


def test_truth_may_be_coarser_than_the_image(table: SliceTable) -> None:
    sampler = SamSampler(table, replace(PLAIN, side=128), 0, 32)
    assert sampler.sample(0)["truth"].shape == (1, 32, 32)
    assert sampler.sample(0)["boxes"].tolist() == [[32, 20, 95, 39]]
    with pytest.raises(InputError, match="a multiple of the masks' side 48"):
        SamSampler(table, PLAIN, 0, 48)


def test_flips_move_image_truth_and_box_together(table: SliceTable) -> None:
    plain = SamSampler(table, PLAIN, 0, 64).sample(0)
    sampler = SamSampler(table, replace(PLAIN, flips=1.0), 0, 64)
    mirrored = sampler.sample(0)
    assert np.array_equal(mirrored["image"], plain["image"][:, ::-1, ::-1])
    assert np.array_equal(mirrored["truth"], plain["truth"][:, ::-1, ::-1])
    assert mirrored["boxes"].tolist() == [[16, 44, 47, 53]]
    picture = sampler.picture(0)
    assert (int(picture["slice"]), int(picture["flip"])) == (0, 3)
    assert np.array_equal(picture["image"], mirrored["image"])


def test_objects_are_drawn_with_replacement_and_an_object_out_of_sight_leaves_an_empty_truth() -> None:
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[:6, :6] = 1
    sampler = SamSampler(table_of(mask), replace(PLAIN, masks=3, turns=1.0), 0, 64)
    samples = [sampler.sample(n) for n in range(30)]
    assert all(s["truth"].shape == (3, 64, 64) for s in samples)
    empty = [s for s in samples if not s["truth"].any()]
    assert empty
    for sample in empty:
        x0, y0, x1, y1 = sample["boxes"].T
        assert ((x0 <= x1) & (y0 <= y1) & (x0 >= 0) & (x1 < 64)).all()
    assert any(s["truth"].any() for s in samples)


def test_points_and_scribble_of_swin() -> None:
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[20:50, 10:44] = 1
    sampler = SamSampler(table_of(mask), replace(PLAIN, prompts="points", flips=0.5), 0, 64)
    drawn = 0
    for number in range(20):
        sample = sampler.sample(number)
        x0, y0, x1, y1 = sample["boxes"][0]
        points, scribble = sample["points"][0], sample["scribble"][0, 0]
        # The object fills its box, so that every point lies on it, one in each quarter.
        for (x, y), left, upper in zip(points, (True, False, True, False), (True, True, False, False), strict=True):
            assert sample["truth"][0, int(y), int(x)]
            assert (x <= (x0 + x1) // 2) == left
            assert (y <= (y0 + y1) // 2) == upper
        assert set(np.unique(scribble)) <= {0, 1}
        outside = np.ones((64, 64), dtype=bool)
        outside[int(y0) : int(y1) + 1, int(x0) : int(x1) + 1] = False
        assert not scribble[outside].any()
        drawn += bool(scribble.any())
    assert drawn > 15


def test_a_quarter_without_the_object_gives_the_centre() -> None:
    mask = np.zeros((20, 20), dtype=bool)
    mask[2:6, 2:6] = True
    points = quadrant_points(mask, (0, 0, 19, 19), np.random.default_rng(0))
    assert (points[0] < 6).all()
    assert points[1:].tolist() == [[9.5, 9.5]] * 3


def test_corners_can_be_whole_cells_of_another_grid() -> None:
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[20:50, 10:44] = 1
    for grid, expected in ((0, [10, 20, 43, 49]), (128, [9.75, 19.75, 42.75, 48.75]), (32, [10.5, 20.5, 42.5, 48.5])):
        config = replace(PLAIN, box_grid=grid, enlargement=0, flips=0.0)
        assert SamSampler(table_of(mask), config, 0, 64).sample(0)["boxes"].tolist() == [expected]


def test_content_and_modality_of_mcp(table: SliceTable) -> None:
    config = replace(PLAIN, prompts="content", flips=1.0)
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[8:24, 8:24] = 1
    sample = SamSampler(table_of(mask), config, 0, 64).sample(0)
    assert sample["crops"].shape == (1, 3, 16, 16)
    assert sample["modality"].tolist() == [MODALITIES.index("US")]
    assert sample["object"].tolist() == [[0, 0, 1]]
    # The crop is what the box holds but for its last pixels, mirrored as the image is.
    held = np.broadcast_to((100 + np.arange(8, 23)).astype(np.uint8)[None, :, None], (15, 15, 3))
    assert np.allclose(sample["crops"][0], crop_input(held, 16)[0, :, :, ::-1], atol=1e-5)
    with pytest.raises(InputError, match="modality of made/0:0"):
        SamSampler(table_of(mask, modality="photograph"), config, 0, 64).sample(0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"side": 60}, "a multiple of 32"),
        ({"masks": 0}, "masks from 1"),
        ({"flips": 1.5}, "sampling.flips"),
        ({"by": "set"}, "sampling.by"),
        ({"framing": "crop"}, "sampling.framing"),
        ({"prompts": "content", "turns": 0.5}, "sampling.turns"),
    ],
)
def test_settings_that_cannot_be_used(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(PLAIN, **change)  # type: ignore[arg-type]


def test_objects_too_small_to_see_are_rejected_by_name() -> None:
    mask = np.zeros((1024, 1024), dtype=np.uint8)
    mask[1, 1:40] = 1
    with pytest.raises(InputError, match="seen on the grid, got 20 misses"):
        SamSampler(table_of(mask), PLAIN, 0, 64).sample(0)


def test_no_labelled_slice() -> None:
    with pytest.raises(InputError, match="labelled slices, got none"):
        table_of(np.zeros((40, 40), dtype=np.uint8))
