"""Masks that results keep, and means where some values are missing."""

from __future__ import annotations

import json
import math

import numpy as np

from bedside.core.region import Region
from bedside.evaluate.results import ObjectResult, PackedMask, RoundScore, plain, summarise_overall, summarise_set


def test_packed_masks_are_cut_and_padded():
    mask = np.zeros((6, 8), np.uint8)
    mask[1:4, 2:7] = 1
    mask[2, 3] = 0
    packed = PackedMask.pack(mask, Region((10, 20), (16, 28)))
    assert packed.region == Region((11, 22), (14, 27))
    np.testing.assert_array_equal(packed.within(Region((10, 20), (16, 28))), mask != 0)
    np.testing.assert_array_equal(packed.within(Region((12, 23), (20, 40)))[:4, :5], mask[2:, 3:] != 0)
    assert not packed.within(Region((0, 0), (5, 5))).any()
    assert PackedMask.pack(np.zeros((3, 3)), Region.whole((3, 3))).within(Region.whole((3, 3))).sum() == 0


def result(case, values, set_name="s"):
    rounds = tuple(RoundScore(n, {"hd95": v}, 0.5) for n, v in enumerate(values))
    return ObjectResult("model", set_name, case, "1", 1, 9, "mm", 0.0, rounds)


def test_what_has_no_value_takes_no_part_in_means():
    rows = (("a", [1.0, math.nan, math.nan]), ("a", [3.0, 5.0, math.nan]), ("b", [4.0, math.nan, math.nan]))
    objects = [result(*row) for row in rows]
    summary = summarise_set(objects, ["hd95"], 0)
    values = summary.curves["hd95"].values
    assert values[:2] == (3.0, 5.0)
    assert math.isnan(values[2])
    low, high = summary.curves["hd95"].intervals[0]
    assert low == 2.0
    assert high == 4.0
    assert summary.curves["hd95"].intervals[1] == (5.0, 5.0)
    other = [result("a", [7.0, math.nan, 9.0], "t")]
    both = summarise_overall([summary, summarise_set(other, ["hd95"], 0)], [objects, other], 0)
    assert both.curves["hd95"].values == (5.0, 5.0, 9.0)
    assert both.curves["hd95"].intervals is not None


def test_json_holds_no_number_that_json_does_not_have():
    document = {"a": (1.23456789, math.nan), "b": [{"c": math.inf, "d": 3}], 4: "x"}
    assert plain(document, digits=3) == {"a": [1.235, None], "b": [{"c": None, "d": 3}], "4": "x"}
    assert plain(1.23456789) == 1.23456789
    json.dumps(plain(document), allow_nan=False)
