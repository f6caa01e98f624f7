from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from rich.console import Console

from bedside.core.errors import InputError
from bedside.data.catalogue import find_data_sets
from bedside.evaluate.baselines import BASELINES
from bedside.evaluate.cases import ObjectSelection
from bedside.evaluate.clicks_protocol import ClicksProtocol
from bedside.evaluate.results import write_csv, write_json
from bedside.evaluate.runner import Entry, count_steps, evaluate_sets, progress_bar
from bedside.evaluate.table import create_table
from tests.evaluate.conftest import DiscSegmenter

PROTOCOL = ClicksProtocol(clicks=2)


def entries():
    return [Entry("disc", "model", DiscSegmenter()), Entry("box", "baseline", BASELINES.get("box")())]


@pytest.fixture
def evaluation(data):
    return evaluate_sets(find_data_sets(data), entries(), PROTOCOL, ObjectSelection())


def test_every_candidate_meets_the_same_objects(evaluation):
    per_candidate = [
        [(o.set_name, o.case_id, o.object_name) for o in evaluation.objects if o.candidate == name]
        for name in ("disc", "box")
    ]
    assert sorted(per_candidate[0]) == sorted(per_candidate[1])
    assert len(per_candidate[0]) == 3 * 2 + 2
    images, volumes = evaluation.sets
    assert (images.cases, images.objects, images.tiny) == (3, 6, 3)
    assert (volumes.cases, volumes.objects, volumes.tiny) == (1, 2, 0)


def test_means_are_taken_over_objects_then_cases_then_sets(evaluation):
    def cases(set_name):
        mine = [o for o in evaluation.objects if o.candidate == "disc" and o.set_name == set_name]
        ids = sorted({o.case_id for o in mine})
        return [np.mean([o.curve("dsc") for o in mine if o.case_id == i], axis=0) for i in ids]

    by_set = [np.mean(cases(name), axis=0) for name in ("images", "volumes")]
    for name, expected in zip(("images", "volumes"), by_set, strict=True):
        assert evaluation.summary("disc", name).curves["dsc"].values == pytest.approx(expected)
    overall = evaluation.summary("disc", None).curves["dsc"]
    assert overall.values == pytest.approx(np.mean(by_set, axis=0))
    assert overall.auc == pytest.approx(np.trapezoid(overall.values[1:]))
    assert evaluation.summary("disc", "images").curves["dsc"].intervals is not None
    assert evaluation.summary("disc", "volumes").curves["dsc"].intervals is None


def test_the_image_is_set_once_per_view(data):
    segmenter = DiscSegmenter()
    evaluate_sets(find_data_sets(data), [Entry("disc", "model", segmenter)], PROTOCOL, ObjectSelection())
    assert segmenter.images == 3 + 2


def test_whole_volumes(data):
    sets = [s for s in find_data_sets(data) if s.dimensions == 3]
    result = evaluate_sets(sets, entries(), PROTOCOL, ObjectSelection(volumes="whole"))
    assert {o.unit for o in result.objects} == {"mm"}
    assert {o.object_name for o in result.objects} == {"1", "2"}


def test_results_do_not_depend_on_who_else_takes_part(data, evaluation):
    alone = evaluate_sets(find_data_sets(data), entries()[:1], PROTOCOL, ObjectSelection())
    together = [o for o in evaluation.objects if o.candidate == "disc"]
    assert [o.trace.prompts for o in alone.objects] == [o.trace.prompts for o in together]
    assert [o.curve("nsd") for o in alone.objects] == [o.curve("nsd") for o in together]


