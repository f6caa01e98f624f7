"""The 2025 competition's cases made from labelled volumes as they lie in data folders, one dataset after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bedside.challenge.cases import Preparation, make_case
from bedside.challenge.labels import CLEANINGS
from bedside.core.errors import InputError
from bedside.data.catalogue import DataSet
from bedside.data.objects import choose, stable_generator
from bedside.io.challenge import ChallengeCase

SHORT_NAMES = {
    "ct": "CT",
    "mr": "MR",
    "pet": "PET",
    "ultrasound": "US",
    "microscopy": "Microscopy",
}
"""The competition's names of modalities, by a word of what datasets state."""


@dataclass(frozen=True)
class SetCase:
    """A case and the dataset that it is from; "" where that is not known."""

    data_set: str
    case: ChallengeCase


def volumes_only(data_sets: Sequence[DataSet]) -> list[DataSet]:
    """Return the datasets of volumes.

    Raises:
        InputError: There is none.
    """
    found = [s for s in data_sets if s.dimensions == 3]
    if not found:
        raise InputError("interactive2025", expected="data sets of volumes", got="images only")
    return found


def set_cases(data_sets: Sequence[DataSet], limit: int, *, boxes: bool = True, seed: int = 2025) -> Iterator[SetCase]:
    """Yield the cases of datasets, made one by one.

    Args:
        data_sets: Datasets of volumes.
        limit: Most classes of a case; of more, which instances have, some are drawn, always the same ones.
        boxes: Whether cases get boxes; without, the first round is left out and a click starts every class.
        seed: Seed of the boxes' enlargement.
    """
    for data_set in data_sets:
        preparation = Preparation(
            form="interactive2025",
            modality=short_name(data_set.modality),
            data_set=data_set.name,
            cleaning=CLEANINGS["none"],
            boxes=boxes,
            seed=seed,
        )
        for case in data_set.cases:
            loaded = case.load()
            labels = limit_labels(loaded.labels.astype(np.uint16), limit, data_set.name, case.id)
            yield SetCase(data_set.name, make_case(case.id, loaded.image, labels, preparation))


def limit_labels(labels: NDArray[np.uint16], limit: int, *key: object) -> NDArray[np.uint16]:
    """Return the label map with at most ``limit`` labels, drawn by ``key`` alone; the others become background."""
    values = [int(v) for v in np.unique(labels) if v > 0]
    if len(values) <= limit:
        return labels
    kept = choose(values, limit, stable_generator("classes", *key))
    return np.where(np.isin(labels, kept), labels, 0).astype(np.uint16)


def short_name(modality: str) -> str:
    """Return the competition's name of a modality, or its first word where it has none."""
    words = modality.lower().replace("(", " ").replace(",", " ").split()
    for word in words:
        if word in SHORT_NAMES:
            return SHORT_NAMES[word]
    return modality.split(maxsplit=1)[0] if words else "unknown"
