"""What is said of an object."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bedside.session.objects import FAIR, GOOD, SessionObject

PAGE = Path(__file__).parents[2] / "web/src/panels/objects.ts"


@pytest.mark.parametrize(
    ("quality", "grade"),
    [
        (None, None),
        (0.0, "doubtful"),
        (0.64, "doubtful"),
        (FAIR, "check"),
        (0.84, "check"),
        (GOOD, "good"),
        (1.0, "good"),
    ],
)
def test_an_estimate_is_said_in_a_word(quality: float | None, grade: str | None) -> None:
    assert SessionObject(1, "liver", None, 1, (), False, False, 9, quality).grade == grade


def test_the_page_says_the_same_words() -> None:
    limits = dict(re.findall(r"const (GOOD|FAIR) = ([\d.]+);", PAGE.read_text()))
    assert (float(limits["GOOD"]), float(limits["FAIR"])) == (GOOD, FAIR)
