from __future__ import annotations

from collections.abc import Callable

import pytest

from research.__main__ import run
from tests.support.training import *  # noqa: F403


@pytest.fixture
def research_cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a command line of research in this process: status, output, errors."""

    def call(*arguments: object) -> tuple[int, str, str]:
        status = run([str(a) for a in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call
