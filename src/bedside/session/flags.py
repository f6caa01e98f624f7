"""From prompts as they are typed, in options or in the cells of a table, to the prompts of one object."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedside.core.errors import BedsideError, FormatError, InputError, PromptError
from bedside.core.image import Image
from bedside.core.placed import PlacedPrompt
from bedside.core.prompts import Box, Frame, InitialMask, Lasso, Point, Prompt, Scribble
from bedside.io import read_mask
from bedside.io.grey_values import reject_grey_values

if TYPE_CHECKING:
    from bedside.session.session import Session


@dataclass(frozen=True)
class PromptFlags:
    """What the user gave for one object, as text.

    Attributes:
        boxes: "x0,y0,x1,y1" or "x0,y0,z0,x1,y1,z1", the end exclusive.
        points: "x,y" or "x,y,z" on the object.
        negative_points: The same, off the object.
        scribbles: Files of strokes on the object: JSON vertices or a mask image.
        negative_scribbles: The same, off the object.
        lassos: JSON files of outlines around the object.
        initial_mask: A mask image to start from.
        frame: What the coordinates mean.
    """

    boxes: Sequence[str] = ()
    points: Sequence[str] = ()
    negative_points: Sequence[str] = ()
    scribbles: Sequence[Path] = ()
    negative_scribbles: Sequence[Path] = ()
    lassos: Sequence[Path] = ()
    initial_mask: Path | None = None
    frame: Frame = "index"

    @property
    def has_prompts(self) -> bool:
        """Whether there is a prompt for the model, which an initial mask alone is not."""
        given = (self.boxes, self.points, self.negative_points, self.scribbles, self.negative_scribbles, self.lassos)
        return any(given)

    def typed(self) -> list[Prompt]:
        """Return boxes and points, which need no file.

        Raises:
            InputError: Text that is no such coordinates.
            PromptError: A box without extent, or coordinates that are not finite.
        """
        clicks = [(text, "--point", True) for text in self.points]
        clicks += [(text, "--negative-point", False) for text in self.negative_points]
        return [
            *(parse_box(text, self.frame) for text in self.boxes),
            *(parse_point(text, flag, positive, self.frame) for text, flag, positive in clicks),
        ]

    def drawn(self, image: Image) -> list[Prompt]:
        """Return initial mask, lassos and scribbles, read from their files.

        Raises:
            FormatError: A file cannot be read as what it should hold.
            InputError: A mask that lies on another grid than ``image``.
        """
        prompts: list[Prompt] = []
        if self.initial_mask is not None:
            prompts.append(InitialMask(read_matching_mask(self.initial_mask, "--initial-mask", image)))
        for path in self.lassos:
            prompts += [_drawn(Lasso, stroke, True, self.frame, path) for stroke in read_strokes(path)]
        for path in self.scribbles:
            prompts += read_scribbles(path, "--scribble", True, self.frame, image)
        for path in self.negative_scribbles:
            prompts += read_scribbles(path, "--negative-scribble", False, self.frame, image)
        return prompts

    def placed(self, image: Image) -> list[PlacedPrompt]:
        """Return all prompts on the grid of ``image``, those from files first.

        Raises:
            BedsideError: As ``typed`` and ``drawn``; a prompt misses the image.
        """
        return [PlacedPrompt.of(prompt, image.geometry) for prompt in (*self.drawn(image), *self.typed())]


def add_together(session: Session, prompts: Sequence[PlacedPrompt]) -> None:
    """Add all prompts to the session's current object, predicted together, in one step.

    Raises:
        PromptError: The model cannot take one of them.
    """
    for prompt in prompts[:-1]:
        session.add(prompt, predict=False)
    session.add(prompts[-1])


def parse_numbers(text: str, flag: str, counts: Sequence[int], form: str) -> tuple[float, ...]:
    """Return comma-separated numbers.

    Raises:
        InputError: Not numbers, or not as many as ``counts`` allows.
    """
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in counts:
        raise InputError(flag, expected=form, got=repr(text))
    return numbers


def parse_box(text: str, frame: Frame) -> Box:
    """Return the box written as x0,y0,x1,y1 or x0,y0,z0,x1,y1,z1."""
    numbers = parse_numbers(text, "--box", (4, 6), "x0,y0,x1,y1 or x0,y0,z0,x1,y1,z1")
    half = len(numbers) // 2
    return Box(numbers[:half], numbers[half:], True, frame)


def parse_point(text: str, flag: str, positive: bool, frame: Frame) -> Point:
    """Return the click written as x,y or x,y,z."""
    return Point(parse_numbers(text, flag, (2, 3), "x,y or x,y,z"), positive, frame)


def read_scribbles(path: Path, flag: str, positive: bool, frame: Frame, image: Image) -> list[Scribble]:
    """Return the strokes in a JSON file, or the marked voxels of a mask image on the grid of ``image``."""
    if path.suffix.lower() == ".json":
        return [_drawn(Scribble, stroke, positive, frame, path) for stroke in read_strokes(path)]
    mask = read_matching_mask(path, flag, image)
    try:
        return [Scribble.from_mask(mask, positive)]
    except PromptError as error:
        raise PromptError(f"{path}: {error}") from error


def read_strokes(path: Path) -> list[Any]:
    """Return lists of vertices in a JSON file that holds one list [[x, y(, z)], ...] or a list of such lists.

    Raises:
        FormatError: The file is missing or holds something else.
    """
    form = "JSON of vertices [[x, y], ...] (or [x, y, z]), or a list of such lists"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FormatError(f"cannot read {path}", got=error.strerror) from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}", expected=form, got=str(error)) from error
    strokes = [data] if _is_stroke(data) else data
    if not isinstance(strokes, list) or not strokes or not all(_is_stroke(stroke) for stroke in strokes):
        raise FormatError(f"{path}", expected=form, got=json.dumps(data)[:60])
    return strokes


def read_matching_mask(path: Path, flag: str, image: Image) -> Any:
    """Return the label map in ``path``, which must lie on the grid of ``image``.

    Raises:
        FormatError: The file cannot be read as a mask, or it holds the grey values of an image.
        InputError: It lies on another grid.
    """
    mask = read_mask(path, reference=image)
    reject_grey_values(mask.array, f"{flag} {path}")
    if mask.geometry.matches(image.geometry):
        return mask.array
    if mask.shape != image.shape:
        raise InputError(f"{flag} {path}", expected=f"the image's shape {image.shape}", got=mask.shape)
    raise InputError(
        f"{flag} {path}",
        expected=f"the image's grid (spacing {image.geometry.spacing}, origin {image.geometry.origin})",
        got=f"spacing {mask.geometry.spacing}, origin {mask.geometry.origin}, direction {mask.geometry.direction}",
        fix="resample the mask onto the image first",
    )


def _is_stroke(data: object) -> bool:
    return isinstance(data, list) and bool(data) and all(_is_vertex(vertex) for vertex in data)


def _is_vertex(data: object) -> bool:
    return (
        isinstance(data, list)
        and len(data) in (2, 3)
        and all(isinstance(c, int | float) and not isinstance(c, bool) for c in data)
    )


def _drawn(kind: type[Any], stroke: list[list[float]], positive: bool, frame: Frame, path: Path) -> Any:
    try:
        return kind(tuple(tuple(vertex) for vertex in stroke), positive, frame)
    except (BedsideError, OverflowError) as error:
        raise FormatError(f"{path}: {error}") from error
