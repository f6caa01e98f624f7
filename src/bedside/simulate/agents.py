"""Users with habits: which kind of prompt comes next, from the first one to the last correction.

The three habits with which nnInteractive was trained (arXiv 2503.08373).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.simulate.placing import Drawn
from bedside.simulate.users import KINDS, Kind, correction, first_prompt

SWITCH = 0.3
"""How often the user with sunk costs takes up another kind of prompt."""


class Habit(Protocol):
    """Chooses kinds of prompts, one after the other, for one object."""

    def next_kind(self, generator: np.random.Generator) -> Kind:
        """The kind of the next prompt."""


class RandomHabit:
    """Any of the kinds at each step.

    Args:
        kinds: What the user may draw.
    """

    def __init__(self, kinds: Sequence[Kind] = KINDS) -> None:
        self.kinds = _checked(kinds)

    def next_kind(self, generator: np.random.Generator) -> Kind:
        """One of the kinds, each as likely as the others."""
        return self.kinds[int(generator.integers(len(self.kinds)))]


class SunkCostHabit:
    """Stays with a kind and takes up another one now and then.

    Args:
        kinds: What the user may draw.
        switch: Probability of another kind at each step after the first.
    """

    def __init__(self, kinds: Sequence[Kind] = KINDS, switch: float = SWITCH) -> None:
        if not 0 <= switch <= 1:
            raise InputError("switch", expected="a probability", got=switch)
        self.kinds = _checked(kinds)
        self.switch = switch
        self._current: Kind | None = None

    def next_kind(self, generator: np.random.Generator) -> Kind:
        """The kind before, or with the probability ``switch`` one of the others."""
        if self._current is None:
            self._current = self.kinds[int(generator.integers(len(self.kinds)))]
        elif len(self.kinds) > 1 and generator.random() < self.switch:
            others = [kind for kind in self.kinds if kind != self._current]
            self._current = others[int(generator.integers(len(others)))]
        return self._current


class SingleKindHabit(SunkCostHabit):
    """Draws the same kind from the first prompt to the last.

    Args:
        kinds: What the user may draw, of which one is taken.
    """

    def __init__(self, kinds: Sequence[Kind] = KINDS) -> None:
        super().__init__(kinds, switch=0.0)


HABITS: dict[str, type[RandomHabit] | type[SunkCostHabit]] = {
    "random": RandomHabit,
    "sunk-cost": SunkCostHabit,
    "single": SingleKindHabit,
}


class Agent:
    """A simulated user of one object: asked for a prompt, looks at the answer, and is asked again.

    Args:
        habit: Which kind comes next; made anew for every object.
        generator: Source of all randomness.
        starts: Kinds that may come first, for models that cannot begin with others; all where left out.
    """

    def __init__(self, habit: Habit, generator: np.random.Generator, starts: Sequence[Kind] | None = None) -> None:
        self._habit = habit
        self._generator = generator
        self._starts = None if starts is None else _checked(starts)

    def next_prompt(self, truth: NDArray[Any], prediction: NDArray[Any] | None = None) -> Drawn | None:
        """The next prompt, None where nothing is wrong.

        Args:
            truth: The object, (z, y, x) or (y, x), at least one voxel set.
            prediction: The answer so far, of the same shape; None before the first prompt.

        Returns:
            A prompt in the frame ``index``: on the object at first, then on a part of the error.
        """
        kind = self._habit.next_kind(self._generator)
        if prediction is not None:
            return correction(kind, truth, prediction, self._generator)
        if self._starts is not None and kind not in self._starts:
            kind = self._starts[int(self._generator.integers(len(self._starts)))]
        return first_prompt(kind, truth, self._generator)


def make_agent(name: str, generator: np.random.Generator, kinds: Sequence[Kind] = KINDS) -> Agent:
    """A user with the habit called ``name``; "any" draws one of the habits.

    Raises:
        InputError: No habit has that name, or there is no kind or an unknown one.
    """
    if name == "any":
        name = sorted(HABITS)[int(generator.integers(len(HABITS)))]
    if name not in HABITS:
        raise InputError("agent", expected=f"one of any, {', '.join(sorted(HABITS))}", got=f"'{name}'")
    return Agent(HABITS[name](kinds), generator)


def _checked(kinds: Sequence[Kind]) -> tuple[Kind, ...]:
    if not kinds or not set(kinds) <= set(KINDS):
        raise InputError("kinds of prompts", expected=f"some of {', '.join(KINDS)}", got=", ".join(kinds) or "none")
    return tuple(kinds)
