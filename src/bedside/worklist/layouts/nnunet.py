"""nnU-Net's raw folder: ``Dataset501_NAME`` with ``imagesTr``, ``labelsTr`` and ``dataset.json``, version 2."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bedside.core.errors import InputError
from bedside.worklist.entries import Entry, LeftOutError
from bedside.worklist.layouts import LAYOUTS, Layout, Plan
from bedside.worklist.outlines import Outline, class_name, classes_of
from bedside.worklist.pieces import (
    NIFTI,
    check_values,
    modality_of,
    read_card,
    without_background,
    write_channels,
    write_json,
    write_labels,
)

FIRST_NUMBER = 501
"""Number of the data set where the name says none: nnU-Net keeps those up to 500 for others."""


def dataset_folder(name: str) -> str:
    """Return nnU-Net's name of a data set: three digits and a name.

    Raises:
        InputError: Nothing in the name can be used.
    """
    if re.fullmatch(r"Dataset\d{3}_[A-Za-z0-9_-]+", name):
        return name
    plain = re.sub(r"[^A-Za-z0-9-]+", "_", name).strip("_")
    if not plain:
        raise InputError("--name", expected="letters or digits", got=repr(name)[:80])
    return f"Dataset{FIRST_NUMBER}_{plain}"


class NnUnet:
    """The folder while it is being made."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._folder = folder / dataset_folder(plan.name)
        self._plan = plan
        self._classes = classes_of(plan.outlines, consecutive=True)
        self._labels = {"background": 0, **without_background(self._classes.values)}
        self._modalities: list[str | None] = []
        self._kind: tuple[int, int] | None = None
        for part in ("imagesTr", "labelsTr"):
            (self._folder / part).mkdir(parents=True)

    def add(self, entry: Entry) -> Sequence[Path]:
        """Write an image's channels and labels."""
        entry.require_mask()
        kind = (entry.image.ndim, 3 if entry.image.is_colour else 1)
        if self._kind is not None and kind != self._kind:
            raise LeftOutError(
                "image of another kind",
                expected="{} axes and {} channels, as the first".format(*self._kind),
                got="{} axes and {} channels".format(*kind),
                fix="nnU-Net trains on one kind: export them apart, with --folder",
            )
        case = entry.outline.case
        labels = self._folder / "labelsTr" / f"{case}{NIFTI}"
        channels = write_channels(self._folder / "imagesTr", case, entry.image)
        write_labels(labels, entry, lambda drawn: self._classes.of(drawn.name))
        self._kind = kind
        self._modalities.append(entry.image.modality)
        return [*channels, labels]

    def keep(self, outline: Outline, files: Sequence[str], folder: Path) -> None:
        """Count in a case that stays.

        Raises:
            BedsideError: There is no list of before, or it is of another kind or of other values.
        """
        if not all(name.startswith(f"{self._folder.name}/") for name in files):
            return
        path = folder / self._folder.name / "dataset.json"
        card = read_card(path)
        check_values(path, card.get("labels"), self._labels)
        kind = (outline.ndim, sum("/imagesTr/" in name for name in files))
        if self._kind not in (None, kind):
            raise InputError(
                f"{path}",
                expected="images of one kind",
                got="others, which cannot be read now",
                fix="write to another folder",
            )
        self._modalities.append(card.get("channel_names", {}).get("0"))

    def finish(self) -> Sequence[str]:
        """Write ``dataset.json``."""
        if self._kind is None:
            return ()
        channel = modality_of(self._modalities)
        names = ("R", "G", "B") if self._kind[1] == 3 else (channel,)
        write_json(
            self._folder / "dataset.json",
            {
                "channel_names": {str(number): name for number, name in enumerate(names)},
                "labels": self._labels,
                "numTraining": len(self._modalities),
                "file_ending": NIFTI,
                "name": self._folder.name,
            },
        )
        return renumbered(self._classes.kept, self._plan)


def renumbered(kept: bool, plan: Plan) -> tuple[str, ...]:
    """Return what to say where values are others than in the page."""
    notes = []
    if not kept:
        notes.append("labels were numbered by the names of the objects, because trainers take one list for all images")
    if any(class_name(o.name) != o.name for outline in plan.outlines for o in outline.objects):
        notes.append("objects without a name of their own are one class, 'object'")
    return tuple(notes)


LAYOUTS.register("nnunet")(
    Layout("nnU-Net", "nnU-Net's raw folder (version 2): imagesTr, labelsTr, dataset.json.", NnUnet)
)
