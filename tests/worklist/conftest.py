from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Picture

from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.mask import PackedMask
from bedside.core.prompts import InitialMask
from bedside.core.region import Region
from bedside.io import read_image, write_image
from bedside.session.journal import Prompted
from bedside.session.masks import KeptMask
from bedside.session.remembered import made_by
from bedside.session.stamp import ImageStamp
from bedside.session.workspace import ObjectLook, ObjectRow, Workspace
from tests.support.dicom_sources import write_series

Objects = Mapping[str, tuple[int, NDArray[Any]]]


def annotate(workspace: Workspace, path: Path, objects: Objects, *, done: bool = False) -> int:
    """Put an image with drawn objects, by name with label and mask, into a workspace, as the page does."""
    item = workspace.item(str(path), name=path.name)
    image = read_image(path)
    record = workspace.found(item, ImageStamp.of(image))
    workspace.touch(item)
    rows, first = [], workspace.last_object(record.id)
    for number, (name, (label, mask)) in enumerate(objects.items(), start=first + 1):
        event = Prompted(workspace.last_prompt(record.id) + number, InitialMask(mask))
        kept = KeptMask(PackedMask.of_patch(mask, Region.whole(mask.shape)))
        maker = made_by([event], "bedside-2d", None)
        rows.append(ObjectRow(number, name, "#c83232", ObjectLook(), (event,), maker, kept, label))
    workspace.save(record.id, rows, None)
    workspace.set_state(item, "done" if done else "in progress")
    return record.id


def block(shape: tuple[int, ...], *sides: tuple[int, int]) -> NDArray[np.uint8]:
    mask = np.zeros(shape, np.uint8)
    mask[tuple(slice(*side) for side in sides)] = 1
    return mask


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    made = Workspace(tmp_path / "w.sqlite")
    yield made
    made.close()


@pytest.fixture
def volumes(workspace: Workspace, tmp_path: Path) -> Path:
    """A folder of a CT from DICOM files and an oblique NIfTI, with a liver (3) and, in the second, a spleen (7)."""
    folder = tmp_path / "scans"
    write_series(folder / "ct", (5, 8, 9), spacing=(0.5, 0.5, 3.0), origin=(4.0, -7.0, 30.0))
    rng = np.random.default_rng(0)
    angle = np.deg2rad(20)
    turned = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    grid = Geometry.create((4, 7, 6), (1.0, 2.0, 3.0), (10.0, 20.0, 30.0), turned)
    write_image(folder / "mr.nii.gz", Image(rng.normal(50, 20, grid.shape).astype(np.float32), grid))
    annotate(workspace, folder / "ct", {"liver": (3, block((5, 8, 9), (1, 3), (2, 6), (3, 8)))}, done=True)
    second = {
        "liver": (3, block((4, 7, 6), (0, 2), (1, 3), (1, 4))),
        "spleen": (7, block((4, 7, 6), (3, 4), (5, 7), (0, 2))),
    }
    annotate(workspace, folder / "mr.nii.gz", second)
    return folder


@pytest.fixture
def pictures(workspace: Workspace, tmp_path: Path) -> Path:
    """A folder of pictures with cells that nobody named."""
    folder = tmp_path / "cells"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for number in range(2):
        array = rng.integers(0, 60, (64, 72)).astype(np.uint8)
        objects = {}
        for cell in range(3):
            mask = block(array.shape, (20 * cell, 20 * cell + 14), (10 + 15 * cell, 26 + 15 * cell))
            array[mask > 0] += 120
            objects[f"object {cell + 1}"] = (cell + 1, mask)
        Picture.fromarray(array).save(folder / f"{number}.png")
        annotate(workspace, folder / f"{number}.png", objects)
    return folder
