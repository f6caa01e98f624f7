"""Errors: one line that says what was expected, what came and what to do."""

from __future__ import annotations

import pytest

from bedside.core import errors
from bedside.core.errors import BedsideError, DependencyError, InputError

ALL = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, BedsideError)]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({}, "spacing"),
        ({"expected": "3 numbers"}, "spacing: expected 3 numbers"),
        ({"got": (1, 2)}, "spacing: got (1, 2)"),
        ({"expected": "3 numbers", "got": 2}, "spacing: expected 3 numbers, got 2"),
        ({"expected": 0, "got": 0}, "spacing: expected 0, got 0"),
        ({"fix": "give x, y, z"}, "spacing; give x, y, z"),
        ({"expected": 3, "got": 2, "fix": "give x, y, z"}, "spacing: expected 3, got 2; give x, y, z"),
    ],
)
def test_message_is_built_from_what_is_known(parts: dict[str, object], message: str) -> None:
    assert str(InputError("spacing", **parts)) == message  # type: ignore[arg-type]


@pytest.mark.parametrize("error", ALL)
def test_every_error_is_one_line_and_one_of_ours(error: type[BedsideError]) -> None:
    raised = error("a\nb", expected="c\r\nd", got="\te", fix="f\n\n g")
    assert str(raised) == "a b: expected c d, got e; f g"
    assert isinstance(raised, BedsideError)


def test_errors_can_be_caught_as_the_builtin_they_stand_for() -> None:
    with pytest.raises(ValueError, match="spacing"):
        raise InputError("spacing")
    with pytest.raises(ImportError, match="torch"):
        raise DependencyError("torch")
