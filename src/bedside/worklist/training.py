"""From what was annotated to data sets that ``bedside train`` takes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.image import Image
from bedside.io.writing import write_image, write_mask
from bedside.session.workspace import Workspace
from bedside.worklist.entries import Entry
from bedside.worklist.export import Outcome, read_entries, replacing
from bedside.worklist.outlines import Outline, are_instances, classes_of
from bedside.worklist.pieces import check_values, modality_of, read_card, storable_samples, write_json
from bedside.worklist.targets import check_targets

SET_FILE = "set.json"


class _Sets:
    """The data sets while they are being made: one of pictures and one of volumes, as far as there are any."""

    def __init__(self, folder: Path, found: Sequence[Outline], name: str) -> None:
        self._folder, self._name = folder, name
        self._instances = are_instances(found)
        self._classes = classes_of(found)
        self._cases: dict[int, list[dict[str, Any]]] = {}
        self._modalities: dict[int, list[str | None]] = {}

    def add(self, entry: Entry) -> Sequence[Path]:
        entry.require_mask()
        labels = entry.label_map(
            (lambda drawn: drawn.label) if self._instances else (lambda drawn: self._classes.of(drawn.name))
        )
        image, case = entry.image, entry.outline.case
        place = self._place(image.ndim)
        place.mkdir(parents=True, exist_ok=True)
        suffix = "nii.gz" if image.ndim == 3 else "png"
        array = storable_samples(image.array) if image.ndim == 3 else as_picture(image)
        plain = Image(array, image.geometry, image.modality)
        paths = [place / f"{case}.{part}.{suffix}" for part in ("image", "labels")]
        write_image(paths[0], plain)
        write_mask(paths[1], labels, image.geometry)
        known = image.geometry.spacing_known
        self._cases.setdefault(image.ndim, []).append(
            {"id": case, "spacing_mm": list(image.geometry.array_spacing) if known else None}
        )
        self._modalities.setdefault(image.ndim, []).append(image.modality)
        return paths

    def keep(self, outline: Outline, files: Sequence[str], folder: Path) -> None:
        place = self._place(outline.ndim).relative_to(self._folder)
        path = folder / place / SET_FILE
        card = read_card(path)
        check_values(path, card.get("structures"), self._structures)
        before = [case for case in card.get("cases", []) if _holds(files, place, case.get("id"))]
        self._cases.setdefault(outline.ndim, []).extend(before)
        self._modalities.setdefault(outline.ndim, []).append(card.get("modality"))

    @property
    def _structures(self) -> dict[str, str]:
        return {"*": "instance"} if self._instances else {str(v): name for name, v in self._classes.values.items()}

    def finish(self) -> Sequence[str]:
        for dimensions, cases in self._cases.items():
            card = {
                "name": self._set_name(dimensions),
                "split": "train",
                "dim": f"{dimensions}d",
                "modality": modality_of(self._modalities[dimensions]),
                "label_kind": "instance" if self._instances else "semantic",
                "structures": self._structures,
                "licence": "not stated",
                "notes": "Made by 'bedside prepare training'.",
                "cases": cases,
            }
            place = self._place(dimensions)
            place.mkdir(parents=True, exist_ok=True)
            write_json(place / SET_FILE, card)
        if self._classes.kept or self._instances:
            return ()
        return ("labels were numbered by the names of the objects: one name is one structure",)

    def _set_name(self, dimensions: int) -> str:
        return f"{self._name}-{dimensions}d"

    def _place(self, dimensions: int) -> Path:
        return self._folder / "train" / self._set_name(dimensions)


def prepare_training(
    workspace: Workspace, found: Sequence[Outline], folder: Path, *, name: str = "annotated"
) -> Outcome:
    """Write data sets of what was annotated, ``train/NAME-2d`` and ``train/NAME-3d``, for ``bedside train --data``.

    Where no object has a name of its own they are instances, numbered as in the page; else objects of one name are one
    structure. Images without a voxel of an object are left out.

    Args:
        workspace: Where the work is.
        found: What to take, see ``outlines``.
        folder: Where to; it may hold other data sets.
        name: Of the data sets.

    Raises:
        InputError: Nothing to take, a name that cannot be one, or a file in the way.
        BedsideError: The place cannot be written.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}", name):
        raise InputError("--name", expected="letters, digits, - and _", got=repr(name)[:80])
    check_targets(workspace, folder=folder)
    if not found:
        raise InputError("nothing to prepare", expected="an image with objects", got="none")
    outcome = Outcome()
    with replacing(folder, record=f".{name}.bedside-prepare.json") as replaced:
        sets = _Sets(replaced.made, found, name)
        read_entries(workspace, found, outcome, lambda entry: replaced.add(sets, entry))
        replaced.finish(sets, outcome)
    return outcome


def _holds(files: Sequence[str], place: Path, case: object) -> bool:
    return any(name.startswith(f"{place.as_posix()}/{case}.labels.") for name in files)


def as_picture(image: Image) -> NDArray[Any]:
    """Return samples of a picture as PNG holds them: bytes and 16 bits as they are, others spread over 16 bits.

    Training looks at what is bright and dark within an image, so that a straight line from old to new values is no
    loss but of steps finer than 1 part in 65,535.
    """
    array = image.array
    if array.dtype in (np.uint8, np.uint16) and not (image.is_colour and array.dtype == np.uint16):
        return array
    values = np.nan_to_num(array.astype(np.float64))
    low, high = float(values.min()), float(values.max())
    top, dtype = (255, np.uint8) if image.is_colour else (65_535, np.uint16)
    scaled = (values - low) / (high - low or 1.0) * top
    return np.asarray(np.rint(scaled).astype(dtype))
