"""Cards: what is written comes back, and what is no card is rejected in one line."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.core.errors import WeightsError
from bedside.weights.card import CARD_FORMAT, WeightsCard, file_sha256, read_card, results_path
from bedside.weights.store import BUNDLED, WeightsFiles, bundled_names

CARD = WeightsCard(
    name="bedside-2d",
    version="1.2",
    sha256="ab" * 32,
    licence="Apache-2.0",
    source="trained here; größer",
    data=({"name": "a", "licence": "CC0-1.0", "cases": 12}, {"name": "b", "licence": "CC-BY-4.0", "cases": 3}),
    training={"seed": 7, "steps": 1000, "rates": [0.1, 0.2]},
    metrics={"DSC": 0.81},
)


def test_a_card_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    CARD.save(path)
    assert WeightsCard.load(path) == CARD
    fields = json.loads(path.read_text(encoding="utf-8"))
    assert fields["format"] == CARD_FORMAT


def test_results_lie_apart_and_are_read_when_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "bedside-2d.json"
    CARD.save(path)
    own = json.loads(path.read_text(encoding="utf-8"))
    assert not own.keys() & {"data", "metrics"}
    assert own["training"] == CARD.training
    results = tmp_path / "bedside-2d.results.json"
    card = WeightsCard.load(path)
    results.write_text("no JSON", encoding="utf-8")
    assert card.sha256 == CARD.sha256
    with pytest.raises(WeightsError, match=r"results of weights bedside-2d\.results\.json: expected JSON"):
        card.metrics["DSC"]


def test_results_survive_what_else_is_changed_on_the_card(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    CARD.save(path)
    replace(WeightsCard.load(path), calibration={"expected": [0, 1]}).save(path)
    assert WeightsCard.load(path) == replace(CARD, calibration={"expected": [0, 1]})
    replace(CARD, data=(), metrics={}).save(path)
    assert not (tmp_path / "m.results.json").exists()
    assert WeightsCard.load(path).metrics == {}


def test_results_of_other_weights_are_none_of_theirs(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    CARD.save(path)
    fields = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**fields, "sha256": "cd" * 32}), encoding="utf-8")
    card = WeightsCard.load(path)
    assert card.metrics == {}
    assert len(card.data) == 0


def test_a_card_of_one_file_is_read_as_before(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    content = {"format": CARD_FORMAT, **asdict(CARD)}
    path.write_text(json.dumps(content), encoding="utf-8")
    (tmp_path / "m.results.json").write_text("of the weights before", encoding="utf-8")
    assert WeightsCard.load(path) == CARD
    # Written again, it becomes two.
    WeightsCard.load(path).save(path)
    assert WeightsCard.load(path) == CARD
    assert "metrics" not in json.loads(path.read_text(encoding="utf-8"))


def test_a_card_is_parsed_once_and_again_when_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    CARD.save(path)
    assert read_card(path) is read_card(path)
    replace(CARD, version="1.2.1").save(path)
    assert read_card(path).version == "1.2.1"


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
nested = st.recursive(plain, lambda of: st.lists(of) | st.dictionaries(st.text(), of))


@given(settings=st.dictionaries(st.text(), nested))
def test_settings_are_json_whatever_they_hold(tmp_path_factory: pytest.TempPathFactory, settings: Any) -> None:
    path = tmp_path_factory.mktemp("card") / "m.json"
    replace(CARD, training=settings).save(path)
    assert json.loads(path.read_text(encoding="utf-8"))["training"] == settings
    assert WeightsCard.load(path).training == settings


def test_a_list_of_numbers_takes_one_line(tmp_path: Path) -> None:
    replace(CARD, calibration={"expected": [0.1, 0.2, 0.3]}).save(tmp_path / "m.json")
    assert '"expected": [0.1, 0.2, 0.3]\n' in (tmp_path / "m.json").read_text(encoding="utf-8")


def test_bundled_cards_are_small() -> None:
    for name in bundled_names():
        files = WeightsFiles.in_folder(name, BUNDLED)
        if results_path(files.card_path).exists():
            assert files.card_path.stat().st_size < 8000
        assert files.card.metrics["evaluation"]
        assert files.card.data


def test_a_short_card_comes_back_too(tmp_path: Path) -> None:
    card = WeightsCard("m", "0", "", "MIT", "somewhere")
    card.save(tmp_path / "card.json")
    assert WeightsCard.load(tmp_path / "card.json") == card


def _without(name: str) -> str:
    fields = {"format": CARD_FORMAT, "name": "m", "version": "0", "sha256": "", "licence": "MIT", "source": "s"}
    del fields[name]
    return json.dumps(fields)


DAMAGED = {
    "empty": b"",
    "cut": b'{"format": "bedside-weights", "name": ',
    "binary": b"\xff\xfe\x00",
    "number": b"3",
    "text": b'"bedside-weights"',
    "null": b"null",
    "list": b"[]",
    "other format": b'{"format": "elsewhere"}',
    "no format": _without("format").encode(),
    "no name": _without("name").encode(),
    "no checksum": _without("sha256").encode(),
    "unknown field": json.dumps({**json.loads(_without("name")), "name": "m", "colour": 1}).encode(),
    "data null": json.dumps({**json.loads(_without("name")), "name": "m", "data": None}).encode(),
    "too deep": b"[" * 200_000,
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_card_is_rejected_in_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bedside-2d.json"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"card of weights bedside-2d\.json") as error:
        WeightsCard.load(path)
    assert "\n" not in str(error.value)


def test_a_missing_card_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.json"):
        WeightsCard.load(tmp_path / "none.json")


def test_the_checksum_is_sha256(tmp_path: Path) -> None:
    content = bytes(range(256)) * 9001
    (tmp_path / "file").write_bytes(content)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()
