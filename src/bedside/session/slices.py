"""Slices of a session's image with its objects, and clicks on them: what a notebook shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import BedsideError, InputError
from bedside.core.prompts import Point
from bedside.core.region import Region

if TYPE_CHECKING:
    from bedside.session.session import Session

COLOURS = ("#e6b422", "#3fa7d6", "#e05780", "#59cd90", "#b07ce8", "#ee7b30", "#7dd3c0", "#d9d45a", "#8fa4f3", "#d98c8c")
"""Of objects to which nobody gave one, as in the page."""
_DARKEST, _BRIGHTEST = 1.0, 99.5
_MOST = 255


class Slices:
    """One slice of an image at a time, along an axis of the array.

    Args:
        session: Whose image and objects are shown, and which clicks go to.

    Attributes:
        axis: The axis that is looked along; None in a picture, which has one slice.
        index: The slice.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        image = session.image
        self.axis: int | None = None if image.ndim == 2 else 0
        self.index = 0 if self.axis is None else image.shape[0] // 2
        some = image.array[:: max(1, image.shape[0] // 16)]
        low, high = np.percentile(some, [_DARKEST, _BRIGHTEST])
        self._window = (float(low), max(float(high), float(low) + 1e-6))

    @property
    def count(self) -> int:
        """Slices along the axis."""
        return 1 if self.axis is None else self._session.image.shape[self.axis]

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of a slice."""
        rows, columns = (n for axis, n in enumerate(self._session.image.shape) if axis != self.axis)
        return rows, columns

    @property
    def pixel(self) -> tuple[float, float]:
        """Height and width of a pixel, in mm or voxels."""
        height, width = (s for axis, s in enumerate(self._session.image.geometry.spacing[::-1]) if axis != self.axis)
        return height, width

    def turn(self, axis: int | None, index: int) -> None:
        """Show another slice.

        Args:
            axis: 0 to 2; None in a picture.
            index: The slice, brought within the image.

        Raises:
            InputError: There is no such axis.
        """
        axes = [None] if self._session.image.ndim == 2 else [0, 1, 2]
        if axis not in axes:
            raise InputError("axis", expected=f"one of {axes}", got=axis)
        self.axis = axis
        self.index = int(np.clip(index, 0, self.count - 1))

    def picture(self) -> NDArray[np.uint8]:
        """Return the slice as it is shown, (rows, columns) grey or (rows, columns, 3)."""
        image, (low, high) = self._session.image, self._window
        part = image.array if self.axis is None else np.take(image.array, self.index, axis=self.axis)
        if part.dtype == np.uint8 and image.is_colour:
            return np.ascontiguousarray(part)
        grey: NDArray[np.uint8] = np.clip((part - low) * (255 / (high - low)), 0, 255).astype(np.uint8)
        return grey

    def objects_seen(self) -> NDArray[np.uint8]:
        """Return who is seen where on the slice, (rows, columns): 0 for nobody, n for the n-th object."""
        seen = np.zeros(self.size, np.uint8)
        whole = Region.whole(self._session.image.shape)
        start, stop = list(whole.start), list(whole.stop)
        if self.axis is not None:
            start[self.axis], stop[self.axis] = self.index, self.index + 1
        region = Region(tuple(start), tuple(stop))
        for number, one in enumerate(self._session.objects[:_MOST], start=1):
            mask = self._session.mask_of(one.id, region).reshape(self.size)
            seen[(mask > 0) & (seen == 0)] = number
        return seen

    def click(self, column: float, row: float, positive: bool) -> None:
        """Add a click on the slice to the current object.

        Args:
            column: From the centre of the leftmost pixel.
            row: From the centre of the topmost pixel.
            positive: Whether it is on the object.

        Raises:
            PromptError: It lies outside the image, or the object cannot begin with it; nothing has changed then.
        """
        place: list[float] = [row, column]
        if self.axis is not None:
            place.insert(self.axis, float(self.index))
        self._session.add(Point(tuple(place[::-1]), positive))

    def objects(self) -> list[dict[str, Any]]:
        """Return what is said of the objects, the oldest first."""
        current = self._session.current
        return [
            {
                "id": one.id,
                "name": one.name,
                "colour": one.colour or COLOURS[(one.id - 1) % len(COLOURS)],
                "voxels": one.voxels,
                "grade": one.grade,
                "current": current is not None and one.id == current.id,
            }
            for one in self._session.objects
        ]

    def view(self) -> dict[str, Any]:
        """Return what has to be known of the slice to draw it."""
        return {
            "axis": self.axis,
            "index": self.index,
            "count": self.count,
            "size": list(self.size),
            "pixel": list(self.pixel),
            "channels": 3 if self._session.image.is_colour else 1,
        }

    def ask(self, asked: object) -> str:
        """Do what a page asks for, which is trusted in nothing; returns what to say of it, nothing where all went well.

        Args:
            asked: ``do`` names it: click (``column``, ``row``, ``positive``), turn (``axis``, ``index``), undo, redo,
                object, select (``id``).
        """
        fields = asked if isinstance(asked, dict) else {}
        try:
            self._do(fields)
        except BedsideError as error:
            return str(error)
        except (LookupError, TypeError, ValueError, OverflowError):
            return "the page asked for something unknown"
        return ""

    def _do(self, asked: dict[str, Any]) -> None:
        session = self._session
        match asked["do"]:
            case "click":
                self.click(float(asked["column"]), float(asked["row"]), asked["positive"] is True)
            case "turn":
                axis = asked["axis"]
                middle = self.index if axis == self.axis else session.image.shape[axis] // 2
                self.turn(axis, int(asked.get("index", middle)))
            case "undo":
                session.undo()
            case "redo":
                session.redo()
            case "object":
                session.add_object()
            case "select":
                session.select(int(asked["id"]))
            case _:
                raise KeyError(asked["do"])
