from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bedside import __version__
from bedside.io import read_mask

Start = Callable[..., Any]


def listed(server: Any) -> Any:
    """The worklist, once the folder has been looked through."""
    for _ in range(1000):
        found = server.ok("GET", "/api/worklist")
        if not found["scanning"]:
            return found
        time.sleep(0.01)
    raise AssertionError("the folder is still looked through")


def test_nothing_given_is_the_empty_state(start: Start) -> None:
    server = start()
    state = server.ok("GET", "/api/state")
    assert (state["version"], state["first"], state["recent"]) == (__version__, None, [])
    assert state["default_model"] == "bedside-2d"
    assert ".nii.gz" in state["readers"]["nifti"]
    assert {p["name"] for p in state["presets"]} >= {"CT abdomen", "CT lung", "CT bone", "CT brain"}
    assert server.ok("GET", "/api/worklist") == {
        "items": [],
        "scanning": False,
        "counts": {"new": 0, "in progress": 0, "done": 0},
    }


def test_a_folder_is_the_worklist_of_its_images(start: Start, picture: Path, volume: Path) -> None:
    folder = picture.parent
    shutil.copy(picture, folder / "scan 10.png")
    shutil.copy(picture, folder / "scan 9.png")
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_bytes(picture.read_bytes())
    (folder / "deeper").mkdir()
    shutil.copy(volume, folder / "deeper" / "one.nii.gz")
    server = start(folder)
    found = listed(server)
    names = ["cubes.nii.gz", "scan 9.png", "scan 10.png", "squares.png", "deeper/one.nii.gz"]
    assert [i["name"] for i in found["items"]] == names
    assert found["counts"] == {"new": 5, "in progress": 0, "done": 0}
    assert server.ok("GET", "/api/state")["first"] == found["items"][0]["item"]


def test_work_and_hands_move_the_states(start: Start, picture: Path, volume: Path) -> None:
    server = start(picture, volume)
    first, second = (i["item"] for i in listed(server)["items"])
    opened = server.ok("POST", f"/api/worklist/{first}/open")
    assert (opened["item"], opened["name"]) == (first, "squares.png")
    server.click(opened["image"], 12, 8)
    items = listed(server)["items"]
    assert [(i["state"], i["objects"], i["ready"]) for i in items] == [("in progress", 1, True), ("new", 0, False)]
    assert server.ok("PATCH", f"/api/worklist/{first}", {"state": "done"})["state"] == "done"
    assert listed(server)["counts"] == {"new": 1, "in progress": 0, "done": 1}
    server.rejected("PATCH", f"/api/worklist/{first}", 422, {"state": "perfect"})
    server = start(picture, volume)
    assert [i["state"] for i in listed(server)["items"]] == ["done", "new"]
    assert [i["name"] for i in server.ok("GET", "/api/state")["recent"]] == ["squares.png"]
    assert second == listed(server)["items"][1]["item"]


def test_the_next_is_the_next_that_is_not_done(start: Start, picture: Path, volume: Path) -> None:
    third = picture.parent / "third.png"
    shutil.copy(picture, third)
    server = start(picture, volume, third)
    a, b, c = (i["item"] for i in listed(server)["items"])
    assert server.ok("POST", "/api/worklist/next")["item"] == a
    assert server.ok("POST", f"/api/worklist/next?after={a}")["item"] == b
    server.ok("PATCH", f"/api/worklist/{b}", {"state": "done"})
    assert server.ok("POST", f"/api/worklist/next?after={a}")["item"] == c
    assert server.ok("POST", f"/api/worklist/next?after={c}")["item"] == a
    for item in (a, c):
        server.ok("PATCH", f"/api/worklist/{item}", {"state": "done"})
    assert "done" in server.rejected("POST", f"/api/worklist/next?after={a}", 404)["message"]


def test_the_next_image_is_prepared(start: Start, picture: Path, volume: Path) -> None:
    server = start(picture, volume, prepare_after=0.0)
    first = listed(server)["items"][0]["item"]
    server.ok("POST", f"/api/worklist/{first}/open")
    for _ in range(1000):
        items = server.ok("GET", "/api/worklist")["items"]
        if items[1]["ready"]:
            break
        time.sleep(0.01)
    assert [i["ready"] for i in items] == [True, True]
    # It was prepared and not opened: nobody has seen it yet.
    assert [i["name"] for i in server.ok("GET", "/api/state")["recent"]] == ["squares.png"]


def test_the_first_image_is_read_before_anybody_asks(start: Start, picture: Path, volume: Path) -> None:
    server = start(picture.parent, prepare_after=60.0)
    first = server.ok("GET", "/api/state")["first"]
    for _ in range(1000):
        items = server.ok("GET", "/api/worklist")["items"]
        if items[0]["ready"]:
            break
        time.sleep(0.01)
    assert [(i["item"] == first, i["ready"]) for i in items] == [(True, True), (False, False)]


