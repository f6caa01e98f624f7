"""Reliability of estimates, and the curve that is fitted to them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bedside.core.errors import InputError
from bedside.data.catalogue import find_data_sets
from bedside.engines.load import load_segmenter
from bedside.evaluate.calibration import PROMISE, calibrate, calibration_error, estimates, reliability
from bedside.evaluate.cases import ObjectSelection
from bedside.evaluate.clicks_protocol import ClicksProtocol
from bedside.evaluate.report.page import create_report
from bedside.evaluate.results import to_csv
from bedside.evaluate.runner import Entry, evaluate_sets
from bedside.weights.store import find_weights
from tests.evaluate.conftest import write_image_set


def test_right_estimates_have_no_error_and_wrong_ones_all_of_it() -> None:
    found = np.random.default_rng(0).random(500)
    assert calibration_error(reliability(found.tolist(), found.tolist())) < 1e-9
    shifted = np.clip(found - 0.3, 0, 1)
    assert calibration_error(reliability(found.tolist(), shifted.tolist())) > 0.2
    assert calibration_error([]) == 0.0


def test_bins_hold_every_prediction_once() -> None:
    estimated = [0.0, 0.05, 0.5, 0.999, 1.0]
    bins = reliability(estimated, [0.1] * 5)
    assert sum(b.predictions for b in bins) == 5
    assert [b.predictions for b in bins] == [2, 1, 2]


def test_estimates_reach_the_table_and_the_report(tmp_path) -> None:
    write_image_set(tmp_path, "images")
    sets = find_data_sets(tmp_path)
    segmenter = load_segmenter("bedside-2d", "cpu", calibration=PROMISE)
    entries = [Entry("bedside-2d", "model", segmenter)]
    evaluation = evaluate_sets(sets, entries, ClicksProtocol(clicks=2), ObjectSelection())
    estimated, found = estimates(evaluation.objects, "bedside-2d")
    assert len(estimated) == len(found) > 0
    assert all(0 <= e <= 1 for e in estimated)
    assert to_csv([evaluation]).splitlines()[0].endswith("seconds,quality")
    page = create_report([evaluation], sets, ObjectSelection())
    assert "Estimated quality" in page
    silent = replace(evaluation, objects=tuple(replace(o, rounds=()) for o in evaluation.objects))
    assert not estimates(silent.objects, "bedside-2d")[0]


def test_sets_kept_for_measuring_are_rejected(tmp_path) -> None:
    write_image_set(tmp_path, "images")
    with pytest.raises(InputError, match="kept for measuring"):
        calibrate("bedside-2d", find_weights("bedside-2d"), find_data_sets(tmp_path))
