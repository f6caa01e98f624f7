"""MONAI's datalist, ``datalist.json``, beside ``imagesTr`` and ``labelsTr``, as the Decathlon has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bedside.worklist.entries import Entry
from bedside.worklist.layouts import LAYOUTS, Layout, Plan
from bedside.worklist.layouts.nnunet import renumbered
from bedside.worklist.outlines import classes_of
from bedside.worklist.pieces import NIFTI, modality_of, write_channels, write_json, write_labels


class Monai:
    """The folder while it is being made."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._folder, self._plan = folder, plan
        self._classes = classes_of(plan.outlines)
        self._modalities: list[str | None] = []
        self._training: list[dict[str, Any]] = []
        for part in ("imagesTr", "labelsTr"):
            (folder / part).mkdir()

    def add(self, entry: Entry) -> None:
        """Write an image's channels and labels."""
        case = entry.outline.case
        label = self._folder / "labelsTr" / f"{case}{NIFTI}"
        channels = write_channels(self._folder / "imagesTr", case, entry.image)
        write_labels(label, entry, lambda drawn: self._classes.of(drawn.name))
        images = [path.relative_to(self._folder).as_posix() for path in channels]
        # A list of files is what MONAI stacks to channels.
        image = images[0] if len(images) == 1 else images
        self._training.append({"image": image, "label": label.relative_to(self._folder).as_posix()})
        self._modalities.append(entry.image.modality)

    def finish(self) -> Sequence[str]:
        """Write ``datalist.json``."""
        channel = modality_of(self._modalities)
        write_json(
            self._folder / "datalist.json",
            {
                "name": self._plan.name,
                "modality": {"0": channel},
                "labels": {"0": "background", **{str(value): name for name, value in self._classes.values.items()}},
                "numTraining": len(self._training),
                "numTest": 0,
                "training": self._training,
                "test": [],
            },
        )
        return renumbered(self._classes.kept, self._plan)


LAYOUTS.register("monai")(Layout("MONAI", "MONAI's datalist (datalist.json) with imagesTr and labelsTr.", Monai))
