"""How training data are stored: bytes, reading, samples a second and memory, of several formats in one run.

The same cases are written as what others use and as the shards of ``bedside prepare store``; each is read in whole,
then one case at a time in random order, then samples are drawn from it as a training does. At last a store that is ten
times as large as its buffer is streamed, and the memory is looked at. Times are those of the processor (one thread),
so that what else a machine does is left out.

    python benchmarks/training_store.py --data DATA
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from bedside.data.sharding import make_store, plan_shards
from bedside.data.sources import Source
from bedside.data.store import Item, ItemInfo, Store, read_one, read_part, write_part
from bedside.data.streaming import StreamedStore, Streaming
from bedside.engines.window.sampling.sampler import Sampler
from bedside.engines.window.training.task import make_sampler
from bedside.train.config import TrainingConfig
from bedside.train.packing import open_store
from bedside.train.recipes import load_recipe

SHARD = 2
"""Cases of a shard of the store that is streamed, which is small."""
FIELDS = ("image", "maps", "objects")
CHUNK = 128
"""Cells along each side of Zarr's chunks."""


@dataclass(frozen=True)
class Written:
    """Items in one format.

    Attributes:
        bytes: On the disk.
        one: Reads the item with a number.
        every: Reads all, in their order.
        seconds: What writing took.
    """

    bytes: int
    one: Callable[[int], Item] | None
    every: Callable[[], Iterator[Item]]
    seconds: float


def as_npz(items: Sequence[Item], folder: Path) -> tuple[Callable[[int], Item], None]:
    for number, item in enumerate(items):
        np.savez_compressed(folder / f"{number}.npz", allow_pickle=False, **{f: getattr(item, f) for f in FIELDS})

    def one(number: int) -> Item:
        with np.load(folder / f"{number}.npz") as file:
            return Item(items[number].info, *(file[f] for f in FIELDS))

    return one, None


