"""What a checkpoint says of its prompts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bedside.core.errors import WeightsError
from bedside.engines.nninteractive.settings import InteractionSettings
from bedside.weights.models import model_card

PUBLIC = {"inference_class": "nnInteractiveInferenceSession", "point_radius": 4, "preferred_scribble_thickness": 2}


def test_the_public_file_has_no_decay_and_gets_that_of_version_2() -> None:
    # The published file has 121 bytes, and so has this one.
    assert len(json.dumps(PUBLIC, indent=4) + "\n") == 121
    settings = InteractionSettings.from_metadata(PUBLIC)
    assert settings == InteractionSettings()
    assert (settings.decay, settings.decay_of) == (0.98, "all")
    assert settings.scribble_thickness == (2.0, 2.0, 2.0)
    assert settings.point_radius == 4


def test_a_bare_text_means_the_old_decay() -> None:
    settings = InteractionSettings.from_metadata("nnInteractiveInferenceSession")
    assert (settings.decay, settings.decay_of, settings.point_radius) == (0.9, "all", 4)


def test_version_1_lets_prompts_fade_within_their_channels() -> None:
    assert (InteractionSettings.version_1().decay, InteractionSettings.version_1().decay_of) == (0.9, "pair")


def test_the_channels_are_those_of_the_network() -> None:
    settings = InteractionSettings()
    channels = model_card("nninteractive").channels
    assert len(channels) == settings.channels + 1 == 8
    # The image comes before the channels that prompts are counted in.
    named = {"previous": channels[1 + settings.previous]}
    named |= {kind: (channels[1 + a], channels[1 + b]) for kind, (a, b) in settings.pairs.items()}
    boxes = ("box or lasso, positive", "box or lasso, negative")
    assert named == {
        "previous": "previous mask",
        "bbox2d": boxes,
        "bbox3d": boxes,
        "lasso": boxes,
        "points": ("click, positive", "click, negative"),
        "scribble": ("scribble, positive", "scribble, negative"),
    }
    assert not settings.supported["bbox3d"]
    assert all(settings.supported[kind] for kind in ("bbox2d", "lasso", "points", "scribble"))


def test_a_file_that_says_everything() -> None:
    settings = InteractionSettings.from_metadata(
        {
            "supported_interactions": {"bbox3d": True, "lasso": False},
            "channel_mapping": {"prev_seg": 0, "points": [-6, -5], "bbox3d": [7, 8]},
            "interaction_channels": 8,
            "supports_initial_label": False,
            "supports_zero_shot_label_refinement": False,
            "point_radius": 3,
            "preferred_scribble_thickness": [3, 2, 1],
            "interaction_decay": 0.95,
            "pad_mode_image": "reflect",
        }
    )
    assert settings.channels == 9
    assert settings.pairs["points"] == (3, 4)
    assert settings.pairs["bbox3d"] == (7, 8)
    assert settings.pairs["bbox2d"] == (1, 2)
    assert settings.supported == {"scribble": True, "lasso": False, "points": True, "bbox2d": True, "bbox3d": True}
    assert (settings.takes_mask, settings.refines_mask, settings.padding) == (False, False, "reflect")
    assert (settings.point_radius, settings.scribble_thickness, settings.decay) == (3, (3.0, 2.0, 1.0), 0.95)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (3, "expected an object or a text"),
        ([], "expected an object or a text"),
        ("SomeOtherSession", "inference class: expected nnInteractiveInferenceSession, got 'SomeOtherSession'"),
        ({"inference_class": "Other"}, "inference class"),
        ({"point_radius": 0}, "point_radius"),
        ({"point_radius": 2.5}, "point_radius: expected a whole number"),
        ({"point_radius": True}, "point_radius"),
        ({"point_radius": 10**9}, "point_radius"),
        ({"preferred_scribble_thickness": [1, 2]}, "preferred_scribble_thickness"),
        ({"preferred_scribble_thickness": -1}, "preferred_scribble_thickness"),
        ({"interaction_decay": 0}, "interaction_decay"),
        ({"interaction_decay": 1.5}, "interaction_decay"),
        ({"interaction_decay": float("nan")}, "interaction_decay"),
        ({"interaction_decay": "0.9"}, "interaction_decay"),
        ({"channel_mapping": {"point": [1, 2]}}, "channel_mapping"),
        ({"channel_mapping": {"points": 1}}, "channels of 'points'"),
        ({"channel_mapping": {"points": [1, 9]}, "interaction_channels": 6}, "channels below 7"),
        ({"interaction_channels": 10**6}, "interaction_channels"),
        ({"supported_interactions": {"voice": True}}, "supported_interactions"),
        ({"supported_interactions": {"points": "yes"}}, "expected true or false"),
        ({"supports_initial_label": 1}, "supports_initial_label"),
    ],
)
def test_what_cannot_be_is_rejected_in_one_line(metadata: Any, message: str) -> None:
    with pytest.raises(WeightsError, match=message) as error:
        InteractionSettings.from_metadata(metadata)
    assert "\n" not in str(error.value)
