"""Reliability of estimates, and the curve that is fitted to them."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from bedside.cli.weights import weights
from bedside.core.errors import InputError
from bedside.data.catalogue import find_data_sets
from bedside.engines.load import load_segmenter
from bedside.engines.uncertainty import Calibration
from bedside.evaluate.calibration import (
    PROMISE,
    STARTS,
    USERS,
    calibrate,
    calibration_error,
    estimates,
    reliability,
)
from bedside.evaluate.cases import ObjectSelection
from bedside.evaluate.clicks_protocol import ClicksProtocol
from bedside.evaluate.report.page import create_report
from bedside.evaluate.results import to_csv
from bedside.evaluate.runner import Entry, evaluate_sets
from bedside.simulate.careless import far_click, useless_click
from bedside.weights.card import WeightsCard
from bedside.weights.store import WeightsFiles, find_weights
from tests.evaluate.conftest import write_image_set

WEIGHTS = find_weights("bedside-2d")


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


def test_curves_by_kind_are_fitted_and_checked(tmp_path) -> None:
    write_image_set(tmp_path, "images", cases=4)
    (tmp_path / "val").rename(tmp_path / "train")
    for card in (tmp_path / "train").rglob("set.json"):
        card.write_text(card.read_text().replace('"val"', '"train"'))
    for path in WEIGHTS.paths:
        shutil.copy(path, tmp_path)
    files = WeightsFiles.in_folder("bedside-2d", tmp_path)
    bare = replace(files.card, calibration={})
    bare.save(files.card_path)

    def run(*more: str) -> str:
        words = [
            "calibrate",
            "bedside-2d",
            "--data",
            str(tmp_path),
            "--weights",
            str(tmp_path),
            "--objects",
            "1",
            *more,
        ]
        result = CliRunner().invoke(weights, words)
        if result.exception is not None:
            raise result.exception
        return result.stdout

    with pytest.raises(InputError, match="a curve to check"):
        run("--check")
    with pytest.raises(InputError, match="--split"):
        run("--split", "val")
    assert "promised" in run()
    written = WeightsCard.load(files.card_path)
    assert Calibration.from_dict(written.calibration).found
    assert replace(written, calibration={}, data=(), metrics={}) == replace(bare, data=(), metrics={})
    rows = [line.split("|")[1:-1] for line in run("--check").splitlines()[2:]]
    # No row where a user clicked nothing.
    assert len(STARTS) * 2 <= len(rows) <= len(STARTS) * (1 + len(USERS))
    assert all(int(row[2]) > 0 for row in rows)
    assert WeightsCard.load(files.card_path) == written


@pytest.mark.parametrize("source", [useless_click, far_click])
def test_clicks_that_correct_nothing_leave_what_is_told(tmp_path, source) -> None:
    write_image_set(tmp_path, "images", cases=1)
    entry = Entry("bedside-2d", "model", load_segmenter("bedside-2d", "cpu"))
    for start in ("box", "point"):
        protocol = ClicksProtocol(start=start, clicks=2, click_source=source)
        for found in evaluate_sets(find_data_sets(tmp_path), [entry], protocol, ObjectSelection()).objects:
            told = [score.quality for score in found.rounds]
            assert None not in told
            assert told == sorted(told, reverse=True)
