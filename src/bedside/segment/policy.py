"""Which window to look at: the numbers by which the window engine chooses, grows and refines."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bedside.core.errors import InputError


@dataclass(frozen=True)
class WindowPolicy:
    """How windows are chosen; lengths are in parts of the object's or the window's side.

    Attributes:
        object_zoom: Window's side around an object whose extent is known (from a box, a lasso or a mask).
        least_side: Smallest side of a window in voxels of the finest axis.
        search_ratio: Ratio of the sides tried one after the other when the extent is unknown.
        search_start: Smallest side tried, in voxels of the finest axis.
        grow_factor: By how much the window grows when the answer runs into its border.
        grow_limit: How often it may grow for one prompt.
        border_share: Share of a face's cells, measured on the mask's own extent, that counts as running into it.
        refine_scale: Voxels per cell beyond which borders are drawn again in smaller windows.
        refine_limit: Most windows used for that; 0 turns refinement off.
        search_refine_limit: Most windows used for that after a search, which clicks alone ask for; None for
            ``refine_limit``. Such a mask is a first proposal, and its size is more in doubt than its border.
    """

    object_zoom: float = 1.8
    least_side: float = 12.0
    search_ratio: float = 2.0
    search_start: float = 48.0
    grow_factor: float = 1.6
    grow_limit: int = 4
    border_share: float = 0.15
    refine_scale: float = 2.0
    refine_limit: int = 6
    search_refine_limit: int | None = None

    def __post_init__(self) -> None:
        if self.object_zoom <= 1 or self.grow_factor <= 1 or self.search_ratio <= 1:
            raise InputError("window policy", expected="zooms and factors above 1", got=self)

    def after_search(self) -> WindowPolicy:
        """The policy by which an answer is refined that a search has found."""
        return self if self.search_refine_limit is None else replace(self, refine_limit=self.search_refine_limit)


VOLUMES = WindowPolicy(search_refine_limit=2)
"""For volumes, where each window costs ten times as much as in an image."""
