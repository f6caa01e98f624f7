"""Masks alone in one folder, each with a list of its labels: ``CASE-labels.nii.gz`` and ``CASE-labels.json``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bedside.io.segmentations import form_of, write_segments
from bedside.session.segmentations import segments_of
from bedside.worklist.entries import Entry
from bedside.worklist.layouts import LAYOUTS, Layout, Plan
from bedside.worklist.outlines import Outline
from bedside.worklist.pieces import write_json

FLAT, DEEP = ".png", ".nii.gz"
"""Formats of masks of pictures and of volumes where none is chosen."""


class Beside:
    """The folder while it is being made."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._folder, self._plan = folder, plan
        self._notes: dict[str, None] = {}
        if plan.suffix is not None:
            form_of(Path(f"mask{plan.suffix}"), None)

    def add(self, entry: Entry) -> Sequence[Path]:
        """Write an image's mask and the list of its labels."""
        suffix = self._plan.suffix or (DEEP if entry.image.ndim == 3 else FLAT)
        path = self._folder / f"{entry.outline.case}-labels{suffix}"
        drawn = [(d.label, d.name, d.colour, d.mask) for d in entry.objects if not d.mask.region.is_empty]
        form = form_of(path, None)
        place = entry.outline.places[0]
        found = segments_of(drawn, entry.image, entry.model)
        notes = write_segments(path, found, entry.image, form=form, policy=entry.policy, volume=place.volume)
        # Names are in the list beside it, whatever the format keeps.
        self._notes |= dict.fromkeys(n for n in notes if "name" not in n)
        labels = [{"label": d.label, "name": d.name, "colour": d.colour} for d in entry.objects]
        about = {"image": entry.outline.path.name, "model": entry.model, "labels": labels}
        listed = path.with_name(f"{entry.outline.case}-labels.json")
        write_json(listed, about)
        return [path, listed]

    def keep(self, outline: Outline, files: Sequence[str], folder: Path) -> None:
        """Do nothing: each image stands for itself."""

    def finish(self) -> Sequence[str]:
        """Return what to know of the masks."""
        return tuple(self._notes)


LAYOUTS.register("beside")(
    Layout("Beside the image", "Masks with lists of their labels, without -o beside each image.", Beside)
)
