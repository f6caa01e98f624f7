from __future__ import annotations

import base64
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside.core.prompts import prompt_from_dict
from bedside.io import read_image
from bedside.serve.engines import Engines
from bedside.session import Session

Start = Callable[..., Any]
SQUARES, CUBES = (40, 60), (12, 30, 40)


def bits(mask: Any) -> str:
    packed = np.packbits(np.asarray(mask, np.uint8)).tobytes()
    return base64.b64encode(zlib.compress(packed)).decode()


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


def test_the_work_is_there_after_a_restart(start: Start, volume: Path) -> None:
    server = start()
    image = server.open(volume)["image"]
    server.click(image, 12, 8, 4)
    server.ok("POST", f"/api/images/{image}/objects", {"name": "other", "colour": "#112233"})
    server.click(image, 30, 20, 8)
    server.click(image, 30, 20, 7, predict=False)
    server.ok("PATCH", f"/api/images/{image}/objects/1", {"visible": False, "locked": True})
    server.ok("PATCH", f"/api/images/{image}", {"policy": "overwrite", "current": 1})
    before = server.ok("GET", f"/api/images/{image}")
    masks = [server.mask(image, n, CUBES) for n in (1, 2)]
    server = start()
    after = server.open(volume)
    for name in ("image", "version", "objects", "current", "policy", "model", "state"):
        assert after[name] == before[name], name
    assert all(np.array_equal(server.mask(image, n, CUBES), m) for n, m in zip((1, 2), masks, strict=True))
    assert [len(g.calls) for g in server.growers] in ([], [0])
    # What waited is answered with the next prompt, as if nobody had stopped.
    change = server.click(image, 30, 21, 8, object=2)
    assert change["objects"][1]["prompts"] == 3


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
    assert server.refused("DELETE", f"/api/images/{image}/prompts/1", 404)["kind"] == "NotFoundError"
    assert server.ok("GET", f"/api/images/{image}/objects/1/prompts")["prompts"] == change["prompts"]


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
    assert [(o["id"], o["label"]) for o in deleted["objects"]] == [(2, 1)]
    assert deleted["patch"]["bits"] is None
    # A number is never given twice.
    assert server.ok("POST", f"/api/images/{image}/objects", {})["object"] == 3
    server.ok("DELETE", f"/api/images/{image}/objects/3")
    server.ok("DELETE", f"/api/images/{image}/objects/2")
    assert server.click(image, 12, 8)["object"] == 4


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
    assert server.refused("PATCH", f"/api/images/{image}", 404, {"current": 9})["kind"] == "NotFoundError"
    server.refused("PATCH", f"/api/images/{image}", 422, {"policy": "both"})


