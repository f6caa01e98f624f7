"""The channels of nnInteractive, figure by figure."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside.core.errors import PromptError
from bedside.core.prompts import Box, InitialMask, Lasso, Point, Scribble
from bedside.core.region import Region
from bedside.engines.nninteractive.channels import HIGHEST, InteractionChannels, box_region, click_ball
from bedside.engines.nninteractive.settings import InteractionSettings

SHAPE = (20, 24, 28)
LINE = (0.243, 0.343, 0.542, 0.767, 1.0, 0.767, 0.542, 0.343, 0.243)
HALF = 1e-3
"""Half precision, in which the channels are kept."""


def fresh(settings: InteractionSettings | None = None, shape: tuple[int, ...] = SHAPE) -> InteractionChannels:
    return InteractionChannels(Region.whole(shape), settings)


class TestClick:
    def test_the_ball_has_its_published_values(self) -> None:
        ball = click_ball(4)
        assert ball.shape == (9, 9, 9)
        assert np.count_nonzero(ball) == 257
        assert float(ball.sum()) == pytest.approx(90.5, abs=0.05)
        for line in (ball[4, 4], ball[4, :, 4], ball[:, 4, 4]):
            np.testing.assert_allclose(line, LINE, atol=5e-4)

    def test_the_ball_cannot_be_changed(self) -> None:
        with pytest.raises(ValueError, match="read-only"):
            click_ball(4)[0, 0, 0] = 1

    def test_a_click_goes_to_its_channel(self) -> None:
        for positive, channel in ((True, 3), (False, 4)):
            channels = fresh()
            channels.add_point((10, 11, 12), positive=positive)
            values = channels.values()
            assert values.dtype == np.float32
            assert values.shape == (7, *SHAPE)
            np.testing.assert_allclose(values[channel, 6:15, 7:16, 8:17], click_ball(4), atol=HALF)
            assert np.count_nonzero(values) == 257

    def test_clicks_join_by_maximum(self) -> None:
        settings = InteractionSettings(decay=1.0)
        one, other, both = fresh(settings), fresh(settings), fresh(settings)
        one.add_point((10, 11, 12))
        other.add_point((10, 11, 14))
        both.add_point((10, 11, 12))
        both.add_point((10, 11, 14))
        np.testing.assert_array_equal(both.values(), np.maximum(one.values(), other.values()))

    def test_a_click_at_the_corner_is_cut_off(self) -> None:
        channels = fresh()
        channels.add_point((0, 0, 0))
        np.testing.assert_allclose(channels.values()[3, :5, :5, :5], click_ball(4)[4:, 4:, 4:], atol=HALF)

    def test_positions_of_prompts_are_x_y_z(self) -> None:
        channels = fresh()
        channels.add(Point((12.4, 10.6, 10.0)))
        assert np.unravel_index(int(channels.values()[3].argmax()), SHAPE) == (10, 11, 12)


class TestFading:
    def test_version_2_lets_all_prompts_fade_by_each_new_one(self) -> None:
        channels = fresh()
        intensities = []
        channels.set_previous(np.ones(SHAPE, bool))
        for position in ((5, 5, 5), (5, 5, 15), (5, 15, 5)):
            channels.add_point(position)
            intensities.append(channels.intensity)
        np.testing.assert_allclose(intensities, (1.0204, 1.0412, 1.0625), atol=5e-5)
        channels.add_box(Region((10, 2, 2), (11, 6, 6)), positive=False)
        values = channels.values()
        found = [values[3, 5, 5, 5], values[3, 5, 5, 15], values[3, 5, 15, 5], values[2, 10, 3, 3]]
        np.testing.assert_allclose(found, [0.98**3, 0.98**2, 0.98, 1.0], atol=2 * HALF)
        # The previous mask does not age.
        assert (values[0] == 1).all()

    def test_version_1_lets_fade_only_the_pair_that_it_paints(self) -> None:
        channels = fresh(InteractionSettings.version_1())
        channels.add_point((5, 5, 5))
        channels.add_box(Region((10, 2, 2), (11, 6, 6)))
        channels.add_point((5, 15, 15), positive=False)
        channels.add_point((15, 15, 15))
        values = channels.values()
        assert values[3, 5, 5, 5] == pytest.approx(0.81, abs=HALF)
        assert values[4, 5, 15, 15] == pytest.approx(0.9, abs=HALF)
        assert values[3, 15, 15, 15] == 1
        assert values[1, 10, 3, 3] == 1

    @pytest.mark.parametrize("decay", [0.98, 0.5])
    def test_long_sessions_do_not_overflow(self, decay: float) -> None:
        channels = fresh(InteractionSettings(decay=decay), (12, 12, 12))
        for _ in range(650):
            channels.add_point((6, 6, 6))
            assert channels.intensity <= HIGHEST == 65504
        channels.add_point((6, 6, 1))
        values = channels.values()
        assert np.isfinite(values).all()
        assert values[3, 6, 6, 1] == pytest.approx(1, abs=HALF)
        assert values[3, 6, 6, 6] == pytest.approx(decay, abs=2 * HALF)

    def test_at_the_limit_the_intensity_falls_to_a_tenth_of_it(self) -> None:
        channels = fresh(InteractionSettings(decay=0.5), (12, 12, 12))
        for _ in range(15):
            channels.add_point((6, 6, 6))
        assert channels.intensity == 2**15
        channels.add_point((6, 6, 1))
        assert channels.intensity == pytest.approx(6550.4)
        assert channels.values()[3, 6, 6, 6] == pytest.approx(0.5, abs=HALF)

    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.tuples(st.sampled_from(["point", "box"]), st.booleans()), min_size=1, max_size=8))
    def test_the_age_of_a_prompt_is_the_number_of_prompts_after_it(self, kinds: list[tuple[str, bool]]) -> None:
        channels = fresh(shape=(12, 12, 12 * len(kinds)))
        for number, (kind, positive) in enumerate(kinds):
            centre = (6, 6, 12 * number + 6)
            if kind == "point":
                channels.add_point(centre, positive=positive)
            else:
                channels.add_box(Region((6, 4, centre[2] - 2), (7, 9, centre[2] + 2)), positive=positive)
        values = channels.values()
        for number, (kind, positive) in enumerate(kinds):
            channel = (3 if kind == "point" else 1) + (0 if positive else 1)
            expected = 0.98 ** (len(kinds) - 1 - number)
            assert values[channel, 6, 6, 12 * number + 6] == pytest.approx(expected, abs=2 * HALF)


class TestBox:
    def test_it_is_half_open(self) -> None:
        channels = fresh()
        channels.add_box(Region((4, 5, 6), (5, 9, 12)))
        values = channels.values()
        assert np.count_nonzero(values) == 4 * 6
        assert np.allclose(values[1, 4, 5:9, 6:12], 1, atol=HALF)

    def test_it_overwrites_what_is_there(self) -> None:
        settings = InteractionSettings(decay_of="pair", decay=0.5)
        channels = fresh(settings)
        channels._stamps[1] = 5.0
        channels.add_box(Region((4, 5, 6), (5, 9, 12)))
        values = channels.values()
        assert (values[1, 4, 5:9, 6:12] == 1).all()
        assert values[1, 4, 4, 6] == 2.5

    def test_a_lasso_joins_by_maximum_instead(self) -> None:
        settings = InteractionSettings(decay_of="pair", decay=0.5)
        channels = fresh(settings)
        channels._stamps[1] = 5.0
        channels.add_mask("lasso", np.ones(SHAPE, bool))
        assert (channels.values()[1] == 2.5).all()

    def test_it_is_clipped_to_the_image(self) -> None:
        channels = fresh()
        channels.add_box(Region((4, -5, 20), (5, 3, 90)), positive=False)
        assert np.count_nonzero(channels.values()[2]) == 3 * 8

    @pytest.mark.parametrize("box", [Region((4, 5, 6), (4, 9, 12)), Region((4, 5, 6), (6, 9, 12))])
    def test_empty_and_thick_boxes_are_rejected_and_change_nothing(self, box: Region) -> None:
        channels = fresh()
        with pytest.raises(PromptError, match="box"):
            channels.add_box(box)
        assert channels.intensity == 1
        assert not channels.values().any()

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_it_may_lie_on_any_plane(self, axis: int) -> None:
        start, stop = [4, 5, 6], [8, 9, 12]
        stop[axis] = start[axis] + 1
        channels = fresh()
        channels.add_box(Region(tuple(start), tuple(stop)))
        values = channels.values()
        expected = np.zeros_like(values)
        expected[1][tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = 1
        np.testing.assert_array_equal(values, expected)

    def test_a_network_trained_with_thick_boxes_takes_them(self) -> None:
        channels = fresh(InteractionSettings.from_metadata({"supported_interactions": {"bbox3d": True}}))
        channels.add_box(Region((4, 5, 6), (6, 9, 12)))
        assert np.count_nonzero(channels.values()[1]) == 2 * 4 * 6

    @pytest.mark.parametrize(
        ("box", "region"),
        [
            (Box((6, 5, 4), (12, 9, 5)), Region((4, 5, 6), (5, 9, 12))),
            (Box((5.6, 5.4, 4), (12.4, 8.6, 5)), Region((4, 5, 6), (5, 9, 12))),
            (Box((6, 5, 4.3), (12, 9, 4.4)), Region((4, 5, 6), (5, 9, 12))),
        ],
    )
    def test_boxes_of_prompts_keep_the_voxels_whose_centres_they_hold(self, box: Box, region: Region) -> None:
        assert box_region(box) == region
        channels = fresh()
        channels.add(box)
        assert np.count_nonzero(channels.values()[1]) == np.prod(region.shape)


class TestDrawings:
    def test_a_scribble_is_a_stroke_of_ones(self) -> None:
        channels = fresh()
        channels.add(Scribble(((5.0, 6.0, 7.0), (15.0, 6.0, 7.0)), positive=False))
        values = channels.values()
        assert np.allclose(values[6, 7, 6, 5:16], 1, atol=HALF)
        assert set(np.unique(values[6].round(2))) == {0.0, 1.0}
        assert not values[:6].any()

    def test_a_lasso_is_filled_and_shares_the_boxes_channels(self) -> None:
        channels = fresh()
        channels.add(Lasso(((5, 5, 7), (15, 5, 7), (15, 15, 7), (5, 15, 7))))
        values = channels.values()
        assert np.allclose(values[1, 7, 6:15, 6:15], 1, atol=HALF)
        assert not values[1, [6, 8]].any()
        assert not values[2:].any()

    def test_marks_are_placed_by_the_region_of_their_mask(self) -> None:
        channels = fresh()
        channels.add_mask("scribble", np.ones((2, 3, 4)), Region((19, 22, -2), (21, 25, 2)))
        found = np.argwhere(channels.values()[5])
        assert (found.min(axis=0).tolist(), found.max(axis=0).tolist()) == ([19, 22, 0], [19, 23, 1])

    @pytest.mark.parametrize("mask", [np.zeros(SHAPE), np.ones((2, 2, 2))])
    def test_an_empty_mask_or_one_of_another_shape_is_rejected(self, mask: np.ndarray) -> None:
        channels = fresh()
        with pytest.raises(PromptError, match="scribble"):
            channels.add_mask("scribble", mask)
        assert channels.intensity == 1

    def test_a_kind_that_the_network_does_not_know_is_rejected(self) -> None:
        channels = fresh(InteractionSettings.from_metadata({"supported_interactions": {"points": False}}))
        with pytest.raises(PromptError, match="'points'"):
            channels.add_point((5, 5, 5))


class TestMask:
    def test_a_mask_to_start_from_forgets_all_prompts(self) -> None:
        channels = fresh()
        channels.add_point((5, 5, 5))
        mask = np.zeros(SHAPE, bool)
        mask[3:6, 4:8, 5:9] = True
        channels.add(InitialMask(mask))
        values = channels.values()
        np.testing.assert_array_equal(values[0], mask)
        assert not values[1:].any()
        assert channels.intensity == 1

    def test_the_last_answer_keeps_them(self) -> None:
        channels = fresh()
        channels.add_point((5, 5, 5))
        channels.set_previous(np.full(SHAPE, 3))
        assert np.count_nonzero(channels.values()[3]) == 257
        assert (channels.values()[0] == 1).all()

    def test_a_mask_of_another_shape_is_rejected(self) -> None:
        with pytest.raises(PromptError, match="initial mask"):
            fresh().set_mask(np.ones((2, 2, 2)))

    def test_a_network_that_starts_from_no_mask_says_so(self) -> None:
        with pytest.raises(PromptError, match="initial mask"):
            fresh(InteractionSettings(takes_mask=False)).set_mask(np.ones(SHAPE))


@settings(max_examples=20, deadline=None)
@given(st.tuples(*[st.integers(-6, 8)] * 3), st.tuples(*[st.integers(4, 12)] * 3))
def test_a_block_holds_what_the_whole_image_holds_there(start: tuple[int, ...], sides: tuple[int, ...]) -> None:
    block = Region(start, tuple(a + b for a, b in zip(start, sides, strict=True)))
    around = Region((-6, -6, -6), tuple(n + 6 for n in SHAPE))
    whole, part = InteractionChannels(around), InteractionChannels(block)
    mask = np.zeros(SHAPE, bool)
    mask[2:9, 2:9, 2:9] = True
    for channels in (whole, part):
        for prompt in (
            InitialMask(mask),
            Point((9.0, 8.0, 7.0)),
            Box((3, 4, 5), (14, 12, 6), positive=False),
            Scribble(((2.0, 3.0, 7.0), (13.0, 9.0, 7.0)), positive=False),
            Lasso(((3, 3, 9), (12, 4, 9), (11, 13, 9))),
        ):
            channels.add(prompt)
    np.testing.assert_array_equal(part.values(), whole.values()[(slice(None), *block.shift((6, 6, 6)).slices)])
