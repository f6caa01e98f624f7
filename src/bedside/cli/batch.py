"""``bedside batch``: from a table of images and prompts to a folder of masks."""

from __future__ import annotations

import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bedside.cli.convert import Policy
from bedside.cli.segment import Device, Frame

if TYPE_CHECKING:
    from bedside.batch.report import Report

MOST_LINES = 20
"""Rows that failed which are named on stderr; the report names all."""


class Engine(StrEnum):
    """What runs the workers of a batch."""

    POOL = "pool"
    RAY = "ray"


def batch(
    manifest: Annotated[
        Path, typer.Argument(metavar="MANIFEST", help="Table with a row an object: .csv, .jsonl or .parquet.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of masks, their records and the report.")
    ],
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Model; by default the bundled one.")] = None,
    device: Annotated[Device, typer.Option(help="Where the network runs.")] = Device.AUTO,
    policy: Annotated[
        Policy, typer.Option(help="A voxel of two objects: the first keeps it, or the last takes it.")
    ] = Policy.KEEP,
    frame: Annotated[
        Frame, typer.Option(help="Coordinates of rows that do not say: voxels (index) or mm in LPS (world).")
    ] = Frame.INDEX,
    from_masks: Annotated[
        bool,
        typer.Option("--from-masks", help="Draw a box around each connected part of the mask in the column 'mask'."),
    ] = False,
    suffix: Annotated[
        str | None, typer.Option(metavar=".EXT", help="Format of masks whose rows name no output, e.g. .nii.gz.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes; by default one a core, as memory allows.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Threads of each process; by default the cores, divided.")
    ] = None,
    engine: Annotated[
        Engine, typer.Option(help="What runs the workers: processes of this machine, or Ray.")
    ] = Engine.POOL,
    address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Running Ray cluster, as auto or 10.0.0.1:6379.")
    ] = None,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Write masks in which nothing was found, too.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Make every mask, also those that are done or that others made.")
    ] = False,
) -> int:
    """Segment many images: the masks are those of 'bedside segment' with the same prompts.

    Rows of one image become one mask with an object each. What is done is left alone, so that a run that was stopped
    goes on where it was; what changed in the table, the image, the prompts or the model is made again. A row that fails
    costs its own mask only: the report says why, and the exit status is 1.

    Columns: image; object, label; box, point, negative_point, scribble, negative_scribble, lasso, initial_mask as the
    options of 'bedside segment', several in one cell with ';' between them; or prompts, a journal; frame, series,
    volume; output. Paths are relative to the manifest.
    """
    from bedside.batch.record import Settings
    from bedside.batch.run import run_batch

    progress = Progress()
    try:
        report = run_batch(
            manifest, output, Settings(model, device.value, policy.value, allow_empty),
            workers=workers, threads=threads, frame=frame.value, from_masks=from_masks, suffix=suffix, again=again,
            engine=engine.value, address=address,
            note=lambda line: print(f"bedside: note: {line}", file=sys.stderr), progress=progress,
        )  # fmt: skip
    finally:
        progress.end()
    failed = report.failures
    for line in failed[:MOST_LINES]:
        print(f"bedside: row {line.row}: {line.message}", file=sys.stderr)
    if len(failed) > MOST_LINES:
        print(f"bedside: and {len(failed) - MOST_LINES} rows more", file=sys.stderr)
    print(summary(report, output))
    return 1 if failed else 0


def summary(report: Report, folder: Path) -> str:
    """Return what was done, in one line."""
    masks, failed = report.masks, len(report.failures)
    rows = f", {failed} {'row' if failed == 1 else 'rows'} failed" if failed else ""
    return f"{masks.get('made', 0)} masks made, {masks.get('kept', 0)} kept{rows}; see {folder / 'report.csv'}"


class Progress:
    """How far a batch is and when it ends: one line that changes on a terminal, a line now and then elsewhere."""

    EVERY, EVERY_ON_TERMINAL = 30.0, 0.1
    """Seconds between two lines."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._began = self._said = time.monotonic()
        self._width = 0

    def __call__(self, report: Report, total: int) -> None:
        """Say how far it is."""
        done, now = sum(report.masks.values()), time.monotonic()
        last = done == total and self._terminal
        if last or now - self._said >= (self.EVERY_ON_TERMINAL if self._terminal else self.EVERY):
            self._said = now
            # What was done before took no time and says nothing of what is to come.
            fresh = done - report.masks.get("kept", 0)
            self._show(self.line(done, total, report.masks.get("failed", 0), fresh, now - self._began))

    def line(self, done: int, total: int, failed: int, fresh: int, seconds: float) -> str:
        """Return what is said after so many seconds, in which ``fresh`` of the masks were made or failed."""
        text = f"{done} of {total} masks{f', {failed} failed' if failed else ''}"
        if not fresh or not seconds:
            return text
        left = (total - done) * seconds / fresh
        return f"{text}, {fresh / seconds * 60:.0f} a minute, {_time(left)} left"

    def _show(self, text: str) -> None:
        if not self._terminal:
            print(f"bedside: {text}", file=sys.stderr)
            return
        print(f"\r{text:<{self._width}}", end="", file=sys.stderr, flush=True)
        self._width = len(text)

    def end(self) -> None:
        """Make room for what comes after."""
        if self._width:
            print(file=sys.stderr)
            self._width = 0


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
