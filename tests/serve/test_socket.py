from __future__ import annotations

import base64
import json
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from bedside.core.prompts import Point
from bedside.session import Session

Start = Callable[..., Any]
SQUARES = (40, 60)


def send(connection: Any, **message: Any) -> None:
    connection.send(json.dumps(message))


def take(connection: Any, *kinds: str) -> Any:
    """The next message that is of one of the kinds; others that are no "busy" are an error."""
    while True:
        message = json.loads(connection.recv(timeout=20))
        if message["type"] in kinds:
            return message
        assert message["type"] == "busy", message


def click(connection: Any, name: str, *position: float, **fields: Any) -> None:
    request = {k: fields.pop(k) for k in ("object", "predict") if k in fields}
    send(connection, type="prompt", request=name, prompt={"kind": "point", "position": position, **fields}, **request)


def test_a_prompt_is_answered(start: Start, picture: Path, tools: Any) -> None:
    server = start()
    image = server.open(picture)["image"]
    with server.connect(image) as connection:
        assert json.loads(connection.recv(timeout=10)) == {"type": "hello", "image": image, "version": 0}
        click(connection, "a", 12, 8)
        busy = {"type": "busy", "request": "a", "object": None, "ahead": 0, "limit": 600.0}
        assert json.loads(connection.recv(timeout=10)) == busy
        answer = take(connection, "answer")
        assert (answer["request"], answer["change"]["version"]) == ("a", 1)
        assert tools.decoded(answer["change"]["patch"], "bits").sum() == 100
        send(connection, type="undo", request="b")
        assert take(connection, "answer")["change"]["objects"][0]["voxels"] == 0
        send(connection, type="redo", request="c", object=1)
        assert take(connection, "answer")["change"]["objects"][0]["voxels"] == 100
        painted = base64.b64encode(zlib.compress(np.packbits(np.zeros(4, np.uint8)).tobytes())).decode()
        send(connection, type="brush", request="d", object=1, box={"start": [5, 10], "stop": [7, 12]}, bits=painted)
        assert take(connection, "answer")["change"]["objects"][0]["voxels"] == 96
        send(connection, type="remove", request="e", prompt=2)
        assert take(connection, "answer")["change"]["objects"][0]["voxels"] == 100


def test_two_tabs_see_the_same(start: Start, picture: Path, tools: Any) -> None:
    server = start()
    image = server.open(picture)["image"]
    shown = [np.zeros(SQUARES, np.uint16) for _ in range(2)]
    with server.listen(image) as first, server.listen(image) as second:
        for step, (here, there) in enumerate(((first, second), (second, first), (first, second)), start=1):
            click(here, f"r{step}", *((12, 8), (44, 28), (1, 1))[step - 1])
            own, other = take(here, "answer")["change"], take(there, "changed")["change"]
            assert own == other
            assert own["version"] == step
            tools.pasted(own["patch"], "labels", SQUARES, shown[0])
            tools.pasted(other["patch"], "labels", SQUARES, shown[1])
        server.ok("PATCH", f"/api/images/{image}/objects/1", {"name": "by REST"})
        for connection in (first, second):
            assert take(connection, "changed")["change"]["objects"][0]["name"] == "by REST"
    assert np.array_equal(shown[0], shown[1])
    assert np.array_equal(shown[0], server.labels(image, SQUARES))


def test_tabs_of_other_images_hear_nothing(start: Start, picture: Path, volume: Path) -> None:
    server = start()
    image, other = server.open(picture)["image"], server.open(volume)["image"]
    with server.listen(other) as connection:
        server.click(image, 12, 8)
        click(connection, "own", 12, 8, 4)
        assert take(connection, "answer", "changed")["type"] == "answer"


