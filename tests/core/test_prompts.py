"""Prompts: written and read back alike, placed in the image, rejected by name."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bedside.core.errors import PromptError
from bedside.core.geometry import Geometry
from bedside.core.prompts import (
    PROMPT_KINDS,
    Box,
    InitialMask,
    Lasso,
    Point,
    Prompt,
    Scribble,
    cut_off,
    left_out,
    place_prompt,
    prompt_from_dict,
)

SHAPE = (6, 7, 8)
ORIENTATIONS = [
    np.eye(3)[list(order)] * np.array(signs)
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1.0, -1.0), repeat=3)
]
NUMBERS = st.floats(-1e4, 1e4)
FRAMES = st.sampled_from(("index", "world"))
DIMENSIONS = st.sampled_from((2, 3))


def coordinates(n: int) -> st.SearchStrategy[tuple[float, ...]]:
    return st.tuples(*[NUMBERS] * n)


def points(n: int) -> st.SearchStrategy[Point]:
    return st.builds(Point, coordinates(n), st.booleans(), FRAMES)


def boxes(n: int) -> st.SearchStrategy[Box]:
    size = st.tuples(*[st.floats(0.5, 100)] * n)
    return st.builds(
        lambda low, extent, positive, frame: Box(
            low, tuple(a + b for a, b in zip(low, extent, strict=True)), positive, frame
        ),
        coordinates(n),
        size,
        st.booleans(),
        FRAMES,
    )


def scribbles(n: int) -> st.SearchStrategy[Scribble]:
    stroke = st.lists(coordinates(n), min_size=1, max_size=6).map(tuple)
    return st.builds(Scribble, stroke, st.booleans(), FRAMES, st.booleans(), st.floats(0.1, 50))


def lassos(n: int) -> st.SearchStrategy[Lasso]:
    return st.builds(Lasso, st.lists(coordinates(n), min_size=3, max_size=6).map(tuple), st.booleans(), FRAMES)


def masks(n: int) -> st.SearchStrategy[InitialMask]:
    shapes = hnp.array_shapes(min_dims=n, max_dims=n, max_side=7)
    return st.builds(InitialMask, hnp.arrays(bool, shapes))


STRATEGIES = {"point": points, "box": boxes, "scribble": scribbles, "lasso": lassos, "mask": masks}


def example(kind: str, n: int = 3, offset: float = 0.0) -> Prompt:
    """A prompt of each kind that lies inside SHAPE when ``offset`` is 0."""
    corner, other, third = (tuple(v + offset for v in p[:n]) for p in ((1, 2, 3), (3, 4, 5), (2, 3, 3)))
    return {
        "point": lambda: Point(corner),
        "box": lambda: Box(corner, other),
        "scribble": lambda: Scribble((corner, other)),
        "lasso": lambda: Lasso((corner, other, third)),
        "mask": lambda: InitialMask(np.ones(SHAPE[-n:], bool)),
    }[kind]()


def test_every_kind_is_tested() -> None:
    assert STRATEGIES.keys() == PROMPT_KINDS.keys()


@pytest.mark.parametrize("kind", PROMPT_KINDS)
@given(data=st.data())
def test_json_round_trip_is_the_identity(kind: str, data: st.DataObject) -> None:
    prompt = data.draw(DIMENSIONS.flatmap(STRATEGIES[kind]))
    again = prompt_from_dict(json.loads(json.dumps(prompt.to_dict())))
    assert again == prompt
    assert hash(again) == hash(prompt)
    assert type(again) is PROMPT_KINDS[kind]
    assert again.ndim == prompt.ndim


@pytest.mark.parametrize("kind", [k for k in PROMPT_KINDS if k != "mask"])
def test_fields_left_out_take_their_defaults(kind: str) -> None:
    prompt = example(kind)
    required = {"kind", "position", "low", "high", "points"}
    data = {name: value for name, value in prompt.to_dict().items() if name in required}
    assert prompt_from_dict(data) == prompt


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "kind of point, box, scribble, lasso, mask"),
        ({"kind": "polygon"}, "polygon"),
        ({"kind": ["point"]}, "a kind of"),
        ([1, 2], "field 'kind'"),
        ({"kind": "point"}, "point prompt.*position"),
        ({"kind": "point", "position": None}, "point: expected numbers, got None"),
        ({"kind": "point", "position": ["a", "b"]}, "point: expected numbers"),
        ({"kind": "point", "position": "12"}, "point: expected numbers, got '12'"),
        ({"kind": "point", "position": 5}, "point: expected numbers, got 5"),
        ({"kind": "point", "position": [1]}, "2 or 3 coordinates"),
        ({"kind": "point", "position": [1, 2, 3, 4]}, "2 or 3 coordinates"),
        ({"kind": "point", "position": [1, float("nan")]}, "finite"),
        ({"kind": "point", "position": [1, 2], "frame": "voxel"}, "index or world"),
        ({"kind": "point", "position": [1, 2], "positive": "false"}, "true or false"),
        ({"kind": "box", "low": [1, 2], "high": [1, 5]}, "end to be larger"),
        ({"kind": "box", "low": [1, 2], "high": [3, 5, 6]}, "equal dimension"),
        ({"kind": "scribble", "points": []}, "at least 1 points"),
        ({"kind": "scribble", "points": [[1, 2], [1, 2, 3]]}, "equal dimension"),
        ({"kind": "scribble", "points": [[1, 2]], "thickness": 0}, "thickness"),
        ({"kind": "lasso", "points": [[1, 2], [3, 4]]}, "at least 3 points"),
        ({"kind": "mask", "shape": [2, 2], "bits": "!"}, "mask prompt"),
        ({"kind": "mask", "shape": [2, 2], "bits": ""}, "mask prompt"),
    ],
)
def test_damaged_records_are_rejected(data: Any, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        prompt_from_dict(data)


@pytest.mark.parametrize("shape", [[4, 5], [3, 4, 5], [-3, 4], [0, 4]])
def test_a_mask_of_another_size_than_its_bits_is_rejected(shape: list[int]) -> None:
    data = InitialMask(np.ones((3, 4), bool)).to_dict()
    with pytest.raises(PromptError, match="bits of a mask"):
        prompt_from_dict({**data, "shape": shape})


@pytest.mark.parametrize("kind", [k for k in PROMPT_KINDS if k != "mask"])
def test_an_unknown_frame_is_rejected_on_construction(kind: str) -> None:
    prompt = example(kind)
    values = {name: value for name, value in prompt.to_dict().items() if name != "kind"}
    with pytest.raises(PromptError, match="index or world"):
        PROMPT_KINDS[kind](**{**values, "frame": "voxel"})


def test_an_initial_mask_is_a_copy_that_cannot_change() -> None:
    array = np.zeros((3, 4), np.uint8)
    prompt = InitialMask(array)  # type: ignore[arg-type]
    array[0, 0] = 1
    assert not prompt.mask.any()
    with pytest.raises(ValueError, match="read-only"):
        prompt.mask[0, 0] = True


def test_scribble_from_mask_holds_its_voxels_in_xyz_order() -> None:
    mask = np.zeros(SHAPE, np.uint8)
    mask[1, 2, 3] = 1
    mask[4, 5, 6] = 7
    scribble = Scribble.from_mask(mask, positive=False)
    assert scribble.points == ((3, 2, 1), (6, 5, 4))
    assert not scribble.connected
    assert not scribble.positive
    with pytest.raises(PromptError, match="empty mask"):
        Scribble.from_mask(np.zeros(SHAPE))


def corners_in(shape: tuple[int, ...]) -> st.SearchStrategy[Box]:
    """Boxes of whole voxels inside an array of ``shape``."""
    pairs = [st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).map(sorted) for n in shape[::-1]]
    return st.tuples(*pairs).map(lambda p: Box(tuple(a for a, _ in p), tuple(b + 1 for _, b in p)))


@given(corners_in(SHAPE), st.sampled_from(ORIENTATIONS), st.tuples(*[st.floats(0.1, 9)] * 3), coordinates(3))
def test_box_of_voxels_survives_the_world_in_every_orientation(
    box: Box, direction: Any, spacing: tuple[float, ...], origin: tuple[float, ...]
) -> None:
    geometry = Geometry.create(SHAPE, spacing, origin, direction)
    world = box.to_world(geometry)
    assert world.frame == "world"
    assert all(a < b for a, b in zip(world.low, world.high, strict=True))
    assert world.to_index(geometry) == box
    assert place_prompt(world, geometry) == box


def test_world_box_reaches_the_faces_of_its_voxels() -> None:
    geometry = Geometry.create(SHAPE, (2.0, 1.0, 5.0), (10, 20, 30))
    world = Box((1, 1, 1), (3, 2, 2)).to_world(geometry)
    assert world.low == pytest.approx((11, 20.5, 32.5))
    assert world.high == pytest.approx((15, 21.5, 37.5))


def test_world_box_corners_may_come_in_any_order() -> None:
    geometry = Geometry.create(SHAPE, (2.0, 1.0, 5.0), (10, 20, 30))
    box = Box((15, 21.5, 32.5), (11, 20.5, 37.5), frame="world")
    assert box.to_index(geometry) == Box((1, 1, 1), (3, 2, 2))


@given(corners_in(SHAPE), st.floats(-3, 3))
def test_oblique_world_box_holds_the_voxels_it_was_made_from(box: Box, angle: float) -> None:
    c, s = np.cos(angle), np.sin(angle)
    geometry = Geometry.create(SHAPE, (0.7, 0.7, 3), (5, 6, 7), [[c, -s, 0], [s, c, 0], [0, 0, 1]])
    back = box.to_world(geometry).to_index(geometry)
    assert np.all(np.asarray(back.low) <= np.asarray(box.low) + 1e-3)
    assert np.all(np.asarray(back.high) >= np.asarray(box.high) - 1e-3)


@pytest.mark.parametrize("kind", ["point", "scribble", "lasso"])
def test_world_prompts_land_on_the_index_they_came_from(kind: str) -> None:
    geometry = Geometry.create(SHAPE, (0.5, 0.8, 4), (-30, 12, 99), ORIENTATIONS[13])
    prompt = example(kind)
    world = {**prompt.to_dict(), "frame": "world"}
    for name in {"position", "points"} & world.keys():
        world[name] = geometry.index_to_world(world[name]).tolist()
    placed = place_prompt(prompt_from_dict(world), geometry)
    assert placed.frame == "index"
    assert type(placed) is type(prompt)
    np.testing.assert_allclose(placed.vertices(), prompt.vertices(), atol=1e-9)


@pytest.mark.parametrize("kind", PROMPT_KINDS)
@pytest.mark.parametrize("n", [2, 3])
def test_a_prompt_inside_is_placed_as_it_is(kind: str, n: int) -> None:
    prompt = example(kind, n)
    assert place_prompt(prompt, Geometry.create(SHAPE[-n:])) == prompt


@pytest.mark.parametrize("kind", PROMPT_KINDS)
@pytest.mark.parametrize("n", [2, 3])
def test_another_number_of_dimensions_is_rejected_by_name(kind: str, n: int) -> None:
    geometry = Geometry.create(SHAPE[-n:])
    with pytest.raises(PromptError, match=rf"^{kind}: expected {n} coordinates .*got {5 - n}"):
        place_prompt(example(kind, 5 - n), geometry)


@pytest.mark.parametrize("kind", [k for k in PROMPT_KINDS if k != "mask"])
@pytest.mark.parametrize("offset", [-20, 20])
def test_a_prompt_wholly_outside_is_rejected_by_name(kind: str, offset: float) -> None:
    with pytest.raises(PromptError, match=f"^{kind} lies outside the image on axis x.*index or world"):
        place_prompt(example(kind, 3, offset), Geometry.create(SHAPE))


@pytest.mark.parametrize(
    ("prompt", "axis"),
    [
        (Point((8, 1, 1)), "x"),
        (Point((1, 7, 1)), "y"),
        (Point((1, 1, 6)), "z"),
        (Point((-0.6, 1, 1)), "x"),
        (Point((7.5, 1, 1)), "x"),
        (Box((1, -3, 1), (2, 0, 2)), "y"),
        (Box((1, 7, 1), (2, 9, 2)), "y"),
        (Scribble(((1, 1, 6.5), (2, 2, 9))), "z"),
        (Lasso(((1, 1, -2), (2, 2, -2), (3, 1, -2))), "z"),
    ],
)
def test_the_axis_that_is_missed_is_named(prompt: Prompt, axis: str) -> None:
    with pytest.raises(PromptError, match=f"outside the image on axis {axis}"):
        place_prompt(prompt, Geometry.create(SHAPE))


@pytest.mark.parametrize(
    "prompt",
    [
        Point((-0.5, -0.5, -0.5)),
        Point((7.4, 6.4, 5.4)),
        Box((-5, -5, -5), (1, 1, 1)),
        Box((7, 6, 5), (50, 50, 50)),
        Box((-50, -50, -50), (50, 50, 50)),
        Scribble(((-9, 1, 1), (0, 1, 1))),
        Lasso(((-9, 1, 1), (20, 1, 1), (3, 30, 1))),
    ],
)
def test_a_prompt_that_touches_the_image_is_taken(prompt: Prompt) -> None:
    assert place_prompt(prompt, Geometry.create(SHAPE)) == prompt


def test_a_mask_of_another_shape_is_rejected() -> None:
    with pytest.raises(PromptError, match=r"image's shape \(6, 7, 8\), got \(6, 7, 9\)"):
        place_prompt(InitialMask(np.ones((6, 7, 9), bool)), Geometry.create(SHAPE))


ODD = ["x", "12", b"12", 5, None, True, object(), {}, [None], ["1", "2"], [[1]], [1, "a"], [10**400, 1], [[[1, 2]]]]


@pytest.mark.parametrize("value", ODD, ids=lambda v: repr(v)[:20])
def test_whatever_is_given_for_coordinates_the_error_is_ours(value: Any) -> None:
    made = [
        lambda: Point(value),
        lambda: Box(value, (3, 4)),
        lambda: Box((1, 2), value),
        lambda: Scribble(value),
        lambda: Lasso(value),
        lambda: Scribble(((1, 2),), thickness=value),
        lambda: Point((1, 2), frame=value),
    ]
    for make in made:
        if value is True and make is made[5]:
            continue  # A stroke one voxel wide.
        if value == 5 and make is made[5]:
            continue
        with pytest.raises(PromptError) as caught:
            make()
        assert "\n" not in str(caught.value)
    for kind in PROMPT_KINDS:
        for field in ("position", "low", "high", "points", "thickness", "frame", "positive", "shape", "bits", "box"):
            fields = {"kind": kind, "position": [1, 2], "low": [1, 2], "high": [3, 4], "points": [[1, 2]] * 3}
            with contextlib.suppress(PromptError):
                prompt_from_dict({**fields, "shape": [2, 2], "bits": "", field: value})


GRIDS = {
    "plane": Geometry.create((400, 600)),
    "volume": Geometry.create((30, 400, 600), (0.5, 0.5, 3.0), (-100.0, 20.0, 5.0)),
    "mirrored": Geometry.create((30, 400, 600), (0.5, 0.5, 3.0), (-100.0, 20.0, 5.0), np.diag([-1.0, 1.0, -1.0])),
}


def shapes_at(corner: tuple[float, ...], end: tuple[float, ...], frame: Any) -> list[Prompt]:
    """One prompt of each kind that has coordinates, from ``corner`` to ``end``."""
    middle = tuple((a + b) / 2 for a, b in zip(corner, end, strict=True))
    return [
        Point(corner, frame=frame),
        Box(corner, end, frame=frame),
        Scribble((corner, end), frame=frame),
        Lasso((corner, middle, end), frame=frame),
    ]


def numbers_in(text: str) -> set[float]:
    return {float(n) for n in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?", text)}


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("frame", ["index", "world"])
def test_what_lies_outside_is_named_in_the_numbers_that_were_given(grid: str, frame: Any) -> None:
    geometry = GRIDS[grid]
    corner, end = (7000.0, 80.0, 12.0)[: geometry.ndim], (7123.5, 91.0, 15.0)[: geometry.ndim]
    for prompt in shapes_at(corner, end, frame):
        with pytest.raises(PromptError) as caught:
            place_prompt(prompt, geometry)
        got = (caught.value.got or "").partition(", which is voxel")[0]
        expected = [corner] if isinstance(prompt, Point) else [corner, end]
        assert numbers_in(got) == {n for c in expected for n in c}
        assert ("which is voxel" in str(caught.value)) == (frame == "world")


@pytest.mark.parametrize("frame", ["index", "world"])
@pytest.mark.parametrize("grid", GRIDS)
def test_the_limits_that_a_message_names_are_those_of_the_image(grid: str, frame: Any) -> None:
    geometry = GRIDS[grid]
    for prompt in shapes_at((7e4, 7e4, 7e4)[: geometry.ndim], (8e4, 8e4, 8e4)[: geometry.ndim], frame):
        with pytest.raises(PromptError) as caught:
            place_prompt(prompt, geometry)
        named = re.findall(r"-?[\d.]+(?:,-?[\d.]+)+", caught.value.expected or "")
        low, high = (tuple(float(n) for n in text.split(",")) for text in named)
        inside = Box(low, high, frame=frame)
        assert left_out(inside, place_prompt(inside, geometry), geometry) is None
        if not (frame == "index" and prompt.kind != "box"):
            # Of a box and in mm the limits are the faces of the image: half a voxel more is outside.
            more = Box(low, tuple(h + 1.6 for h in high), frame=frame)
            assert left_out(more, place_prompt(more, geometry), geometry) is not None


@given(corners_in(SHAPE), st.sampled_from(ORIENTATIONS), st.sampled_from(["index", "world"]))
def test_boxes_of_voxels_inside_leave_nothing_out(box: Box, direction: Any, frame: str) -> None:
    geometry = Geometry.create(SHAPE, (0.7, 0.9, 3.3), (-31.7, 12.2, 99.9), direction)
    prompt = box if frame == "index" else box.to_world(geometry)
    assert left_out(prompt, place_prompt(prompt, geometry), geometry) is None


def test_a_prompt_that_reaches_beyond_the_image_says_so_in_the_numbers_that_were_given() -> None:
    for geometry in (GRIDS["plane"], GRIDS["volume"]):
        for frame in ("index", "world"):
            corner, end = (-20.0, 30.0, 12.0)[: geometry.ndim], (700.0, 40.0, 14.0)[: geometry.ndim]
            for prompt in shapes_at(corner, end, frame)[1:]:
                said = left_out(prompt, place_prompt(prompt, geometry), geometry) or ""
                assert said.startswith(f"{prompt.kind} ")
                assert {n for c in (corner, end) for n in c} == numbers_in(said.partition(" reaches beyond")[0])


def test_a_box_says_what_was_typed() -> None:
    with pytest.raises(PromptError, match=r"got 600,40 to 500,50;"):
        Box((600, 40), (500, 50))
    with pytest.raises(PromptError, match=r"within 0,0 to 600,400 \(x,y, the end exclusive\), got 600,40 to 650,50;"):
        place_prompt(Box((600, 40), (650, 50)), GRIDS["plane"])


@pytest.mark.parametrize("grid", GRIDS)
def test_of_a_box_that_reaches_beyond_the_image_the_part_inside_is_taken(grid: str) -> None:
    geometry = GRIDS[grid]
    for reach in (1.0, 50.0, 1e5, 9e8):
        corner = (590.0 + reach, 380.0 + reach, 25.0 + reach)[: geometry.ndim]
        box = Box((10.0,) * geometry.ndim, corner)
        whole = place_prompt(box, geometry)
        assert isinstance(whole, Box)
        placed = cut_off(whole, geometry)
        assert placed.low == (10.0,) * geometry.ndim
        sides = (600.0, 400.0, 30.0)[: geometry.ndim]
        assert placed.high == tuple(min(n, high) for n, high in zip(sides, corner, strict=True))
        assert (left_out(box, whole, geometry) is None) == (reach == 1.0)


@pytest.mark.parametrize("far", [1.1e9, 1e24, 1e308])
def test_coordinates_beyond_any_image_are_rejected_by_name(far: float) -> None:
    made = [lambda: Point((-far, 1.0)), lambda: Box((1, 1), (2, far)), lambda: Lasso(((1, 1), (2, far), (3, 1)))]
    for make in made:
        with pytest.raises(PromptError, match="coordinates up to 1,000,000,000"):
            make()
