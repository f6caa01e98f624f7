"""Ending a session's answers from outside, in one line and without a trace."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from bedside.core.errors import BedsideError, StoppedError, TimeLimitError
from bedside.core.prompts import InitialMask, Point
from bedside.core.stopping import Stop, check_stop, not_counted, stoppable, take_change, unstoppable
from bedside.session import Session


@pytest.fixture
def session(squares: Any, grower: Any) -> Session:
    return Session(squares, segmenter=grower)


def in_passes(session: Session, then: Any) -> list[int]:
    """Have the segmenter take three passes for each answer; ``then`` happens in each."""
    segmenter: Any = session.segmenter
    predict, passes = segmenter.predict, [0]

    def slowly(*arguments: Any, **options: Any) -> Any:
        for _ in range(3):
            check_stop()
            passes[0] += 1
            then(passes[0])
        return predict(*arguments, **options)

    segmenter.predict = slowly
    return passes


def test_cancel_ends_the_answer_under_way_and_nothing_else(session: Session) -> None:
    assert not session.cancel()
    session.add(Point((12, 8)))
    before, events = session.mask, session.journal
    passes = in_passes(session, lambda number: session.cancel() if number == 2 else None)
    for call in (
        lambda: session.add(Point((30, 20))),
        session.replay,
    ):
        passes[0] = 0
        with pytest.raises(StoppedError, match="nothing has changed"):
            call()
        assert passes[0] == 2
        assert session.journal == events
        assert np.array_equal(session.mask, before)
    assert not session.cancel()
    session.add(Point((30, 20)))
    assert len(session.current.prompts) == 2  # type: ignore[union-attr]


def test_from_another_thread(session: Session) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def hold(number: int) -> None:
        if number == 1:
            begun.set()
            assert go_on.wait(20)

    in_passes(session, hold)

    def stop() -> None:
        assert begun.wait(20)
        assert session.cancel()
        go_on.set()

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(StoppedError):
        session.add(Point((12, 8)))
    thread.join()
    assert session.objects == ()


def test_a_limit_of_time(session: Session) -> None:
    session.time_limit = 0.0
    in_passes(session, lambda _: threading.Event().wait(0.001))
    with pytest.raises(TimeLimitError, match="within 0 s") as raised:
        session.add(Point((12, 8)))
    assert isinstance(raised.value, BedsideError)
    session.time_limit = None
    assert session.add(Point((12, 8)))


def test_a_replay_begins_at_the_last_mask_that_was_given(session: Session) -> None:
    mask = np.zeros(session.image.shape, np.uint8)
    mask[2:5, 3:9] = 1
    for prompt in (Point((12, 8)), Point((13, 8)), InitialMask(mask), Point((14, 8))):
        session.add(prompt)
    calls = session.segmenter.calls  # type: ignore[attr-defined]
    calls.clear()
    session.remove_prompt(1)
    assert len(calls) == 1
    expected = session.mask
    calls.clear()
    session.replay()
    assert len(calls) == 1
    assert np.array_equal(session.mask, expected)


def test_stops_within_stops() -> None:
    outer, inner = Stop(), Stop(10, clock=lambda: now[0])
    now = [0.0]
    with stoppable(outer):
        with stoppable(inner):
            check_stop()
            now[0] = 11.0
            with pytest.raises(TimeLimitError):
                check_stop()
            with unstoppable():
                check_stop()
        check_stop()
        outer.ask()
        with pytest.raises(StoppedError), stoppable(Stop()):
            raise AssertionError("never begun")
    check_stop()


def test_waiting_for_others_counts_against_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("bedside.core.stopping.time.monotonic", lambda: now[0])
    with stoppable(Stop(5, clock=lambda: now[0])):
        with not_counted():
            now[0] = 100.0
        check_stop()
        now[0] = 104.0
        check_stop()
        now[0] = 106.0
        with pytest.raises(TimeLimitError):
            check_stop()


def test_the_errors_are_among_bedsides_own() -> None:
    assert issubclass(TimeLimitError, StoppedError)
    assert issubclass(StoppedError, BedsideError)


def in_one_pass(session: Session, then: Any) -> None:
    """Have ``then`` happen in the only pass of each answer, which looks at nothing afterwards."""
    segmenter: Any = session.segmenter
    predict = segmenter.predict

    def once(*arguments: Any, **options: Any) -> Any:
        then()
        return predict(*arguments, **options)

    segmenter.predict = once


CALLS = {
    "add": lambda session: session.add(Point((30, 20))),
    "add to another": lambda session: session.add(Point((30, 20)), object_id=2),
    "remove": lambda session: session.remove_prompt(1),
    "replay": lambda session: session.replay(),
    "find like": lambda session: session.find_like([1]),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_answer_of_one_pass_ends_for_whoever_was_told_so(session: Session, name: str) -> None:
    for place in ((12, 8), (13, 9)):
        session.add(Point(place))
    session.add_object()
    before, events, told = session.masks, session.journal, []
    in_one_pass(session, lambda: told.append(session.cancel()))
    with pytest.raises(StoppedError, match="nothing has changed"):
        CALLS[name](session)
    assert set(told) == {True}
    assert session.journal == events
    assert all(np.array_equal(session.mask_of(number), mask) for number, mask in before.items())


def test_a_change_that_was_taken_is_not_ended() -> None:
    early, late, ended = Stop(), Stop(), Stop()
    with stoppable(early, late):
        take_change()
        assert not early.ask()
        check_stop()
    assert not late.ask()
    with stoppable(ended, early):
        assert ended.ask()
        with pytest.raises(StoppedError):
            take_change()
    assert not ended.close()
    assert early.close()


def test_every_answer_is_ended_or_taken_and_never_both() -> None:
    for _ in range(200):
        stop, both = Stop(), threading.Barrier(2)
        told: list[bool] = []

        def ask(stop: Stop = stop, both: threading.Barrier = both, told: list[bool] = told) -> None:
            both.wait(20)
            told.append(stop.ask())

        asking = threading.Thread(target=ask)
        asking.start()
        taken = True
        try:
            with stoppable(stop):
                both.wait(20)
                take_change()
        except StoppedError:
            taken = False
        asking.join()
        assert told == [not taken]


def test_how_far_a_removal_is_can_be_seen(session: Session) -> None:
    for place in range(5):
        session.add(Point((12.0, 6.0 + place)))
    seen: list[tuple[int, int] | None] = []
    in_passes(session, lambda number: seen.append(session.progress) if number % 3 == 0 else None)
    assert session.progress is None
    session.add(Point((12, 12)))
    # One prediction is no progress to speak of.
    assert seen == [None]
    seen.clear()
    first = session.current.prompts[0].id  # type: ignore[union-attr]
    session.remove_prompt(first)
    assert seen == [(n, 5) for n in range(5)]
    assert session.progress is None
    seen.clear()
    session.undo()
    assert seen == []  # All of it is remembered.
    passes = in_passes(session, lambda _: session.cancel())
    with pytest.raises(StoppedError):
        session.remove_prompt(session.current.prompts[1].id)  # type: ignore[union-attr]
    assert passes == [1]
    assert len(session.current.prompts) == 6  # type: ignore[union-attr]
