"""Measure what a click on a second image is worth: masks from clicks on the first image and on the second.

``python benchmarks/second_image.py DATA/val/3d/sts_ct DATA/val/3d/sts_pet [--clicks N]``

Cases are those of the same name in both sets. The truth and the masks lie on the grid of the first image; clicks are
those of the competition of 2025, the first at the object's centre and each other in the largest error.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import bedside
from bedside.data.catalogue import Case, find_data_sets
from bedside.simulate.clicks import first_click, next_click


def overlap(mask: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Return the DSC of two masks."""
    return float(2 * (mask & truth).sum() / max(1, mask.sum() + truth.sum()))


def scores(session: bedside.Session, truth: NDArray[np.uint8], clicks: int, second: bool) -> list[float]:
    """Return the DSC after each click on one of the images."""
    rng = np.random.default_rng(0)
    number = session.add_object().id
    found: list[float] = []
    for _ in range(clicks):
        click = first_click(truth, rng) if not found else next_click(truth, session.mask, rng)
        if click is None:
            found.append(1.0)
        else:
            add = session.add_on_second if second else session.add
            add(click, object_id=number)
            found.append(overlap(session.mask, truth))
    return found


def measure(first: Case, other: Case, clicks: int) -> tuple[list[list[float]], float]:
    """Return the DSC after each click on the first image and on the second, and seconds of a slice of the second."""
    case = first.load()
    session = bedside.Session(case.image)
    linked = session.link(other.load().image)
    began = time.perf_counter()
    linked.slice(0, case.image.shape[0] // 2)
    seconds = time.perf_counter() - began
    truth = (case.labels > 0).astype(np.uint8)
    return [scores(session, truth, clicks, on_second) for on_second in (False, True)], seconds


def main() -> None:
    """Print a row for each image that was clicked on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("--clicks", type=int, default=3)
    chosen = parser.parse_args()
    (one,), (two,) = find_data_sets(chosen.first), find_data_sets(chosen.second)
    others = {case.id: case for case in two.cases}
    pairs = [(case, others[case.id]) for case in one.cases if case.id in others]
    rows = [measure(*pair, chosen.clicks) for pair in pairs]
    print(f"| clicks on | cases | {' | '.join(f'DSC after {n + 1}' for n in range(chosen.clicks))} |")
    print("|---" * (2 + chosen.clicks) + "|")
    for place, name in enumerate((one.name, two.name)):
        means = np.mean([found[place] for found, _ in rows], axis=0)
        print(f"| {name} | {len(rows)} | {' | '.join(f'{mean:.3f}' for mean in means)} |")
    print(f"a slice of the second image: {1000 * np.median([seconds for _, seconds in rows]):.0f} ms")


if __name__ == "__main__":
    main()
