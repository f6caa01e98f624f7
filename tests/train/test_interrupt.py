from __future__ import annotations

import signal
import threading

import pytest

from bedside.train.interrupt import Interrupt, deferred_interrupt


def test_the_first_is_noted_and_the_second_raised() -> None:
    before = signal.getsignal(signal.SIGINT)
    with deferred_interrupt() as interrupt:
        assert not interrupt.requested
        signal.raise_signal(signal.SIGINT)
        assert interrupt.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_leave_signals_alone() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen: list[Interrupt] = []

    def work() -> None:
        with deferred_interrupt() as interrupt:
            seen.append(interrupt)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [i.requested for i in seen] == [False]
    assert signal.getsignal(signal.SIGINT) is before
