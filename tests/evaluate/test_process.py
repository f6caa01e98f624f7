from __future__ import annotations

import os
import sys

import pytest

from bedside.evaluate.process import run_process


def test_what_a_process_says_and_how_it_ends() -> None:
    program = "import sys; print('out'); print('first\\nlast', file=sys.stderr); sys.exit(3)"
    done = run_process([sys.executable, "-c", program])
    assert (done.status, done.output, done.problem) == (3, "out\n", "last")
    assert done.seconds > 0
    assert run_process([sys.executable, "-c", "pass"]).problem == "no answer"


def test_its_environment_is_the_one_that_is_given() -> None:
    done = run_process([sys.executable, "-c", "import os; print(os.environ['WORD'])"], {**os.environ, "WORD": "here"})
    assert done.output == "here\n"


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="the system does not tell a process's memory")
def test_its_memory_is_counted() -> None:
    # More than any test process holds by itself, so that what a process begins with does not count.
    small = run_process([sys.executable, "-c", "pass"]).megabytes
    large = run_process([sys.executable, "-c", f"b = bytearray({2**20} * {int(small) + 200}); b[:] = b'1' * len(b)"])
    assert large.megabytes > small + 150