def test_preparing_drives_nothing_out(start: Start, picture: Path, volume: Path) -> None:
    server = start(picture, volume, prepare_after=0.0, budget=5000)
    first, second = (i["item"] for i in listed(server)["items"])
    image = server.ok("POST", f"/api/worklist/{first}/open")["image"]
    for _ in range(1000):
        if server.ok("GET", "/api/worklist")["items"][1]["image"] is not None:
            break
        time.sleep(0.01)
    time.sleep(0.05)
    assert [i["image"] for i in server.ok("GET", "/api/images")["images"]] == [image]
    assert server.ok("POST", f"/api/worklist/{second}/open")["item"] == second


def test_the_same_image_at_two_places_is_one_image(start: Start, picture: Path) -> None:
    copy = picture.parent / "copy.png"
    shutil.copy(picture, copy)
    server = start(picture, copy)
    a, b = (i["item"] for i in listed(server)["items"])
    first = server.ok("POST", f"/api/worklist/{a}/open")
    server.click(first["image"], 12, 8)
    second = server.ok("POST", f"/api/worklist/{b}/open")
    assert (second["image"], second["item"], len(second["objects"])) == (first["image"], b, 1)


def test_taking_an_item_off_keeps_its_work(start: Start, picture: Path) -> None:
    server = start(picture)
    (item,) = (i["item"] for i in listed(server)["items"])
    image = server.ok("POST", f"/api/worklist/{item}/open")["image"]
    server.click(image, 12, 8)
    server.ok("DELETE", f"/api/worklist/{item}")
    assert listed(server)["items"] == []
    assert picture.is_file()
    assert len(server.open(picture)["objects"]) == 1


def test_unknown_items_are_rejected(start: Start) -> None:
    server = start()
    for method, path, body in (
        ("POST", "/api/worklist/5/open", None),
        ("PATCH", "/api/worklist/5", {"state": "done"}),
        ("DELETE", "/api/worklist/5", None),
        ("POST", "/api/worklist/next", None),
    ):
        assert server.rejected(method, path, 404, body)["kind"] == "NotFoundError"


def test_images_that_cannot_be_read_stay_on_the_list_with_the_reason(start: Start, picture: Path) -> None:
    broken = picture.parent / "broken.png"
    broken.write_bytes(b"nothing of a picture")
    server = start(picture.parent)
    item = next(i["item"] for i in listed(server)["items"] if i["name"] == "broken.png")
    problem = server.rejected("POST", f"/api/worklist/{item}/open", 400)
    found = next(i for i in listed(server)["items"] if i["item"] == item)
    assert found["problem"] == problem["message"]
    broken.write_bytes(picture.read_bytes())
    server.ok("POST", f"/api/worklist/{item}/open")
    assert next(i for i in listed(server)["items"] if i["item"] == item)["problem"] is None


def test_a_folder_without_images_is_an_empty_list(start: Start, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert listed(start(empty))["items"] == []


def test_the_models_and_why_one_cannot_be_chosen(start: Start) -> None:
    found = start().ok("GET", "/api/models")
    models = {m["name"]: m for m in found["models"]}
    assert found["default"] == "bedside-2d"
    assert (models["bedside-2d"]["available"], models["bedside-2d"]["reason"]) == (True, None)
    assert models["bedside-2d"]["tools"]["dimensions"] == [2, 3]
    assert "point" in models["bedside-2d"]["tools"]["prompt_kinds"]
    unavailable = [m for m in found["models"] if not m["available"]]
    assert unavailable
    assert all(m["reason"] for m in unavailable)


def test_masks_are_saved_beside_the_image(start: Start, picture: Path, volume: Path) -> None:
    server = start(picture, volume)
    first, second = (i["item"] for i in listed(server)["items"])
    image = server.ok("POST", f"/api/worklist/{first}/open")["image"]
    assert "at least one object" in server.rejected("POST", f"/api/worklist/{first}/save", 400)["message"]
    server.click(image, 12, 8)
    assert server.ok("POST", f"/api/worklist/{first}/save") == {"folder": str(picture.parent), "notes": []}
    saved = picture.with_name("squares-labels.png")
    np.testing.assert_array_equal(read_mask(saved).array, server.mask(image, 1, (40, 60)))
    # The next time replaces it, and what somebody else wrote there stays.
    server.click(image, 12, 8, positive=False)
    server.ok("POST", f"/api/worklist/{first}/save")
    assert read_mask(saved).array.sum() == server.mask(image, 1, (40, 60)).sum()
    image = server.ok("POST", f"/api/worklist/{second}/open")["image"]
    server.click(image, 12, 8, 4)
    other = volume.with_name("cubes-labels.nii.gz")
    other.write_bytes(b"mine")
    assert "a file of another" in server.rejected("POST", f"/api/worklist/{second}/save", 400)["message"]
    assert other.read_bytes() == b"mine"


def test_nothing_is_saved_among_the_copies_of_the_server(start: Start, picture: Path) -> None:
    server = start()
    answer = server.client.post("/api/upload", files=[("files", (picture.name, picture.read_bytes()))]).json()
    server.click(answer["image"], 12, 8)
    assert (
        "a copy that the server keeps"
        in server.rejected("POST", f"/api/worklist/{answer['item']}/save", 400)["message"]
    )
