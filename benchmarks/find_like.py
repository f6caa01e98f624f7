"""Measure how many objects of a kind are found after 1, 3 and 10 examples.

``python benchmarks/find_like.py DATA/val [--sets NAME ...] [--cases N] [--slices N]``

Instances of a dataset, or the connected parts of its labels, are the objects. Examples are drawn by chance with a
fixed seed, and their true masks stand for accepted ones. Of the others those are found that a mask of
``Session.find_like`` overlaps by at least half (intersection over union); every further mask is wrong. Of a volume
slices are taken, evenly. Seconds are of processor time, which other work on the machine does not change.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside import Image, Session, load_segmenter
from bedside.data.catalogue import DataSet, find_data_sets
from bedside.engines.planes import slice_image

EXAMPLES = (1, 3, 10)
LEAST_OBJECTS, MOST_OBJECTS = 14, 250
LEAST_PIXELS = 20


def pictures(data_set: DataSet, cases: int, slices: int) -> Iterator[tuple[str, Image, NDArray[np.int64]]]:
    """Yield pictures with their objects numbered, of a set of pictures or of slices of its volumes."""
    for case in data_set.cases[:cases]:
        loaded = case.load()
        labels = loaded.labels.astype(np.int64)
        if loaded.image.ndim == 2:
            yield case.id, loaded.image, numbered(labels, data_set.label_kind)
            continue
        depth = len(labels)
        for index in np.linspace(0, depth - 1, slices + 2).astype(int)[1:-1]:
            plane = slice_image(loaded.image, 0, int(index))
            yield f"{case.id} slice {index}", plane, numbered(labels[index], data_set.label_kind)


def numbered(labels: NDArray[np.int64], kind: str) -> NDArray[np.int64]:
    """Return objects of at least some pixels, numbered from 1."""
    found = labels if kind == "instance" else ndimage.label(labels > 0)[0].astype(np.int64)
    sizes = np.bincount(found.ravel())
    kept = np.flatnonzero(sizes >= LEAST_PIXELS)
    kept = kept[kept > 0]
    numbers = np.zeros(len(sizes), np.int64)
    numbers[kept] = np.arange(1, len(kept) + 1)
    return numbers[found]


def hits(truth: NDArray[np.int64], masks: list[NDArray[np.bool_]], examples: NDArray[Any]) -> int:
    """Return how many objects besides the examples a mask overlaps by at least half."""
    found = set()
    for mask in masks:
        counts = np.bincount(truth[mask], minlength=1)
        counts[0] = 0
        number = int(counts.argmax())
        if number and number not in examples and counts[number] >= 0.5 * ((truth == number) | mask).sum():
            found.add(number)
    return len(found)


def measure(data_set: DataSet, cases: int, slices: int) -> None:
    """Print a line for each number of examples: means over the pictures."""
    segmenter = load_segmenter("bedside-2d")
    rows: dict[int, list[tuple[float, float, float, int]]] = {count: [] for count in EXAMPLES}
    for _, image, truth in pictures(data_set, cases, slices):
        total = int(truth.max())
        if not LEAST_OBJECTS <= total <= MOST_OBJECTS:
            continue
        order = np.random.default_rng(1).permutation(total) + 1
        for count in EXAMPLES:
            session = Session(image, segmenter=segmenter)
            for number in order[:count]:
                session.add_object()
                session.set_mask(truth == number)
            began = time.process_time()
            proposals = session.find_like()
            seconds = time.process_time() - began
            masks = []
            for proposal in proposals:
                mask = np.zeros(image.shape, np.bool_)
                mask[proposal.mask.region.slices] = proposal.mask.patch() > 0
                masks.append(mask)
            good = hits(truth, masks, order[:count])
            rows[count].append((good / max(1, len(masks)), good / (total - count), seconds, good))
    for count, found in rows.items():
        if found:
            precision, recall, seconds, good = np.mean(np.array(found, dtype=float), axis=0)
            told = f"precision {precision:.2f}, recall {recall:.2f}, {seconds:.1f} s of a core, {good:.0f} found"
            print(f"{data_set.name}: {len(found)} pictures, {count} examples: {told}", flush=True)


def main() -> None:
    """Measure the sets asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="+", default=["sa2_histo_tnbc", "micro_usiigaci_t98g", "lm3d_plantseg"])
    parser.add_argument("--cases", type=int, default=6)
    parser.add_argument("--slices", type=int, default=2)
    options = parser.parse_args()
    for data_set in find_data_sets(options.data):
        if data_set.name in options.sets:
            measure(data_set, options.cases, options.slices)


if __name__ == "__main__":
    main()
