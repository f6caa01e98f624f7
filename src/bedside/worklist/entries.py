"""Images of a workspace with the masks of their objects, read one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import BedsideError, InputError
from bedside.core.image import Image
from bedside.core.labels import OverlapPolicy, merge_masks
from bedside.core.mask import PackedMask
from bedside.core.pyramid import is_pyramid
from bedside.core.region import Region
from bedside.io import read_image
from bedside.io.isolated import read_uploaded
from bedside.session.journal import Journal, ObjectJournal, history
from bedside.session.remembered import asked, made_by
from bedside.session.session import Session
from bedside.session.stamp import ImageStamp
from bedside.session.workspace import ItemRecord, Workspace
from bedside.weights.defaults import default_model
from bedside.weights.store import installed_weights
from bedside.worklist.outlines import Outline


class LeftOutError(InputError):
    """An image that does not belong into what is made: without a mask, or of another kind than the others."""


@dataclass(frozen=True)
class Drawn:
    """An object with its mask.

    Attributes:
        id: Its number in the session.
        label: Its value in label maps.
        name: What it is called.
        colour: "#rrggbb"; None where nobody chose one.
        mask: Its voxels; maybe none.
    """

    id: int
    label: int
    name: str
    colour: str | None
    mask: PackedMask


@dataclass(frozen=True, eq=False)
class Entry:
    """An image with its objects.

    Attributes:
        outline: What the workspace knows of it.
        image: Its samples.
        objects: The oldest first; those without a voxel, too.
        model: Name of the model that predicted them.
    """

    outline: Outline
    image: Image
    objects: tuple[Drawn, ...]
    model: str

    @property
    def policy(self) -> OverlapPolicy:
        """Who gets a voxel that two objects claim, in one map."""
        policy = self.outline.record.policy
        return "keep" if policy == "overlap" else policy

    def require_mask(self) -> None:
        """Make sure that there is something to train on.

        Raises:
            LeftOutError: No object has a voxel.
        """
        if not any(d.mask.voxels for d in self.objects):
            raise LeftOutError("image without a mask", expected="at least one voxel of an object", got="none")

    def label_map(self, value: Callable[[Drawn], int] = lambda drawn: drawn.label) -> NDArray[Any]:
        """Return all objects in one map of the image's shape, uint8 or uint16.

        Args:
            value: Of each object; several may have one. By default its label.
        """
        drawn = [d for d in self.objects if not d.mask.region.is_empty]
        values = [value(d) for d in drawn]
        whole = np.zeros(self.image.shape, dtype=np.uint16 if max(values, default=0) > 255 else np.uint8)
        region = Region.empty(self.image.ndim)
        for item in drawn:
            region = region.union(item.mask.region)
        if drawn:
            order = merge_masks([d.mask.patch(region) for d in drawn], self.policy)
            whole[region.slices] = np.array([0, *values], dtype=whole.dtype)[order]
        return whole


def open_entry(workspace: Workspace, outline: Outline) -> Entry:
    """Return an image with the masks of its objects.

    The masks are those that the workspace keeps. What was not answered to the end, or by other weights than those
    that are installed now, is answered again, as the page does when it opens the image.

    Raises:
        BedsideError: It cannot be read at any of its places, it is another image by now, or its prompts cannot be
            answered.
    """
    image = _read(workspace, outline)
    model = outline.record.model or default_model(image.shape)
    weights = installed_weights(model)
    checksum = None if weights is None else weights.card.sha256
    masks: dict[int, PackedMask] = {}
    missing: list[ObjectJournal] = []
    for item in outline.objects:
        prompts = history(item.events).prompts
        if not prompts:
            masks[item.id] = PackedMask.empty(image.ndim)
            continue
        # Without weights nothing could be answered, so that what is kept has to do.
        maker = None if checksum is None and asked(prompts) else made_by(prompts, model, checksum)
        kept = workspace.remembered_mask(outline.record.id, item.id, maker)
        if kept is None:
            missing.append(item)
        else:
            masks[item.id] = kept.mask
    if missing:
        masks |= _answered(image, model, missing)
    drawn = tuple(Drawn(o.id, o.label or 0, o.name, o.colour, masks[o.id]) for o in outline.objects)
    return Entry(outline, image, drawn, model)


def _answered(image: Image, model: str, objects: list[ObjectJournal]) -> dict[int, PackedMask]:
    session = Session(image, model)
    session.restore(Journal(tuple(objects)))
    whole = Region.whole(image.shape)
    return {o.id: PackedMask.of_patch(session.mask_of(o.id), whole) for o in objects}


def _read(workspace: Workspace, outline: Outline) -> Image:
    first: BedsideError | None = None
    for place in outline.places:
        try:
            image = _read_place(workspace, place)
            stamp = ImageStamp.of(image)
            if (stamp.sha256, stamp.geometry.to_dict()) != (
                outline.record.stamp.sha256,
                outline.record.stamp.geometry.to_dict(),
            ):
                raise InputError(f"{place.path}", expected="the image that was annotated", got="another one by now")
        except BedsideError as error:
            first = first or error
        else:
            return image
    assert first is not None
    raise first


def _read_place(workspace: Workspace, place: ItemRecord) -> Image:
    path = Path(place.path)
    if path.suffix.lower() == ".zip" and path.is_file():
        raise InputError(f"{path}", expected="an unpacked image", got="a zip", fix="unpack it and open it once")
    # What a browser sent lies beside the workspace, and is trusted no more than when it came.
    sent = path.is_relative_to(workspace.path.with_name(workspace.path.name + ".files"))
    image = (read_uploaded if sent else read_image)(path, series=place.series, volume=place.volume)
    if is_pyramid(image.array):
        raise InputError(f"{path}", expected="an image that fits in memory", got=f"{image.shape} pixels")
    return replace(image, source=str(path))
