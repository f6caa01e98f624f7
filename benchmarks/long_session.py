"""What a prompt costs after hundreds of others on one object, and what strokes of a brush take in the journal.

Processor time, so that other work on the machine tells little. In this process, with the bundled model of images.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bedside import Session
from bedside.core.prompts import InitialMask, Point, Prompt, Scribble
from bedside.session.journal import written_events

SHAPE = (400, 500)
MIDDLE = (200.0, 250.0)
AROUND = 20
"""Prompts over which the median is taken."""


def make_object() -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return a bright ellipse in noise, and its mask."""
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    inside = ((rows - MIDDLE[0]) / 90) ** 2 + ((columns - MIDDLE[1]) / 120) ** 2 < 1
    noisy = np.random.default_rng(0).normal(60, 10, SHAPE) + 90 * inside
    return noisy.clip(0, 255).astype(np.uint8), inside


def click(place: Sequence[float], positive: bool) -> Prompt:
    """Return a click at a place (row, column)."""
    return Point((place[1], place[0]), positive)


def stroke(place: Sequence[float], positive: bool) -> Prompt:
    """Return a stroke of 60 vertices around a place."""
    turns = np.arange(60) / 8
    rows, columns = place[0] + 4 * np.sin(turns), place[1] + (3 + turns) * np.cos(turns)
    points = np.stack([columns.clip(0, SHAPE[1] - 1), rows.clip(0, SHAPE[0] - 1)], axis=1)
    return Scribble(tuple(map(tuple, points)), positive)


def processor_times(count: int, make: Callable[[Sequence[float], bool], Prompt]) -> list[float]:
    """Return processor seconds of each of ``count`` prompts at random places, by which they are right."""
    array, inside = make_object()
    session, rng = Session(array), np.random.default_rng(1)
    session.add(click(MIDDLE, True))
    seconds = []
    for _ in range(count):
        place = [float(rng.uniform(60, side - 60)) for side in SHAPE]
        positive = bool(inside[int(place[0]), int(place[1])])
        began = time.process_time()
        session.add(make(place, positive))
        seconds.append(time.process_time() - began)
    return seconds


def journal_bytes(count: int) -> tuple[int, int]:
    """Return bytes of strokes of a brush in a journal, written whole and as what they change."""
    mask = make_object()[1].astype(np.uint8)
    rng = np.random.default_rng(2)
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    session = Session(make_object()[0])
    for number in range(count):
        angle = rng.uniform(0, 2 * np.pi)
        row, column = MIDDLE[0] + 90 * np.sin(angle), MIDDLE[1] + 120 * np.cos(angle)
        mask = mask.copy()
        mask[(rows - row) ** 2 + (columns - column) ** 2 < 64] = number % 2
        session.add(InitialMask(mask))
    events = session.journal.objects[0].events
    whole = sum(len(json.dumps(event.to_dict())) for event in events)
    return whole, sum(len(json.dumps(event)) for event in written_events(events))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=500)
    given = parser.parse_args()
    console = Console(width=110)
    table = Table("prompts", "after 20 others, ms", "half way, ms", "the last, ms", title="processor time of a prompt")
    for name, make in (("clicks", click), ("strokes", stroke)):
        seconds = processor_times(given.prompts, make)
        places = (20, len(seconds) // 2, len(seconds) - AROUND)
        numbers = [f"{1000 * statistics.median(seconds[at : at + AROUND]):.0f}" for at in places]
        table.add_row(f"{given.prompts} {name}", *numbers)
    console.print(table)
    whole, changes = journal_bytes(given.prompts)
    console.print(f"{given.prompts} strokes of the brush: {whole:,} bytes whole, {changes:,} as what they change")


if __name__ == "__main__":
    main()
