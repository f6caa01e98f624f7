"""The engine of the SAM family: boxes on images, boxes followed through volumes, slices encoded once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.challenge.answers import answer_boxes
from bedside.core.errors import InputError, PromptError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.prompts import Box, Point
from bedside.engines.sam.framing import Frame
from bedside.engines.sam.load import SYSTEMS
from bedside.engines.sam.policy import SlicePolicy
from bedside.engines.sam.slices import answered_slices, covered_cells, slice_axis
from bedside.engines.sam.system import System
from bedside.io.challenge import ChallengeCase

Make = Callable[..., Any]
PLAIN = ["lite-medsam", "medsam", "medficientsam-l0", "daft", "rep-medsam"]


def picture(shape: tuple[int, int], top: int, left: int, bottom: int, right: int) -> NDArray[np.uint8]:
    """A bright rectangle on a dark ground that is not quite black."""
    array = np.full(shape, 10, dtype=np.uint8)
    array[top:bottom, left:right] = 240
    return array


def overlap(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float(np.count_nonzero((a > 0) & (b > 0)) / np.count_nonzero((a > 0) | (b > 0)))


def painted(prediction: Any, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    mask = np.zeros(shape, dtype=np.uint8)
    prediction.paste(mask)
    return mask


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("shape", [(120, 200), (700, 400), (256, 256), (90, 90)])
def test_an_object_is_found_where_it_is(name: str, shape: tuple[int, int], make_segmenter: Make) -> None:
    height, width = shape
    y0, x0, y1, x1 = height // 2, width // 4, height * 3 // 4, width // 2
    array = picture(shape, y0, x0, y1, x1)
    # A second bright object outside the box must not be taken.
    array[: height // 8, : width // 8] = 240
    segmenter, _, _ = make_segmenter(name)
    segmenter.set_image(Image.from_array(array))
    prediction = segmenter.predict([Box((x0, y0), (x1, y1))])
    mask = painted(prediction, shape)
    assert overlap(mask, picture(shape, y0, x0, y1, x1) > 100) > 0.9
    assert prediction.changed.contains((y0 + 2, x0 + 2))
    assert prediction.passes == 2
    assert set(prediction.seconds) == {"window", "network", "paste"}
    assert prediction.logits.shape == (256, 256)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # 400 x 200 (x, y), box of the pixels 100 to 199 and 50 to 99.
        ("lite-medsam", [64, 32, 127, 63]),
        ("rep-medsam", [64, 32, 127, 63]),
        ("daft", [64, 32, 127, 63]),
        ("medsam", [256, 256, 199 * 2.56, 99 * 5.12]),
        ("medficientsam-l1", [100 * 1.28 - 0.5, 50 * 1.28 - 0.5, 199 * 1.28 - 0.5, 99 * 1.28 - 0.5]),
    ],
)
def test_boxes_reach_the_network_as_each_system_has_them(
    name: str, expected: list[float], make_segmenter: Make
) -> None:
    segmenter, _, decoder = make_segmenter(name)
    segmenter.set_image(Image.from_array(np.zeros((200, 400), np.uint8)))
    segmenter.predict([Box((100, 50), (200, 100))])
    assert decoder.boxes[0] == pytest.approx(expected, abs=1e-3)


def test_a_box_beyond_the_image_is_cut_to_it(make_segmenter: Make) -> None:
    segmenter, _, decoder = make_segmenter()
    segmenter.set_image(Image.from_array(np.zeros((256, 256), np.uint8)))
    segmenter.predict([Box((-20, 200), (30, 999))])
    assert decoder.boxes == [[0, 200, 29, 255]]


@pytest.mark.parametrize("policy", [SlicePolicy(), SlicePolicy("published")])
@pytest.mark.parametrize("name", PLAIN)
def test_a_box_of_the_challenge_that_reaches_the_border_is_used_as_given(
    name: str, policy: SlicePolicy, make_segmenter: Make
) -> None:
    segmenter, _, decoder = make_segmenter(name, policy)
    side = SYSTEMS[name].side
    segmenter.set_image(Image.from_array(np.zeros((side, side), np.uint8)))
    # In the file: 10, 20, side, side. Read as a half-open box its ends lie one further.
    segmenter.predict([Box((10, 20), (side + 1, side + 1))])
    offset = 0.0 if SYSTEMS[name].half_pixel else 0.5
    assert decoder.boxes == [[10 - offset, 20 - offset, side - offset, side - offset]]


@given(st.integers(1, 30), st.data())
def test_the_slices_of_a_box_are_those_of_the_public_code(depth: int, data: Any) -> None:
    """By the ranges that the public scripts write out, for every box that the challenge can hold."""
    z0 = data.draw(st.integers(0, depth - 1))
    z1 = data.draw(st.integers(z0 + 1, depth)) if z0 < depth else depth
    for name, system in SYSTEMS.items():
        span = answered_slices((float(z0), z1 + 1.0), depth, system, published=True)
        if name.startswith("medficientsam"):
            middle, up, down = (z0 + min(z1, depth)) // 2, min(z1, depth), z0
        else:
            middle = int((z1 - z0) / 2 + z0)
            up = min(z1 + 1, depth) if system.last_slice else min(z1, depth)
            down = z0 if system.first_slice else z0 + 1
        answered = {*range(middle, up), *range(middle - 1, down - 1, -1)} or {min(middle, depth - 1)}
        assert set(range(span.first, span.last + 1)) == answered
        assert span.middle == min(middle, depth - 1)
        every = answered_slices((float(z0), z1 + 1.0), depth, system, published=False)
        assert (every.first, every.last) == (z0, min(z1, depth - 1))
        assert every.middle == min((z0 + z1) // 2, depth - 1)


# A tenth of a cell times 5 is a half, which goes to the even number: 0.
@pytest.mark.parametrize(("number", "cells"), [(1, 6), (2, 7), (5, 7), (6, 8), (20, 8)])
def test_later_objects_are_followed_by_smaller_shares_of_a_cell(number: int, cells: int) -> None:
    mask = np.zeros((40, 400), np.uint8)
    # Of ten pixels a cell: six whole cells, then one that is covered by 0.3 and one by 0.1.
    mask[:, 40:100] = 1
    mask[:, 100:103], mask[:, 39] = 1, 1
    found = covered_cells(mask, (4, 40), number)
    assert found.sum() == 4 * cells


@pytest.mark.parametrize("policy", [SlicePolicy(), SlicePolicy("published")])
def test_the_number_of_an_object_matters_to_the_public_code_alone(policy: SlicePolicy, make_segmenter: Make) -> None:
    volume = np.full((3, 900, 900), 10, dtype=np.uint8)
    volume[:, 100:300, 201:401] = 240
    boxes = {}
    for number in (1, 9):
        segmenter, _, decoder = make_segmenter("lite-medsam", policy)
        segmenter.set_image(Image.from_array(volume))
        segmenter.predict_object([Box((150, 90, 0), (450, 350, 3))], number)
        boxes[number] = decoder.boxes
    assert (boxes[1] == boxes[9]) == (not policy.published)


def test_only_medficientsam_has_a_second_inference(make_segmenter: Make) -> None:
    image = Image.from_array(np.zeros((400, 400), np.uint8))
    segmenter, _, decoder = make_segmenter("medficientsam-l0", SlicePolicy("published", inference="python"))
    segmenter.set_image(image)
    segmenter.predict([Box((101, 50), (201, 100))])
    assert decoder.boxes == [[129, 64, 256, 126]]
    segmenter, _, _ = make_segmenter("lite-medsam", SlicePolicy(inference="python"))
    with pytest.raises(InputError, match="inference of 'lite-medsam'"):
        segmenter.set_image(image)


def test_the_axis_can_be_the_first_whatever_the_spacing(make_segmenter: Make) -> None:
    volume = Image(np.zeros((4, 5, 6), np.uint8), Geometry.create((4, 5, 6), (4.0, 1.0, 1.0)))
    for policy, slices in ((SlicePolicy(), 6), (SlicePolicy(axis="first"), 4)):
        segmenter, encoder, _ = make_segmenter("lite-medsam", policy)
        segmenter.set_image(volume)
        segmenter.predict([Box((0, 0, 0), (6, 5, 4))])
        assert len(encoder.images) == slices


def test_slices_are_scaled_to_0_to_1_and_padded_with_0(make_segmenter: Make) -> None:
    segmenter, encoder, _ = make_segmenter()
    segmenter.set_image(Image.from_array(picture((100, 200), 20, 20, 60, 60)))
    segmenter.predict([Box((20, 20), (60, 60))])
    image = encoder.images[0][0]
    assert image[:, :128].min() == 0
    assert image[:, :128].max() == 1
    assert not image[:, 128:].any()


def test_colours_reach_the_network(make_segmenter: Make) -> None:
    segmenter, encoder, _ = make_segmenter()
    array = np.zeros((64, 64, 3), np.uint8)
    array[..., 1] = 200
    segmenter.set_image(Image.from_array(array))
    segmenter.predict([Box((20, 20), (60, 60))])
    assert encoder.images[0][0].mean(axis=(1, 2)).tolist() == [0, 1, 0]


def test_an_image_is_encoded_once_for_all_its_boxes(make_segmenter: Make) -> None:
    segmenter, encoder, decoder = make_segmenter()
    array = picture((128, 128), 10, 10, 40, 40)
    segmenter.set_image(Image.from_array(array))
    for step in range(4):
        segmenter.predict([Box((5 + step, 5), (50, 50))])
    assert (len(encoder.images), len(decoder.given)) == (1, 4)
    segmenter.set_image(Image.from_array(array))
    segmenter.predict([Box((5, 5), (50, 50))])
    assert len(encoder.images) == 2


def drifting(slices: int = 9, step: int = 3) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A square that moves along x from slice to slice, as a volume and as its truth."""
    volume = np.full((slices, 128, 160), 10, dtype=np.uint8)
    for z in range(slices):
        volume[z, 40:70, 30 + step * z : 60 + step * z] = 240
    return volume, volume > 100


