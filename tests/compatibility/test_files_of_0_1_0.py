"""Files that Bedside 0.1.0 wrote are read as they were: sessions, a workspace, a card, recipes, a manifest."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import bedside
from bedside.core.errors import BedsideError
from bedside.core.prompts import Box, InitialMask, Lasso, Point, Scribble
from bedside.session.journal import Prompted, Removed, Undone
from bedside.session.workspace import Workspace
from bedside.weights.card import WeightsCard

FILES = Path(__file__).parent / "files_0_1_0"
EVENTS_2D = [
    [
        Prompted(1, Box((15.0, 11.0), (38.0, 34.0))),
        Prompted(2, Point((26.0, 22.0))),
        Prompted(3, Point((40.0, 10.0), positive=False)),
        Undone(),
    ],
    [
        Prompted(4, Scribble(((42.0, 35.0), (46.0, 37.0)), thickness=2.0)),
        Prompted(5, Lasso(((39.0, 31.0), (49.0, 31.0), (49.0, 41.0), (39.0, 41.0)))),
        Removed(4),
    ],
]


def test_a_session_on_an_image_replays() -> None:
    session = bedside.Session.load(FILES / "session-2d.json", FILES / "image.png")
    assert [o.name for o in session.journal.objects] == ["disc", "spot"]
    assert [o.colour for o in session.journal.objects] == ["#ff0000", "#00ff00"]
    assert [list(o.events) for o in session.journal.objects] == EVENTS_2D
    assert all(mask.any() for mask in session.masks.values())


def test_a_session_on_a_volume_replays_with_its_mask() -> None:
    session = bedside.Session.load(FILES / "session-3d.json", FILES / "volume.nii.gz")
    expected = json.loads((FILES / "expected.json").read_text())["voxels"]["3d"]
    (given,) = session.journal.objects[1].events
    assert isinstance(given, Prompted)
    assert isinstance(given.prompt, InitialMask)
    assert int(given.prompt.mask.sum()) == expected["2"] == int(session.masks[2].sum())
    assert session.masks[1].any()


def test_a_session_of_another_image_is_still_told_apart(tmp_path: Path) -> None:
    with pytest.raises(BedsideError):
        bedside.Session.load(FILES / "session-2d.json", FILES / "volume.nii.gz")
    del tmp_path


def test_a_workspace_opens_with_all_that_it_holds(tmp_path: Path) -> None:
    shutil.copy(FILES / "workspace.sqlite", tmp_path)
    workspace = Workspace(tmp_path / "workspace.sqlite")
    try:
        (item,) = workspace.items([1])
        assert (item.path, item.state) == ("/data/image.png", "done")
        assert item.image is not None
        journal, _ = workspace.journal(item.image)
        assert [o.name for o in journal.objects] == ["disc", "spot"]
        assert [list(o.events) for o in journal.objects] == EVENTS_2D
    finally:
        workspace.close()


def test_a_card_of_one_file_is_read() -> None:
    card = WeightsCard.load(FILES / "card.json")
    assert (card.name, card.licence) == ("bedside-2d", "Apache-2.0")
    assert card.data[1]["name"] == "ct_lidc_nodule"
    assert card.training["samples"] == 64000


@pytest.mark.parametrize("name", ["window", "dynamic", "sam"])
def test_a_recipe_is_read(name: str) -> None:
    pytest.importorskip("torch")
    from bedside.train.recipes import load_recipe

    recipe = load_recipe(FILES / f"recipe-{name}.yaml")
    assert recipe.model == {"window": "bedside-2d", "dynamic": "nninteractive", "sam": "lite-medsam"}[name]


def test_a_manifest_of_a_training_is_read() -> None:
    pytest.importorskip("torch")
    from bedside.train.recipes import settings_of
    from bedside.train.reproduce import read_manifest

    manifest = read_manifest(FILES / "training-manifest.json")
    config = settings_of(manifest["config"])
    assert config.model == "bedside-2d"
    assert manifest["result"]["step"] == manifest["config"]["steps"] == 2
