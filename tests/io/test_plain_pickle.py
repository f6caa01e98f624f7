"""Prompts out of pickles: what plain values come out, what is rejected, and that nothing is called."""

from __future__ import annotations

import datetime
import pickle
from collections import OrderedDict
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bedside.core.errors import FormatError
from bedside.io.challenge import IMAGE_KEYS, LABEL_KEYS, read_case, read_labels
from bedside.io.npz import PROMPTS, load_members
from bedside.io.plain_pickle import NODES, PickleRejected, plain_value

_ARRAYS = hnp.arrays(
    st.sampled_from(["u1", "<i2", ">i4", "<i8", "<f4", ">f8", "?", "<U3"]), hnp.array_shapes(min_dims=1, max_dims=3)
)
_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**200), 2**200),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    _ARRAYS,
    _ARRAYS.map(np.asfortranarray),
    st.integers(0, 255).map(np.uint8),
    st.floats(allow_nan=False).map(np.float64),
)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.text(max_size=4) | st.integers(-9, 9), inner, max_size=3),
    ),
    max_leaves=12,
)


def _plain(value: Any) -> Any:
    """Return what a value is in plain lists, numbers and text."""
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


@settings(max_examples=300, deadline=None)
@given(_VALUES, st.integers(0, 5))
def test_values_are_those_that_were_pickled(value: Any, protocol: int) -> None:
    # As text, because a number that is none equals nothing.
    assert repr(_plain(plain_value(pickle.dumps(value, protocol)))) == repr(_plain(value))


@settings(max_examples=100, deadline=None)
@given(st.lists(_VALUES, min_size=1, max_size=4), st.integers(0, 5))
def test_arrays_of_objects_become_lists(values: list[Any], protocol: int) -> None:
    array = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        array[place] = value
    assert repr(_plain(plain_value(pickle.dumps(array, protocol)))) == repr(_plain(values))


@settings(max_examples=300, deadline=None)
@given(_VALUES, st.integers(0, 5), st.data())
def test_damaged_pickles_are_rejected_in_one_way(value: Any, protocol: int, data: st.DataObject) -> None:
    pickled = bytearray(pickle.dumps(value, protocol))
    for _ in range(data.draw(st.integers(1, 4))):
        pickled[data.draw(st.integers(0, len(pickled) - 1))] = data.draw(st.integers(0, 255))
    try:
        plain_value(bytes(pickled[: data.draw(st.integers(0, len(pickled)))]))
    except PickleRejected:
        return


class _Called:
    """Would note that it was called, where a pickle is carried out."""

    def __reduce__(self) -> Any:
        return (_calls.append, (1,))


_calls: list[int] = []


@pytest.mark.parametrize(
    "value",
    [
        OrderedDict(a=1),
        PurePosixPath("a"),
        Fraction(1, 2),
        datetime.date(2024, 1, 1),
        {1, 2},
        1j,
        np.datetime64("2024-01-01"),
        np.zeros(2, [("a", "u1")]),
        np.zeros(2, "complex64"),
        np.dtype("u1"),
        len,
        {(1, 2): 3},
    ],
    ids=lambda v: type(v).__name__,
)
@pytest.mark.parametrize("protocol", range(6))
def test_anything_but_plain_values_is_rejected(value: Any, protocol: int) -> None:
    with pytest.raises(PickleRejected):
        plain_value(pickle.dumps([value], protocol))


def test_nothing_is_called() -> None:
    pickled = pickle.dumps(_Called())
    _calls.clear()
    with pytest.raises(PickleRejected, match="rejected for safety"):
        plain_value(pickled)
    assert _calls == []


def test_what_is_named_again_counts_again() -> None:
    value: list[Any] = []
    for _ in range(30):
        value = [value, value]
    with pytest.raises(PickleRejected, match="more than"):
        plain_value(pickle.dumps(value))
    word = np.full(1, "x" * 1000)
    with pytest.raises(PickleRejected, match="more than"):
        plain_value(pickle.dumps([word] * (NODES // 1000)))


def test_what_holds_itself_is_rejected() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(PickleRejected, match="deep"):
        plain_value(pickle.dumps(value))


@pytest.mark.parametrize("key", sorted({*IMAGE_KEYS, *LABEL_KEYS} - set(PROMPTS)))
def test_only_prompts_may_hold_objects(tmp_path: Path, key: str) -> None:
    path = tmp_path / "a.npz"
    members = {"imgs": np.zeros((4, 5), np.uint8), "spacing": np.ones(3), "boxes": np.array([{"a": 1}], object)}
    np.savez_compressed(path, **{**members, key: np.array([[1, 2], [3]], object)})
    with pytest.raises(FormatError, match="array of numbers"):
        load_members(path)
    with pytest.raises(FormatError, match="array of numbers"):
        read_case(path) if key in IMAGE_KEYS else read_labels(path, key)


@pytest.mark.parametrize("dtype", ["u1", "?", "<u2", ">i4", "<i8", "<f2", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_those_that_were_saved(tmp_path: Path, dtype: str, order: str, save: Any) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        f"a{len(shape)}": np.asarray(rng.integers(0, 2, shape).astype(dtype), order=order)  # type: ignore[call-overload]
        for shape in ((), (3,), (0, 2), (4, 5), (2, 3, 4))
    }
    save(tmp_path / "a.npz", **arrays)
    found = load_members(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as reference:
        for name in reference:
            np.testing.assert_array_equal(found[name], reference[name])
            assert found[name].dtype == reference[name].dtype
