"""Prompts on an image's grid: converted and checked once, where they come in, and known by their type from then on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from bedside.core.geometry import Geometry
from bedside.core.prompts import Prompt, left_out, place_prompt


@dataclass(frozen=True)
class PlacedPrompt:
    """A prompt on the grid of an image, made by ``of`` alone.

    Attributes:
        given: As it was given, in either frame.
        prompt: The same in the frame ``index`` of ``geometry``; it touches the image.
        geometry: The image's grid.
    """

    given: Prompt
    prompt: Prompt
    geometry: Geometry

    @classmethod
    def of(cls, prompt: Prompt | PlacedPrompt, geometry: Geometry) -> PlacedPrompt:
        """Place a prompt; one that was placed on this very grid is given back as it is.

        Raises:
            PromptError: It has another number of dimensions than the image, or lies wholly outside it.
        """
        if isinstance(prompt, PlacedPrompt):
            return prompt if prompt.geometry is geometry else cls.of(prompt.given, geometry)
        return cls(prompt, place_prompt(prompt, geometry), geometry)

    @property
    def left_out(self) -> str | None:
        """What is said of it where it reaches beyond the image and a part is left out, in the coordinates given."""
        return left_out(self.given, self.prompt, self.geometry)


class PlacedPrompts(tuple[Prompt, ...]):
    """Prompts in the frame ``index`` of one image, each checked against it: what a session hands to a segmenter.

    A part of them, as a slice gives it, is a plain tuple.

    Attributes:
        geometry: The image's grid.
    """

    geometry: Geometry

    def __new__(cls, prompts: Iterable[PlacedPrompt], geometry: Geometry) -> Self:
        """Put prompts together that were placed on ``geometry``."""
        found = super().__new__(cls, [p.prompt for p in prompts])
        found.geometry = geometry
        return found


def place_prompts(prompts: Sequence[Prompt], geometry: Geometry) -> Sequence[Prompt]:
    """Return the prompts in the frame ``index`` of ``geometry``, checked unless their type says that they were.

    Raises:
        PromptError: One has another number of dimensions than the image, or lies wholly outside it.
    """
    if isinstance(prompts, PlacedPrompts) and prompts.geometry is geometry:
        return prompts
    return [place_prompt(prompt, geometry) for prompt in prompts]
