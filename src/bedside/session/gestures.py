"""A session's prompts by kind: what a hand draws, as calls."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, cast

from numpy.typing import NDArray

from bedside.core.prompts import DEFAULT_THICKNESS, Box, Coordinates, Frame, InitialMask, Lasso, Point, Prompt, Scribble
from bedside.core.region import Region

Polyline = tuple[Coordinates, ...]


class Gestures(ABC):
    """One call for each kind of prompt; they all come down to ``add``. What is given is checked by the prompts."""

    @abstractmethod
    def add(self, prompt: Prompt, *, predict: bool = True, object_id: int | None = None) -> Region | None:
        """Add a prompt of any kind to an object and have the model predict; see ``Session.add``."""

    def add_box(
        self,
        low: Sequence[float],
        high: Sequence[float],
        *,
        positive: bool = True,
        frame: Frame = "index",
        predict: bool = True,
        object_id: int | None = None,
    ) -> Region | None:
        """Add a box with the corners ``low`` and ``high``, (x, y) or (x, y, z), the end exclusive; see ``add``."""
        return self.add(
            Box(cast(Coordinates, low), cast(Coordinates, high), bool(positive), frame),
            predict=predict,
            object_id=object_id,
        )

    def add_point(
        self,
        position: Sequence[float],
        *,
        positive: bool = True,
        frame: Frame = "index",
        predict: bool = True,
        object_id: int | None = None,
    ) -> Region | None:
        """Add a click at ``position``, (x, y) or (x, y, z); see ``add``."""
        return self.add(Point(cast(Coordinates, position), bool(positive), frame), predict=predict, object_id=object_id)

    def add_scribble(
        self,
        points: Iterable[Sequence[float]],
        *,
        positive: bool = True,
        frame: Frame = "index",
        thickness: float = DEFAULT_THICKNESS,
        predict: bool = True,
        object_id: int | None = None,
    ) -> Region | None:
        """Add a stroke through ``points``, each (x, y) or (x, y, z), ``thickness`` voxels wide; see ``add``."""
        stroke = Scribble(cast(Polyline, points), bool(positive), frame, thickness=thickness)
        return self.add(stroke, predict=predict, object_id=object_id)

    def add_lasso(
        self,
        points: Iterable[Sequence[float]],
        *,
        positive: bool = True,
        frame: Frame = "index",
        predict: bool = True,
        object_id: int | None = None,
    ) -> Region | None:
        """Add a closed outline through ``points``, each (x, y) or (x, y, z); see ``add``."""
        outline = Lasso(cast(Polyline, points), bool(positive), frame)
        return self.add(outline, predict=predict, object_id=object_id)

    def set_mask(self, mask: NDArray[Any], *, object_id: int | None = None) -> Region | None:
        """Replace the object's mask by ``mask``, as it is, for prompts that follow to correct.

        Args:
            mask: (z, y, x) or (y, x) of the image's spatial shape; the object where it is not zero.
            object_id: The object; the current one by default.

        Returns:
            The region in which the object's mask changed.

        Raises:
            PromptError: The mask has another shape than the image.
        """
        return self.add(InitialMask(mask), object_id=object_id)