def test_a_newer_prompt_supersedes_those_that_wait(start: Start, picture: Path, grower_calls: Any) -> None:
    server = start()
    image = server.open(picture)["image"]
    with server.listen(image) as connection:
        click(connection, "warm", 12, 8)
        take(connection, "answer")
        server.gate.reached.acquire()
        server.gate.close()
        click(connection, "running", 11, 7)
        assert server.gate.reached.acquire(timeout=10)
        for name, position in (("old", (44, 28)), ("older", (30, 20)), ("newest", (13, 9))):
            click(connection, name, *position)
        assert [take_busy(connection) for _ in range(4)] == [0, 1, 2, 3]
        server.gate.open()
        answered = [take(connection, "answer", "superseded") for _ in range(4)]
    kinds = {m["request"]: m["type"] for m in answered}
    assert kinds == {"running": "answer", "old": "superseded", "older": "superseded", "newest": "answer"}
    change = next(m["change"] for m in answered if m["request"] == "newest")
    assert (change["together"], change["version"]) == (2, 3)
    assert [p["predict"] for p in change["prompts"]] == [True, True, False, False, True]
    assert change["seconds"]["queue"] > 0
    # The same as a session that was told to wait.
    session = Session(picture, segmenter=grower_calls())
    for position, predict in (((12, 8), True), ((11, 7), True), ((44, 28), False), ((30, 20), False), ((13, 9), True)):
        session.add(Point(position), predict=predict)
    assert np.array_equal(server.mask(image, 1, SQUARES), session.mask)
    assert server.growers[0].calls == [1, 2, 5]


def take_busy(connection: Any) -> int:
    message = json.loads(connection.recv(timeout=10))
    assert message["type"] == "busy"
    ahead: int = message["ahead"]
    return ahead


def held(server: Any, image: int, connection: Any) -> None:
    """Have the worker wait in the middle of a prediction of object 1."""
    click(connection, "held", 12, 8)
    take(connection, "answer")
    server.gate.reached.acquire()
    server.gate.close()
    click(connection, "running", 11, 7)
    assert server.gate.reached.acquire(timeout=10)


