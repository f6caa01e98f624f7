from __future__ import annotations

import numpy as np
import pytest

from bedside.cli.overlay import draw_overlay
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.prompts import Box, InitialMask, Lasso, Point, Prompt, Scribble


def at(picture: object, row: float, column: float, shape: tuple[int, int]) -> np.ndarray:
    """The picture's colour at the centre of a pixel of the image."""
    array = np.asarray(picture).astype(int)
    y = int((row + 0.5) * array.shape[0] / shape[0])
    x = int((column + 0.5) * array.shape[1] / shape[1])
    return array[y, x]


@pytest.mark.parametrize("colour", [False, True])
def test_an_object_is_coloured_and_the_rest_is_not(colour: bool) -> None:
    array = np.full((20, 30, 3) if colour else (20, 30), 100, np.uint8)
    labels = np.zeros((20, 30), np.uint8)
    labels[5:15, 5:15] = 1
    labels[5:15, 20:28] = 2
    picture = draw_overlay(Image.from_array(array), labels, [], {2: "#0000ff"})
    assert picture.mode == "RGB"
    assert at(picture, 2, 2, (20, 30)).tolist() == [100, 100, 100]
    red, green, _ = at(picture, 10, 10, (20, 30))
    assert red > 120 > green + 20
    assert at(picture, 10, 24, (20, 30))[2] > 120
    # The edge has the object's own colour.
    row = np.asarray(picture)[int(10.5 * np.asarray(picture).shape[0] / 20)]
    assert (row == (0, 0, 255)).all(axis=1).any()


def test_pixels_are_square_and_the_size_is_bounded() -> None:
    labels = np.zeros((20, 20), np.uint8)
    picture = draw_overlay(Image.from_array(np.zeros((20, 20), np.uint8), (1.0, 2.0)), labels, [])
    assert picture.size == (256, 512)
    large = np.zeros((2000, 4000), np.uint8)
    assert draw_overlay(Image.from_array(large), large, []).size == (1600, 800)


def test_a_volume_shows_the_slice_with_the_largest_area() -> None:
    array = np.zeros((5, 10, 10), np.int16)
    array[:] = np.arange(5).reshape(5, 1, 1)
    array[3, 0, :] = -1000
    labels = np.zeros(array.shape, np.uint8)
    labels[1, 4, 4] = labels[3, 4:6, 4:8] = 1
    picture = draw_overlay(Image.from_array(array), labels, [])
    assert at(picture, 0, 9, (10, 10)).sum() < at(picture, 9, 9, (10, 10)).sum()
    red, green, _ = at(picture, 5, 6, (10, 10))
    assert red > green


def shown_slice(labels: np.ndarray, prompts: list[Prompt]) -> int:
    """The slice that is drawn of a volume in which slice z is dark but for its column z."""
    depth, rows, columns = labels.shape
    array = np.zeros(labels.shape, np.uint8)
    for z in range(depth):
        array[z, :, z] = 255
    picture = draw_overlay(Image.from_array(array), labels, prompts)
    # The last row holds neither objects nor prompts.
    bright = [at(picture, rows - 1, column, (rows, columns)).sum() for column in range(columns)]
    return int(np.argmax(bright))


NOTHING = np.zeros((6, 10, 10), np.uint8)


@pytest.mark.parametrize(
    ("prompts", "expected"),
    [
        ([], 3),
        ([Point((2.0, 2.0, 4.0))], 4),
        ([Point((2.0, 2.0, 4.4))], 4),
        # The middle of a box, whose last slice is 4.
        ([Box((1.0, 1.0, 1.0), (4.0, 4.0, 5.0))], 2),
        ([Point((2.0, 2.0, 1.0)), Point((2.0, 2.0, 4.0))], 1),
        ([InitialMask(np.ones(NOTHING.shape, bool)), Point((2.0, 2.0, 5.0))], 5),
        ([InitialMask(np.ones(NOTHING.shape, bool))], 3),
        ([Point((2.0, 2.0, 40.0))], 5),
        ([Point((2.0, 2.0, -9.0))], 0),
    ],
)
def test_without_an_object_the_slice_of_the_first_prompt_is_shown(prompts: list[Prompt], expected: int) -> None:
    assert shown_slice(NOTHING, prompts) == expected


@pytest.mark.parametrize(
    ("areas", "expected"), [([0, 1, 0, 3, 2, 0], 3), ([0, 2, 2, 1, 0, 0], 1), ([4, 0, 0, 0, 0, 5], 5)]
)
def test_the_largest_area_is_shown_whatever_the_prompts(areas: list[int], expected: int) -> None:
    labels = NOTHING.copy()
    for z, area in enumerate(areas):
        labels[z, 0, :area] = z + 1
    assert shown_slice(labels, [Point((2.0, 2.0, 4.0))]) == expected


def test_a_slice_stored_from_left_is_turned_over() -> None:
    array = np.zeros((1, 10, 10), np.uint8)
    array[0, :, :5] = 200
    geometry = Geometry.create(array.shape, (1, 1, 1), None, np.diag([-1.0, -1.0, 1.0]))
    picture = draw_overlay(Image(array, geometry), np.zeros(array.shape, np.uint8), [])
    assert at(picture, 5, 1, (10, 10))[0] < at(picture, 5, 8, (10, 10))[0]


@pytest.mark.parametrize(
    "prompt",
    [
        Point((5, 5)),
        Point((5, 5), positive=False),
        Box((3, 3), (8, 8)),
        Scribble(((2, 2), (7, 7))),
        Scribble(((2, 2), (7, 7)), connected=False),
        Lasso(((2, 2), (7, 2), (5, 7))),
    ],
)
def test_prompts_are_drawn_in_the_colour_of_their_sign(prompt: Prompt) -> None:
    for image in (np.full((10, 10), 90, np.uint8), np.full((4, 10, 10), 90, np.uint8)):
        placed = prompt if image.ndim == 2 else _on_slice(prompt)
        picture = np.asarray(draw_overlay(Image.from_array(image), np.zeros(image.shape, np.uint8), [placed]))
        expected = (0, 230, 118) if prompt.positive else (255, 23, 68)
        assert (picture == expected).all(axis=-1).any()


def _on_slice(prompt: Prompt) -> Prompt:
    match prompt:
        case Point():
            return Point((*prompt.position, 2.2), prompt.positive)
        case Box():
            return Box((*prompt.low, 1), (*prompt.high, 3))
        case Scribble():
            return Scribble(tuple((*p, 2) for p in prompt.points), connected=prompt.connected)
        case Lasso():
            return Lasso(tuple((*p, 2) for p in prompt.points))
    return prompt


def test_a_constant_image_and_odd_values_are_drawn() -> None:
    array = np.full((8, 8), np.nan, np.float32)
    array[0, 0] = np.inf
    mask = InitialMask(np.ones((8, 8), bool))
    assert draw_overlay(Image.from_array(array), np.zeros((8, 8), np.uint8), [mask]).size == (512, 512)