def test_an_object_is_followed_from_the_middle_to_both_ends(make_segmenter: Make) -> None:
    volume, truth = drifting()
    segmenter, encoder, decoder = make_segmenter()
    segmenter.set_image(Image.from_array(volume))
    # In x and y the box knows the middle slice only.
    prediction = segmenter.predict([Box((42, 40, 1), (72, 70, 8))])
    mask = painted(prediction, volume.shape)
    assert prediction.region.start[0] == 1
    assert prediction.region.stop[0] == 8
    assert not mask[[0, 8]].any()
    for z in range(1, 8):
        assert overlap(mask[z], truth[z]) > 0.85
    assert len(encoder.images) == len(decoder.given) == 7
    assert prediction.passes == 14


@pytest.mark.parametrize(
    ("name", "slices"),
    [
        ("lite-medsam", (1, 8)),
        ("rep-medsam", (1, 8)),
        ("medsam", (1, 8)),
        ("medficientsam-l1", (1, 7)),
        ("daft", (1, 7)),
        ("swin-lite-medsam", (2, 7)),
        ("mcp-medsam", (2, 7)),
    ],
)
def test_the_published_range_of_each_team_can_be_had(name: str, slices: tuple[int, int], make_segmenter: Make) -> None:
    volume, _ = drifting(step=0)
    box = Box((30, 40, 1), (60, 70, 8))
    for policy, expected in ((SlicePolicy("published"), slices), (SlicePolicy(), (1, 8))):
        segmenter, _, _ = make_segmenter(name, policy, prompter=lambda *_: {})
        segmenter.set_image(Image.from_array(volume))
        region = segmenter.predict([box]).region
        assert (region.start[0], region.stop[0]) == expected


