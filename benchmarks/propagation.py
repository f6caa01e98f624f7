"""Measure how a mask on one slice is carried through a volume, beside what bedside-3d predicts of prompts.

``python benchmarks/propagation.py DATA/val/3d/SET ... [--cases N] [--objects N]``

For each labelled object the truth of its middle slice stands for a corrected mask; it is carried along the axis of the
largest spacing by ``Session.propagate`` with its own settings. Beside it: bedside-3d with the object's 3D box, and with
a box on that one slice.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside import Session, load_segmenter
from bedside.core.prompts import Box
from bedside.core.region import Region, mask_region
from bedside.data.catalogue import DataSet, find_data_sets

LEAST_SLICES = 5


def dsc(found: NDArray[Any], truth: NDArray[Any]) -> float:
    """Return the overlap of two masks."""
    total = np.count_nonzero(found) + np.count_nonzero(truth)
    return 2 * np.count_nonzero((found > 0) & (truth > 0)) / total if total else 1.0


def middle_slice(truth: NDArray[np.bool_], axis: int) -> int | None:
    """Return the middle slice of an object; None where it has too few, or none in the middle."""
    on = np.flatnonzero(truth.any(axis=tuple(a for a in range(3) if a != axis)))
    middle = int(on[0] + on[-1]) // 2
    return middle if len(on) >= LEAST_SLICES and middle in on else None


def box_of(region: Region) -> Box:
    """Return the box of a region."""
    return Box(tuple(map(float, region.start[::-1])), tuple(map(float, region.stop[::-1])))


def measure(data_set: DataSet, cases: int, objects: int) -> Iterator[dict[str, float]]:
    """Yield the DSC of each way, and the seconds of carrying, for each object."""
    volumes, planes = load_segmenter("bedside-3d"), load_segmenter("bedside-2d")
    for case in data_set.cases[:cases]:
        loaded = case.load()
        session = Session(loaded.image, segmenter=volumes)
        axis = int(np.argmax(loaded.image.geometry.array_spacing))
        values, sizes = np.unique(loaded.labels[loaded.labels > 0], return_counts=True)
        for value in values[np.argsort(-sizes)][:objects]:
            truth = loaded.labels == value
            middle = middle_slice(truth, axis)
            if middle is None:
                continue
            drawn = np.zeros(truth.shape, dtype=np.uint8)
            np.moveaxis(drawn, axis, 0)[middle] = np.moveaxis(truth, axis, 0)[middle]
            row: dict[str, float] = {}
            for name, box in (("box 3D", box_of(mask_region(truth))), ("box on the slice", box_of(mask_region(drawn)))):
                session.add_object()
                session.add(box)
                row[name] = dsc(session.mask, truth)
            session.add_object()
            session.set_mask(drawn)
            began = time.perf_counter()
            carried = session.propagate(axis=axis, segmenter=planes)
            row["seconds"] = time.perf_counter() - began
            row["slices"] = carried.last - carried.first + 1
            row["carried"] = dsc(session.mask, truth)
            inside = np.flatnonzero(truth.any(axis=tuple(a for a in range(3) if a != axis)))
            session.undo()
            session.propagate(axis=axis, first=int(inside[0]), last=int(inside[-1]), segmenter=planes)
            row["carried, ends given"] = dsc(session.mask, truth)
            yield row


def main() -> None:
    """Print a line of means for each dataset."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--cases", type=int, default=4)
    parser.add_argument("--objects", type=int, default=3)
    options = parser.parse_args()
    for folder in options.folders:
        for data_set in find_data_sets(folder):
            columns = defaultdict(list)
            for row in measure(data_set, options.cases, options.objects):
                for name, value in row.items():
                    columns[name].append(value)
            told = ", ".join(f"{name} {np.mean(values):.3f}" for name, values in columns.items())
            print(f"{data_set.name}: {len(columns['carried'])} objects: {told}", flush=True)


if __name__ == "__main__":
    main()
