"""Objects: names, colours, locks, policy, numbers and volumes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.io import read_image, write_image

Start = Callable[..., Any]
SQUARES = (40, 60)


def test_objects_are_named_coloured_hidden_and_deleted(start: Start, picture: Path, tools: Any) -> None:
    server = start()
    image = server.open(picture)["image"]
    server.click(image, 12, 8)
    change = server.ok("POST", f"/api/images/{image}/objects", {"name": "cyst", "colour": "#a0b0c0"})
    assert (change["object"], change["current"], change["patch"]) == (2, 2, None)
    server.click(image, 44, 28)
    names = [(o["name"], o["label"]) for o in server.ok("GET", f"/api/images/{image}/objects")["objects"]]
    assert names == [("object 1", 1), ("cyst", 2)]
    renamed = server.ok("PATCH", f"/api/images/{image}/objects/1", {"name": "liver", "colour": "#00ff00"})
    assert (renamed["objects"][0]["name"], renamed["objects"][0]["colour"], renamed["patch"]) == (
        "liver",
        "#00ff00",
        None,
    )
    hidden = server.ok("PATCH", f"/api/images/{image}/objects/1", {"visible": False})
    assert not tools.decoded(hidden["patch"], "labels").any()
    assert set(np.unique(server.labels(image, SQUARES))) == {0, 2}
    deleted = server.ok("DELETE", f"/api/images/{image}/objects/1")
    assert [(o["id"], o["label"]) for o in deleted["objects"]] == [(2, 2)]
    set_to = server.ok("PATCH", f"/api/images/{image}/objects/2", {"label": 9})
    assert [(o["id"], o["label"]) for o in set_to["objects"]] == [(2, 9)]
    made = server.ok("POST", f"/api/images/{image}/objects", {"name": "new"})
    assert [(o["id"], o["label"]) for o in made["objects"]] == [(2, 9), (3, 10)]
    server.rejected("PATCH", f"/api/images/{image}/objects/3", 400, {"label": 9})
    assert deleted["patch"]["bits"] is None
    # A number is never given twice.
    server.ok("DELETE", f"/api/images/{image}/objects/3")
    assert server.ok("POST", f"/api/images/{image}/objects", {})["object"] == 4
    server.ok("DELETE", f"/api/images/{image}/objects/4")
    server.ok("DELETE", f"/api/images/{image}/objects/2")
    assert server.click(image, 12, 8)["object"] == 5


def test_who_is_seen_follows_the_policy(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    server.click(image, 12, 8)
    server.ok("POST", f"/api/images/{image}/objects", {})
    server.click(image, 13, 9)
    assert set(np.unique(server.labels(image, SQUARES))) == {0, 1}
    change = server.ok("PATCH", f"/api/images/{image}", {"policy": "overwrite"})
    assert (change["patch"]["start"], change["patch"]["bits"]) == ([5, 10], None)
    assert set(np.unique(server.labels(image, SQUARES))) == {0, 2}
    assert server.ok("PATCH", f"/api/images/{image}", {"current": 1})["current"] == 1
    assert server.rejected("PATCH", f"/api/images/{image}", 404, {"current": 9})["kind"] == "NotFoundError"
    server.rejected("PATCH", f"/api/images/{image}", 422, {"policy": "both"})


def test_locked_objects_do_not_change(start: Start, picture: Path, tools: Any) -> None:
    server = start()
    image = server.open(picture)["image"]
    server.click(image, 12, 8)
    server.ok("PATCH", f"/api/images/{image}/objects/1", {"locked": True})
    base = f"/api/images/{image}"
    click = {"prompt": {"kind": "point", "position": [1, 1]}, "object": 1}
    stroke = {"box": {"start": [0, 0], "stop": [1, 1]}, "bits": tools.bits([[1]]), "object": 1}
    for method, path, body in (
        ("POST", "/prompts", click),
        ("POST", "/prompts", {**click, "object": None}),
        ("POST", "/brush", stroke),
        ("POST", "/objects/1/undo", None),
        ("POST", "/objects/1/redo", None),
        ("DELETE", "/prompts/1", None),
        ("DELETE", "/objects/1", None),
    ):
        assert server.rejected(method, base + path, 409, body)["kind"] == "LockedError"
    server.ok("PATCH", f"{base}/objects/1", {"locked": False, "name": "free"})
    server.ok("DELETE", f"{base}/objects/1")


def test_unknown_objects_are_rejected(start: Start, picture: Path, tools: Any) -> None:
    server = start()
    image = server.open(picture)["image"]
    server.click(image, 12, 8)
    base = f"/api/images/{image}"
    click = {"prompt": {"kind": "point", "position": [1, 1]}, "object": 5}
    stroke = {"box": {"start": [0, 0], "stop": [1, 1]}, "bits": tools.bits([[1]]), "object": 5}
    for method, path, body in (
        ("POST", "/prompts", click),
        ("POST", "/brush", stroke),
        ("POST", "/objects/5/undo", None),
        ("POST", "/objects/5/redo", None),
        ("POST", "/objects/5/suggest", None),
        ("GET", "/objects/5/mask", None),
        ("GET", "/objects/5/prompts", None),
        ("PATCH", "/objects/5", {"name": "x"}),
        ("DELETE", "/objects/5", None),
    ):
        assert server.rejected(method, base + path, 404, body)["kind"] == "NotFoundError"
    server.rejected("PATCH", f"{base}/objects/1", 422, {"colour": "red"})
    server.rejected("POST", f"{base}/objects", 422, {"name": ""})


def test_numbers_of_objects_beyond_a_byte(start: Start, picture: Path, tools: Any) -> None:
    server = start()
    image = server.open(picture)["image"]
    server.service.workspace.save(image, [], None)
    from bedside.session.workspace import ObjectLook, ObjectRow

    server.service.workspace.save(image, [ObjectRow(299, "old", None, ObjectLook())], None, deleted=[299])
    change = server.click(image, 12, 8)
    assert (change["object"], change["patch"]["dtype"]) == (300, "uint16")
    assert (tools.decoded(change["patch"], "labels") == 300).all()


def test_volumes_are_in_millilitres(start: Start, volume: Path) -> None:
    server = start()
    image = server.open(volume)["image"]
    (info,) = server.click(image, 12, 8, 4)["objects"]
    voxel = read_image(volume).geometry.voxel_volume
    assert info["unit"] == "ml"
    assert info["volume"] == pytest.approx(600 * voxel / 1000)


def test_classical_tools_over_rest(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    server.click(image, 12, 8)
    tools = {tool["name"]: tool for tool in server.ok("GET", "/api/edits")["edits"]}
    assert (tools["grow"]["unit"], tools["fill-holes"]["unit"], tools["union"]["combines"]) == ("mm", None, True)
    before = server.ok("GET", f"/api/images/{image}/objects")["objects"][0]["voxels"]
    change = server.ok("POST", f"/api/images/{image}/objects/1/edit", {"name": "grow", "value": 2})
    assert change["objects"][0]["voxels"] > before
    server.ok("POST", f"/api/images/{image}/objects/1/undo")
    assert server.ok("GET", f"/api/images/{image}/objects")["objects"][0]["voxels"] == before
    edit = f"/api/images/{image}/objects/1/edit"
    assert "did you mean" in server.rejected("POST", edit, 400, {"name": "groww"})["message"]
    assert "from 0.01" in server.rejected("POST", edit, 400, {"name": "grow", "value": 0})["message"]
    assert server.rejected("POST", edit, 404, {"name": "union", "other": 9})["kind"] == "NotFoundError"


def test_a_slice_is_carried_along_over_rest(start: Start, volume: Path, tools: Any) -> None:
    server = start()
    image = server.open(volume)["image"]
    stroke = {"box": {"start": [4, 5, 10], "stop": [5, 15, 20]}, "bits": tools.bits(np.ones((1, 10, 10)))}
    server.ok("POST", f"/api/images/{image}/brush", stroke)
    place = f"/api/images/{image}/objects/1/propagate"
    change = server.ok("POST", place, {})
    assert change["objects"][0]["voxels"] == 600
    carried = change["carried"]
    assert [carried[k] for k in ("axis", "start", "first", "last")] == [0, 4, 2, 7]
    assert "end" not in (carried["low"], carried["high"])
    server.ok("POST", f"/api/images/{image}/objects/1/undo")
    assert server.ok("GET", f"/api/images/{image}/objects")["objects"][0]["voxels"] == 100
    assert server.ok("POST", place, {"first": 3, "last": 4})["objects"][0]["voxels"] == 200
    assert "from 0 to 11" in server.rejected("POST", place, 400, {"start": 99})["message"]
    server.rejected("POST", place, 422, {"start": "middle"})


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Eight bright squares of 11 x 11 pixels in two rows."""
    array = np.full((60, 120), 20, dtype=np.uint8)
    for row in (10, 38):
        for column in (8, 36, 64, 92):
            array[row : row + 11, column : column + 11] = 200
    path = tmp_path / "many.png"
    write_image(path, Image(array, Geometry.create(array.shape)))
    return path


