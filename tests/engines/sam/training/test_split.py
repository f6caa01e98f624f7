from __future__ import annotations

from bedside.data.store import Store
from bedside.engines.sam.training.split import split_store


def names(store: Store) -> set[str]:
    return {item.info.name for item in store.items}


def test_sets_are_held_out_as_a_whole_and_of_the_others_a_share_of_cases(store: Store) -> None:
    kept, held = split_store(store, ("held",), 0.4, 1)
    assert names(kept) | names(held) == names(store)
    assert not names(kept) & names(held)
    assert {f"held/{n}" for n in range(3)} <= names(held)
    # Two fifths of three cases, rounded down.
    assert len(names(held)) == 3 + 1 + 1
    assert names(split_store(store, ("held",), 0.4, 1)[1]) == names(held)
    assert len({frozenset(names(split_store(store, (), 0.4, seed)[1])) for seed in range(8)}) > 1
    assert names(split_store(store, (), 0.0, 1)[0]) == names(store)
    assert len(store.items) == 9
