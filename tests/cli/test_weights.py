from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from bedside.models.keys import key_lines
from bedside.models.registry import build_model


def test_keys_are_those_of_the_network(cli: Callable[..., Any]) -> None:
    status, out, err = cli("weights", "keys", "bedside-2d")
    assert (status, err) == (0, "")
    assert out.splitlines() == key_lines(build_model("bedside-2d"))


def test_keys_have_the_format_of_the_published_lists(cli: Callable[..., Any]) -> None:
    lines = cli("weights", "keys", "lite-medsam").out.splitlines()
    assert "image_encoder.patch_embed.seq.0.c.weight (32, 3, 1, 1)" in lines
    assert "image_encoder.patch_embed.seq.0.bn.weight (32,)" in lines
    assert "image_encoder.patch_embed.seq.0.bn.num_batches_tracked ()" in lines


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["keys", "light-medsam"], "did you mean 'lite-medsam'?"),
        (["keys"], "missing argument 'NAME'"),
        (["frobnicate"], "no such command 'frobnicate'; see 'bedside weights --help'"),
        ([], "missing command; see 'bedside weights --help'"),
    ],
)
def test_wrong_usage_is_one_line(cli: Callable[..., Any], arguments: list[str], message: str) -> None:
    status, out, err = cli("weights", *arguments)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err


def test_without_torch_the_extra_is_named(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith("bedside.models.keys")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "torch", None)
    status, _, err = cli("weights", "keys", "medsam")
    assert status == 2
    assert "pip install 'bedside[train]'" in err
