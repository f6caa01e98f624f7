from __future__ import annotations

import torch

from bedside.train.digest import state_sha256


def test_the_digest_is_of_names_types_shapes_and_values_in_any_order() -> None:
    state = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(3)}
    digest = state_sha256(state)
    assert len(digest) == 64
    assert state_sha256(dict(reversed(state.items()))) == digest
    for changed in (
        {**state, "a": state["a"] + 1e-6},
        {**state, "a": state["a"].reshape(3, 2)},
        {**state, "a": state["a"].double()},
        {"c": state["a"], "b": state["b"]},
        {"a": state["a"]},
    ):
        assert state_sha256(changed) != digest
