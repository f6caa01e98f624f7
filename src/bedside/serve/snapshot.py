"""What is seen of an image between two changes: immutable, so that any thread may read it while the next is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bedside.core.geometry import Geometry
from bedside.core.labels import OverlapPolicy
from bedside.core.mask import PackedMask
from bedside.serve.errors import NotFoundError
from bedside.serve.messages import Box, ObjectInfo, PromptInfo, PromptList
from bedside.serve.patches import Layer
from bedside.session.editing import object_prompts, packed_mask
from bedside.session.journal import Journal, Prompted
from bedside.session.session import Session
from bedside.session.workspace import ObjectLook

PALETTE = ("#e6b422", "#3fa7d6", "#e05780", "#59cd90", "#b07ce8", "#ee7b30", "#7dd3c0", "#d9d45a", "#8fa4f3", "#d98c8c")
"""Colours of objects to which nobody gave one: of similar lightness, apart from each other on grey."""


@dataclass(frozen=True)
class Seen:
    """An object between two changes."""

    info: ObjectInfo
    mask: PackedMask
    prompts: tuple[Prompted, ...]


@dataclass(frozen=True)
class Snapshot:
    """An image's objects between two changes.

    Attributes:
        version: Counts the changes.
        current: The object that prompts go to.
        policy: Who is seen where two objects claim a voxel.
        seen: The objects by their numbers, the oldest first.
        journal: Everything that happened so far.
    """

    version: int
    current: int | None
    policy: OverlapPolicy
    journal: Journal
    seen: Mapping[int, Seen] = field(default_factory=dict)

    @property
    def infos(self) -> list[ObjectInfo]:
        """All objects, the oldest first."""
        return [seen.info for seen in self.seen.values()]

    @property
    def visible(self) -> list[Layer]:
        """The objects that are painted, the oldest first."""
        return [Layer(number, seen.mask) for number, seen in self.seen.items() if seen.info.visible]

    @property
    def layers(self) -> list[Layer]:
        """All objects, the oldest first."""
        return [Layer(number, seen.mask) for number, seen in self.seen.items()]

    def object(self, number: int) -> Seen:
        """Return the object of that number.

        Raises:
            NotFoundError: There is none.
        """
        if number not in self.seen:
            raise NotFoundError("object", expected=f"one of {sorted(self.seen)}", got=number)
        return self.seen[number]

    def prompts(self, number: int) -> PromptList:
        """Return the prompts in force of an object, as the page takes them."""
        return PromptList(object=number, prompts=[_prompt_info(p) for p in self.object(number).prompts])


def colour_of(number: int) -> str:
    """Return the colour of an object to which nobody gave one."""
    return PALETTE[(number - 1) % len(PALETTE)]


def take_snapshot(
    session: Session,
    version: int,
    policy: OverlapPolicy,
    looks: Mapping[int, ObjectLook],
) -> Snapshot:
    """Return what is seen of a session now."""
    seen = {}
    for item in session.objects:
        mask = packed_mask(session, item.id)
        look = looks.get(item.id, ObjectLook())
        amount, unit = _volume(item.voxels, session.image.geometry)
        region = mask.region
        info = ObjectInfo(
            id=item.id,
            name=item.name,
            colour=item.colour or colour_of(item.id),
            visible=look.visible,
            locked=look.locked,
            label=item.label,
            voxels=item.voxels,
            volume=amount,
            unit=unit,
            quality=item.quality,
            can_undo=item.can_undo,
            can_redo=item.can_redo,
            prompts=len(item.prompts),
            box=None if region.is_empty else Box(start=list(region.start), stop=list(region.stop)),
        )
        seen[item.id] = Seen(info, mask, object_prompts(session, item.id))
    current = session.current
    return Snapshot(version, current.id if current else None, policy, session.journal, seen)


def _volume(voxels: int, geometry: Geometry) -> tuple[float, Literal["ml", "mm2", "voxels", "pixels"]]:
    """Return how much so many voxels are, and its unit."""
    if not geometry.spacing_known:
        return float(voxels), "voxels" if geometry.ndim == 3 else "pixels"
    amount = voxels * geometry.voxel_volume
    return (amount / 1000, "ml") if geometry.ndim == 3 else (amount, "mm2")


def _prompt_info(entry: Prompted) -> PromptInfo:
    shown = {name: value for name, value in entry.prompt.to_dict().items() if name != "bits"}
    return PromptInfo(
        id=entry.id, kind=entry.prompt.kind, positive=entry.prompt.positive, predict=entry.predict, prompt=shown
    )