def test_a_box_of_one_slice_is_answered_whatever_the_range(make_segmenter: Make) -> None:
    volume, truth = drifting(step=0)
    segmenter, encoder, _ = make_segmenter("daft", SlicePolicy("published"))
    segmenter.set_image(Image.from_array(volume))
    prediction = segmenter.predict([Box((30, 40, 4), (60, 70, 5))])
    assert (prediction.region.start[0], prediction.region.stop[0]) == (4, 5)
    assert overlap(painted(prediction, volume.shape), truth & (np.arange(9) == 4)[:, None, None]) > 0.9
    assert len(encoder.images) == 1


@pytest.mark.parametrize(("name", "margin"), [("lite-medsam", 3), ("medficientsam-l1", 0)])
def test_the_next_box_is_the_mask_before_with_the_systems_margin(name: str, margin: int, make_segmenter: Make) -> None:
    volume = np.full((3, 256, 256), 10, dtype=np.uint8)
    volume[:, 100:140, 60:120] = 240
    segmenter, _, decoder = make_segmenter(name)
    segmenter.set_image(Image.from_array(volume))
    segmenter.predict([Box((50, 90, 0), (130, 150, 3))])
    system = SYSTEMS[name]
    scale, offset = system.side / 256, 0.0 if system.half_pixel else 0.5
    following = [60 - margin, 100 - margin, 119 + margin, 139 + margin]
    for index in (1, 2):
        assert decoder.boxes[index] == pytest.approx([v * scale - offset for v in following], abs=1.01 * scale)


