from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from bedside.core.errors import InputError
from bedside.data.prepare import object_table
from bedside.data.store import Item, ItemInfo, Store
from bedside.engines.sam.training.slices import By, SliceTable


def picture(name: str, modality: str = "ultrasound", variant: str = "image") -> Item:
    maps = np.zeros((1, 40, 50), dtype=np.uint16)
    maps[0, 5:20, 6:30] = 1
    maps[0, 25:35, 10:20] = 2
    image = (maps[0] * 60 + 20).astype(np.uint8)
    return Item(ItemInfo(f"flat/{name}", "flat", variant, modality, None, ("label",)), image, maps, object_table(maps))


def volume(name: str, modality: str = "CT (head)") -> Item:
    """Slices 3 to 6 hold value 1, slices 6 to 8 value 2; a second map numbers value 1 as 7."""
    maps = np.zeros((2, 12, 30, 32), dtype=np.uint16)
    maps[0, 3:7, 4:20, 4:20] = 1
    maps[0, 6:9, 22:28, 4:20] = 2
    maps[1, 3:7, 4:20, 4:20] = 7
    image = np.where(maps[0] == 1, 100, -1000).astype(np.int16)
    info = ItemInfo(f"deep/{name}", "deep", "image", modality, (2.0, 1.0, 1.0), ("label", "part"))
    return Item(info, image, maps, object_table(maps))


def store_of(*items: Item) -> Store:
    store = Store.__new__(Store)
    store.items, store.sha256 = list(items), "0" * 64
    return store


@pytest.fixture
def table() -> SliceTable:
    return SliceTable(store_of(picture("a"), picture("b", variant="superpixel"), volume("c")))


def test_every_labelled_slice_is_in_the_table_once(table: SliceTable) -> None:
    keys = [part.key for part in table.slices]
    assert keys == ["flat/a:0", *(f"deep/c:{z}" for z in range(3, 9))]
    assert [part.modality for part in table.slices] == ["US", *["CT"] * 6]
    assert (len(table), table.count("slice"), table.count("case"), table.count("modality")) == (7, 7, 2, 2)


def test_objects_of_a_slice(table: SliceTable) -> None:
    by_key = {part.key: part for part in table.slices}
    assert by_key["flat/a:0"].objects() == [(0, 1), (0, 2)]
    assert by_key["deep/c:3"].objects() == [(0, 1), (1, 7)]
    assert by_key["deep/c:6"].objects() == [(0, 1), (0, 2), (1, 7)]
    assert by_key["deep/c:8"].objects() == [(0, 2)]
    assert by_key["deep/c:3"].mask(0, 1).sum() == 256
    assert not by_key["deep/c:3"].mask(0, 2).any()
    generator = np.random.default_rng(0)
    drawn = Counter(by_key["deep/c:6"].draw_object(generator) for _ in range(400))
    assert 150 < drawn[(1, 7)] < 250
    assert 60 < drawn[(0, 1)] < 140


def test_samples_become_bytes_by_the_whole_volume(table: SliceTable) -> None:
    by_key = {part.key: part for part in table.slices}
    colours = by_key["deep/c:8"].colours()
    assert colours.shape == (30, 32, 3)
    assert colours.dtype == np.uint8
    # Everything on this slice is air, and other slices hold tissue.
    assert set(np.unique(colours)) == {0}
    assert set(np.unique(by_key["deep/c:4"].colours())) == {0, 255}
    assert set(np.unique(by_key["flat/a:0"].colours())) == {20, 80, 140}


@pytest.mark.parametrize(("by", "wanted"), [("slice", 4 / 16), ("case", 4 / 6), ("modality", 2 / 3)])
def test_what_is_drawn_with_equal_chances(by: By, wanted: float) -> None:
    pictures = [picture("a"), picture("b"), picture("c"), picture("d", "endoscopy")]
    table = SliceTable(store_of(*pictures, volume("f"), volume("g")))
    generator = np.random.default_rng(1)
    drawn = [table.slices[table.draw(by, generator)] for _ in range(4000)]
    flat = sum(part.item.axes == 2 for part in drawn) / len(drawn)
    assert abs(flat - wanted) < 0.03


def test_restrictions() -> None:
    store = store_of(picture("a"), volume("c"), picture("e", "clinical photograph"))
    assert [part.key for part in SliceTable(store, ["US"]).slices] == ["flat/a:0"]
    assert [part.modality for part in SliceTable(store).slices][-1] is None
    limited = SliceTable(store, limit=4, seed=3)
    assert len(limited) == 4
    assert [p.key for p in limited.slices] == [p.key for p in SliceTable(store, limit=4, seed=3).slices]
    assert len({tuple(p.key for p in SliceTable(store, limit=4, seed=seed).slices) for seed in range(9)}) > 1
    with pytest.raises(InputError, match="labelled slices of OCT, got none"):
        SliceTable(store, ["OCT"])
    with pytest.raises(InputError, match="one of slice, case, modality"):
        SliceTable(store).draw("set", np.random.default_rng(0))  # type: ignore[arg-type]
