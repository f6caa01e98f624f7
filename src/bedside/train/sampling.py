"""How training samples are drawn: the settings that recipes give under ``sampling``."""

from __future__ import annotations

from dataclasses import dataclass

from bedside.core.errors import InputError

MAXIMUM_TRIES = 20
"""How often a sample is drawn again where what was drawn is of no use."""


@dataclass(frozen=True)
class SamplingConfig:
    """How samples are drawn.

    Attributes:
        grid: Cells along each side of the network's input.
        superpixel_share: Share of samples whose object is a superpixel, in volumes a supervoxel.
        wide_share: Share that starts without a box, from a click, scribble or lasso, in a window of unknown scale.
        tile_share: Share whose window lies within the box around the object, as one of many that cover it.
        mistake_share: Share that starts from a mask with a part too many and a negative click on it.
        close_share: Share whose window lies inside the object or on its border and that refine a coarse mask.
        box_zoom: Range of the window's side in parts of the object's, when a box is given.
        wide_zoom: The same when no box is given, drawn on a logarithmic scale.
        close_zoom: The same for refinement.
        tile_zoom: The same for a tile of a larger box.
        jitter: How far a window's middle lies from the object's at most, in parts of what would bring the object to the
            window's border; more than 1 cuts objects off.
        augment: Whether to change geometry and appearance.
        extruded_share: Of volumes only: share that continues an image along a third axis.
        synthetic_share: Share of random shapes with random textures.
        inserted_share: Share whose object is a shape drawn into an image: a branching tree, a group of blobs, a shell.
        anisotropy: Of volumes only: how often they are stretched along one axis or shown in thick slices, in parts of
            the usual chances; 0 for never, 5 at most.
    """

    grid: int = 128
    superpixel_share: float = 0.4
    wide_share: float = 0.25
    close_share: float = 0.15
    tile_share: float = 0.0
    mistake_share: float = 0.0
    box_zoom: tuple[float, float] = (1.15, 2.6)
    wide_zoom: tuple[float, float] = (1.1, 6.0)
    close_zoom: tuple[float, float] = (0.3, 1.0)
    tile_zoom: tuple[float, float] = (0.25, 1.0)
    jitter: float = 0.6
    augment: bool = True
    extruded_share: float = 0.0
    synthetic_share: float = 0.0
    inserted_share: float = 0.0
    anisotropy: float = 1.0

    def __post_init__(self) -> None:
        if self.grid < 32 or self.grid % 32:
            raise InputError("sampling.grid", expected="a multiple of 32", got=self.grid)
        starts = (self.wide_share, self.close_share, self.tile_share, self.mistake_share)
        sources = (self.superpixel_share, self.extruded_share, self.synthetic_share, self.inserted_share)
        shares = starts + sources
        # Asked this way round because no comparison holds for NaN.
        if not (all(share >= 0 for share in shares) and sum(starts) <= 1 and sum(sources) <= 1):
            raise InputError("sampling shares", expected="shares from 0 that add up to at most 1", got=shares)
        for name, most in (("jitter", 2.0), ("anisotropy", 5.0)):
            if not 0 <= (value := getattr(self, name)) <= most:
                raise InputError(f"sampling.{name}", expected=f"from 0 to {most:g}", got=value)
        for name in ("box_zoom", "wide_zoom", "close_zoom", "tile_zoom"):
            low, high = getattr(self, name)
            if not 0 < low <= high < float("inf"):
                raise InputError(f"sampling.{name}", expected="a range above 0", got=(low, high))
