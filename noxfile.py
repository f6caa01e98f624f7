"""The tests on every Python that Bedside supports: ``nox``, or ``nox -s tests-3.12 -- tests/core``.

An interpreter that is not installed is skipped by name.
"""

from __future__ import annotations

import nox

nox.options.error_on_missing_interpreters = False
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the fast tests of all rooms but the page's, which need a browser and do not depend on Python."""
    session.install("-r", "requirements/torch.txt")
    session.install("-c", "requirements/torch.txt", "-e", ".[dev]")
    session.run("python", "-m", "pytest", "-m", "not slow", "--ignore", "tests/web", *session.posargs)