def test_what_cannot_be_evaluated_is_rejected(data):
    sets = find_data_sets(data)
    flat = Entry("flat", "model", DiscSegmenter(dimensions=(2,)))
    with pytest.raises(InputError, match="dimensions"):
        evaluate_sets(sets, [flat], PROTOCOL, ObjectSelection(volumes="whole"))
    with pytest.raises(InputError, match="cannot start from a point"):
        evaluate_sets(sets, entries(), ClicksProtocol(start="point"), ObjectSelection())
    with pytest.raises(InputError, match="once"):
        evaluate_sets(sets, entries() * 2, PROTOCOL, ObjectSelection())
    with pytest.raises(InputError, match="at least one"):
        evaluate_sets(sets, [], PROTOCOL, ObjectSelection())
    with pytest.raises(InputError, match="at least 100000"):
        evaluate_sets(sets, entries(), PROTOCOL, ObjectSelection(smallest=100000))


def test_progress_is_told_for_every_case_and_candidate(data):
    told = []
    sets = find_data_sets(data)
    evaluate_sets(sets, entries(), PROTOCOL, ObjectSelection(), told.append)
    assert told == ["images"] * 6 + ["volumes"] * 2
    assert len(told) == count_steps(sets, entries())


def test_the_bar_is_silent_without_a_terminal():
    file = io.StringIO()
    with progress_bar(Console(file=file), 3) as advance:
        advance("x")
    assert file.getvalue() == ""
    with progress_bar(Console(file=file, force_terminal=True), 3) as advance:
        advance("x")
    assert file.getvalue()


def test_json_holds_everything(evaluation, tmp_path):
    write_json([evaluation], tmp_path / "e.json")
    document = json.loads((tmp_path / "e.json").read_text())
    assert document["format"] == "bedside-evaluation"
    manifest = document["manifest"]
    assert {"bedside", "python", "libraries", "command", "seed", "data"} <= set(manifest)
    assert len(manifest["data"]["val/images"]["case0"]["labels"]) == 64
    assert document["candidates"][0]["details"]["capabilities"]["dimensions"] == [2, 3]
    assert len(document["objects"]) == 16
    first = document["objects"][0]
    assert first["prompts"][0]["kind"] == "box"
    assert first["rounds"][0]["scores"]["dsc"] == pytest.approx(evaluation.objects[0].curve("dsc")[0], abs=1e-6)
    assert document["summaries"][0]["curves"]["nsd"]["intervals"]


def test_data_hashes_follow_the_files(data, evaluation):
    folder = data / "val" / "2d" / "images"
    (folder / "case0.image.png").write_bytes((folder / "case1.image.png").read_bytes())
    again = evaluate_sets(find_data_sets(data), entries(), PROTOCOL, ObjectSelection())
    before, after = evaluation.manifest["data"]["val/images"], again.manifest["data"]["val/images"]
    assert after["case0"]["image"] == before["case1"]["image"] != before["case0"]["image"]
    assert again.sets[0].digest != evaluation.sets[0].digest
    assert again.sets[1].digest == evaluation.sets[1].digest


def test_csv_has_a_row_per_answer(evaluation, tmp_path):
    write_csv([evaluation], tmp_path / "e.csv")
    rows = list(csv.DictReader((tmp_path / "e.csv").read_text().splitlines()))
    assert len(rows) == 16 * 3
    assert {r["kind"] for r in rows} == {"model", "baseline"}
    assert float(rows[2]["dsc"]) == pytest.approx(evaluation.objects[0].curve("dsc")[2], abs=1e-6)
    assert rows[2]["clicks"] == "2"


def test_table_fits_and_shows_each_set(evaluation):
    for width in (80, 140):
        file = io.StringIO()
        Console(file=file, width=width).print(create_table(evaluation, width))
        text = file.getvalue()
        assert "…" not in text
        assert ("+1" in text) == (width == 140)
        for word in ("mean over sets", "images", "volumes", "disc", "AUC", "NSD +2"):
            assert word in text
        assert f"{evaluation.summary('disc', 'images').curves['dsc'].values[-1]:.3f}" in text


def test_without_clicks_there_is_no_area(data):
    result = evaluate_sets(find_data_sets(data), entries(), ClicksProtocol(clicks=0), ObjectSelection())
    assert result.summary("disc", None).curves["dsc"].auc is None
    file = io.StringIO()
    Console(file=file, width=120).print(create_table(result))
    assert "-" in file.getvalue()
