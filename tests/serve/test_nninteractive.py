"""nnInteractive's own client, driven as napari and 3D Slicer drive it."""

from __future__ import annotations

import contextlib
import json
import struct
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.core.errors import BedsideError
from bedside.core.image import Image
from bedside.core.prompts import Box, InitialMask, Point, Scribble
from bedside.serve.app import Clients
from bedside.serve.drawn import painted_lasso
from bedside.serve.engines import Engines
from bedside.serve.protocol import Limits
from bedside.session.session import Session
from bedside.weights.defaults import default_model

remote = pytest.importorskip("nnInteractive.inference.remote")
serialization = pytest.importorskip("nnInteractive.inference.remote.serialization")
wire = pytest.importorskip("bedside.serve.protocols.nninteractive")

Start = Callable[..., Any]
TOKEN = "a-token-for-tests-only"
SHAPE = (10, 28, 36)
DTYPES = ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]
SAMPLES = [*DTYPES, "float16", "float32", "float64"]


def _volume(shape: tuple[int, ...] = SHAPE) -> NDArray[np.float32]:
    generator = np.random.default_rng(7)
    array = generator.normal(-800, 20, shape).astype(np.float32)
    array[tuple(slice(n // 4, n - n // 4) for n in shape)] += 900
    return array


class Work:
    """A real client with its image and its buffer."""

    def __init__(self, server: Any, array: NDArray[Any], spacing: Any = (2.0, 0.7, 0.8)) -> None:
        self.server = server
        self.session = remote.nnInteractiveRemoteInferenceSession(server.url, api_key=TOKEN)
        self.session.set_image(array[None], {"spacing": np.array(spacing)} if spacing is not None else None)
        self.buffer = np.zeros(array.shape, np.uint8)
        self.session.set_target_buffer(self.buffer)

    def work(self) -> Any:
        """What the workspace holds of the image that was opened last."""
        return self.server.ok("GET", "/api/images")["images"][0]


@pytest.fixture(autouse=True)
def _nothing_left_open(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The client does not close its connection where it is rejected while it is made."""
    made: list[httpx.Client] = []

    def client(**options: Any) -> httpx.Client:
        made.append(httpx.Client(**options))
        return made[-1]

    module = sys.modules["nnInteractive.inference.remote.remote_session"]
    monkeypatch.setattr(module, "httpx", SimpleNamespace(**{**vars(httpx), "Client": client}))
    yield
    for one in made:
        one.close()


@pytest.fixture
def serve(start: Start) -> Callable[..., Any]:
    """Starts a server, with the bundled models where they are asked for."""

    def begin(bundled: bool = False, **limits: Any) -> Any:
        return start(engines=Engines() if bundled else None, clients=Clients(Limits(**limits)))

    return begin


@pytest.fixture
def work(serve: Callable[..., Any]) -> Iterator[Callable[..., Work]]:
    """Connects clients, which are closed at the end."""
    opened: list[Work] = []

    def begin(server: Any = None, array: NDArray[Any] | None = None, **options: Any) -> Work:
        server = server if server is not None else serve()
        opened.append(Work(server, _volume() if array is None else array, **options))
        return opened[-1]

    yield begin
    for one in opened:
        one.session.close()


def _squares(shape: tuple[int, ...], axis: int) -> tuple[NDArray[np.uint8], list[list[int]]]:
    """A square on the middle slice of an axis, with a hole, and the box that holds it."""
    mask = np.zeros(shape, np.uint8)
    plane = np.moveaxis(mask, axis, 0)[shape[axis] // 2]
    rows, columns = (slice(n // 4, n - n // 4) for n in plane.shape)
    plane[rows, columns] = 1
    plane[plane.shape[0] // 2, plane.shape[1] // 2] = 0
    box = [[int(at.min()), int(at.max()) + 1] for at in np.nonzero(mask)]
    return mask, box


@pytest.mark.parametrize("shape", [SHAPE, (1, 28, 36), (28, 36, 1)], ids=["volume", "one slice", "one slice, last"])
def test_every_prompt_gives_the_mask_of_a_session_given_the_same(
    serve: Callable[..., Any], work: Callable[..., Work], shape: tuple[int, ...]
) -> None:
    array, spacing = _volume(shape), (2.0, 0.7, 0.8)
    one = work(serve(bundled=True), array, spacing=spacing)
    thin = next((axis for axis, n in enumerate(shape) if n == 1), None)

    def own(values: Any) -> tuple[Any, ...]:
        return tuple(value for axis, value in enumerate(values) if axis != thin)[::-1]

    def flat(mask: NDArray[Any]) -> NDArray[Any]:
        return mask if thin is None else np.take(mask, 0, axis=thin)

    samples = flat(array)
    session = Session(Image.from_array(samples, own(spacing)), default_model(samples.shape))
    middle = [n // 2 for n in shape]
    corner = [0 if n == 1 else 1 for n in shape]
    whole = [[n // 4, n - n // 4] for n in shape]
    painted, box = _squares(shape, 0 if thin is None else thin)
    stroke = np.zeros_like(painted)
    stroke[tuple(np.argwhere(painted)[:6].T)] = 1
    crop = painted[tuple(slice(a, b) for a, b in box)]
    start = flat(painted) * 0
    start[tuple(slice(2, 6) for _ in start.shape)] = 1
    initial = start if thin is None else np.expand_dims(start, thin)
    client = one.session
    prompts: list[tuple[Callable[[], Any], Any]] = [
        (lambda: client.add_point_interaction(middle, True), Point(own(middle))),
        (lambda: client.add_point_interaction(corner, False), Point(own(corner), False)),
        (lambda: client.add_bbox_interaction(whole, True), Box(*(own(c) for c in zip(*whole, strict=True)))),
        (lambda: client.add_scribble_interaction(stroke, True), Scribble.from_mask(flat(stroke))),
        (lambda: client.add_scribble_interaction(stroke, False), Scribble.from_mask(flat(stroke), False)),
        (
            lambda: client.add_lasso_interaction(crop, True, interaction_bbox=box),
            painted_lasso(flat(painted), (0,) * samples.ndim, True),
        ),
        (
            lambda: client.add_lasso_interaction(painted, False),
            painted_lasso(flat(painted), (0,) * samples.ndim, False),
        ),
        (lambda: client.add_initial_seg_interaction(initial), InitialMask(start)),
        (lambda: client.add_point_interaction(middle, True), Point(own(middle))),
    ]
    for step, (ask, prompt) in enumerate(prompts):
        before = one.buffer.copy()
        changed = ask()
        session.add(prompt)
        expected = session.mask if thin is None else np.expand_dims(session.mask, thin)
        np.testing.assert_array_equal(one.buffer, expected, err_msg=f"step {step}")
        outside = np.ones(shape, bool)
        if changed is not None:
            outside[tuple(slice(a, b) for a, b in changed)] = False
        assert step == 7 or not (outside & (before != one.buffer)).any()
    assert one.buffer.any()
    for _ in prompts[::-1]:
        assert client.undo()
        session.undo()
        expected = session.mask if thin is None else np.expand_dims(session.mask, thin)
        np.testing.assert_array_equal(one.buffer, expected)
    assert not client.undo()
    assert not one.buffer.any()


def test_prompts_that_wait_are_answered_together(serve: Callable[..., Any], work: Callable[..., Work]) -> None:
    one = work(serve(bundled=True))
    session = Session(Image.from_array(_volume(), (0.8, 0.7, 2.0)), default_model(SHAPE))
    assert one.session._predict() is None
    for at in ((5, 14, 18), (4, 10, 20)):
        assert one.session.add_point_interaction(at, True, run_prediction=False) is None
        assert not one.buffer.any()
    session.add(Point((18, 14, 5)), predict=False)
    session.add(Point((20, 10, 4)))
    assert one.session._predict() is not None
    np.testing.assert_array_equal(one.buffer, session.mask)
    assert one.buffer.any()
    assert one.session._predict() is None


def test_reset_begins_another_object_and_loses_none(work: Callable[..., Work]) -> None:
    one = work()
    one.session.add_point_interaction([5, 14, 18], True)
    first = one.buffer.copy()
    assert first.any()
    one.session.reset_interactions()
    assert not one.buffer.any()
    assert not one.session.undo()
    one.session.add_point_interaction([1, 2, 3], True)
    image = one.work()
    assert [item["prompts"] for item in image["objects"]] == [1, 1]
    np.testing.assert_array_equal(one.server.mask(image["image"], 1, SHAPE), first)
    np.testing.assert_array_equal(one.server.mask(image["image"], 2, SHAPE), one.buffer)
    assert image["spacing"] == [0.8, 0.7, 2.0]


def test_two_clients_on_one_image_do_not_disturb_each_other(
    serve: Callable[..., Any], work: Callable[..., Work]
) -> None:
    server = serve()
    first, second = work(server), work(server)
    first.session.add_point_interaction([5, 14, 18], True)
    second.session.add_point_interaction([1, 2, 3], True)
    kept = second.buffer.copy()
    assert (first.buffer != kept).any()
    first.session.undo()
    assert not first.buffer.any()
    second.session.add_point_interaction([2, 2, 3], True)
    assert (second.buffer >= kept).all()
    objects = first.work()["objects"]
    assert [(item["id"], item["prompts"]) for item in objects] == [(1, 0), (2, 2)]


def test_what_the_page_changes_reaches_the_client_with_its_next_prompt(work: Callable[..., Work]) -> None:
    one = work()
    one.session.add_point_interaction([5, 14, 18], True)
    image = one.work()["image"]
    one.server.click(image, 3, 2, 1, object=1)
    one.session.add_point_interaction([1, 2, 4], True)
    np.testing.assert_array_equal(one.buffer, one.server.mask(image, 1, SHAPE))
    one.server.ok("DELETE", f"/api/images/{image}/objects/1")
    with pytest.raises(httpx.HTTPStatusError, match="400"):
        one.session.add_point_interaction([1, 2, 4], True)
    one.session.reset_interactions()
    assert one.session.add_point_interaction([5, 14, 18], True) is not None


def test_leases_are_given_out_kept_and_taken_back(serve: Callable[..., Any], work: Callable[..., Work]) -> None:
    server = serve(sessions=1, idle=300.0)
    one = work(server)
    assert one.session.ping()
    assert one.session.idle_timeout_seconds == 300.0
    assert 0 < one.session.heartbeat() <= 300
    assert one.session.lease_status()["idle_timeout_seconds"] == 300.0
    with pytest.raises(remote.ServerAtCapacityError, match="at most 1 clients"):
        remote.nnInteractiveRemoteInferenceSession(server.url, api_key=TOKEN)
    one.session.close()
    work(server)


def test_an_expired_lease_is_told_and_the_work_stays(work: Callable[..., Work]) -> None:
    one = work()
    one.session.add_point_interaction([5, 14, 18], True)
    assert one.server.client.post("/release", headers={wire.LEASE: one.session._lease_token}).is_success
    for ask in (
        lambda: one.session.add_point_interaction([5, 14, 19], True),
        one.session.undo,
        one.session.heartbeat,
        one.session.lease_status,
        lambda: one.session.set_image(_volume()[None]),
        lambda: one.session.add_initial_seg_interaction(one.buffer),
    ):
        with pytest.raises(remote.SessionExpiredError, match="connect again"):
            ask()
    image = one.work()
    np.testing.assert_array_equal(one.server.mask(image["image"], 1, SHAPE), one.buffer)


def test_a_lease_ends_by_itself(serve: Callable[..., Any]) -> None:
    server = serve(idle=0.0)
    session = remote.nnInteractiveRemoteInferenceSession(server.url, api_key=TOKEN)
    with session, pytest.raises(remote.SessionExpiredError):
        session.set_image(_volume()[None])


@pytest.mark.parametrize("key", [None, "wrong"])
def test_a_client_without_the_token_is_told_so(serve: Callable[..., Any], key: str | None) -> None:
    with pytest.raises(httpx.HTTPStatusError, match="401"):
        remote.nnInteractiveRemoteInferenceSession(serve().url, api_key=key)


def _changed(body: bytes, at: int, to: bytes) -> bytes:
    return body[:at] + to + body[at + len(to) :]


def test_wrong_input_is_told_in_the_clients_form_and_changes_nothing(
    serve: Callable[..., Any], work: Callable[..., Work]
) -> None:
    limit = 4 * int(np.prod(SHAPE))
    one = work(serve(image=limit))
    one.session.add_point_interaction([5, 14, 18], True)
    kept = one.buffer.copy()
    lease = {wire.LEASE: one.session._lease_token}
    mask = serialization.pack_array(np.ones((1, 2, 2), np.uint8))
    image = serialization.pack_array(_volume()[None])

    def asks(path: str, body: Any, meta: Any = None) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        said = {} if meta is None else {wire.META: meta if isinstance(meta, str) else json.dumps(meta)}
        answer: httpx.Response = one.server.client.post(path, content=content, headers={**lease, **said})
        return answer

    yes, inside = {"include_interaction": True}, [[1, 2], [1, 3], [1, 3]]
    spaced = [{"image_properties": {"spacing": s}} for s in ([1, -1, 1], [1, 0, 1], [1, 1], "1,1,1", [1, 1, True])]
    complex_image = serialization.pack_array(np.ones((1, 2, 2, 2), np.complex64))
    two = serialization.pack_array(np.ones((2, 4, 4, 4), np.uint8))
    large = serialization.pack_array(np.zeros((1, 11, 28, 36), np.float32))
    cases: list[tuple[int, str, httpx.Response]] = [
        (400, "dtype", asks("/set_image", complex_image)),
        (400, "one grey channel", asks("/set_image", two)),
        (400, "one grey channel", asks("/set_image", mask)),
        (413, f"at most {limit} bytes", asks("/set_image", large)),
        (400, "JSON", asks("/set_image", image, "{")),
        (400, "JSON object", asks("/set_image", image, "[1]")),
        (400, "object", asks("/set_image", image, {"image_properties": 5})),
        *[(400, "3 numbers above 0", asks("/set_image", image, meta)) for meta in spaced],
        (400, "header", asks("/set_image", b"")),
        (400, "version 1", asks("/set_image", _changed(image, 0, b"X"))),
        (400, "version 1", asks("/set_image", _changed(image, 4, b"\x02"))),
        (400, "ends early", asks("/set_image", image[:60])),
        (400, "image's shape", asks("/set_target_buffer", {"shape": [1, 2, 3], "dtype": "uint8"})),
        (400, "whole numbers", asks("/set_target_buffer", {"shape": list(SHAPE), "dtype": "float32"})),
        (400, "true or false", asks("/set_do_autozoom", {"do_autozoom": 1})),
        (400, "3 ordinary numbers", asks("/add_point_interaction", {"coordinates": [1, 2], **yes})),
        (400, "3 ordinary numbers", asks("/add_point_interaction", {"coordinates": "abc", **yes})),
        (400, "outside the image", asks("/add_point_interaction", {"coordinates": [1, 2, 99], **yes})),
        (400, "true or false", asks("/add_point_interaction", {"coordinates": [1, 2, 3]})),
        (400, "JSON", asks("/add_point_interaction", b"\xff")),
        (400, "pair of each", asks("/add_bbox_interaction", {"bbox_coords": [[1, 2]], **yes})),
        (400, "larger than its start", asks("/add_bbox_interaction", {"bbox_coords": [[1, 1]] * 3, **yes})),
        (400, "a box inside", asks("/add_scribble_interaction", mask, yes)),
        (400, "a box inside", asks("/add_lasso_interaction", mask, {**yes, "interaction_bbox": [[0, 1]] * 3})),
        (400, "whole voxels", asks("/add_scribble_interaction", mask, {**yes, "interaction_bbox": [[0, 0.5]] * 3})),
        (400, "takes no lasso", asks("/add_lasso_interaction", mask, {**yes, "interaction_bbox": inside})),
        (400, "a box inside", asks("/add_initial_seg_interaction", mask, {})),
    ]
    for status, words, answer in cases:
        assert (answer.status_code, list(answer.json())) == (status, ["detail"]), answer.text
        assert words in answer.json()["detail"], answer.text
    # An unknown prompt is an unknown path, which the page answers.
    assert not one.server.client.post("/add_circle_interaction", headers=lease).is_success
    found = one.work()
    assert [item["prompts"] for item in found["objects"]] == [1]
    np.testing.assert_array_equal(one.server.mask(found["image"], 1, SHAPE), kept)
    assert one.session.undo()
    assert not one.buffer.any()


def test_a_first_prompt_that_is_rejected_leaves_no_object(work: Callable[..., Work]) -> None:
    one = work()
    with pytest.raises(httpx.HTTPStatusError, match="400"):
        one.session.add_point_interaction([5, 14, 18], False)
    assert one.work()["objects"] == []
    assert one.session.add_point_interaction([5, 14, 18], True) is not None
    assert [item["id"] for item in one.work()["objects"]] == [1]


def test_before_an_image_every_prompt_is_told_to_wait(serve: Callable[..., Any]) -> None:
    server = serve()
    lease = {wire.LEASE: server.client.post("/claim").json()["lease_token"]}
    for path in ("/undo", "/predict", "/add_point_interaction", "/add_bbox_interaction", "/add_scribble_interaction"):
        answer = server.client.post(path, content=b"{}", headers=lease)
        assert (answer.status_code, answer.json()["detail"].startswith("no image")) == (400, True), path


@pytest.mark.parametrize("dtype", SAMPLES)
def test_samples_of_every_dtype_arrive_as_they_were(work: Callable[..., Work], dtype: str) -> None:
    array = (np.arange(4 * 5 * 6).reshape(4, 5, 6) % 2).astype(dtype)
    one = work(array=array, spacing=None)
    opened = one.server.service.hub.images[-1]
    np.testing.assert_array_equal(opened.image.array, array)
    assert not opened.image.geometry.spacing_known


def test_arrays_are_packed_as_the_client_packs_them() -> None:
    generator = np.random.default_rng(3)
    for dtype in SAMPLES:
        for shape in ((1,), (3, 4, 5), (1, 2, 3, 4), (7, 1, 1)):
            array = (generator.random(shape) * 100).astype(dtype)
            for back in (
                serialization.unpack_array(wire.pack(array)),
                wire.unpack(serialization.pack_array(array), 2**20),
                wire.unpack(wire.pack(array), array.nbytes),
            ):
                np.testing.assert_array_equal(back, array)
                assert back.dtype == array.dtype
            with pytest.raises(BedsideError, match="at most"):
                wire.unpack(wire.pack(array), array.nbytes - 1)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data())
def test_an_array_with_a_changed_header_is_rejected_or_read_within_the_limit(data: st.DataObject) -> None:
    # Only what is said of the array is changed: the packed bytes are another library's to judge.
    body = wire.pack(np.arange(24, dtype=np.uint16).reshape(2, 3, 4))
    head = 8 + len("uint16") + 3 * 8 + 4 + 16
    at = data.draw(st.integers(0, head - 1))
    changed = _changed(body, at, bytes([data.draw(st.integers(0, 255))]))
    with contextlib.suppress(BedsideError):
        assert wire.unpack(changed, 1000).nbytes <= 1000


def test_more_said_than_sent_is_no_more_memory() -> None:
    body = struct.pack("<4s4B5s3qI", b"NNIA", 1, 1, 3, 5, b"uint8", 2**20, 2**20, 2**20, 1)
    with pytest.raises(BedsideError, match="at most 1000 bytes"):
        wire.unpack(body, 1000)
