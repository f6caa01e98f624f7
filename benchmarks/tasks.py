"""Measure three tasks of an annotator: gestures and seconds until the mask is right, by several ways of working.

``python benchmarks/tasks.py DATA/val [--cases N]``

An organ in a volume, thirty cells of a picture, and a lesion of four parts, each on real images with known masks. A
simulated user begins in the way that is measured and then clicks in the middle of the largest error until the DSC is
0.9 or the patience is over. A click, a box, a stroke and a key count one gesture each. Seconds are those that the user
waits for predictions, of processor time, which other work on the machine does not change.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from bedside import Image, Session, load_segmenter
from bedside.core.prompts import Box, Prompt
from bedside.data.catalogue import find_data_sets
from bedside.engines.protocol import Segmenter
from bedside.simulate.boxes import part_boxes, tight_box
from bedside.simulate.clicks import first_click, next_click
from bedside.simulate.slices import middle_box, slice_scribble

Mask = NDArray[np.bool_]
GOAL = 0.9
PATIENCE = {"organ": 30, "cells": 8, "lesion": 30}
"""Gestures after which the user gives up on an object."""
CELLS, PARTS = 30, 4
LEAST_PIXELS = 60


@dataclass
class Work:
    """What a task took.

    Attributes:
        gestures: Clicks, boxes, strokes and keys.
        seconds: Processor time of the predictions.
        scores: DSC of each object at its end.
    """

    gestures: int = 0
    seconds: float = 0.0
    scores: list[float] = field(default_factory=list)


def dsc(one: Mask, other: Mask) -> float:
    """Return the overlap of two masks."""
    return 2 * float((one & other).sum()) / max(1.0, float(one.sum() + other.sum()))


def correct(session: Session, truth: Mask, first: Sequence[Prompt], patience: int, work: Work) -> None:
    """Begin the current object by ``first`` and click until it is right."""
    generator = np.random.default_rng(0)
    waiting = list(first)
    used = 0
    while True:
        if waiting:
            prompt: Prompt | None = waiting.pop(0)
        else:
            found = session.mask.astype(bool)
            if dsc(found, truth) >= GOAL or used >= patience:
                break
            prompt = next_click(truth, found, generator)
        if prompt is None:
            break
        began = time.process_time()
        session.add(prompt)
        work.seconds += time.process_time() - began
        used += 1
    work.gestures += used
    work.scores.append(dsc(session.mask.astype(bool), truth))


Way = Callable[[Segmenter, Image, list[Mask]], Work]
"""Draws the objects of an image."""


def starting_with(make: Callable[[Mask], Sequence[Prompt]], kind: str) -> Way:
    """Return a way to work: every object begun by what ``make`` gives, then clicks."""

    def run(segmenter: Segmenter, image: Image, truths: list[Mask]) -> Work:
        work, session = Work(), Session(image, segmenter=segmenter)
        for truth in truths:
            session.add_object()
            correct(session, truth, make(truth), PATIENCE[kind], work)
        return work

    return run


def by_examples(count: int) -> Way:
    """Return a way to work: boxes on a few cells, the others found by them, a key for each, boxes for what is left."""

    def run(segmenter: Segmenter, image: Image, truths: list[Mask]) -> Work:
        work, session = Work(), Session(image, segmenter=segmenter)
        for truth in truths[:count]:
            session.add_object()
            correct(session, truth, [tight_box(truth)], PATIENCE["cells"], work)
        began = time.process_time()
        proposals = session.find_like()
        work.seconds += time.process_time() - began
        work.gestures += 1 + len(proposals)
        found = []
        for proposal in proposals:
            mask = np.zeros(image.shape, np.bool_)
            mask[proposal.mask.region.slices] = proposal.mask.patch() > 0
            found.append(mask)
        for truth in truths[count:]:
            best = max((dsc(mask, truth) for mask in found), default=0.0)
            if best >= GOAL:
                work.scores.append(best)
                continue
            close = max(found, key=lambda mask: dsc(mask, truth), default=None)
            session.add_object()
            if close is not None and best >= 0.5:
                session.set_mask(close)
                correct(session, truth, [], PATIENCE["cells"], work)
            else:
                correct(session, truth, [tight_box(truth)], PATIENCE["cells"], work)
        return work

    return run


CLICK, BOX = "a click, then clicks", "a box, then clicks"
WAYS: dict[str, dict[str, Way]] = {
    "organ": {
        CLICK: starting_with(lambda truth: [first_click(truth, np.random.default_rng(0))], "organ"),
        "a box on one slice, then clicks": starting_with(lambda truth: [middle_box(truth)], "organ"),
        BOX: starting_with(lambda truth: [tight_box(truth)], "organ"),
        "a stroke, then clicks": starting_with(lambda t: [slice_scribble(t, np.random.default_rng(0))], "organ"),
    },
    "cells": {
        CLICK: starting_with(lambda truth: [first_click(truth, np.random.default_rng(0))], "cells"),
        BOX: starting_with(lambda truth: [tight_box(truth)], "cells"),
        "boxes on three, find the like, correct": by_examples(3),
    },
    "lesion": {
        "one box around all, then clicks": starting_with(lambda truth: [tight_box(truth)], "lesion"),
        "a box for each part, then clicks": starting_with(lambda truth: list[Box](part_boxes(truth)), "lesion"),
    },
}
SETS = {"organ": "deepreg_nifti_mr", "cells": "micro_usiigaci_t98g", "lesion": "mr3d_ms_ljubljana"}


def cases(data: Path, task: str, most: int) -> Iterator[tuple[Image, list[Mask]]]:
    """Yield images of a task with the objects to draw."""
    (data_set,) = [s for s in find_data_sets(data) if s.name == SETS[task]]
    given = 0
    for case in data_set.cases:
        loaded = case.load()
        labels = np.asarray(loaded.labels)
        if task == "organ":
            objects = [labels > 0]
        elif task == "cells":
            sizes = np.bincount(labels.ravel())
            kept = [n for n in np.flatnonzero(sizes >= LEAST_PIXELS) if n > 0]
            chosen = np.random.default_rng(1).permutation(kept)[:CELLS]
            objects = [labels == n for n in chosen]
        else:
            parts, _ = ndimage.label(labels > 0, np.ones((3,) * labels.ndim))
            sizes = np.bincount(parts.ravel())
            sizes[0] = 0
            objects = [np.isin(parts, np.argsort(sizes)[-PARTS:])]
        if task == "cells" and len(objects) < CELLS:
            continue
        yield loaded.image, objects
        given += 1
        if given == most:
            return


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cases", type=int, default=3)
    parser.add_argument("--tasks", nargs="+", choices=list(WAYS), default=list(WAYS))
    given = parser.parse_args()
    console = Console(width=130)
    table = Table("task", "way", "images", "gestures", "seconds", "mean DSC", f"objects at {GOAL}")
    for task in given.tasks:
        dimensions = 2 if task == "cells" else 3
        segmenter = load_segmenter(f"bedside-{dimensions}d")
        images = list(cases(given.data, task, given.cases))
        for way, run in WAYS[task].items():
            done = [run(segmenter, image, objects) for image, objects in images]
            scores = [score for work in done for score in work.scores]
            table.add_row(
                task,
                way,
                f"{len(done)}",
                f"{np.mean([work.gestures for work in done]):.0f}",
                f"{np.mean([work.seconds for work in done]):.1f}",
                f"{np.mean(scores):.3f}",
                f"{sum(score >= GOAL for score in scores)} of {len(scores)}",
            )
    console.print(table)


if __name__ == "__main__":
    main()
