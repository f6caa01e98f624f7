"""Cases to train on and cases to follow a run by."""

from __future__ import annotations

import copy

import numpy as np

from bedside.data.store import Item, Store


def split_store(store: Store, held_out: tuple[str, ...], share: float, seed: int) -> tuple[Store, Store]:
    """The store without what is held out, and that alone; no array is copied.

    Args:
        store: What is to be divided.
        held_out: Datasets that are held out as a whole.
        share: Share of the cases of every other set, rounded down; a set of one case is never divided.
        seed: By which they are drawn, apart for every set.
    """
    names: dict[str, set[str]] = {}
    for item in store.items:
        names.setdefault(item.info.set_name, set()).add(_case(item))
    held: set[tuple[str, str]] = set()
    for set_name, cases in names.items():
        ordered = sorted(cases)
        generator = np.random.default_rng([seed, *set_name.encode()])
        chosen = generator.permutation(len(ordered))[: int(len(ordered) * share)]
        held |= {(set_name, ordered[int(n)]) for n in chosen}
    kept_store, held_store = copy.copy(store), copy.copy(store)
    kept_items: list[Item] = []
    held_items: list[Item] = []
    for item in store.items:
        out = item.info.set_name in held_out or (item.info.set_name, _case(item)) in held
        (held_items if out else kept_items).append(item)
    kept_store.items, held_store.items = kept_items, held_items
    return kept_store, held_store


def _case(item: Item) -> str:
    """Return the case that an item is of; reduced copies are named after it."""
    return item.info.name.partition("#")[0]
