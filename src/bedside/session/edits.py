"""Classical tools on a session's masks, as prompts that undo takes back."""

from __future__ import annotations

from bedside.core.errors import InputError
from bedside.core.image import Image
from bedside.core.prompts import InitialMask, Prompt
from bedside.core.region import Region
from bedside.session.objects import ObjectState


class Edits:
    """Tools on masks; a part of ``Session``."""

    image: Image

    def _state(self, object_id: int | None) -> ObjectState:
        raise NotImplementedError

    def add(self, prompt: Prompt, *, predict: bool = True, object_id: int | None = None) -> Region | None:
        """Add a prompt; see ``Session.add``."""
        raise NotImplementedError

    def edit(
        self, name: str, value: float | None = None, *, other: int | None = None, object_id: int | None = None
    ) -> Region:
        """Change an object's mask by a classical tool: "fill-holes", "keep-largest", "smooth", "grow", "union",
        "keep-above", "grow-region", ...

        The result is a mask prompt: ``undo`` takes it back, and clicks that follow go on from it.

        Args:
            name: One of ``bedside.edits.EDITS``.
            value: The number that the tool takes (mm, voxels, parts); None for its default.
            other: Number of the other object, of a tool that combines two.
            object_id: The object; the current one by default.

        Returns:
            The region in which the mask changed; empty where nothing did, and then nothing is kept of it.

        Raises:
            InputError: The tool is unknown, its number is out of range, or there is no such object.

        Example:
            >>> session.edit("fill-holes")
            >>> session.edit("grow", 2.0)
        """
        from bedside.edits import edit_mask

        state = self._state(object_id)
        if other == state.journal.id:
            raise InputError(f"edit '{name}'", expected="another object", got=f"object {other} itself")
        second = None if other is None else self._state(other).mask
        spacing = self.image.geometry.array_spacing
        mask = edit_mask(name, state.mask, self.image.shape, spacing, value, second, self.image)
        if mask == state.mask:
            return Region.empty(self.image.ndim)
        if mask.region.is_empty:
            raise InputError(f"edit '{name}'", expected="a mask of at least one voxel", got="nothing left of it")
        given = InitialMask.of_patch(mask.patch(), mask.region, self.image.shape)
        return self.add(given, object_id=state.journal.id) or Region.empty(self.image.ndim)
