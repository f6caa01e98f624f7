"""Which window to look at: the numbers by which the window engine chooses, grows and refines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from bedside.core.errors import InputError


@dataclass(frozen=True)
class WindowPolicy:
    """How windows are chosen; lengths are in parts of the object's or the window's side.

    Attributes:
        object_zoom: Window's side around an object whose extent is known (from a box, a lasso or a mask).
        flat_zoom: The same where that extent is flat, as of a box on one slice, and nothing tells how far the object
            goes along the third axis.
        least_side: Smallest side of a window in voxels of the finest axis.
        search_ratio: Ratio of the sides tried one after the other when the extent is unknown.
        search_start: Smallest side tried, in voxels of the finest axis.
        grow_factor: By how much the window grows when the prediction runs into its border.
        grow_limit: How often it may grow for one prompt.
        border_share: Share of a face's cells, measured on the mask's own extent, that counts as running into it.
        refine_scale: Voxels per cell beyond which borders are drawn again in smaller windows.
        refine_limit: Most windows used for that; 0 turns refinement off.
        correction_share: Side of the window around clicks on a mask, in parts of that around the object, as far as its
            cells are no smaller than a voxel; 1 shows the whole object again.
        fine_scale: Voxels per cell beyond which an object is looked at on twice the grid, by networks that were trained
            on both.
        fine_thickness: Cells of the mask for each cell of its border below which that is done: few where an object is
            thin or has many small parts.
        fine_refine_limit: As ``refine_limit``, after a prediction on twice the grid, whose windows take longer.
        search_refine_limit: Most windows used for that after a search, which clicks alone ask for; None for
            ``refine_limit``. Such a mask is a first proposal, and its size is more in doubt than its border.
    """

    object_zoom: float = 2.1
    flat_zoom: float = 2.1
    least_side: float = 12.0
    search_ratio: float = 2.0
    search_start: float = 48.0
    grow_factor: float = 1.6
    grow_limit: int = 4
    border_share: float = 0.15
    refine_scale: float = 2.0
    refine_limit: int = 6
    correction_share: float = 1.0
    fine_scale: float = 1.0
    fine_thickness: float = 3.0
    fine_refine_limit: int = 2
    search_refine_limit: int | None = None

    def __post_init__(self) -> None:
        if not min(self.least_side, self.search_start, self.refine_scale, self.fine_scale) > 0:
            raise InputError("window policy", expected="lengths above 0", got=self)
        if not 0 < self.correction_share <= 1:
            raise InputError("window policy correction_share", expected="above 0, 1 at most", got=self.correction_share)
        limits = (self.grow_limit, self.refine_limit, self.fine_refine_limit, self.search_refine_limit or 0)
        if not min(*limits, self.fine_thickness) >= 0:
            raise InputError("window policy", expected="limits of 0 or more", got=self)
        if not min(self.object_zoom, self.flat_zoom, self.grow_factor, self.search_ratio) > 1:
            raise InputError("window policy", expected="zooms and factors above 1", got=self)

    def with_settings(self, settings: Mapping[str, str]) -> WindowPolicy:
        """This policy with other values, as texts by the attribute's name.

        Raises:
            InputError: An attribute is unknown, or a value is no number that it can take.
        """
        names = [field.name for field in fields(self)]
        changes: dict[str, float] = {}
        for name, text in settings.items():
            if name not in names:
                raise InputError("window policy", expected=f"one of {', '.join(names)}", got=f"'{name}'")
            number = int if isinstance(getattr(self, name), int) or name == "search_refine_limit" else float
            try:
                changes[name] = number(text)
            except ValueError as error:
                kind = "a whole number" if number is int else "a number"
                raise InputError(f"window policy {name}", expected=kind, got=f"'{text}'") from error
        return replace(self, **changes)  # type: ignore[arg-type]

    def after_search(self) -> WindowPolicy:
        """Return the policy by which a prediction is refined that a search has found."""
        return self if self.search_refine_limit is None else replace(self, refine_limit=self.search_refine_limit)

    def after_fine(self) -> WindowPolicy:
        """Return the policy by which a prediction on twice the grid is refined."""
        return replace(self, refine_limit=min(self.refine_limit, self.fine_refine_limit))


VOLUMES = WindowPolicy(object_zoom=1.5, flat_zoom=2.2, refine_scale=1.0, search_refine_limit=2)
"""For volumes, whose grid is half as fine and whose windows cost ten times as much as those of an image."""


def usual_policy(dimensions: int) -> WindowPolicy:
    """Return the policy of networks of 2 or 3 dimensions where nothing else is asked for."""
    return VOLUMES if dimensions == 3 else WindowPolicy()
