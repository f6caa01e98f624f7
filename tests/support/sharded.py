"""Small sharded stores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bedside.core.errors import FormatError
from bedside.data.sharding import make_store, plan_shards
from bedside.data.sources import ReadCase, Source
from bedside.data.store import Store
from bedside.data.store_manifest import StoreManifest, read_manifest
from bedside.data.streaming import StreamedStore, Streaming

SIDE = 40
MakeStore = Callable[[], Path]


def unpacked(address: Path) -> int:
    return max(shard.unpacked for shard in read_manifest(address).shards)


def streamed(address: Path, folder: Path, shards: float = 9, reuse: float = 1, seed: int = 0) -> StreamedStore:
    """A store of which so many shards may lie unpacked."""
    settings = Streaming(shards * unpacked(address), reuse, seed)
    return StreamedStore(address, read_manifest(address), folder, settings)


def names(store: Store) -> list[str]:
    return [item.info.name for item in store.items]


@dataclass(frozen=True)
class MadeCase:
    """A bright square whose place and ground depend on a number; its file holds that number, or something else."""

    path: Path

    @property
    def id(self) -> str:
        return self.path.stem

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.path,)

    def read(self) -> ReadCase:
        try:
            number = int(self.path.read_text())
        except ValueError as error:
            raise FormatError(f"{self.path}", expected="a number", got="none") from error
        labels = np.zeros((SIDE, SIDE), np.uint16)
        start = number % 12
        labels[start : start + 20, 5:28] = 1
        noise = np.random.default_rng(number).integers(0, 60, labels.shape)
        image: NDArray[Any] = (noise + 120 * labels).astype(np.uint8)
        return image, labels, (0.5 + number, 1.0), "made"


def made_sources(folder: Path, sizes: dict[str, int]) -> list[Source]:
    """Sets by name with so many cases each."""
    sources = []
    for name, size in sizes.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        paths = [folder / name / f"c{number:03d}.txt" for number in range(size)]
        for number, path in enumerate(paths):
            if not path.exists():
                path.write_text(f"{number:05d}")
        cases = tuple(MadeCase(path) for path in paths)
        sources.append(Source(name, str(folder / name), f"licence of {name}", "semantic", {"1": "square"}, cases))
    return sources


def make_sharded(folder: Path, sizes: dict[str, int], cases: int = 2, **options: Any) -> StoreManifest:
    """Make a store in ``folder / "store"``, with ``cases`` a shard."""
    sources = made_sources(folder / "sources", sizes)
    plans = plan_shards(sources, shard_mb=5 * cases / 1e6, superpixels=False)
    return make_store(plans, folder / "store", sources=sources, **options)


@pytest.fixture(scope="session")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """The address of a store of three sets: 24, 10 and 2 cases in shards of 2."""
    made: list[Path] = []

    def make() -> Path:
        if not made:
            folder = tmp_path_factory.mktemp("sharded")
            make_sharded(folder, {"many": 24, "some": 10, "held": 2})
            made.append(folder / "store")
        return made[0]

    return make
