"""Imported weights of nnInteractive become a segmenter that answers, with the settings that came with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside.core.errors import InputError, WeightsError
from bedside.core.image import Image
from bedside.core.prompts import Box, Point
from bedside.engines import load_segmenter
from bedside.engines.loaded import card_capabilities
from bedside.engines.nninteractive.load import read_grid, read_settings, settings_capabilities
from bedside.engines.nninteractive.settings import InteractionSettings
from bedside.engines.window.policy import WindowPolicy
from bedside.weights.card import WeightsCard
from bedside.weights.models import model_card
from bedside.weights.store import WeightsFiles

MakeFolder = Callable[..., Path]
SMALL: dict[str, Any] = {"widths": (4, 8, 8, 12, 12, 16), "depths": (1, 2, 1, 1, 1, 2)}


def card(**training: Any) -> WeightsCard:
    return WeightsCard("nninteractive", "1", "", "CC-BY-NC-SA-4.0", "random", training=training)


@pytest.fixture
def weights(nninteractive_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WeightsFiles:
    """Random weights whose plans name patches of 64 voxels a side, imported."""
    pytest.importorskip("onnx")
    from bedside.engines.nninteractive.convert import convert_nninteractive

    folder = nninteractive_folder()
    plans = json.loads((folder / "plans.json").read_text())
    plans["configurations"]["3d_fullres_ps192_bs24"]["patch_size"] = [64] * 3
    (folder / "plans.json").write_text(json.dumps(plans))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return convert_nninteractive(folder, tmp_path / "weights", **SMALL)


def test_it_answers_and_says_its_licence(weights: WeightsFiles) -> None:
    segmenter = load_segmenter("nninteractive", weights=weights, precision="fp32")
    assert segmenter.name == "nninteractive"
    assert segmenter.weights_sha256 == weights.card.sha256
    assert segmenter.notice is not None
    assert "CC BY-NC-SA 4.0" in segmenter.notice
    assert segmenter.capabilities.dimensions == (3,)
    assert segmenter.capabilities.flat_boxes
    segmenter.set_image(Image.from_array(np.random.default_rng(0).integers(1, 900, (30, 70, 66)).astype(np.int16)))
    for prompt in (Point((30.0, 30.0, 15.0)), Box((20.0, 20.0, 15.0), (40.0, 40.0, 16.0))):
        prediction = segmenter.predict([prompt])
        assert prediction.passes >= 1
        assert prediction.logits.shape == (64,) * 3
        assert np.isfinite(prediction.logits).all()
        assert prediction.mask.shape == prediction.region.shape
    with pytest.raises(InputError, match="one of adaptive-crop, autozoom, got 'evidence'"):
        load_segmenter("nninteractive", weights=weights, window="evidence")
    with pytest.raises(InputError, match="strategy's name, got WindowPolicy"):
        load_segmenter("nninteractive", weights=weights, policy=WindowPolicy())
    once = load_segmenter("nninteractive", weights=weights, window="adaptive-crop", precision="fp32")
    once.set_image(Image.from_array(np.random.default_rng(0).integers(1, 900, (30, 70, 66)).astype(np.int16)))
    assert once.predict([Point((30.0, 30.0, 15.0))]).passes == 1


def test_settings_are_those_of_the_checkpoint() -> None:
    assert read_settings(card()) == InteractionSettings()
    assert read_settings(card(interactions={"point_radius": 3})).point_radius == 3
    assert read_settings(card(interactions="nnInteractiveInferenceSession")).decay == 0.9
    with pytest.raises(WeightsError, match="pad_mode_image: expected constant, got edge"):
        read_settings(card(interactions={"pad_mode_image": "edge"}))


def test_the_grid_is_that_of_the_plans() -> None:
    assert read_grid(card(), 192) == 192
    assert read_grid(card(patch=96), 192) == 96
    for wrong in (32, 100, "192", True, 64.0):
        with pytest.raises(WeightsError, match="patch: expected a multiple of 32"):
            read_grid(card(patch=wrong), 192)


def test_capabilities_are_what_was_trained() -> None:
    listed = card_capabilities(model_card("nninteractive"), (3,))
    assert not listed.flat_boxes
    public = settings_capabilities(listed, InteractionSettings())
    assert public.prompt_kinds == listed.prompt_kinds
    assert public.flat_boxes
    assert public.to_dict()["flat_boxes"] is True
    supported = {"bbox2d": False, "bbox3d": False, "points": True, "scribble": True, "lasso": False}
    few = settings_capabilities(listed, InteractionSettings(supported=supported, takes_mask=False))
    assert few.prompt_kinds == few.starts_from == few.negative_kinds == {"point", "scribble"}
    deep = settings_capabilities(listed, InteractionSettings(supported={**supported, "bbox3d": True}))
    assert "box" in deep.prompt_kinds
    assert not deep.flat_boxes
