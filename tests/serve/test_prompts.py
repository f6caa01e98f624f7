"""Prompts: what a click answers, undo, redo, removal, and what is rejected."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside.core.prompts import prompt_from_dict
from bedside.serve.engines import Engines
from bedside.session import Session

Start = Callable[..., Any]
SQUARES, CUBES = (40, 60), (12, 30, 40)


def test_a_click_begins_an_object_and_says_what_changed(start: Start, picture: Path, tools: Any) -> None:
    server = start()
    image = server.open(picture)["image"]
    change = server.click(image, 12, 8)
    (info,) = change["objects"]
    assert (change["object"], change["current"], change["version"]) == (1, 1, 1)
    assert (info["voxels"], info["volume"], info["unit"], info["prompts"]) == (100, 100.0, "pixels", 1)
    assert info["box"] == {"start": [5, 10], "stop": [15, 20]}
    patch = change["patch"]
    assert (patch["start"], patch["stop"], patch["dtype"]) == ([5, 10], [15, 20], "uint8")
    assert tools.decoded(patch, "bits").all()
    assert (tools.decoded(patch, "labels") == 1).all()
    assert change["prompts"][0]["prompt"]["position"] == [12.0, 8.0]
    assert {"queue", "session", "save", "encode", "network"} <= set(change["seconds"])
    assert server.ok("GET", f"/api/images/{image}")["state"] == "in progress"


PROMPTS_2D = [
    {"kind": "box", "low": [8, 3], "high": [23, 18]},
    {"kind": "point", "position": [14, 9]},
    {"kind": "point", "position": [19, 14], "positive": False},
    {"kind": "scribble", "points": [[11, 7], [17, 12]], "thickness": 3},
    {"kind": "lasso", "points": [[9, 4], [21, 4], [21, 16], [9, 16]]},
]
PROMPTS_3D = [
    {"kind": "box", "low": [8, 3, 4], "high": [23, 18, 5]},
    {"kind": "point", "position": [14, 9, 5]},
    {"kind": "point", "position": [19, 14, 4], "positive": False},
    {"kind": "scribble", "points": [[11, 7, 6], [17, 12, 6]]},
    {"kind": "lasso", "points": [[9, 4, 3], [21, 4, 3], [21, 16, 3], [9, 16, 3]]},
]


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("frame", ["index", "world"])
def test_masks_are_those_of_a_session_voxel_by_voxel(
    start: Start, picture: Path, volume: Path, tools: Any, axes: int, frame: str
) -> None:
    """With the bundled network: through every patch, and after undo, redo and a removal."""
    path, shape, prompts = (picture, SQUARES, PROMPTS_2D) if axes == 2 else (volume, CUBES, PROMPTS_3D)
    server = start(engines=Engines())
    image = server.open(path)["image"]
    session = Session(path)
    shown = np.zeros(shape, np.uint8)
    geometry = session.image.geometry

    def check(change: Any) -> None:
        if change["patch"] is not None:
            tools.pasted(change["patch"], "bits", shape, shown)
        assert np.array_equal(shown, session.mask)
        assert np.array_equal(server.labels(image, shape), session.mask)

    for fields in prompts:
        sent = fields
        if frame == "world" and fields["kind"] == "point":
            world = geometry.index_to_world(fields["position"]).tolist()
            sent = {**fields, "position": world, "frame": "world"}
        session.add(prompt_from_dict(sent))
        check(server.ok("POST", f"/api/images/{image}/prompts", {"prompt": sent}))
    assert session.mask.any()
    for verb in ("undo", "undo", "redo"):
        getattr(session, verb)()
        check(server.ok("POST", f"/api/images/{image}/objects/1/{verb}"))
    session.remove_prompt(1)
    check(server.ok("DELETE", f"/api/images/{image}/prompts/1"))
    document = server.ok("GET", f"/api/images/{image}/journal")
    assert document["objects"][0]["events"] == session.journal.to_dict()["objects"][0]["events"]
    assert document["image"] == session.journal.to_dict()["image"]


def test_undo_and_redo(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    server.click(image, 12, 8)
    first = server.mask(image, 1, SQUARES)
    server.click(image, 14, 10, positive=False)
    second = server.mask(image, 1, SQUARES)
    assert not np.array_equal(first, second)
    change = server.ok("POST", f"/api/images/{image}/objects/1/undo")
    assert (change["objects"][0]["can_redo"], len(change["prompts"])) == (True, 1)
    assert np.array_equal(server.mask(image, 1, SQUARES), first)
    server.ok("POST", f"/api/images/{image}/objects/1/redo")
    assert np.array_equal(server.mask(image, 1, SQUARES), second)
    assert server.ok("POST", f"/api/images/{image}/objects/1/redo")["patch"] is None
    for _ in range(3):
        last = server.ok("POST", f"/api/images/{image}/objects/1/undo")
    assert last["patch"] is None
    assert last["objects"][0]["voxels"] == 0


def test_removing_any_prompt(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    server.click(image, 12, 8)
    server.click(image, 44, 28)
    change = server.ok("DELETE", f"/api/images/{image}/prompts/1")
    assert [p["id"] for p in change["prompts"]] == [2]
    assert change["objects"][0]["voxels"] == 64
    assert server.rejected("DELETE", f"/api/images/{image}/prompts/1", 404)["kind"] == "NotFoundError"
    assert server.ok("GET", f"/api/images/{image}/objects/1/prompts")["prompts"] == change["prompts"]


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ({"kind": "point", "position": [100, 5]}, "outside the image on axis x"),
        ({"kind": "point", "position": [5, 100]}, "outside the image on axis y"),
        ({"kind": "point", "position": [1, 1, 1]}, "2 coordinates"),
        ({"kind": "point", "position": "12"}, "ordinary numbers"),
        ({"kind": "point", "position": [True, 2]}, "ordinary numbers"),
        ({"kind": "point", "position": [1e308, 2]}, "ordinary numbers"),
        ({"kind": "point"}, "position"),
        ({"kind": "wand", "position": [1, 1]}, "kind of"),
        ({}, "kind of"),
        ({"kind": "box", "low": [5, 5], "high": [5, 9]}, "end to be larger"),
        ({"kind": "box", "low": [5, 5], "high": [9, 9], "positive": False}, "negative box"),
        ({"kind": "lasso", "points": [[1, 1], [5, 1], [5, 5]]}, "takes no lasso"),
        ({"kind": "scribble", "points": []}, "at least 1"),
        ({"kind": "scribble", "points": [[1, 1]] * 100_001}, "at most 100000"),
        ({"kind": "point", "position": [1, 1], "positive": False}, "cannot start"),
        ({"kind": "point", "position": [1, 1], "frame": "moon"}, "index or world"),
        ({"kind": "mask", "shape": [10**9, 10**9], "bits": ""}, "shape"),
    ],
)
def test_prompts_that_cannot_be_answered_are_rejected_by_name(
    start: Start, picture: Path, prompt: Any, message: str
) -> None:
    server = start()
    image = server.open(picture)["image"]
    problem = server.rejected("POST", f"/api/images/{image}/prompts", 400, {"prompt": prompt})
    assert problem["kind"] == "PromptError"
    assert message in problem["message"]
    # Nothing was begun for it, and nothing is broken.
    found = server.ok("GET", f"/api/images/{image}/objects")
    assert (found["objects"], found["version"]) == ([], 0)
    assert server.click(image, 12, 8)["object"] == 1


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        {"prompt": []},
        {"prompt": {}, "object": "one"},
        {"prompt": {}, "mask": 1},
        {"prompt": {}, "predict": 3},
    ],
)
def test_bodies_of_the_wrong_form_are_rejected(start: Start, picture: Path, body: Any) -> None:
    server = start()
    image = server.open(picture)["image"]
    assert server.rejected("POST", f"/api/images/{image}/prompts", 422, body)["kind"] == "InvalidRequest"


NESTED: Any = 1
for _ in range(900):
    NESTED = [NESTED]


@pytest.mark.parametrize(
    "value", [5, "12", None, True, {}, [[[1, 2]]], [None], ["1", "2"], [1e400], NESTED], ids=lambda v: repr(v)[:20]
)
def test_whatever_stands_in_a_prompt_the_answer_says_what_is_wrong(start: Start, picture: Path, value: Any) -> None:
    server = start()
    image = server.open(picture)["image"]
    valid = {"position": [12, 8], "low": [8, 3], "high": [23, 18], "points": [[9, 4], [21, 4], [21, 16]], "bits": ""}
    used = {"point": ["position"], "box": ["low", "high"], "scribble": ["points", "thickness"], "lasso": ["points"]}
    used |= {kind: [*fields, "frame", "positive"] for kind, fields in used.items()}
    used["mask"] = ["shape", "bits", "box"]
    with server.listen(image) as connection:
        for kind, fields in used.items():
            for field in fields:
                prompt = {"kind": kind, "shape": list(SQUARES), **valid, field: value}
                if (field, value) in (("positive", True), ("thickness", 5)) or (field == "thickness" and value is True):
                    continue
                # Written here: httpx writes no numbers that are infinite.
                body = json.dumps({"prompt": prompt}).replace("Infinity", "1e400")
                answer = server.client.post(f"/api/images/{image}/prompts", content=body, headers=JSON)
                assert 400 <= answer.status_code < 500, (kind, field, answer.status_code, answer.text)
                assert answer.json()["message"].isprintable()
                connection.send(json.dumps({"type": "prompt", "request": "a", "prompt": prompt}))
                told = json.loads(connection.recv(timeout=10))
                assert told["type"] == "error", (kind, field, told)
                assert told["problem"]["kind"] != "InternalError", (kind, field, told)
    assert server.ok("GET", f"/api/images/{image}")["objects"] == []


JSON = {"Content-Type": "application/json"}
