from __future__ import annotations

import signal
import threading

import pytest

from bedside.train.interrupt import SIGNALS, Interrupt, deferred_interrupt


@pytest.mark.parametrize("first", SIGNALS)
@pytest.mark.parametrize("second", SIGNALS)
def test_the_first_is_noted_and_the_second_raised(first: signal.Signals, second: signal.Signals) -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with deferred_interrupt() as interrupt:
        assert not interrupt.requested
        signal.raise_signal(first)
        assert interrupt.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(second)
    assert [signal.getsignal(number) for number in SIGNALS] == before


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
