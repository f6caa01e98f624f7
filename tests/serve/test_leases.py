from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.serve.leases import CapacityError, LeaseError, Leases


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def leases(clock: Clock) -> Leases[int]:
    count = itertools.count()
    return Leases(lambda: next(count), 2, idle=60.0, alive=10.0, clock=clock)


def test_each_client_holds_its_own_and_one_too_many_has_to_wait(leases: Leases[int]) -> None:
    first, second = leases.claim(), leases.claim()
    assert (first.holds, second.holds) == (0, 1)
    assert first.token != second.token
    with pytest.raises(CapacityError, match="at most 2 clients"):
        leases.claim()
    assert leases.release(first.token)
    assert not leases.release(first.token)
    assert leases.claim().holds == 2
    assert leases.get(second.token).holds == 1


def test_a_client_that_only_says_that_it_is_there_ends_when_idle(leases: Leases[int], clock: Clock) -> None:
    lease = leases.claim()
    for _ in range(6):
        clock.now += 10
        assert leases.get(lease.token, active=False) is lease
    assert leases.remaining(lease) == 0
    clock.now += 1
    with pytest.raises(LeaseError, match="connect again"):
        leases.get(lease.token, active=False)


def test_a_client_that_says_nothing_ends_and_looking_at_it_keeps_it_not(leases: Leases[int], clock: Clock) -> None:
    lease = leases.claim()
    clock.now += 6
    assert leases.peek(lease.token) is lease
    clock.now += 5
    with pytest.raises(LeaseError):
        leases.peek(lease.token)
    assert len(leases) == 0


def test_one_that_is_being_answered_does_not_end(leases: Leases[int], clock: Clock) -> None:
    lease = leases.claim()
    lease.busy += 1
    clock.now += 1000
    assert leases.get(lease.token) is lease
    lease.busy -= 1
    assert leases.remaining(lease) == 60
    clock.now += 11
    assert len(leases) == 0


@given(st.one_of(st.none(), st.text(max_size=40)))
def test_no_other_text_is_a_lease(token: str | None) -> None:
    leases = Leases(lambda: 0, 2, 60.0, 10.0)
    leases.claim()
    with pytest.raises(LeaseError):
        leases.get(token)
    assert not leases.release(token)
    assert len(leases) == 1