def test_a_slice_after_an_empty_one_gets_the_box_that_was_given(make_segmenter: Make) -> None:
    volume = np.full((5, 256, 256), 10, dtype=np.uint8)
    volume[[2, 4], 100:140, 60:120] = 240
    segmenter, _, decoder = make_segmenter()
    segmenter.set_image(Image.from_array(volume))
    prediction = segmenter.predict([Box((50, 90, 0), (130, 150, 5))])
    mask = painted(prediction, volume.shape)
    # Middle, then up: 3 is empty, so that 4 gets the box itself.
    assert decoder.boxes[0] == decoder.boxes[2] == [50, 90, 129, 149]
    assert decoder.boxes[1] != decoder.boxes[0]
    assert [bool(m.any()) for m in mask] == [False, False, True, False, True]


def test_slices_are_encoded_once_for_all_boxes_and_again_where_memory_is_short(make_segmenter: Make) -> None:
    volume, _ = drifting()
    boxes = [Box((42, 40, 1), (72, 70, 8)), Box((40, 38, 0), (74, 72, 9))]
    masks = []
    for memory, encodings in ((2**30, 9), (0, 16)):
        segmenter, encoder, _ = make_segmenter("lite-medsam", SlicePolicy(memory=memory))
        segmenter.set_image(Image.from_array(volume))
        masks.append([painted(segmenter.predict([box]), volume.shape) for box in boxes])
        assert len(encoder.images) >= encodings
        assert memory == 0 or len(encoder.images) == encodings
    for kept, again in zip(*masks, strict=True):
        assert np.array_equal(kept, again)


def test_boxes_on_one_object_are_joined(make_segmenter: Make) -> None:
    array = picture((128, 128), 10, 10, 40, 40)
    array[60:90, 60:90] = 240
    first, second = Box((8, 8), (42, 42)), Box((58, 58), (92, 92))
    segmenter, _, decoder = make_segmenter()
    segmenter.set_image(Image.from_array(array))
    together = painted(segmenter.predict([first, second]), array.shape)
    assert together[20, 20]
    assert together[70, 70]
    assert len(decoder.given) == 2
    mask = painted(segmenter.predict([first]), array.shape)
    added = segmenter.predict([first, second], mask, 1)
    assert len(decoder.given) == 4
    assert not added.changed.contains((20, 20))
    assert added.changed.contains((70, 70))
    added.paste(mask)
    assert np.array_equal(mask, together)


def test_an_empty_answer_is_an_empty_region(make_segmenter: Make) -> None:
    segmenter, _, _ = make_segmenter()
    for shape in ((64, 64), (4, 64, 64)):
        segmenter.set_image(Image.from_array(np.zeros(shape, np.uint8)))
        flat = len(shape) == 2
        box = Box((8, 8), (32, 32)) if flat else Box((8, 8, 0), (32, 32, 4))
        prediction = segmenter.predict([box])
        assert prediction.region.is_empty
        assert prediction.changed.is_empty
        assert prediction.mask.size == 0


def test_other_prompts_than_boxes_are_rejected(make_segmenter: Make) -> None:
    segmenter, _, _ = make_segmenter()
    with pytest.raises(InputError, match="set_image before predict"):
        segmenter.predict([Box((8, 8), (32, 32))])
    segmenter.set_image(Image.from_array(np.zeros((64, 64), np.uint8)))
    with pytest.raises(PromptError, match="point prompt: expected one of box"):
        segmenter.predict([Point((3, 3))])
    with pytest.raises(PromptError, match="negative box"):
        segmenter.predict([Box((8, 8), (32, 32), positive=False)])
    with pytest.raises(PromptError, match="outside"):
        segmenter.predict([Box((80, 80), (90, 90))])


def test_volumes_are_sliced_along_the_first_axis_unless_another_is_far_coarser() -> None:
    def axis(spacing: tuple[float, float, float]) -> int:
        return slice_axis(Image(np.zeros((4, 5, 6), np.uint8), Geometry.create((4, 5, 6), spacing)))

    assert axis((1, 1, 5)) == 0
    assert axis((1, 1, 1)) == 0
    assert axis((1.0, 1.0, 0.7)) == 0
    assert axis((1, 4, 1)) == 1
    assert axis((4, 1, 1)) == 2


@pytest.mark.parametrize("axis", [1, 2])
def test_an_object_is_followed_across_another_axis(axis: int, make_segmenter: Make) -> None:
    volume, truth = drifting()
    turned, expected = np.moveaxis(volume, 0, axis), np.moveaxis(truth, 0, axis)
    spacing = [1.0, 1.0, 1.0]
    spacing[2 - axis] = 5.0
    segmenter, encoder, _ = make_segmenter()
    segmenter.set_image(Image(turned, Geometry.create(turned.shape, spacing)))
    low, high = np.array([1, 40, 42]), np.array([8, 70, 72])
    low, high = np.insert(low[1:], axis, low[0]), np.insert(high[1:], axis, high[0])
    prediction = segmenter.predict([Box(tuple(low[::-1]), tuple(high[::-1]))])
    mask = painted(prediction, turned.shape)
    inside = [slice(None)] * 3
    inside[axis] = slice(1, 8)
    assert overlap(mask[tuple(inside)], expected[tuple(inside)]) > 0.85
    assert len(encoder.images) == 7
    assert prediction.window[axis] == (1.0, 2.0)


