from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bedside.core.cache import LruCache


def test_the_least_recently_used_is_dropped_first() -> None:
    cache: LruCache[str, int] = LruCache(2)
    assert cache.put("a", 1) == cache.put("b", 2) == []
    assert cache.get("a") == 1
    assert cache.put("c", 3) == [("b", 2)]
    assert (cache.get("b"), cache.get("a"), len(cache)) == (None, 1, 2)


def test_a_value_beyond_the_limit_is_not_kept_unless_it_is_to_be() -> None:
    strict: LruCache[str, bytes] = LruCache(10, len)
    assert strict.put("a", b"x" * 11) == [("a", b"x" * 11)]
    assert (len(strict), strict.size) == (0, 0)
    lenient: LruCache[str, bytes] = LruCache(10, len, keep_newest=True)
    lenient.put("a", b"x" * 11)
    assert lenient.put("b", b"y" * 30) == [("a", b"x" * 11)]
    assert (list(lenient), lenient.size) == (["b"], 30)


@given(st.lists(st.tuples(st.sampled_from("pgdc"), st.integers(0, 5), st.integers(1, 9)), max_size=60))
def test_sizes_add_up_and_never_pass_the_limit(calls: list[tuple[str, int, int]]) -> None:
    cache: LruCache[int, bytes] = LruCache(12, len)
    order: list[int] = []
    for what, key, size in calls:
        if what == "p":
            dropped = cache.put(key, bytes(size))
            order = [k for k in order if k != key] + [key]
            assert [k for k, _ in dropped] == order[: len(dropped)]
            order = order[len(dropped) :]
        elif what == "g":
            assert (cache.get(key) is not None) == (key in order)
            if key in order:
                order = [k for k in order if k != key] + [key]
        elif what == "d":
            cache.discard(key)
            order = [k for k in order if k != key]
        else:
            cache.clear()
            order = []
        assert list(cache) == order
        assert cache.size == sum(len(v) for k in order if (v := cache._entries[k]) is not None) <= 12
