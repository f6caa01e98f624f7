"""What data cost on their way from source files to training samples, and whether that holds for many of them.

Costs are measured on a few pictures and volumes made at random: reading, superpixels, packing, fetching and unpacking,
drawing, in seconds of the processor and bytes. From these the cost of ``--pairs`` pairs is foretold, and then the whole
path is gone: so many files are written, packed into shards, streamed with a buffer of a tenth, and samples drawn.

    python benchmarks/scale.py --pairs 15000
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Picture
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from bedside.data.prepare import CaseOrigin, case_items
from bedside.data.sharding import ShardPlan, make_store, plan_shards
from bedside.data.sources import find_sources
from bedside.data.store import Item, Store, read_part, read_part_bytes, write_part
from bedside.data.store_manifest import StoreManifest
from bedside.data.streaming import StreamedStore, Streaming
from bedside.engines.window.sampling.sampler import Sampler
from bedside.engines.window.training.task import make_sampler
from bedside.train.config import TrainingConfig
from bedside.train.recipes import load_recipe

SIDE, SHAPE = 512, (64, 256, 256)
"""Of pictures, and of volumes."""
CT_VOXELS = 512 * 512 * 300
"""Of the CT that costs are told for."""
FEW, VOLUMES = 40, 2
"""By which costs are measured."""
REUSE = 4.0
"""How often a case is drawn while it is unpacked."""


@dataclass(frozen=True)
class Costs:
    """Of one case, in seconds of the processor and bytes.

    Attributes:
        read: Reading the source files.
        superpixels: Making reduced copies.
        pack: Compressing and writing, without those copies.
        unpack: Unpacking and writing, without those copies.
        draw: Drawing a sample.
        source, stored, unpacked: Bytes.
    """

    read: float
    superpixels: float
    pack: float
    unpack: float
    draw: float
    source: float
    stored: float
    unpacked: float


def made(shape: tuple[int, ...], number: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A smooth noisy ground with three bright blobs, which are labelled 1 to 3."""
    generator = np.random.default_rng(number)
    coarse = generator.normal(90, 30, tuple(n // 16 for n in shape))
    ground = ndimage.zoom(coarse, 16, order=1)[tuple(slice(n) for n in shape)]
    labels = np.zeros(shape, np.uint8)
    axes = np.ogrid[tuple(slice(n) for n in shape)]
    for value in (1, 2, 3):
        centre = [generator.uniform(0.2, 0.8) * n for n in shape]
        radius = [generator.uniform(0.06, 0.18) * n for n in shape]
        distance = sum(((a - c) / r) ** 2 for a, c, r in zip(axes, centre, radius, strict=True))
        labels[distance < 1] = value
    image = ground + 25.0 * labels + generator.normal(0, 6, shape)
    return image.clip(0, 255).astype(np.uint8), labels


def write_pairs(folder: Path, pairs: int) -> None:
    folder.mkdir(parents=True)
    card = {"name": "made", "dim": "2d", "modality": "made", "label_kind": "semantic", "licence": "CC0",
            "structures": {"1": "a", "2": "b", "3": "c"}, "split": "train"}  # fmt: skip
    (folder / "set.json").write_text(json.dumps(card))
    # Some different ones, because making them takes longer than all that is measured.
    kept = [made((SIDE, SIDE), number) for number in range(min(pairs, 100))]
    for number in range(pairs):
        image, labels = kept[number % len(kept)]
        Picture.fromarray(np.roll(image, number, axis=1)).save(folder / f"{number:07d}.image.png", compress_level=1)
        Picture.fromarray(np.roll(labels, number, axis=1)).save(folder / f"{number:07d}.labels.png", compress_level=1)


@contextmanager
def processor(result: list[float]) -> Iterator[None]:
    began = time.process_time()
    yield
    result.append(time.process_time() - began)


def seconds(call: Callable[[], object]) -> float:
    result: list[float] = []
    with processor(result):
        call()
    return result[0]


def settings(model: str) -> TrainingConfig:
    recipe = load_recipe(model)
    assert isinstance(recipe, TrainingConfig)
    return recipe.with_overrides({"workers": 0, "sampling.superpixel_share": 0.0})


def draw(sampler: Sampler, first: int, samples: int) -> None:
    for number in range(first, first + samples):
        sampler.draw([number])


def costs_of_items(items: list[Item], folder: Path, model: str, samples: int) -> tuple[float, float, float, int, int]:
    """Return seconds to pack, to unpack and to draw, and bytes stored and unpacked, of all items or of a sample."""
    packed, opened = folder / "packed.npz", folder / "opened.npz"
    pack = seconds(lambda: write_part(packed, items, compress=True))
    unpack = seconds(lambda: write_part(opened, read_part_bytes(packed.read_bytes(), "shard")))
    sampler = make_sampler(Store.of(read_part(opened, check=False), ""), settings(model))
    draw(sampler, 0, 2)
    drawn = seconds(partial(draw, sampler, 2, samples)) / samples
    return pack, unpack, drawn, packed.stat().st_size, opened.stat().st_size


def costs_of_pictures(folder: Path) -> Costs:
    write_pairs(folder / "few", FEW)
    (source,) = find_sources(folder / "few", name=None, licence=None, modality=None)
    read = seconds(lambda: [case.read() for case in source.cases]) / FEW
    arrays = [case.read() for case in source.cases]
    origin = CaseOrigin("made", "x", "made", "semantic")
    none = np.random.default_rng(0)
    plain = [list(case_items(origin, a, b, s, none, superpixels=False)) for a, b, s, _ in arrays]
    few = arrays[:6]
    whole = seconds(lambda: [list(case_items(origin, a, b, s, none)) for a, b, s, _ in few]) / len(few)
    bare = seconds(lambda: [list(case_items(origin, a, b, s, none, superpixels=False)) for a, b, s, _ in few]) / len(
        few
    )
    items = [item for own in plain for item in own]
    pack, unpack, drawn, stored, unpacked = costs_of_items(items, folder, "bedside-2d", 150)
    size = sum(path.stat().st_size for path in (folder / "few").iterdir())
    return Costs(read, whole - bare, bare + pack / FEW, unpack / FEW, drawn, size / FEW, stored / FEW, unpacked / FEW)


def costs_of_volumes(folder: Path) -> Costs:
    """Of a CT of ``CT_VOXELS``, by smaller volumes: all but drawing grows with the voxels."""
    import nibabel

    from bedside.io import read_image

    pairs = [made(SHAPE, number) for number in range(VOLUMES)]
    paths = []
    for number, (image, labels) in enumerate(pairs):
        for kind, array in (("image", image.astype(np.int16)), ("labels", labels)):
            paths.append(folder / f"{number}.{kind}.nii.gz")
            nibabel.save(nibabel.Nifti1Image(array.T, np.eye(4)), paths[-1])
    read = seconds(lambda: [read_image(path) for path in paths])
    origin, none = CaseOrigin("made", "x", "made", "semantic"), np.random.default_rng(0)
    arrays = [(image.astype(np.int16), labels.astype(np.uint16)) for image, labels in pairs]
    plain = [list(case_items(origin, a, b, (1.0,) * 3, none, superpixels=False)) for a, b in arrays]
    bare = seconds(lambda: [list(case_items(origin, a, b, (1.0,) * 3, none, superpixels=False)) for a, b in arrays])
    first, truth = arrays[0]
    superpixels = seconds(lambda: list(case_items(origin, first, truth, (1.0,) * 3, none))) - bare / VOLUMES
    items = [item for own in plain for item in own]
    pack, unpack, drawn, stored, unpacked = costs_of_items(items, folder, "bedside-3d", 20)
    factor = CT_VOXELS / (VOLUMES * np.prod(SHAPE))
    size = sum(path.stat().st_size for path in paths)
    # Reduced copies have one size, whatever that of the volume is.
    return Costs(
        read * factor, superpixels, (bare + pack) * factor, unpack * factor, drawn, size * factor, stored * factor,
        unpacked * factor,
    )  # fmt: skip


def simulate(folder: Path, pairs: int, costs: Costs, console: Console) -> None:
    write_pairs(folder / "many", pairs)
    sources = find_sources(folder / "many", name=None, licence=None, modality=None)
    manifest: list[StoreManifest] = []
    plans: list[ShardPlan] = []
    plan = seconds(lambda: plans.extend(plan_shards(sources, shard_mb=4.0, superpixels=False)))
    wall = time.monotonic()
    packing = seconds(lambda: manifest.append(make_store(plans, folder / "store", sources=sources)))
    wall = time.monotonic() - wall
    unpacked = sum(shard.unpacked for shard in manifest[0].shards)
    stored = sum(shard.bytes for shard in manifest[0].shards)
    store = StreamedStore(folder / "store", manifest[0], folder / "run", Streaming(unpacked / 10, REUSE, 0))
    sampler = make_sampler(store, settings("bedside-2d"))
    samples = min(pairs, 1500)
    drawing = seconds(partial(draw, sampler, 0, samples))
    opened = sum(path.stat().st_size for path in (folder / "run").glob("part-*"))
    told = Table(title=f"{pairs} pairs in {len(manifest[0].shards)} shards, one process")
    for column in ("step", "foretold", "found", "found / foretold"):
        told.add_column(column, justify="left" if column == "step" else "right")
    begin = sum(s.unpacked for s in manifest[0].shards[: int(len(manifest[0].shards) / 10)]) / costs.unpacked
    rows = [
        ("planning, s of the processor", 0.0, plan),
        ("reading and packing, s of the processor", pairs * (costs.read + costs.pack), packing),
        (
            f"{samples} samples streamed, s of the processor",
            samples * (costs.draw + costs.unpack / REUSE) + begin * costs.unpack,
            drawing,
        ),
        ("store, MB", pairs * costs.stored / 1e6, stored / 1e6),
        ("unpacked in whole, MB", pairs * costs.unpacked / 1e6, unpacked / 1e6),
        ("unpacked at the end, MB, of at most", unpacked / 10e6, opened / 1e6),
    ]
    for step, foretold, found in rows:
        share = f"{found / foretold:.2f}" if foretold else "-"
        told.add_row(step, f"{foretold:.1f}", f"{found:.1f}", share)
    console.print(told)
    console.print(f"packing took {wall:.1f} s by the clock")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=15_000)
    given = parser.parse_args()
    torch.set_num_threads(1)
    console = Console(width=120)
    console.print(f"{os.cpu_count()} cores; times are of the processor, one thread")
    table = Table(title=f"costs of a case: a picture of {SIDE} x {SIDE}, a CT of 512 x 512 x 300")
    names = ("read", "superpixels", "pack", "unpack", "draw", "source", "stored", "unpacked")
    for column in ("", *(f"{n}, {'ms' if place < 5 else 'MB'}" for place, n in enumerate(names))):
        table.add_column(column, justify="right" if column else "left")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "volumes").mkdir()
        pictures, volumes = costs_of_pictures(folder), costs_of_volumes(folder / "volumes")
        for kind, costs in (("picture", pictures), ("CT", volumes)):
            values = [getattr(costs, n) * (1e3 if at < 5 else 1e-6) for at, n in enumerate(names)]
            table.add_row(kind, *(f"{value:.3g}" for value in values))
        console.print(table)
        simulate(folder, given.pairs, pictures, console)


if __name__ == "__main__":
    main()
