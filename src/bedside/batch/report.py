"""The report of a run: what became of each row, as CSV for a spreadsheet and as JSON for a program."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from bedside.batch.manifest import as_given
from bedside.batch.plan import Failure, Item, held
from bedside.batch.record import Made
from bedside.batch.worker import Failed
from bedside.core.files import write_text_atomically
from bedside.core.tables import csv_text

Status = Literal["made", "kept", "failed", "held", "waiting"]
CSV_NAME, JSON_NAME = "report.csv", "report.json"


@dataclass(frozen=True)
class Line:
    """What became of one object.

    Attributes:
        row: Number of its row.
        status: "made" in this run, "kept" from an earlier one, "failed", "held" because another row of its mask
            failed, or "waiting" where the run was interrupted before.
        image: Its image.
        output: Its mask.
        object: What it is called.
        label: Its value in the mask.
        voxels: How many of them.
        volume_ml: Of a volume whose spacing is known.
        area_mm2: Of a picture whose spacing is known.
        seconds: What the mask took, all of its objects together.
        message: Why there is none, or what to know of it.
    """

    row: int
    status: str
    image: str
    output: str
    object: str | None = None
    label: int | None = None
    voxels: int | None = None
    volume_ml: float | None = None
    area_mm2: float | None = None
    seconds: float | None = None
    message: str = ""


class Report:
    """Lines of a run, by row.

    Args:
        folder: Where the masks are; names of masks are relative to it.
        home: Folder of the manifest; images are named as the manifest names them.
    """

    def __init__(self, folder: Path, home: Path) -> None:
        self._folder, self._home = folder, home
        self._lines: dict[int, list[Line]] = {}
        self._masks: Counter[str] = Counter()

    @property
    def lines(self) -> list[Line]:
        """All lines, by the number of their row."""
        return [line for number in sorted(self._lines) for line in self._lines[number]]

    @property
    def masks(self) -> Mapping[str, int]:
        """How many masks were "made", "kept", "failed" or are "waiting"."""
        return self._masks

    @property
    def failures(self) -> list[Line]:
        """Lines of rows that failed, without those that were held."""
        return [line for line in self.lines if line.status == "failed"]

    def reject(self, failures: Iterable[Failure]) -> None:
        """Add rows of which no mask could be asked for."""
        for one in failures:
            self._lines[one.number] = [Line(one.number, one.status, one.image, one.output, message=one.message)]

    def wait(self, items: Iterable[Item]) -> None:
        """Add masks that are still to be made."""
        for item in items:
            self._of_rows(item, "waiting", dict.fromkeys(item.numbers, ""))

    def add(self, item: Item, answer: Made | Failed, *, kept: bool = False) -> None:
        """Add what became of a mask."""
        if isinstance(answer, Failed):
            culprits = item.numbers if answer.row is None else [answer.row]
            said = {n: answer.message if n in culprits else held(culprits)[0] for n in item.numbers}
            self._of_rows(item, "failed", said, culprits, answer.seconds)
            return
        status = "kept" if kept else "made"
        self._masks[status] += 1
        rows = item.numbers
        if len(rows) != len(answer.objects):
            rows = rows[:1] * len(answer.objects)
        for number in rows:
            self._lines[number] = []
        for number, found in zip(rows, answer.objects, strict=True):
            self._lines[number].append(
                Line(
                    number,
                    status,
                    as_given(item.rows[0].image, self._home),
                    self._name(item.output),
                    found.name,
                    found.label,
                    found.voxels,
                    found.volume_ml,
                    found.area_mm2,
                    answer.seconds,
                    "; ".join(answer.notes),
                )
            )

    def _of_rows(
        self,
        item: Item,
        status: Status,
        said: Mapping[int, str],
        culprits: Sequence[int] = (),
        seconds: float | None = None,
    ) -> None:
        self._masks[status] += 1
        for row in item.rows:
            own = "held" if culprits and row.number not in culprits else status
            self._lines[row.number] = [
                Line(
                    row.number,
                    own,
                    as_given(row.image, self._home),
                    self._name(item.output),
                    row.name,
                    row.label,
                    seconds=seconds,
                    message=said[row.number],
                )
            ]

    def _name(self, output: Path) -> str:
        return as_given(output, self._folder)

    def save(self) -> None:
        """Write both forms beside the masks.

        Raises:
            StorageError: They cannot be written.
        """
        records: list[dict[str, Any]] = [asdict(line) for line in self.lines]
        names = list(Line.__dataclass_fields__)
        table = csv_text([names, *[["" if r[n] is None else r[n] for n in names] for r in records]])
        write_text_atomically(self._folder / CSV_NAME, table)
        whole = {"format": "bedside-batch-report", "version": 1, "masks": dict(self._masks), "rows": records}
        write_text_atomically(self._folder / JSON_NAME, json.dumps(whole, indent=1) + "\n")