def test_others_of_the_kind_are_begun_over_rest(start: Start, many: Path) -> None:
    server = start()
    image = server.open(many)["image"]
    server.click(image, 12, 15)
    change = server.ok("POST", f"/api/images/{image}/find-like", {"objects": [1], "threshold": 0.2, "name": "square"})
    assert change["opened"] == list(range(2, 9))
    assert all(100 <= o["voxels"] <= 121 for o in change["objects"])
    assert change["objects"][1]["name"] == "square 2"
    assert change["current"] == 1
    assert server.ok("GET", f"/api/images/{image}/labels")
    assert "from 0 to 1" in server.rejected("POST", f"/api/images/{image}/find-like", 400, {"threshold": 3})["message"]


def test_proposals_are_seen_before_some_are_taken(start: Start, many: Path, tools: Any) -> None:
    server = start()
    image = server.open(many)["image"]
    place = f"/api/images/{image}"
    server.click(image, 12, 15)
    version = server.ok("GET", f"{place}/objects")["version"]
    with server.listen(image) as connection:
        found = server.ok("POST", f"{place}/proposals", {"threshold": 0.2})
        told = json.loads(connection.recv(timeout=10))
        assert (told["type"], told["what"], told["done"]) == ("progress", "find-like", 1)
        assert told["total"] >= 7
    proposals = found["proposals"]
    assert [p["proposal"] for p in proposals] == list(range(1, 8))
    assert [p["score"] for p in proposals] == sorted((p["score"] for p in proposals), reverse=True)
    labels = tools.pasted(found["labels"], "labels", (60, 120))
    for one in proposals:
        where = tuple(slice(a, b) for a, b in zip(one["box"]["start"], one["box"]["stop"], strict=True))
        assert (labels == one["proposal"]).sum() == (labels[where] == one["proposal"]).sum() == one["voxels"]
    # Nothing has changed so far.
    assert server.ok("GET", f"{place}/objects")["version"] == found["labels"]["version"] == version
    change = server.ok("POST", f"{place}/proposals/take", {"proposals": [5, 2, 2], "name": "square"})
    assert [o["name"] for o in change["objects"]] == ["object 1", "square 2", "square 3"]
    for number, proposal in zip(change["opened"], (2, 5), strict=True):
        np.testing.assert_array_equal(server.mask(image, number, (60, 120)), labels == proposal)
    # The others are dropped with that, and what was taken goes again in one change.
    assert "search again" in server.rejected("POST", f"{place}/proposals/take", 400, {"proposals": [1]})["message"]
    gone = server.ok("POST", f"{place}/objects/remove", {"objects": change["opened"]})
    assert [o["id"] for o in gone["objects"]] == [1]
    assert gone["version"] == change["version"] + 1
    assert set(np.unique(server.labels(image, (60, 120)))) == {0, 1}
    server.rejected("POST", f"{place}/objects/remove", 404, {"objects": [1, 9]})
    assert len(server.ok("GET", f"{place}/objects")["objects"]) == 1
    # Taken back as a whole it can be taken again, as redo does.
    again = server.ok("POST", f"{place}/proposals/take", {"proposals": [5, 2], "name": "square"})
    for number, proposal in zip(again["opened"], (2, 5), strict=True):
        np.testing.assert_array_equal(server.mask(image, number, (60, 120)), labels == proposal)
    server.ok("POST", f"{place}/objects/remove", {"objects": again["opened"][:1]})
    assert "search again" in server.rejected("POST", f"{place}/proposals/take", 400, {"proposals": [2]})["message"]
