"""What the pages take as given, made small: a volume, a picture, a folder of datasets."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image as Picture

from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.prompts import InitialMask
from bedside.io import read_image, write_image, write_mask
from bedside.serve.sample import sample_volume
from bedside.session.journal import Prompted
from bedside.session.stamp import ImageStamp
from bedside.session.workspace import ObjectLook, ObjectRow, Workspace
from examples.phantom import phantom
from tests.support.moved_patient import motion_of


def make_files(folder: Path) -> None:
    """Write ``scan.nii.gz`` and ``slice.png``, which any page may name."""
    write_image(folder / "scan.nii.gz", sample_volume())
    Picture.fromarray(phantom()).save(folder / "slice.png")


def make_datasets(folder: Path) -> None:
    """Write ``data``, for pages that do not make it themselves: discs on a dark ground, three cases a dataset."""
    y, x = np.mgrid[:96, :96]
    grid = Geometry.create(x.shape, spacing=(1.0, 1.0))
    for split, name in (("train", "drops"), ("train", "drops-held-out"), ("val", "drops")):
        place = folder / "data" / split / name
        place.mkdir(parents=True)
        for case in range(3):
            labels = ((y - 30 - 5 * case) ** 2 + (x - 40) ** 2 < 14**2).astype(np.uint8)
            labels[(y - 70) ** 2 + (x - 65) ** 2 < 12**2] = 2
            noise = np.random.default_rng(case).normal(0, 10, x.shape)
            grey = (80 + 90 * (labels > 0) + noise).clip(0, 255).astype(np.uint8)
            write_image(place / f"{case}.image.png", Image(grey, grid))
            write_mask(place / f"{case}.labels.png", labels, grid)
        card = {"name": name, "split": split, "dim": "2d", "label_kind": "instance", "licence": "CC0 1.0"}
        (place / "set.json").write_text(json.dumps(card))


def make_workspace(folder: Path) -> None:
    """Write ``work.sqlite``, the workspace of a page in which ``scans/scan.nii.gz`` and ``slice.png`` were drawn on."""
    (folder / "scans").mkdir()
    shutil.copy(folder / "scan.nii.gz", folder / "scans")
    workspace = Workspace(folder / "work.sqlite")
    for name, bright in (("scans/scan.nii.gz", 100), ("slice.png", 150)):
        image = read_image(folder / name)
        item = workspace.item(str(folder / name), name=Path(name).name)
        record = workspace.found(item, ImageStamp.of(image))
        event = Prompted(1, InitialMask(image.array > bright))
        workspace.save(record.id, [ObjectRow(1, "bright", None, ObjectLook(), (event,), label=1)], 1)
        workspace.set_state(item, "done")
    workspace.close()


def make_visits(folder: Path) -> None:
    """Write two visits of a patient, who lay otherwise at the second, with a mask of the first; and a mask of a PET."""
    now = sample_volume()
    turn = motion_of(1, 4, 12, 3)
    grid = now.geometry
    placed = Geometry.create(
        grid.shape, grid.spacing, turn[:3, :3] @ grid.origin + turn[:3, 3], turn[:3, :3] @ np.asarray(grid.direction)
    )
    write_image(folder / "now.nii.gz", now)
    write_image(folder / "ct.nii.gz", now)
    write_image(folder / "before.nii.gz", Image(now.array, placed, modality="CT"))
    mask = (now.array > 100).astype(np.uint8)
    write_mask(folder / "before-mask.nii.gz", mask, placed)
    coarse = Geometry.create(mask[::2, ::2, ::2].shape, [2 * s for s in grid.spacing], grid.origin, grid.direction)
    write_mask(folder / "pet-mask.nii.gz", mask[::2, ::2, ::2], coarse)