def test_three_hundred_boxes_keep_their_numbers(make_segmenter: Make) -> None:
    array = np.full((400, 400), 10, dtype=np.uint8)
    boxes = []
    for number in range(300):
        row, column = divmod(number, 20)
        y, x = 26 * row + 4, 20 * column + 2
        array[y : y + 18, x : x + 14] = 240
        boxes.append(Box((x, y), (x + 14, y + 18)))
    case = ChallengeCase("2DBox_Microscopy_0001", Image.from_array(array, modality="Microscopy"), tuple(boxes))
    segmenter, encoder, _ = make_segmenter()
    segmenter.set_image(case.image)
    answer = answer_boxes(segmenter, case)
    assert answer.labels.dtype == np.uint16
    assert set(np.unique(answer.labels)) == set(range(301))
    assert answer.labels[4 + 26 * 14 + 9, 2 + 20 * 19 + 7] == 300
    assert len(encoder.images) == 1


@given(st.integers(1, 700), st.integers(1, 700), st.sampled_from(["pad", "stretch"]), st.integers(0, 2**31))
def test_the_part_that_is_drawn_is_the_part_of_the_whole(height: int, width: int, framing: Any, seed: int) -> None:
    system = System("any", side=256, framing=framing)
    frame = Frame.of((height, width), system.side, framing)
    assert max(frame.inner) == 256
    logits = np.full((256, 256), -1.0, dtype=np.float32)
    rng = np.random.default_rng(seed)
    y, x = rng.integers(0, 250, 2)
    logits[y : y + 6, x : x + 6] = rng.normal(size=(6, 6))
    mask, region = frame.expand(logits)
    assert region.clip((height, width)) == region
    from bedside.engines.sam.framing import back_matrix

    whole = back_matrix(height, frame.inner[0], 256) @ logits @ back_matrix(width, frame.inner[1], 256).T
    expected = whole > 1e-5
    drawn = np.zeros((height, width), dtype=bool)
    drawn[region.slices] = mask
    assert not (expected & ~drawn).any()
    assert not (drawn & (whole < -1e-5)).any()


def test_wrong_policies_are_rejected() -> None:
    with pytest.raises(InputError, match="one of inclusive, published, got 'all'"):
        SlicePolicy("all")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="0 bytes"):
        SlicePolicy(memory=-1)


def test_the_clicks_protocol_keeps_the_answer_of_a_model_that_takes_none(make_segmenter: Make) -> None:
    from bedside.core.region import mask_region
    from bedside.evaluate.cases import TargetObject
    from bedside.evaluate.clicks_protocol import ClicksProtocol
    from bedside.evaluate.metrics import Sampling

    array = picture((128, 128), 10, 10, 40, 40)
    # Half of the object is dark, so that the answer is wrong and asks for a click.
    array[25:40, 10:40] = 10
    truth = picture((128, 128), 10, 10, 40, 40) > 100
    image = Image.from_array(array)
    segmenter, _, decoder = make_segmenter()
    segmenter.set_image(image)
    region = mask_region(truth)
    target = TargetObject("1", 1, region, truth[region.slices].astype(np.uint8))
    buffer = np.zeros(truth.shape, np.uint8)
    rounds, _ = ClicksProtocol(clicks=3).run(segmenter, target, buffer, Sampling.of(image.geometry, 2.0), "key")
    assert [r.clicks for r in rounds] == [0, 1, 2, 3]
    assert len({r.scores["dsc"] for r in rounds}) == 1
    assert 0.5 < rounds[0].scores["dsc"] < 0.8
    assert len(decoder.given) == 1


def test_a_box_in_the_outer_half_of_the_last_slice_is_answered_there(make_segmenter: Make) -> None:
    volume, _ = drifting(step=0)
    segmenter, encoder, _ = make_segmenter()
    segmenter.set_image(Image.from_array(volume))
    prediction = segmenter.predict([Box((30, 40, 8.8), (60, 70, 10))])
    assert (prediction.region.start[0], prediction.region.stop[0]) == (8, 9)
    assert len(encoder.images) == 1