def test_locked_objects_do_not_change(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    server.click(image, 12, 8)
    server.ok("PATCH", f"/api/images/{image}/objects/1", {"locked": True})
    base = f"/api/images/{image}"
    click = {"prompt": {"kind": "point", "position": [1, 1]}, "object": 1}
    stroke = {"box": {"start": [0, 0], "stop": [1, 1]}, "bits": bits([[1]]), "object": 1}
    for method, path, body in (
        ("POST", "/prompts", click),
        ("POST", "/prompts", {**click, "object": None}),
        ("POST", "/brush", stroke),
        ("POST", "/objects/1/undo", None),
        ("POST", "/objects/1/redo", None),
        ("DELETE", "/prompts/1", None),
        ("DELETE", "/objects/1", None),
    ):
        assert server.refused(method, base + path, 409, body)["kind"] == "LockedError"
    server.ok("PATCH", f"{base}/objects/1", {"locked": False, "name": "free"})
    server.ok("DELETE", f"{base}/objects/1")


@pytest.mark.parametrize("axes", [2, 3])
def test_a_brush_sets_just_its_box(start: Start, picture: Path, volume: Path, tools: Any, axes: int) -> None:
    path, shape = (picture, SQUARES) if axes == 2 else (volume, CUBES)
    server = start()
    image = server.open(path)["image"]
    server.click(image, *([12, 8, 4][:axes]))
    expected = server.mask(image, 1, shape)
    box = {"start": [3, 4, 8][-axes:], "stop": [6, 9, 15][-axes:]}
    painted = np.random.default_rng(1).integers(0, 2, [b - a for a, b in zip(box["start"], box["stop"], strict=True)])
    change = server.ok("POST", f"/api/images/{image}/brush", {"box": box, "bits": bits(painted)})
    where = tuple(slice(a, b) for a, b in zip(box["start"], box["stop"], strict=True))
    expected[where] = painted
    assert np.array_equal(server.mask(image, 1, shape), expected)
    assert np.array_equal(tools.pasted(change["patch"], "bits", shape, expected.copy()), expected)
    shown = change["prompts"][-1]
    assert (shown["kind"], "bits" in shown["prompt"]) == ("mask", False)
    server.ok("POST", f"/api/images/{image}/objects/1/undo")
    assert not np.array_equal(server.mask(image, 1, shape), expected)


def test_a_brush_may_begin_an_object(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    stroke = {"box": {"start": [2, 3], "stop": [4, 5]}, "bits": bits(np.ones((2, 2)))}
    assert server.ok("POST", f"/api/images/{image}/brush", stroke)["objects"][0]["voxels"] == 4


@pytest.mark.parametrize(
    ("box", "painted"),
    [
        ({"start": [0, 0], "stop": [41, 1]}, np.ones((41, 1))),
        ({"start": [-1, 0], "stop": [1, 1]}, np.ones((2, 1))),
        ({"start": [3, 3], "stop": [3, 4]}, np.ones((0, 1))),
        ({"start": [3], "stop": [4]}, np.ones(1)),
        ({"start": [0, 0, 0], "stop": [1, 1, 1]}, np.ones((1, 1, 1))),
        ({"start": [0, 0], "stop": [9, 9]}, np.ones((2, 2))),
        ({"start": [0, 0], "stop": [2, 2]}, np.ones((9, 9))),
    ],
)
def test_brushes_that_do_not_fit_are_refused(start: Start, picture: Path, box: Any, painted: Any) -> None:
    server = start()
    image = server.open(picture)["image"]
    problem = server.refused("POST", f"/api/images/{image}/brush", 400, {"box": box, "bits": bits(painted)})
    assert "brush" in problem["what"]
    assert server.ok("GET", f"/api/images/{image}/objects")["objects"] == []


def test_brushes_that_are_no_bits_are_refused(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    box = {"start": [0, 0], "stop": [2, 2]}
    bomb = base64.b64encode(zlib.compress(bytes(10**7))).decode()
    for text in ("!", base64.b64encode(b"not deflated").decode(), "", bomb):
        server.refused("POST", f"/api/images/{image}/brush", 400, {"box": box, "bits": text})


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
def test_prompts_that_cannot_be_answered_are_refused_by_name(
    start: Start, picture: Path, prompt: Any, message: str
) -> None:
    server = start()
    image = server.open(picture)["image"]
    problem = server.refused("POST", f"/api/images/{image}/prompts", 400, {"prompt": prompt})
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
def test_bodies_of_the_wrong_form_are_refused(start: Start, picture: Path, body: Any) -> None:
    server = start()
    image = server.open(picture)["image"]
    assert server.refused("POST", f"/api/images/{image}/prompts", 422, body)["kind"] == "InvalidRequest"


def test_unknown_objects_are_refused(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    server.click(image, 12, 8)
    base = f"/api/images/{image}"
    click = {"prompt": {"kind": "point", "position": [1, 1]}, "object": 5}
    stroke = {"box": {"start": [0, 0], "stop": [1, 1]}, "bits": bits([[1]]), "object": 5}
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
        assert server.refused(method, base + path, 404, body)["kind"] == "NotFoundError"
    server.refused("PATCH", f"{base}/objects/1", 422, {"colour": "red"})
    server.refused("POST", f"{base}/objects", 422, {"name": ""})


def test_a_model_that_does_not_suggest_says_so(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    server.click(image, 12, 8)
    problem = server.refused("POST", f"/api/images/{image}/objects/1/suggest", 409)
    assert (problem["kind"], "bedside-2d does not suggest" in problem["what"]) == ("NotOfferedError", True)
    assert server.ok("GET", f"/api/images/{image}")["tools"]["suggest"] is False


def test_a_suggested_click_can_be_sent_as_it_is(start: Start, picture: Path) -> None:
    server = start(engines=Engines())
    image = server.open(picture)["image"]
    server.click(image, 12, 8)
    assert server.ok("GET", f"/api/images/{image}")["tools"]["suggest"] is True
    prompt = server.ok("POST", f"/api/images/{image}/objects/1/suggest")["prompt"]
    if prompt is not None:
        server.ok("POST", f"/api/images/{image}/prompts", {"prompt": prompt})


def test_another_model_answers_all_prompts_anew(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    server.click(image, 12, 8)
    change = server.ok("PATCH", f"/api/images/{image}", {"model": "bedside-3d"})
    assert [g.name for g in server.growers] == ["bedside-2d", "bedside-3d"]
    assert len(server.growers[1].calls) == 1
    assert change["objects"][0]["voxels"] == 100
    assert server.ok("GET", f"/api/images/{image}")["model"] == "bedside-3d"
    server = start()
    assert server.open(picture)["model"] == "bedside-3d"
    # Kept with the model that made it, so nobody is asked again.
    assert server.mask(image, 1, SQUARES).sum() == 100
    assert sum(len(g.calls) for g in server.growers) == 0


def test_a_model_that_cannot_be_loaded_leaves_everything_as_it_was(start: Start, picture: Path) -> None:
    server = start(engines=Engines())
    image = server.open(picture)["image"]
    change = server.click(image, 12, 8)
    server.refused("PATCH", f"/api/images/{image}", 400, {"model": "no-such-model"})
    missing = next(m for m in server.ok("GET", "/api/models")["models"] if not m["available"])
    assert missing["reason"]
    server.refused("PATCH", f"/api/images/{image}", 503, {"model": missing["name"]})
    found = server.ok("GET", f"/api/images/{image}")
    assert (found["model"], found["objects"], found["version"]) == ("bedside-2d", change["objects"], change["version"])


def test_a_runtime_that_fails_is_no_traceback(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    server.click(image, 12, 8)
    server.growers[0].fail = True
    click = {"prompt": {"kind": "point", "position": [44, 28]}}
    assert server.refused("POST", f"/api/images/{image}/prompts", 500, click)["kind"] == "InternalError"
    server.growers[0].fail = False
    assert server.click(image, 44, 28)["objects"][0]["voxels"] == 164


def test_a_workspace_that_cannot_be_written_loses_no_truth(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    server.click(image, 12, 8)
    connection = server.service.workspace._connection
    connection.execute("CREATE TEMP TRIGGER full BEFORE INSERT ON event BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    problem = server.refused(
        "POST", f"/api/images/{image}/prompts", 400, {"prompt": {"kind": "point", "position": [44, 28]}}
    )
    assert "disk is full" in problem["message"]
    # What is shown is what is kept: the image is taken up from the workspace again.
    assert server.ok("GET", f"/api/images/{image}")["objects"][0]["voxels"] == 100
    connection.execute("DROP TRIGGER full")
    assert server.click(image, 44, 28)["objects"][0]["voxels"] == 164


def test_what_waits_for_an_image_that_broke_is_refused_and_not_written(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    server.click(image, 12, 8)
    server.gate.reached.acquire()
    server.gate.close()
    connection = server.service.workspace._connection
    connection.execute("CREATE TEMP TRIGGER full BEFORE INSERT ON event BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    prompt = {"prompt": {"kind": "point", "position": [44, 28]}}
    answers: dict[str, str] = {}

    def ask(method: str, path: str, body: Any) -> None:
        answers[method] = server.client.request(method, f"/api/images/{image}{path}", json=body).json()["message"]

    threads = [threading.Thread(target=ask, args=("POST", "/prompts", prompt))]
    threads[0].start()
    assert server.gate.reached.acquire(timeout=10)
    threads.append(threading.Thread(target=ask, args=("PATCH", "/objects/1", {"name": "late"})))
    threads[1].start()
    while not server.service.worker._jobs:
        threading.Event().wait(0.005)
    server.gate.open()
    for thread in threads:
        thread.join(20)
    assert "disk is full" in answers["POST"]
    assert "opens anew" in answers["PATCH"]
    connection.execute("DROP TRIGGER full")
    assert server.ok("GET", f"/api/images/{image}")["objects"][0]["name"] == "object 1"


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
