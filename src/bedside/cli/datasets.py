"""Which datasets a verb is asked about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bedside.core.errors import InputError

if TYPE_CHECKING:
    from bedside.data.catalogue import DataSet


def one_split(folder: Path, split: str | None) -> list[DataSet]:
    """Return the sets of one split: the one asked for, else ``val`` where there are several."""
    from bedside.data.catalogue import find_data_sets

    found = find_data_sets(folder)
    splits = sorted({s.split for s in found})
    wanted = split if split is not None else ("val" if len(splits) > 1 else splits[0])
    if wanted not in splits:
        raise InputError("--split", expected=f"one of {', '.join(splits)}", got=f"'{wanted}'")
    return [s for s in found if s.split == wanted]
