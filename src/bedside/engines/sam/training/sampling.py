"""Training samples of the SAM family: a whole slice on the network's grid, and boxes around objects on it."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.modality import MODALITIES
from bedside.engines.sam.content import content_crop, crop_input
from bedside.engines.sam.framing import Frame, Framing, SliceKernel
from bedside.engines.sam.training.augmentation import Turn, apply_flip, apply_turn, draw_flip, draw_turn, jitter_colours
from bedside.engines.sam.training.slices import By, LabelledSlice, SliceTable
from bedside.simulate.strokes import stroke_within

MAXIMUM_TRIES = 20
Arrays = dict[str, NDArray[Any]]
Prompts = Literal["box", "points", "content"]
Jitter = Literal["sides", "whole"]
Corners = tuple[int, int, int, int]
"""x0, y0, x1, y1 of a box that holds its last cells, on the grid."""


@dataclass(frozen=True)
class SamSampling:
    """How samples of the SAM family are drawn.

    Attributes:
        side: Side of the network's input; a multiple of 32. Smaller than the network's own for a quick look only.
        framing: "pad" keeps the aspect and fills up on the right and below; "stretch" does not keep it.
        kernel: By which slices are brought to the grid.
        by: What is drawn with equal chances: slices, cases or modalities.
        masks: Objects of each slice, drawn with replacement.
        enlargement: Largest number of cells by which a box is enlarged.
        jitter: "sides" draws the enlargement of every side, "whole" one for all four.
        half_pixel: Whether corners name cells, so that the network measures at their centres; else corners are
            proportions of the image, from which the network's half cell is taken off.
        box_grid: Side of the grid on which corners are cut to whole cells, whose centres the network then takes, where
            that is another than the input's; 0 for none.
        flips: Chance of each axis to be mirrored.
        turns: Chance of a shift, scaling and rotation.
        colours: Chance of changed colours.
        prompts: "box" alone; "points": also four points and a scribble, as Swin-LiteMedSAM; "content": also what the
            box holds, and the modality, as MCP-MedSAM.
    """

    side: int = 256
    framing: Framing = "pad"
    kernel: SliceKernel = "area"
    by: By = "slice"
    masks: int = 1
    enlargement: int = 5
    jitter: Jitter = "sides"
    half_pixel: bool = True
    box_grid: int = 0
    flips: float = 0.5
    turns: float = 0.0
    colours: float = 0.0
    prompts: Prompts = "box"

    def __post_init__(self) -> None:
        if self.side < 32 or self.side % 32:
            raise InputError("sampling.side", expected="a multiple of 32", got=self.side)
        if self.box_grid < 0:
            raise InputError("sampling.box_grid", expected="0 or more", got=self.box_grid)
        if self.masks < 1 or self.enlargement < 0:
            raise InputError(
                "sampling", expected="masks from 1, enlargement from 0", got=(self.masks, self.enlargement)
            )
        for name in ("flips", "turns", "colours"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"sampling.{name}", expected="a chance from 0 to 1", got=getattr(self, name))
        choices = {"framing": Framing, "kernel": SliceKernel, "by": By, "jitter": Jitter, "prompts": Prompts}
        for name, kind in choices.items():
            if getattr(self, name) not in get_args(kind):
                raise InputError(
                    f"sampling.{name}", expected=f"one of {', '.join(get_args(kind))}", got=getattr(self, name)
                )
        if self.prompts == "content" and self.turns:
            raise InputError("sampling.turns", expected="0 with content prompts", got=self.turns)


class SamSampler:
    """Draws samples from a table of slices; sample ``index`` depends on the seed and the index alone.

    Args:
        table: The slices.
        config: How to draw.
        seed: Seed of everything random.
        truth_side: Side of the masks, that of the network's logits.
    """

    def __init__(self, table: SliceTable, config: SamSampling, seed: int, truth_side: int = 256) -> None:
        self.table = table
        self.config = config
        self._seed = seed
        self._truth_side = truth_side
        if config.side % truth_side:
            raise InputError("sampling.side", expected=f"a multiple of the masks' side {truth_side}", got=config.side)

    def seeded(self, seed: int) -> SamSampler:
        """Return the same sampler with another seed."""
        other = copy.copy(self)
        other._seed = seed
        return other

    def choice(self, index: int) -> tuple[int, int]:
        """The slice of ``picture(index)`` and how it is mirrored, without the picture."""
        return self._choose(np.random.default_rng((self._seed, index)))

    def _choose(self, generator: np.random.Generator) -> tuple[int, int]:
        return self.table.draw(self.config.by, generator), draw_flip(self.config.flips, generator)

    def picture(self, index: int) -> Arrays:
        """Return a slice alone, for distillation, which needs no object.

        Returns:
            "image" float32 (3, side, side) from 0 to 1, "slice" its number in the table and "flip" how it was mirrored,
            both int64 ().
        """
        generator = np.random.default_rng((self._seed, index))
        number, flip = self._choose(generator)
        image = fit_slice(self.table.slices[number], self.config.side, self.config.framing, self.config.kernel)
        return {
            "image": np.ascontiguousarray(apply_flip(self._changed(image, generator), flip)),
            "slice": np.array(number),
            "flip": np.array(flip),
        }

    def sample(self, index: int) -> Arrays:
        """Return a slice with boxes.

        Returns:
            "image" as above; "boxes" float32 (masks, 4) as x0, y0, x1, y1 in cells; "truth" uint8 (masks, truth_side,
            truth_side). With points also "points" float32 (masks, 4, 2) as (x, y) and "scribble" float32 (masks, 1,
            truth_side, truth_side); with content also "crops" float32 (masks, 3, truth_side / 4, truth_side / 4), and
            int64 "modality" (masks,) and "object" (masks, 3): slice, map and value.

        Raises:
            InputError: No object can be found on the slices that are drawn.
        """
        generator = np.random.default_rng((self._seed, index))
        for _ in range(MAXIMUM_TRIES):
            number = self.table.draw(self.config.by, generator)
            drawn = self._try(number, generator)
            if drawn is not None:
                return drawn
        raise InputError(
            "training store", expected="objects that can be seen on the grid", got=f"{MAXIMUM_TRIES} misses"
        )

    def _try(self, number: int, generator: np.random.Generator) -> Arrays | None:
        config, part = self.config, self.table.slices[number]
        turn = draw_turn(generator) if generator.random() < config.turns else None
        flip = draw_flip(config.flips, generator)
        colours = part.colours()
        frame = Frame.of((colours.shape[0], colours.shape[1]), config.side, config.framing)
        objects: list[Arrays] = []
        for _ in range(config.masks):
            chosen = part.draw_object(generator)
            fitted = _fit_mask(part.mask(*chosen), frame)
            if not fitted.any():
                return None
            mask = apply_flip(_turned(fitted, turn, smooth=False), flip) > 0
            box = self._draw_box(mask, generator)
            entry = self._prompts(mask, box, generator)
            if config.prompts == "content":
                entry |= self._content(part, colours, frame, box, flip) | {"object": np.array([number, *chosen])}
            objects.append(entry)
        image = self._changed(frame.fit(colours, config.kernel), generator)
        image = np.ascontiguousarray(apply_flip(_turned(image, turn, smooth=True), flip))
        return {"image": image, **{name: np.stack([entry[name] for entry in objects]) for name in objects[0]}}

    def _changed(self, image: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float32]:
        return jitter_colours(image, generator) if generator.random() < self.config.colours else image

    def _draw_box(self, mask: NDArray[np.bool_], generator: np.random.Generator) -> Corners:
        """Return the mask's extent, enlarged; a random box where a turn has moved the object out of sight."""
        config = self.config
        last = config.side - 1
        if not mask.any():
            (x0, x1), (y0, y1) = (np.sort(generator.integers(0, config.side, size=2)).tolist() for _ in range(2))
            return x0, y0, x1, y1
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        grow = generator.integers(config.enlargement, size=4, endpoint=True)
        if config.jitter == "whole":
            grow[:] = grow[0]
        return (
            max(0, int(columns[0] - grow[0])),
            max(0, int(rows[0] - grow[1])),
            min(last, int(columns[-1] + grow[2])),
            min(last, int(rows[-1] + grow[3])),
        )

    def _prompts(self, mask: NDArray[np.bool_], box: Corners, generator: np.random.Generator) -> Arrays:
        step = self.config.side // self._truth_side
        truth = mask[step // 2 :: step, step // 2 :: step]
        boxes = self._corners(box)
        entry: Arrays = {"boxes": boxes, "truth": truth.astype(np.uint8)}
        if self.config.prompts != "points":
            return entry
        x0, y0, x1, y1 = (corner // step for corner in box)
        rectangle = np.zeros(truth.shape, dtype=np.bool_)
        rectangle[y0 : y1 + 1, x0 : x1 + 1] = True
        scribble = stroke_within(rectangle, (x0, y0, x1 + 1, y1 + 1), generator)
        return entry | {"points": quadrant_points(mask, box, generator), "scribble": scribble[None]}

    def _corners(self, box: Corners) -> NDArray[np.float32]:
        """Return corners as the network takes them, which adds half a cell of its own input to each."""
        corners = np.array(box, dtype=np.float64)
        side, grid = self.config.side, self.config.box_grid
        if grid:
            corners = (np.floor(corners * grid / side) + 0.5) * side / grid - 0.5
        elif not self.config.half_pixel:
            corners -= 0.5
        return corners.astype(np.float32)

    def _content(
        self, part: LabelledSlice, colours: NDArray[np.uint8], frame: Frame, box: Corners, flip: int
    ) -> Arrays:
        """Return what the box holds, at the slice's own resolution, and the modality."""
        if part.modality is None:
            raise InputError(f"modality of {part.key}", expected=f"one of {', '.join(MODALITIES)}", got="none")
        x0, y0, x1, y1 = _flipped_box(box, flip, self.config.side)
        (down, across), grid = frame.scale, self._truth_side // 4
        crop = content_crop(colours, (x0 / across, y0 / down, x1 / across, y1 / down))
        return {
            "crops": np.ascontiguousarray(apply_flip(crop_input(crop, grid)[0], flip)),
            "modality": np.array(MODALITIES.index(part.modality)),
        }


def fit_slice(part: LabelledSlice, side: int, framing: Framing, kernel: SliceKernel) -> NDArray[np.float32]:
    """Return a slice on a grid, float32 (3, side, side), 0 to 1."""
    colours = part.colours()
    return Frame.of((colours.shape[0], colours.shape[1]), side, framing).fit(colours, kernel)


def quadrant_points(mask: NDArray[np.bool_], box: Corners, generator: np.random.Generator) -> NDArray[np.float32]:
    """Return a point in each quarter of a box, (4, 2) as (x, y).

    x and y are drawn independently of each other from the coordinates of the object's cells in the quarter, as
    published, so that a point may miss the object. A quarter without any gives the centre of the box.
    """
    x0, y0, x1, y1 = box
    middle_x, middle_y = (x0 + x1) // 2, (y0 + y1) // 2
    points = []
    for rows in (slice(y0, middle_y + 1), slice(middle_y + 1, y1 + 1)):
        for columns in (slice(x0, middle_x + 1), slice(middle_x + 1, x1 + 1)):
            ys, xs = np.nonzero(mask[rows, columns])
            if xs.size == 0:
                points.append(((x0 + x1) / 2, (y0 + y1) / 2))
            else:
                points.append((columns.start + int(generator.choice(xs)), rows.start + int(generator.choice(ys))))
    return np.array(points, dtype=np.float32)


def _fit_mask(mask: NDArray[np.bool_], frame: Frame) -> NDArray[np.float32]:
    """Return a mask on the grid: each cell takes the nearest pixel, and padding is empty."""
    rows, columns = (
        np.minimum(((np.arange(cells) + 0.5) * size / cells).astype(np.intp), size - 1)
        for cells, size in zip(frame.inner, frame.shape, strict=True)
    )
    grid = np.zeros((frame.side, frame.side), dtype=np.float32)
    grid[: frame.inner[0], : frame.inner[1]] = mask[rows[:, None], columns]
    return grid


def _turned(array: NDArray[np.float32], turn: Turn | None, *, smooth: bool) -> NDArray[np.float32]:
    return array if turn is None else apply_turn(array, turn, smooth=smooth)


def _flipped_box(box: Corners, flip: int, side: int) -> Corners:
    x0, y0, x1, y1 = box
    if flip & 1:
        x0, x1 = side - 1 - x1, side - 1 - x0
    if flip & 2:
        y0, y1 = side - 1 - y1, side - 1 - y0
    return x0, y0, x1, y1