def as_zarr(items: Sequence[Item], folder: Path, *, sharded: bool) -> tuple[Callable[[int], Item], None]:
    import zarr

    root = zarr.open_group(folder / "store.zarr", mode="w")
    for number, item in enumerate(items):
        for field in FIELDS:
            array = np.ascontiguousarray(getattr(item, field))
            chunks = tuple(min(CHUNK, max(1, n)) for n in array.shape)
            # All chunks of an array in one file: shards hold whole chunks.
            shards = tuple(-(-max(1, n) // c) * c for n, c in zip(array.shape, chunks, strict=True))
            made = root.create_array(
                f"{number}/{field}", shape=array.shape, dtype=array.dtype, chunks=chunks,
                shards=shards if sharded else None,
            )  # fmt: skip
            if array.size:
                made[...] = array

    def one(number: int) -> Item:
        return Item(items[number].info, *(np.asarray(root[f"{number}/{f}"][...]) for f in FIELDS))

    return one, None


def as_tar(items: Sequence[Item], folder: Path) -> tuple[None, Callable[[], Iterator[Item]]]:
    """WebDataset's container: a tar whose members belong together by their names, read from its beginning."""
    with tarfile.open(folder / "shard.tar", "w") as archive:
        for number, item in enumerate(items):
            buffer = io.BytesIO()
            np.savez_compressed(buffer, allow_pickle=False, **{f: getattr(item, f) for f in FIELDS})
            member = tarfile.TarInfo(f"{number:06d}.npz")
            member.size = buffer.tell()
            buffer.seek(0)
            archive.addfile(member, buffer)

    def every() -> Iterator[Item]:
        with tarfile.open(folder / "shard.tar") as archive:
            for number, member in enumerate(archive):
                content = archive.extractfile(member)
                assert content is not None
                with np.load(io.BytesIO(content.read())) as file:
                    yield Item(items[number].info, *(file[f] for f in FIELDS))

    return None, every


def as_shard(items: Sequence[Item], folder: Path) -> tuple[Callable[[int], Item], Callable[[], Iterator[Item]]]:
    write_part(folder / "shard.npz", items, compress=True)

    def one(number: int) -> Item:
        with (folder / "shard.npz").open("rb") as file:
            return read_one(file, number, "shard")

    return one, lambda: iter(read_part(folder / "shard.npz"))


def as_mapped(items: Sequence[Item], folder: Path) -> tuple[Callable[[int], Item], Callable[[], Iterator[Item]]]:
    write_part(folder / "part.npz", items)
    mapped = read_part(folder / "part.npz")
    return mapped.__getitem__, lambda: iter(read_part(folder / "part.npz"))


FORMATS: dict[str, Callable[[Sequence[Item], Path], Any]] = {
    "one .npz a case": as_npz,
    "Zarr, chunks": lambda items, folder: as_zarr(items, folder, sharded=False),
    "Zarr 3, a shard an array": lambda items, folder: as_zarr(items, folder, sharded=True),
    "tar of .npz (WebDataset)": as_tar,
    "shards of prepare store": as_shard,
    "unpacked and mapped": as_mapped,
}


class OneByOne(Store):
    """A store that reads the case of each sample when it is drawn."""

    def __init__(self, count: int, read: Callable[[int], Item]) -> None:
        self._count, self._read = count, read

    def at(self, number: int) -> Store:
        case = int(np.random.default_rng((5, number)).integers(self._count))
        return Store.of([self._read(case)], "")


@dataclass(frozen=True)
class CopiedCase:
    """A case of a store that is given again, a number of times, under names of its own."""

    item: Item
    number: int

    @property
    def id(self) -> str:
        return f"{self.item.info.name.replace('/', '-')}-{self.number}"

    @property
    def files(self) -> tuple[Path, ...]:
        return ()

    def read(self) -> tuple[Any, Any, tuple[float, ...] | None, str]:
        return self.item.image, self.item.maps[0], self.item.info.spacing, self.item.info.modality


def processor(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def resident() -> int:
    """Bytes of this process in memory, those of mapped files that were read among them."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return int(pages[1]) * resource.getpagesize()


def anonymous() -> int:
    """Bytes of this process in memory that are no file's."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return (int(pages[1]) - int(pages[2])) * resource.getpagesize()


def touch(items: Iterator[Item]) -> int:
    return sum(int(item.image.ravel()[::64].astype(np.int64).sum() > 0) + int(item.maps.any()) for item in items)


def read_all(one: Callable[[int], Item] | None, every: Callable[[], Iterator[Item]] | None, count: int) -> int:
    if every is not None:
        return touch(every())
    assert one is not None
    return touch(map(one, range(count)))


def draw_all(sampler: Sampler, samples: int) -> None:
    for number in range(samples):
        sampler.draw([number])


def draw_and_look(sampler: Sampler, samples: int, measured: list[tuple[int, int]]) -> None:
    """Draw samples, and note now and then the memory beside that of files, and that of files, by how much they grew."""
    before, libraries = anonymous(), resident() - anonymous()
    for number in range(samples):
        sampler.draw([number])
        if number % 20 == 0:
            measured.append((anonymous() - before, resident() - anonymous() - libraries))


def plain_config() -> TrainingConfig:
    recipe = load_recipe("bedside-2d")
    assert isinstance(recipe, TrainingConfig)
    return recipe.with_overrides({"workers": 0, "sampling.grid": 128})


def measure_formats(items: Sequence[Item], samples: int, console: Console) -> None:
    size = sum(item.image.nbytes + item.maps.nbytes for item in items)
    config = plain_config()
    table = Table(title=f"{len(items)} cases, {size / 1e6:.0f} MB of arrays")
    for column in ("format", "files", "MB", "write, ms a case", "read all, ms a case", "read one, ms", "samples/s"):
        table.add_column(column, justify="left" if column == "format" else "right")
    places = np.random.default_rng(0).permutation(len(items))[:50].tolist()
    for name, write in FORMATS.items():
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            began = time.process_time()
            one, every = write(items, folder)
            written = time.process_time() - began
            count = sum(1 for path in folder.rglob("*") if path.is_file())
            whole = processor(partial(read_all, one, every, len(items)))
            single = rate = None
            if one is not None:
                single = processor(partial(touch, map(one, places))) / len(places)
                store = OneByOne(len(items), one)
                sampler = make_sampler(store, config)
                rate = samples / processor(partial(draw_all, sampler, samples))
            table.add_row(
                name, str(count), f"{folder_bytes(folder) / 1e6:.1f}", f"{1e3 * written / len(items):.2f}",
                f"{1e3 * whole / len(items):.2f}", "-" if single is None else f"{1e3 * single:.2f}",
                "-" if rate is None else f"{rate:.0f}",
            )  # fmt: skip
    console.print(table)


def measure_streaming(items: Sequence[Item], samples: int, console: Console) -> None:
    config = plain_config()
    table = Table(title="a store that is streamed, with a buffer of a tenth of it, beside the same unpacked in whole")
    for column in (
        "store",
        "unpacked, MB",
        "buffer, MB",
        "samples/s",
        "memory grown, MB",
        "mapped files, MB",
        "on disk, MB",
    ):
        table.add_column(column, justify="left" if column == "store" else "right")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        copies = 3
        cases = tuple(CopiedCase(item, n) for n in range(copies) for item in items)
        sources = [Source("copies", "made", "as given", "semantic", {}, cases)]
        plans = plan_shards(sources, superpixels=False)
        # Files of no size are parted by their number alone.
        plans = [
            replace(plan, name=f"{plan.name}-{n:03d}", cases=plan.cases[n * SHARD : n * SHARD + SHARD])
            for plan in plans
            for n in range(-(-len(plan.cases) // SHARD))
        ]
        manifest = make_store(plans, folder / "store", sources=sources)
        size = sum(shard.unpacked for shard in manifest.shards)
        for name, part in (("whole", 2.0), ("streamed", 0.1)):
            settings = Streaming(size * part, 4.0, 0)
            store: Store = (
                open_store(folder / "store", folder / name, lambda _: None)
                if part > 1
                else StreamedStore(folder / "store", manifest, folder / name, settings)
            )
            sampler = make_sampler(store, config)
            measured: list[tuple[int, int]] = []
            rate = samples / processor(partial(draw_and_look, sampler, samples, measured))
            most, files = (max(values) for values in zip(*measured, strict=True))
            table.add_row(
                name, f"{size / 1e6:.0f}", "-" if part > 1 else f"{size * part / 1e6:.0f}", f"{rate:.0f}",
                f"{most / 1e6:.0f}", f"{files / 1e6:.0f}", f"{folder_bytes(folder / name) / 1e6:.0f}",
            )  # fmt: skip
            del sampler, store
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets, or a packed store")
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--without-formats", action="store_true", help="only stream")
    given = parser.parse_args()
    torch.set_num_threads(1)
    console = Console(width=140)
    with tempfile.TemporaryDirectory() as made:
        store = open_store(given.data, Path(made), lambda _: None)
        whole = [item for item in store.items if item.info.variant == "image" and item.axes == 2 and len(item.objects)]
        chosen = np.random.default_rng(1).permutation(len(whole))[: given.cases]
        items = [whole[int(n)] for n in chosen]
        # One name a set, so that drawing is the same from every format.
        items = [Item(ItemInfo(**{**asdict(i.info), "set_name": "all"}), i.image, i.maps, i.objects) for i in items]
        console.print(f"{os.cpu_count()} cores; times are of the processor, one thread")
        if not given.without_formats:
            measure_formats(items, given.samples, console)
        measure_streaming(items, given.samples, console)


if __name__ == "__main__":
    main()
