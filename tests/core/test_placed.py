"""Prompts placed once: the type says on which grid, and nothing is converted or checked again."""

from __future__ import annotations

from dataclasses import replace

import pytest

import bedside.core.placed
from bedside.core.errors import PromptError
from bedside.core.geometry import Geometry
from bedside.core.placed import PlacedPrompt, PlacedPrompts, place_prompts
from bedside.core.prompts import Box, Point

GRID = Geometry.create((20, 30), (0.5, 2.0), (10.0, -4.0))
WORLD = Point((12.0, 6.0), frame="world")


def test_a_prompt_is_converted_and_keeps_what_was_given() -> None:
    placed = PlacedPrompt.of(WORLD, GRID)
    assert placed.given is WORLD
    assert placed.prompt == Point((4.0, 5.0))
    assert placed.geometry is GRID


def test_what_misses_the_image_is_rejected() -> None:
    with pytest.raises(PromptError, match="outside the image on axis x"):
        PlacedPrompt.of(Point((30.0, 5.0)), GRID)
    with pytest.raises(PromptError, match="expected 2 coordinates"):
        PlacedPrompt.of(Point((3.0, 5.0, 1.0)), GRID)


def test_what_is_placed_stays_as_it_is_on_its_own_grid_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    placed = PlacedPrompt.of(WORLD, GRID)
    other = replace(GRID, origin=(9.0, -4.0))
    assert PlacedPrompt.of(placed, other).prompt == Point((6.0, 5.0))
    together = PlacedPrompts([placed, PlacedPrompt.of(Box((1, 2), (4, 5)), GRID)], GRID)
    assert together == (Point((4.0, 5.0)), Box((1, 2), (4, 5)))
    monkeypatch.setattr(bedside.core.placed, "place_prompt", None)
    assert PlacedPrompt.of(placed, GRID) is placed
    assert place_prompts(together, GRID) is together


def test_a_part_is_checked_again() -> None:
    placed = PlacedPrompt.of(Point((28.0, 5.0)), GRID)
    together = PlacedPrompts([placed, placed], GRID)
    small = Geometry.create((20, 25))
    for prompts in (together, together[1:]):
        with pytest.raises(PromptError, match="outside the image"):
            place_prompts(prompts, small)
    assert type(together[1:]) is tuple
    assert place_prompts(together[1:], GRID) == [Point((28.0, 5.0))]
