"""MONAI's datalist, ``datalist.json``, beside ``imagesTr`` and ``labelsTr``, as the Decathlon has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bedside.worklist.entries import Entry
from bedside.worklist.layouts import LAYOUTS, Layout, Plan
from bedside.worklist.layouts.nnunet import renumbered
from bedside.worklist.outlines import Outline, classes_of
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


class Monai:
    """The folder while it is being made."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._folder, self._plan = folder, plan
        self._classes = classes_of(plan.outlines)
        values = without_background(self._classes.values)
        self._labels = {"0": "background", **{str(value): name for name, value in values.items()}}
        self._modalities: list[str | None] = []
        self._training: list[dict[str, Any]] = []
        for part in ("imagesTr", "labelsTr"):
            (folder / part).mkdir()

    def add(self, entry: Entry) -> Sequence[Path]:
        """Write an image's channels and labels."""
        entry.require_mask()
        case = entry.outline.case
        label = self._folder / "labelsTr" / f"{case}{NIFTI}"
        channels = write_channels(self._folder / "imagesTr", case, entry.image)
        write_labels(label, entry, lambda drawn: self._classes.of(drawn.name))
        images = [path.relative_to(self._folder).as_posix() for path in channels]
        # A list of files is what MONAI stacks to channels.
        image = images[0] if len(images) == 1 else images
        self._training.append({"image": image, "label": label.relative_to(self._folder).as_posix()})
        self._modalities.append(entry.image.modality)
        return [*channels, label]

    def keep(self, outline: Outline, files: Sequence[str], folder: Path) -> None:  # noqa: ARG002
        """List the files that the list of before has.

        Raises:
            BedsideError: There is no such list, or its values are others.
        """
        path = folder / "datalist.json"
        card = read_card(path)
        check_values(path, card.get("labels"), self._labels)
        self._training += [pair for pair in card.get("training", []) if pair.get("label") in files]
        self._modalities.append(card.get("modality", {}).get("0"))

    def finish(self) -> Sequence[str]:
        """Write ``datalist.json``."""
        channel = modality_of(self._modalities)
        write_json(
            self._folder / "datalist.json",
            {
                "name": self._plan.name,
                "modality": {"0": channel},
                "labels": self._labels,
                "numTraining": len(self._training),
                "numTest": 0,
                "training": self._training,
                "test": [],
            },
        )
        return renumbered(self._classes.kept, self._plan)


LAYOUTS.register("monai")(Layout("MONAI", "MONAI's datalist (datalist.json) with imagesTr and labelsTr.", Monai))
