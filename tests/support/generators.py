"""Checks that what is random comes from a generator of its own."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch

Made = TypeVar("Made")


def make_under_global_seeds(make: Callable[[], list[Made]]) -> tuple[list[Made], list[Made]]:
    """Return what ``make`` gives under two seeds of the global generators, which it must leave where they were."""
    made = []
    for seed in (0, 1):
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            before = _states()
            made.append(make())
            assert _states() == before
    return made[0], made[1]


def _states() -> tuple[object, ...]:
    return random.getstate(), pickle.dumps(np.random.get_state()), torch.get_rng_state().tolist()  # noqa: NPY002
