"""The second image of an open one: kept beside it while it is in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bedside.core.image import Image
from bedside.core.placed import PlacedPrompt
from bedside.core.region import Region
from bedside.imaging.linked import LinkedImage, link_images
from bedside.serve.errors import NotFoundError
from bedside.serve.facts import Facts, facts_of
from bedside.serve.messages import Change
from bedside.serve.second_messages import SecondInfo
from bedside.session.session import Session


@dataclass(frozen=True, eq=False)
class SecondImage:
    """A second image with what the page shows of it.

    Attributes:
        linked: The image and its place on the first one's grid.
        facts: What is known of its samples.
        name: What to call it.
        path: Where it was read from; empty where a browser sent it.
    """

    linked: LinkedImage
    facts: Facts
    name: str
    path: str


def second_of(image: Image, second: Image, name: str, path: str, register: bool) -> SecondImage:
    """Return a second image, placed on the first one's grid; see ``link_images``."""
    return SecondImage(link_images(image, second, register=register), facts_of(second), name, path)


def second_info(second: SecondImage) -> SecondInfo:
    """Return a second image as the page takes it."""
    linked, facts = second.linked, second.facts
    grid, motion = linked.geometry, linked.motion
    return SecondInfo(
        name=second.name,
        path=second.path,
        shape=list(grid.shape),
        spacing=list(grid.spacing),
        origin=list(grid.origin),
        direction=[list(row) for row in grid.direction],
        modality=facts.modality,
        stored_dtype=facts.stored,
        range=[facts.low, facts.high],
        percentiles=facts.percentiles,
        window=facts.window,
        presets=facts.presets,
        shift=None if motion is None else motion.shift_mm,
        turn=None if motion is None else motion.angle_degrees,
        overlap=linked.overlap,
        notes=[*linked.image.metadata.get("notes", ()), *linked.notes],
    )


class Linking:
    """Linking a second image; a part of ``OpenImage``."""

    id: int
    image: Image
    _session: Session
    _second: SecondImage | None = None

    def _prompt(
        self, number: int | None, add: Callable[[int], Region | None], together: int = 0, queue: float = 0.0
    ) -> Change:
        raise NotImplementedError

    @property
    def has_second(self) -> bool:
        """Whether a second image is linked."""
        return self._second is not None

    @property
    def second(self) -> SecondImage:
        """The second image; may be read by any thread.

        Raises:
            NotFoundError: None is linked.
        """
        second = self._second
        if second is None:
            fix = "link one: it is kept while the image is in memory"
            raise NotFoundError(f"image {self.id} has no second image", fix=fix)
        return second

    def link(self, second: SecondImage) -> SecondInfo:
        """Take a second image in place of any before."""
        self._session.link(second.linked)
        self._second = second
        return second_info(second)

    def unlink(self) -> None:
        """Let go of the second image; what was segmented on it stays."""
        self._session.unlink()
        self._second = None

    def prompt_on_second(self, number: int | None, prompt: PlacedPrompt) -> Change:
        """Answer a prompt on the second image; the mask lies on the grid of the first."""
        _ = self.second  # Without one nothing is begun.
        return self._prompt(number, lambda target: self._session.add_on_second(prompt, object_id=target))
