from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bedside.data.prepare import object_table
from bedside.data.store import Item, ItemInfo, Store, write_store


@pytest.fixture(name="make_item", scope="session")
def make_item_fixture() -> Callable[..., Item]:
    return make_item


def make_item(
    set_name: str,
    number: int,
    shape: tuple[int, ...] = (160, 190),
    variant: str = "image",
    spacing: tuple[float, ...] | None = None,
) -> Item:
    """Two blobs of different values, one of them in two parts, on smooth waves; colour where the shape ends in 3."""
    generator = np.random.default_rng((number, *set_name.encode()))
    spatial = shape[:2] if shape[2:] == (3,) else shape
    labels = np.zeros(spatial, dtype=np.uint16)
    for value, share in ((1, 0.3), (2, 0.62), (1, 0.85)):
        middle = np.array(spatial).reshape(-1, *(1,) * len(spatial)) * (share + generator.uniform(-0.03, 0.03))
        stretch = generator.uniform(0.8, 1.3, size=(len(spatial), *(1,) * len(spatial)))
        offsets = (np.indices(spatial) - middle) * stretch
        labels[(offsets**2).sum(axis=0) < (0.17 * min(spatial)) ** 2] = value
    waves = sum(np.sin(i / n * 9 + k) for k, (i, n) in enumerate(zip(np.indices(spatial), spatial, strict=True)))
    image = 90 + 30 * waves + 50 * (labels == 1) - 40 * (labels == 2)
    if len(spatial) < len(shape):
        image = image[..., None] * np.array([1.0, 0.7, 0.4])
    image = (image + generator.normal(0, 3, shape)).clip(0, 255).astype(np.uint8)
    maps = labels[None]
    kind = "label" if variant == "image" else variant
    info = ItemInfo(f"{set_name}/{number}", set_name, variant, "made", spacing, (kind,))
    return Item(info, image, maps, object_table(maps))


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Grey and colour images, volumes, superpixels and supervoxels, in sets of unequal size."""
    items = [make_item("grey", n) for n in range(4)]
    items += [make_item("colour", 0, (150, 170, 3)), make_item("grey", 9, (90, 70), "superpixel")]
    items += [make_item("volume", n, (28, 60, 66), spacing=(2.0, 1.0, 1.0)) for n in range(2)]
    items += [make_item("volume", 5, (30, 34, 33), "supervoxel", (2.0, 2.0, 2.0))]
    folder = tmp_path_factory.mktemp("store")
    write_store(folder, items)
    return Store(folder)
