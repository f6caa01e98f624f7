"""Training samples: a window around an object, its mask, and the prompts that start the interaction.

A sample is made in two steps. ``Sampler.draw`` draws windows and first prompts on the CPU, one after the other, in the
loader's workers: it reads the part of an image that a window shows, and its prompts are those of ``simulate``, as in
evaluation. ``Sampler.finish`` changes appearance and normalises, a whole batch at once, where the network is trained.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bedside.core.errors import InputError
from bedside.engines.window.encodings import DEFAULT, ENCODINGS, PromptEncoding
from bedside.engines.window.sampling.appearance import normalise
from bedside.engines.window.sampling.packed_table import Arrays, Table
from bedside.train.hashing import Draws
from bedside.train.sampling import MAXIMUM_TRIES, SamplingConfig

KEY_SALT, APPEARANCE_SALT = 2, 3
"""Of streams of random numbers."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """What is drawn of one sample, on the grid.

    Attributes:
        image: float32 (channels, *grid), any range.
        colour: bool (), whether the channels differ.
        previous: float32 (*grid), mask to start from, often zero.
        prompts: float32 (channels, *grid), as ``encodings.PromptEncoding.paint`` gives them.
        truth: uint8 (*grid), the object.
        inside: bool (*grid), False outside the image.
    """

    image: NDArray[np.float32]
    colour: np.bool_
    previous: NDArray[np.float32]
    prompts: NDArray[np.float32]
    truth: NDArray[np.uint8]
    inside: NDArray[np.bool_]


class Sampler(ABC):
    """Samples by number: ``index`` and the seed alone decide, whoever draws them and in whatever order.

    So a run resumes where it stopped, and any number of workers gives the same stream.

    Args:
        config: How samples are drawn.
        seed: Seed of everything random.
        encoding: How prompts become channels; None for the painted ones.
    """

    def __init__(self, config: SamplingConfig, seed: int, encoding: PromptEncoding | None = None) -> None:
        self._config = config
        self._seed = seed
        self._encoding = encoding or ENCODINGS.get(DEFAULT)

    def on_grid(self, grid: int) -> Self:
        """Return the same sampler for another grid."""
        other = copy.copy(self)
        other._config = replace(self._config, grid=grid)
        return other

    def draw(self, numbers: Sequence[int]) -> Arrays:
        """Return what ``finish`` makes samples of.

        Returns:
            The fields of ``Drawn``, stacked; key: int64 (batch,), for random numbers of cells; and how the appearance
            changes, see ``plane_appearance`` and ``volume_appearance``.

        Raises:
            InputError: No object of the store is large enough.
        """
        drawn = [self._draw_sample(number) for number in numbers]
        table: Arrays = {f.name: np.stack([getattr(d, f.name) for d in drawn]) for f in fields(Drawn)}
        places = np.asarray(numbers, dtype=np.int64)
        # Shifted, because keys are 0 or more.
        table["key"] = (Draws(self._seed, places, KEY_SALT).bits()[:, 0] >> np.uint64(1)).astype(np.int64)
        if self._config.augment:
            table |= self._draw_appearance(table["colour"], Draws(self._seed, places, APPEARANCE_SALT))
        return table

    @torch.no_grad()
    def finish(self, table: Table) -> dict[str, Tensor]:
        """Return the samples of a table of ``draw``, on the device that it is on; nothing is read back from there.

        Returns:
            image: float32 (batch, channels, *grid), normalised; previous, prompts, truth and inside as in ``Drawn``;
            key: int64 (batch,), for further random numbers.
        """
        image = self._change(table["image"], table) if self._config.augment else table["image"]
        kept = ("previous", "prompts", "truth", "inside", "key")
        return {"image": normalise(image, table["inside"]), **{name: table[name] for name in kept}}

    def make(self, numbers: Sequence[int], device: torch.device) -> dict[str, Tensor]:
        """Return the samples with ``numbers`` at once, see ``finish``."""
        return self.finish({name: torch.from_numpy(values).to(device) for name, values in self.draw(numbers).items()})

    def _draw_sample(self, number: int) -> Drawn:
        generator = np.random.default_rng((self._seed, number))
        for _ in range(MAXIMUM_TRIES):
            drawn = self._try(number, generator)
            if drawn is not None:
                return drawn
        raise InputError("training store", expected="objects large enough to sample", got=f"{MAXIMUM_TRIES} misses")

    @abstractmethod
    def _try(self, number: int, generator: np.random.Generator) -> Drawn | None:
        """Return what was drawn of sample ``number``, or None where it is of no use."""

    @abstractmethod
    def _draw_appearance(self, colour: NDArray[np.bool_], draws: Draws) -> Arrays:
        """Return how the appearance of samples changes; ``colour`` (batch,) says whose channels differ."""

    @abstractmethod
    def _change(self, image: Tensor, table: Table) -> Tensor:
        """Return windows (batch, channels, *grid) with their appearance changed."""
