"""Answers that are stopped: their prompts are nowhere, everybody is told, and nobody else waits for them."""

from __future__ import annotations

import json
import socket as sockets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside.core.prompts import Point
from bedside.serve.opened import OpenImage
from bedside.serve.worker import Job, Worker
from bedside.session import Session
from bedside.session.journal import history
from bedside.session.workspace import Workspace

Start = Callable[..., Any]
SQUARES = (40, 60)


def send(connection: Any, **message: Any) -> None:
    connection.send(json.dumps(message))


def click(connection: Any, name: str, *position: float, **fields: Any) -> None:
    prompt = {"kind": "point", "position": position}
    send(connection, type="prompt", request=name, prompt=prompt, **fields)


def take(connection: Any, *kinds: str) -> Any:
    while (message := json.loads(connection.recv(timeout=20)))["type"] == "busy":
        pass
    assert message["type"] in kinds, message
    return message


def until(true: Callable[[], bool]) -> None:
    for _ in range(2000):
        if true():
            return
        time.sleep(0.005)
    raise AssertionError("it never happened")


def hold(server: Any, connection: Any, name: str = "running", *position: float, **fields: Any) -> None:
    """Have a prediction begin that does not end by itself."""
    while server.gate.reached.acquire(blocking=False):
        pass
    server.gate.close()
    click(connection, name, *(position or (11, 7)), **fields)
    assert server.gate.reached.acquire(timeout=10)


def kept(server: Any, image: int) -> list[list[tuple[float, ...]]]:
    """The clicks in force of each object, as the file of the workspace has them."""
    journal, _ = server.service.workspace.journal(image)
    return [[p.prompt.position for p in history(item.events).prompts] for item in journal.objects]  # type: ignore[union-attr]


def test_a_running_answer_is_stopped_and_its_prompt_is_nowhere(start: Start, picture: Path, grower_calls: Any) -> None:
    server = start()
    image = server.open(picture)["image"]
    with server.listen(image) as connection:
        click(connection, "first", 12, 8)
        before = take(connection, "answer")["change"]
        hold(server, connection, "long", 44, 28)
        send(connection, type="cancel", request="long")
        assert take(connection, "cancelled") == {"type": "cancelled", "request": "long"}
        assert kept(server, image) == [[(12, 8)]]
        server.gate.open()
        click(connection, "next", 30, 20)
        after = take(connection, "answer")["change"]
    assert (after["version"], len(after["prompts"])) == (before["version"] + 1, 2)
    session = Session(picture, segmenter=grower_calls())
    for position in ((12, 8), (30, 20)):
        session.add(Point(position))
    assert np.array_equal(server.mask(image, 1, SQUARES), session.mask)


