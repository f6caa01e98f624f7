"""The one loop of all protocols: a first prompt, corrections, and scores after each prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple, Protocol

from bedside.evaluate.results import RoundScore


class Timing(NamedTuple):
    """What a prediction took and says of itself.

    Attributes:
        seconds: Wall time; 0 where nothing was asked.
        quality: DSC that the segmenter estimated; None where it does not.
    """

    seconds: float
    quality: float | None = None


class Attempt(Protocol):
    """One target in the hands of one segmenter: an object, or a case with all of its classes.

    A protocol states by it who clicks where, what is asked at once, and how scores are taken.
    """

    def predict(self) -> Timing:
        """Ask for the prediction to the prompts given so far."""

    def score(self) -> Mapping[str, float]:
        """Compare the last prediction with the truth: the value of each metric."""

    def correct(self, number: int) -> bool:
        """Give the prompts of correction ``number``, counted from 1; False where nothing is left to correct."""


def run_rounds(attempt: Attempt, corrections: int) -> tuple[RoundScore, ...]:
    """Take an attempt through its rounds.

    Args:
        attempt: Its first prompt is given.
        corrections: How many may follow.

    Returns:
        ``corrections + 1`` rounds. Where nothing was left to correct, the last prediction keeps its scores, at no cost.
    """
    rounds: list[RoundScore] = []
    for number in range(corrections + 1):
        if number > 0 and not attempt.correct(number):
            break
        seconds, quality = attempt.predict()
        rounds.append(RoundScore(number, attempt.score(), seconds, quality))
    return (*rounds, *(replace(rounds[-1], clicks=n, seconds=0.0) for n in range(len(rounds), corrections + 1)))
