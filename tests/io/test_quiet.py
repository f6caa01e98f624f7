"""Silence that ends."""

from __future__ import annotations

import logging
import os
import threading
import warnings

import pytest

from bedside.io.quiet import quiet, reason, silent_stderr


def test_descriptor_two_is_silent_inside_and_speaks_after(capfd: pytest.CaptureFixture[str]) -> None:
    with silent_stderr(), silent_stderr():
        os.write(2, b"inside")
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


def test_concurrent_silences_end_together(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        for _ in range(50):
            with silent_stderr():
                os.write(2, b"x")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


def test_warnings_and_logs_are_held_back_and_restored() -> None:
    level = logging.getLogger("pydicom").level
    with quiet():
        warnings.warn("not shown", stacklevel=1)
        assert logging.getLogger("pydicom").level == logging.CRITICAL
    assert logging.getLogger("pydicom").level == level
    with pytest.warns(UserWarning, match="shown"):
        warnings.warn("shown", stacklevel=1)


def test_reason_is_the_last_line_without_places() -> None:
    error = RuntimeError("Exception thrown in X:\n/a/b.cxx:9:\nsitk::ERROR: The file does not exist.\n")
    assert reason(error) == "The file does not exist."
    assert reason(KeyError()) == "KeyError"
    assert len(reason(ValueError("x" * 1000))) == 160