def test_an_object_that_was_begun_for_it_is_nowhere_either(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    with server.listen(image) as connection:
        hold(server, connection)
        send(connection, type="cancel")
        take(connection, "cancelled")
        server.gate.open()
        assert server.ok("GET", f"/api/images/{image}/objects")["objects"] == []
        click(connection, "again", 12, 8)
        (made,) = take(connection, "answer")["change"]["objects"]
    assert (made["label"], made["voxels"]) == (1, 100)
    server = start()
    assert [o["prompts"] for o in server.open(picture)["objects"]] == [1]


@pytest.mark.parametrize("name", ["one", "two", "three"])
def test_those_that_were_answered_together_with_it_are_answered_without_it(
    start: Start, picture: Path, grower_calls: Any, name: str
) -> None:
    server = start()
    image = server.open(picture)["image"]
    places = {"one": (44, 28), "two": (30, 20), "three": (13, 9)}
    with server.listen(image) as connection:
        click(connection, "first", 12, 8)
        take(connection, "answer")
        hold(server, connection, "held", 11, 7)
        for request, place in places.items():
            click(connection, request, *place)
        until(lambda: server.service.worker.waiting == 3)
        # The one before them ends, they begin together, and then one of them is to end.
        send(connection, type="cancel", request="held")
        take(connection, "cancelled")
        assert server.gate.reached.acquire(timeout=10)
        send(connection, type="cancel", request=name)
        assert take(connection, "cancelled")["request"] == name
        server.gate.open()
        answered = [take(connection, "answer", "superseded") for _ in range(2)]
    left = [request for request in places if request != name]
    assert [(m["request"], m["type"]) for m in answered] == [(left[0], "superseded"), (left[1], "answer")]
    assert kept(server, image) == [[(12, 8), *(places[request] for request in left)]]
    session = Session(picture, segmenter=grower_calls())
    session.add(Point((12, 8)))
    session.add(Point(places[left[0]]), predict=False)
    session.add(Point(places[left[1]]))
    assert np.array_equal(server.mask(image, 1, SQUARES), session.mask)


def test_what_is_begun_again_comes_before_what_waits(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    with server.listen(image) as connection:
        click(connection, "first", 12, 8)
        take(connection, "answer")
        hold(server, connection, "held", 11, 7)
        click(connection, "one", 44, 28)
        click(connection, "two", 30, 20)
        send(connection, type="undo", request="undo", object=1)
        until(lambda: server.service.worker.waiting == 3)
        send(connection, type="cancel", request="held")
        take(connection, "cancelled")
        assert server.gate.reached.acquire(timeout=10)
        send(connection, type="cancel", request="one")
        take(connection, "cancelled")
        server.gate.open()
        assert [take(connection, "answer")["request"] for _ in range(2)] == ["two", "undo"]
    assert kept(server, image) == [[(12, 8)]]


def test_one_that_waits_is_taken_out_and_the_others_go_on(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    with server.listen(image) as connection:
        click(connection, "first", 12, 8)
        take(connection, "answer")
        hold(server, connection)
        click(connection, "one", 44, 28)
        click(connection, "two", 30, 20)
        until(lambda: server.service.worker.waiting == 2)
        send(connection, type="cancel", request="one")
        assert take(connection, "cancelled")["request"] == "one"
        server.gate.open()
        assert [take(connection, "answer")["request"] for _ in range(2)] == ["running", "two"]
    assert kept(server, image) == [[(12, 8), (11, 7), (30, 20)]]


def test_what_is_answered_cannot_be_stopped(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    with server.listen(image) as connection:
        click(connection, "first", 12, 8)
        take(connection, "answer")
        for request in ("first", "never was", None):
            send(connection, type="cancel", request=request)
        click(connection, "second", 44, 28)
        assert take(connection, "answer")["request"] == "second"
    assert kept(server, image) == [[(12, 8), (44, 28)]]


def test_a_client_that_goes_leaves_no_answer_under_way_but_all_that_was_painted(
    start: Start, picture: Path, tools: Any
) -> None:
    server = start()
    image = server.open(picture)["image"]
    with server.listen(image) as connection:
        click(connection, "first", 12, 8)
        take(connection, "answer")
        hold(server, connection)
        click(connection, "waits", 44, 28)
        box = {"start": [5, 10], "stop": [7, 12]}
        send(connection, type="brush", request="b", object=1, box=box, bits=tools.bits(np.zeros((2, 2))))
        until(lambda: server.service.worker.waiting == 2)
    until(lambda: server.service.worker.waiting == 0 and not server.service.hub.images[0].pending)
    (seen,) = server.ok("GET", f"/api/images/{image}/objects")["objects"]
    # The held prediction never ended by itself.
    assert (seen["voxels"], seen["prompts"]) == (96, 2)


def test_a_page_that_goes_to_another_image_is_answered(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    with server.listen(image) as connection:
        hold(server, connection)
        connection.close(4000)
    until(lambda: not server.service.hub._listeners[image])
    server.gate.open()
    until(lambda: not server.service.hub.images[0].pending)
    assert kept(server, image) == [[(11, 7)]]


def test_other_clients_lose_nothing_by_one_that_goes(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    with server.listen(image) as stays:
        click(stays, "first", 12, 8)
        take(stays, "answer")
        with server.listen(image) as goes:
            hold(server, goes)
            click(stays, "mine", 44, 28)
            until(lambda: server.service.worker.waiting == 1)
        until(lambda: server.service.worker.waiting == 0)
        server.gate.open()
        assert take(stays, "answer")["request"] == "mine"
    assert kept(server, image) == [[(12, 8), (44, 28)]]


REQUESTS = {
    "prompt": ("POST", "/prompts", {"prompt": {"kind": "point", "position": [44, 28]}}),
    "remove": ("DELETE", "/prompts/1", None),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_whose_client_goes_is_stopped(start: Start, picture: Path, name: str) -> None:
    server = start()
    image = server.open(picture)["image"]
    server.click(image, 12, 8)
    server.click(image, 30, 20)
    before = kept(server, image)
    method, path, body = REQUESTS[name]
    content = b"" if body is None else json.dumps(body).encode()
    head = (
        f"{method} /api/images/{image}{path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        f"Authorization: {server.client.headers['authorization']}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    while server.gate.reached.acquire(blocking=False):
        pass
    server.gate.close()
    with sockets.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head.encode() + content)
        assert server.gate.reached.acquire(timeout=10)
    until(lambda: not server.service.hub.images[0].pending)
    assert kept(server, image) == before
    server.gate.open()
    assert server.click(image, 44, 28)["prompts"]


def test_all_answers_of_an_image_are_stopped_by_rest(start: Start, picture: Path, volume: Path) -> None:
    server = start()
    image, other = server.open(picture)["image"], server.open(volume)["image"]
    server.click(image, 12, 8)
    problems: list[Any] = []
    with server.listen(image) as connection:
        hold(server, connection)

        def ask() -> None:
            problems.append(server.rejected("POST", f"/api/images/{image}/prompts", 409, REQUESTS["prompt"][2]))

        asking = threading.Thread(target=ask)
        asking.start()
        until(lambda: server.service.worker.waiting == 1)
        assert server.ok("POST", f"/api/images/{other}/cancel") == {"image": other, "cancelled": 0}
        assert server.ok("POST", f"/api/images/{image}/cancel") == {"image": image, "cancelled": 2}
        take(connection, "cancelled")
        asking.join(20)
    assert problems[0]["kind"] == "StoppedError"
    assert "nothing has changed" in problems[0]["message"]
    assert kept(server, image) == [[(12, 8)]]
    server.rejected("POST", "/api/images/99/cancel", 404)


def test_an_answer_that_takes_too_long_ends_and_says_how_long_it_had(start: Start, picture: Path) -> None:
    server = start(limit=0.2)
    image = server.open(picture)["image"]
    with server.listen(image) as connection:
        server.gate.close()
        click(connection, "long", 12, 8)
        assert json.loads(connection.recv(timeout=10))["limit"] == 0.2
        problem = take(connection, "error")["problem"]
    assert (problem["kind"], problem["expected"]) == ("TimeLimitError", "one within 0.2 s")
    server.rejected("POST", f"/api/images/{image}/prompts", 504, REQUESTS["prompt"][2])
    assert kept(server, image) == []
    server.gate.open()
    assert server.click(image, 12, 8)["objects"][0]["voxels"] == 100


def test_images_take_turns_and_paint_while_another_has_the_network(
    start: Start, picture: Path, volume: Path, tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start()
    image, other = server.open(picture)["image"], server.open(volume)["image"]
    for number in range(3):
        server.ok("POST", f"/api/images/{image}/objects", {"name": f"object {number}"})
    server.click(other, 12, 8, 4)
    begun: list[int] = []
    answer = OpenImage.add_prompts

    def noted(self: OpenImage, *arguments: Any) -> Any:
        begun.append(self.id)
        return answer(self, *arguments)

    monkeypatch.setattr(OpenImage, "add_prompts", noted)
    with server.listen(image) as first, server.listen(other) as second:
        hold(server, first, "a1", 12, 8, object=1)
        click(first, "a2", 12, 8, object=2)
        click(first, "a3", 12, 8, object=3)
        until(lambda: server.service.worker.waiting == 2)
        # What needs no network does not wait for it.
        box = {"start": [0, 0, 0], "stop": [1, 1, 1]}
        send(second, type="brush", request="painted", box=box, bits=tools.bits([[[1]]]))
        assert take(second, "answer")["request"] == "painted"
        send(second, type="undo", request="undone", object=1)
        assert take(second, "answer")["request"] == "undone"
        click(second, "b1", 30, 22, 8)
        until(lambda: server.service.worker.waiting == 3)
        server.gate.open()
        assert [take(first, "answer")["request"] for _ in range(3)] == ["a1", "a2", "a3"]
        assert take(second, "answer")["request"] == "b1"
    assert begun == [image, other, image, image]


def test_turns_of_the_worker() -> None:
    worker, done, go_on = Worker(), [], threading.Event()

    def job(image: int, name: str, asks: bool = True) -> Job:
        return Job(image, lambda _: done.append((go_on.wait(20) if asks else True) and name), asks=asks)

    for image, name in ((1, "a1"), (1, "a2"), (2, "b1"), (3, "c1"), (2, "b2")):
        worker.submit(job(image, name))
    # What needs no network is done at once, unless its image waits for it.
    for image, name in ((4, "paint"), (1, "waits")):
        worker.submit(job(image, name, asks=False))
    until(lambda: done == ["paint"])
    go_on.set()
    until(lambda: len(done) == 7)
    assert [name for name in done if name != "waits"] == ["paint", "a1", "b1", "c1", "a2", "b2"]
    assert done.index("waits") > done.index("a2")
    assert worker.stop(10)


def test_the_server_that_ends_keeps_what_it_was_asked(start: Start, picture: Path, tmp_path: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    with server.listen(image) as connection:
        click(connection, "first", 12, 8)
        take(connection, "answer")
        hold(server, connection, "running", 44, 28)
        server._server.should_exit = True
        server._thread.join(20)
    reopened = Workspace(tmp_path / "state" / "w.sqlite")
    journal, _ = reopened.journal(image)
    assert [e.prompt.position for e in journal.objects[0].events] == [(12, 8), (44, 28)]  # type: ignore[union-attr]
    reopened.close()


ANSWERS = {
    **REQUESTS,
    "begin": ("POST", "/prompts", {"object": 2, "prompt": {"kind": "point", "position": [44, 28]}}),
    "like": ("POST", "/find-like", {"objects": [1]}),
    "proposals": ("POST", "/proposals", {"objects": [1]}),
}


def gate_in_the_pass(server: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Semaphore, threading.Event]:
    """Have each pass of the network wait, without a look at what may end it: a pass is never ended in between."""
    reached, go_on = threading.Semaphore(0), threading.Event()

    def wait(_: Any) -> None:
        reached.release()
        assert go_on.wait(20)

    monkeypatch.setattr(type(server.gate), "wait", wait)
    return reached, go_on


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_of_one_pass_is_stopped_after_it(
    start: Start, picture: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    server = start()
    image = server.open(picture)["image"]
    for place in ((12, 8), (13, 9)):
        server.click(image, *place)
    server.ok("POST", f"/api/images/{image}/objects", {"name": "another"})
    before = kept(server, image), server.ok("GET", f"/api/images/{image}/objects")
    reached, go_on = gate_in_the_pass(server, monkeypatch)
    method, path, body = ANSWERS[name]
    problems: list[Any] = []
    asking = threading.Thread(
        target=lambda: problems.append(server.rejected(method, f"/api/images/{image}{path}", 409, body))
    )
    asking.start()
    assert reached.acquire(timeout=10)
    assert server.ok("POST", f"/api/images/{image}/cancel")["cancelled"] == 1
    go_on.set()
    asking.join(20)
    assert problems[0]["kind"] == "StoppedError"
    assert (kept(server, image), server.ok("GET", f"/api/images/{image}/objects")) == before


def test_an_answer_whose_change_was_taken_is_not_counted(
    start: Start, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start()
    image = server.open(picture)["image"]
    reached, go_on = threading.Event(), threading.Event()
    look = OpenImage._look

    def slowly(self: OpenImage, version: int) -> Any:
        reached.set()
        assert go_on.wait(20)
        return look(self, version)

    monkeypatch.setattr(OpenImage, "_look", slowly)
    changes: list[Any] = []
    asking = threading.Thread(target=lambda: changes.append(server.click(image, 12, 8)))
    asking.start()
    assert reached.wait(10)
    assert server.ok("POST", f"/api/images/{image}/cancel")["cancelled"] == 0
    go_on.set()
    asking.join(20)
    assert kept(server, image) == [[(12, 8)]]
    assert changes[0]["prompts"]


def test_a_client_that_goes_in_the_only_pass_leaves_nothing(
    start: Start, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start()
    image = server.open(picture)["image"]
    reached, go_on = gate_in_the_pass(server, monkeypatch)
    asked: list[bool] = []
    remove = Worker.remove

    def removed(self: Worker, job: Job) -> bool:
        waited = remove(self, job)
        asked.append(job.stop.asked)
        return waited

    monkeypatch.setattr(Worker, "remove", removed)
    content = json.dumps(REQUESTS["prompt"][2]).encode()
    head = (
        f"POST /api/images/{image}/prompts HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        f"Authorization: {server.client.headers['authorization']}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    with sockets.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head.encode() + content)
        assert reached.acquire(timeout=10)
    until(lambda: asked == [True])
    go_on.set()
    until(lambda: not server.service.hub.images[0].pending)
    assert server.ok("GET", f"/api/images/{image}/objects")["objects"] == []
    assert kept(server, image) == []


def test_whoever_takes_a_prompt_away_hears_how_far_it_is(
    start: Start, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bedside.serve.requests.EVERY", 0.0)
    server = start()
    image = server.open(picture)["image"]
    with server.listen(image) as connection:
        for number in range(4):
            click(connection, str(number), 12, 6 + number)
            take(connection, "answer")
        send(connection, type="remove", request="gone", prompt=1)
        heard = []
        while (message := json.loads(connection.recv(timeout=20)))["type"] != "answer":
            heard.append(message)
    assert [m for m in heard if m["type"] == "predictions"] == [
        {"type": "predictions", "request": "gone", "done": done, "of": 3} for done in range(3)
    ]
    assert message["request"] == "gone"
