"""Volumes get the model made for them, but not a slice that a file holds as a volume."""

from __future__ import annotations

import pytest

from bedside.weights import defaults
from bedside.weights.defaults import IMAGES, LEAST_SLICES, VOLUMES, default_model, volume_model


@pytest.mark.parametrize(
    ("shape", "model"),
    [
        ((300, 400), IMAGES),
        ((1, 300, 400), IMAGES),
        ((300, 400, LEAST_SLICES - 1), IMAGES),
        ((LEAST_SLICES, 300, 400), VOLUMES),
        ((30, 40, 50), VOLUMES),
    ],
)
def test_the_shape_decides(shape: tuple[int, ...], model: str) -> None:
    assert default_model(shape) == model


def test_without_weights_for_volumes_they_are_answered_slice_by_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(defaults, "installed_weights", lambda name: None)
    assert volume_model() == IMAGES
    assert default_model((30, 40, 50)) == IMAGES