def test_superseding_by_rest(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    with server.listen(image) as connection:
        held(server, image, connection)
        answers: list[Any] = []
        threads = []
        for position in ((44, 28), (13, 9)):
            threads.append(threading.Thread(target=lambda p=position: answers.append(server.click(image, *p))))
            threads[-1].start()
            wait_for_jobs(server, len(threads))
        server.gate.open()
        for thread in threads:
            thread.join(20)
    assert {"superseded": True, "image": image, "object": 1} in answers
    assert [a["together"] for a in answers if "version" in a] == [1]


def wait_for_jobs(server: Any, waiting: int) -> None:
    """Until so many requests wait in the worker's queue: what is sent has not arrived yet."""
    for _ in range(2000):
        if server.service.worker.waiting >= waiting:
            return
        time.sleep(0.005)
    raise AssertionError("the request never reached the queue")


def test_undo_in_between_keeps_prompts_apart(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    with server.listen(image) as connection:
        held(server, image, connection)
        click(connection, "one", 44, 28)
        send(connection, type="undo", request="undo")
        click(connection, "two", 30, 20)
        wait_for_jobs(server, 3)
        server.gate.open()
        answered = [take(connection, "answer", "superseded") for _ in range(4)]
    assert [(m["request"], m["type"]) for m in answered] == [
        (name, "answer") for name in ("running", "one", "undo", "two")
    ]


def test_prompts_of_other_objects_are_not_superseded(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    server.ok("POST", f"/api/images/{image}/objects", {})
    server.ok("POST", f"/api/images/{image}/objects", {})
    server.ok("PATCH", f"/api/images/{image}", {"current": 1})
    with server.listen(image) as connection:
        held(server, image, connection)
        click(connection, "first", 44, 28, object=1)
        click(connection, "other", 44, 28, object=2)
        click(connection, "second", 30, 20, object=1)
        wait_for_jobs(server, 3)
        server.gate.open()
        answered = {m["request"]: m["type"] for m in (take(connection, "answer", "superseded") for _ in range(4))}
    assert answered == {"running": "answer", "first": "superseded", "other": "answer", "second": "answer"}


def test_a_rejected_prompt_supersedes_nothing(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    with server.listen(image) as connection:
        held(server, image, connection)
        click(connection, "good", 44, 28)
        click(connection, "outside", 444, 28)
        send(connection, type="prompt", request="lasso", prompt={"kind": "lasso", "points": [[1, 1], [5, 1], [5, 5]]})
        server.gate.open()
        seen = {m["request"]: m for m in (take(connection, "answer", "superseded", "error") for _ in range(4))}
    assert {name: m["type"] for name, m in seen.items()} == {
        "running": "answer",
        "good": "answer",
        "outside": "error",
        "lasso": "error",
    }
    assert "outside the image on axis x" in seen["outside"]["problem"]["message"]
    assert [p["kind"] for p in seen["good"]["change"]["prompts"]] == ["point"] * 3


def test_prompts_that_only_together_begin_an_object(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    other = server.ok("POST", "/api/sample")["image"]
    with server.listen(other) as busy, server.listen(image) as connection:
        server.gate.close()
        click(busy, "running", 60, 70, 28)
        assert server.gate.reached.acquire(timeout=10)
        click(connection, "off", 1, 1, positive=False)
        click(connection, "on", 12, 8)
        wait_for_jobs(server, 2)
        server.gate.open()
        seen = [take(connection, "answer", "superseded", "error") for _ in range(2)]
        assert [(m["request"], m["type"]) for m in seen] == [("off", "superseded"), ("on", "answer")]
        click(connection, "alone", 2, 2, positive=False)
        assert take(connection, "answer", "error")["type"] == "answer"


def test_what_waited_is_told_when_the_newest_fails(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    with server.listen(image) as connection:
        held(server, image, connection)
        server.growers[0].fail = True
        click(connection, "old", 44, 28)
        click(connection, "new", 30, 20)
        wait_for_jobs(server, 2)
        server.gate.open()
        seen = {m["request"]: m for m in (take(connection, "answer", "superseded", "error") for _ in range(3))}
        assert [seen[n]["type"] for n in ("running", "old", "new")] == ["error", "answer", "error"]
        assert [p["predict"] for p in seen["old"]["change"]["prompts"]] == [True, False]
        server.growers[0].fail = False
        click(connection, "again", 13, 9)
        assert take(connection, "answer")["change"]["objects"][0]["voxels"] == 164


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "[]",
        "{}",
        '{"type": "prompt"}',
        '{"type": "dance", "request": "a"}',
        '{"type": "undo", "request": "a", "object": "one"}',
        '{"type": "undo", "request": 5}',
        '{"type": "prompt", "request": "a", "prompt": {"kind": "point", "position": [1, 1]}, "more": 1}',
    ],
)
def test_messages_of_the_wrong_form_are_rejected_and_the_talk_goes_on(start: Start, picture: Path, text: str) -> None:
    server = start()
    image = server.open(picture)["image"]
    with server.listen(image) as connection:
        connection.send(text)
        rejected = take(connection, "error")
        assert (rejected["request"], rejected["problem"]["kind"]) == (None, "InvalidRequest")
        click(connection, "b", 12, 8)
        take(connection, "answer")


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ({"type": "remove", "prompt": 9}, "NotFoundError"),
        ({"type": "undo", "object": 9}, "NotFoundError"),
        ({"type": "redo"}, "NotFoundError"),
        ({"type": "brush", "box": {"start": [0, 0], "stop": [99, 1]}, "bits": ""}, "InputError"),
        ({"type": "prompt", "prompt": {"kind": "point", "position": [1, 1], "positive": False}}, "PromptError"),
    ],
)
def test_requests_that_cannot_be_done_are_rejected(start: Start, picture: Path, message: Any, kind: str) -> None:
    server = start()
    image = server.open(picture)["image"]
    with server.listen(image) as connection:
        send(connection, request="a", **message)
        rejected = take(connection, "error")
        assert (rejected["request"], rejected["problem"]["kind"]) == ("a", kind)


def test_bytes_end_the_talk_and_nothing_else(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    with server.listen(image) as connection:
        connection.send(b"\0\1\2")
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=10)
    server.click(image, 12, 8)


def test_an_unknown_image_closes_the_talk(start: Start) -> None:
    server = start()
    with server.connect(99) as connection:
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv(timeout=10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4404


@pytest.mark.parametrize(
    "headers", [{"Authorization": "Bearer wrong"}, {"Origin": "http://evil.example"}, {"Host": "evil.example:80"}]
)
def test_strangers_get_no_talk(start: Start, picture: Path, headers: dict[str, str]) -> None:
    server = start()
    image = server.open(picture)["image"]
    with pytest.raises(InvalidStatus) as rejected, server.connect(image, **headers):
        pass
    assert rejected.value.response.status_code in (400, 403)


def test_a_tab_that_was_away_sees_by_the_version_that_it_missed_something(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    with server.listen(image):
        pass
    server.click(image, 12, 8)
    server.click(image, 44, 28)
    with server.connect(image) as connection:
        assert json.loads(connection.recv(timeout=10))["version"] == 2
    assert server.ok("GET", f"/api/images/{image}/labels")["version"] == 2
    assert server.ok("GET", f"/api/images/{image}/objects")["version"] == 2
