from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.core.errors import InputError
from bedside.data.schedule import plan_schedule
from bedside.data.store_manifest import Shard


def shards_of(name: str, number: int, unpacked: int = 100, cases: int = 5) -> list[Shard]:
    return [Shard(f"{name}-{n:05d}", name, "", "0" * 64, 10, unpacked, cases, cases, 0) for n in range(number)]


def test_what_fits_stays_open() -> None:
    (schedule,) = plan_schedule(shards_of("a", 3), 300, 4)
    assert schedule.period == 0
    assert [s.name for s in schedule.open_at(schedule.position(10**9), 0)] == ["a-00000", "a-00001", "a-00002"]


def test_a_buffer_is_shared_equally_and_small_sets_leave_their_rest() -> None:
    small, large = plan_schedule([*shards_of("b-small", 2), *shards_of("c-large", 50)], 1000, 4)
    assert (small.open, small.period) == (2, 0)
    # 800 are left, of which one shard is for the one that comes next.
    assert large.open == 7
    # 5 cases, each drawn 4 times while its shard is open, and every other sample is of the other set.
    assert large.period == 4 * 5 * 2


def test_a_buffer_that_is_too_small_is_rejected() -> None:
    with pytest.raises(InputError, match=r"stream_gb: expected at least 0\.3, two shards of each of 1 sets"):
        plan_schedule(shards_of("a", 3, unpacked=110_000_000), 2e8, 4)


def test_shards_without_a_case_are_never_open() -> None:
    shards = [*shards_of("a", 6), *shards_of("b", 1, cases=0, unpacked=0)]
    schedules = plan_schedule(shards, 400, 1)
    assert [s.name for s in schedules] == ["a"]


@given(
    count=st.integers(3, 30),
    buffer=st.integers(2, 20),
    reuse=st.floats(0.1, 9),
    seed=st.integers(0, 2**31),
    number=st.integers(0, 10**7),
)
def test_what_is_open_is_bounded_moves_by_one_and_depends_on_the_number_alone(
    count: int, buffer: int, reuse: float, seed: int, number: int
) -> None:
    (schedule,) = plan_schedule(shards_of("a", count), buffer * 100, reuse)
    position = schedule.position(number)
    now = schedule.open_at(position, seed)
    assert now == schedule.open_at(position, seed)
    assert len({s.name for s in now}) == len(now) <= min(count, buffer)
    if schedule.period:
        after = schedule.open_at(position + 1, seed)
        assert len({s.name for s in after} - {s.name for s in now}) <= 1
        assert len({s.name for s in [*now, *after]}) * 100 <= buffer * 100


@given(count=st.integers(3, 12), seed=st.integers(0, 2**31))
def test_each_time_round_every_shard_is_opened_once(count: int, seed: int) -> None:
    (schedule,) = plan_schedule(shards_of("a", count), 200, 1)
    assert schedule.open == 1
    opened = [schedule.open_at(position, seed)[0].name for position in range(3 * count)]
    for turn in range(3):
        assert set(opened[turn * count : (turn + 1) * count]) == {s.name for s in shards_of("a", count)}
    assert Counter(opened) == dict.fromkeys({s.name for s in shards_of("a", count)}, 3)


def test_seeds_and_turns_shuffle_anew() -> None:
    (schedule,) = plan_schedule(shards_of("a", 30), 200, 1)
    orders = [[schedule.open_at(turn * 30 + n, seed)[0].name for n in range(30)] for turn in (0, 1) for seed in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4
