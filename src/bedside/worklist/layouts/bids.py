"""Derivatives as BIDS has them: ``sub-CASE/anat/..._dseg.nii.gz`` with a table of labels, masks alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bedside import __version__
from bedside.core.files import write_text_atomically
from bedside.worklist.entries import Entry
from bedside.worklist.layouts import LAYOUTS, Layout, Plan
from bedside.worklist.outlines import Outline
from bedside.worklist.pieces import NIFTI, write_json, write_labels

BIDS_VERSION = "1.9.0"
_DATATYPES = {"PET": "pet", "PT": "pet", "Microscopy": "micr"}
_ENTITIES = re.compile(r"(sub-[A-Za-z0-9]+)((?:_[a-z]+-[A-Za-z0-9]+)*)_[A-Za-z0-9]+")


class Bids:
    """The folder while it is being made."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._folder, self._plan = folder, plan
        self._taken: set[str] = set()

    def add(self, entry: Entry) -> Sequence[Path]:
        """Write an image's label map, its table of labels, and what it was made of."""
        subject, stem = self._names(entry)
        session = next((part for part in stem.split("_") if part.startswith("ses-")), None)
        place = self._folder / subject / (session or "") / _DATATYPES.get(entry.image.modality or "", "anat")
        place.mkdir(parents=True, exist_ok=True)
        drawn = [d for d in entry.objects if not d.mask.region.is_empty]
        rows = [("index", "name", "color"), *((str(d.label), d.name, d.colour or "n/a") for d in drawn)]
        write_labels(place / f"{stem}_dseg{NIFTI}", entry, lambda d: d.label)
        # Blanks of any kind would end a cell.
        text = "\n".join("\t".join(" ".join(cell.split()) or "n/a" for cell in row) for row in rows)
        write_text_atomically(place / f"{stem}_dseg.tsv", text + "\n")
        about = {"Sources": [entry.outline.path.as_uri()], "Manual": False, "Model": entry.model}
        write_json(place / f"{stem}_dseg.json", about)
        return [place / f"{stem}_dseg{suffix}" for suffix in (NIFTI, ".tsv", ".json")]

    def keep(self, outline: Outline, files: Sequence[str], folder: Path) -> None:
        """Do nothing: each image stands for itself."""

    def _names(self, entry: Entry) -> tuple[str, str]:
        """Return the subject, and how the files of an image begin: as its own name does where that is one of BIDS."""
        name = entry.outline.path.name.split(".")[0]
        own = _ENTITIES.fullmatch(name)
        plain = re.sub(r"[^A-Za-z0-9]", "", entry.outline.case) or "image"
        subject, rest = (own[1], own[2]) if own else (f"sub-{plain}", "")
        stem, number = f"{subject}{rest}_desc-bedside", 1
        while stem in self._taken:
            number += 1
            stem = f"{subject}{rest}_run-{number}_desc-bedside"
        self._taken.add(stem)
        return subject, stem

    def finish(self) -> Sequence[str]:
        """Write ``dataset_description.json``."""
        write_json(
            self._folder / "dataset_description.json",
            {
                "Name": self._plan.name,
                "BIDSVersion": BIDS_VERSION,
                "DatasetType": "derivative",
                "GeneratedBy": [{"Name": "Bedside", "Version": __version__}],
            },
        )
        return ()


LAYOUTS.register("bids")(Layout("BIDS", "Derivatives as BIDS has them: masks with tables of their labels.", Bids))
