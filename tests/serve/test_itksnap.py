"""What ITK-SNAP sends, replayed: the requests that its server for deep learning takes, and what it answers."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from bedside.core.image import Image
from bedside.core.prompts import Point, Scribble
from bedside.serve.app import Clients
from bedside.serve.drawn import painted_lasso
from bedside.serve.engines import Engines
from bedside.serve.protocol import Limits
from bedside.session.session import Session
from bedside.weights.defaults import default_model

Start = Callable[..., Any]
SHAPE = (10, 28, 36)


class Snap:
    """Asks as ITK-SNAP does, in its present form or in the one before."""

    def __init__(self, server: Any, version: str) -> None:
        self.server, self.prefix = server, version
        start = f"{version}/start_session/bedside-3d" if version else "/start_session"
        self.session = server.ok("GET", start)["session_id"]

    def form(self, array: NDArray[Any], **changed: Any) -> dict[str, Any]:
        fields = {"dimensions": list(array.shape[::-1]), "components_per_pixel": 1, **changed}
        packed = gzip.compress(array.astype("<f4").tobytes())
        return {"files": {"file": ("image", packed)}, "data": {"metadata": json.dumps(fields)}}

    def post(self, name: str, array: NDArray[Any], query: str = "", **changed: Any) -> httpx.Response:
        path = f"{name}/{self.session}{query}"
        answer: httpx.Response = self.server.client.post(path, **self.form(array, **changed))
        return answer

    def upload(self, array: NDArray[Any], **changed: Any) -> httpx.Response:
        return self.post(f"{self.prefix}/upload_raw", array, **changed)

    def point(self, x: int, y: int, z: int, foreground: str = "true") -> httpx.Response:
        place = f"point={x}&point={y}&point={z}" if self.prefix else f"x={x}&y={y}&z={z}"
        path = f"{self.prefix}/process_point_interaction/{self.session}?{place}&foreground={foreground}"
        answer: httpx.Response = self.server.client.get(path)
        return answer


def mask_in(answer: httpx.Response, shape: tuple[int, ...]) -> NDArray[np.int8]:
    """The mask of an answer, as the client reads it."""
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["status"] == "success"
    return np.frombuffer(gzip.decompress(base64.b64decode(told["result"])), np.int8).reshape(shape)


def _volume(shape: tuple[int, ...] = SHAPE) -> NDArray[np.float32]:
    array = np.random.default_rng(7).normal(-800, 20, shape).astype(np.float32)
    array[tuple(slice(n // 4, n - n // 4) for n in shape)] += 900
    return array


@pytest.fixture
def serve(start: Start) -> Callable[..., Any]:
    def begin(bundled: bool = False, **limits: Any) -> Any:
        return start(engines=Engines() if bundled else None, clients=Clients(Limits(**limits)))

    return begin


@pytest.mark.parametrize("version", ["/v2", ""], ids=["present", "former"])
@pytest.mark.parametrize("shape", [SHAPE, (1, 28, 36)], ids=["volume", "one slice"])
def test_every_prompt_is_answered_by_the_mask_of_a_session_given_the_same(
    serve: Callable[..., Any], version: str, shape: tuple[int, ...]
) -> None:
    snap = Snap(serve(bundled=True), version)
    array = _volume(shape)
    flat = array if shape[0] > 1 else array[0]
    session = Session(Image.from_array(flat), default_model(flat.shape))
    assert snap.upload(array).is_success
    x, y, z = (n // 2 for n in shape[::-1])
    painted = np.zeros(shape, np.uint8)
    painted[z, 8:20, 9:25] = 1
    painted[z, 10, 12] = 0
    stroke = np.zeros(shape, np.uint8)
    stroke[z, 8, 9:25] = 1
    own = (painted, stroke) if shape[0] > 1 else (painted[0], stroke[0])
    steps = [
        (snap.point(x, y, z), Point((x, y, z)[: flat.ndim])),
        (snap.point(1, 2, 0, "false"), Point((1, 2, 0)[: flat.ndim], False)),
        (snap.post("/process_scribble_interaction", stroke, "?foreground=true"), Scribble.from_mask(own[1])),
        (
            snap.post("/process_lasso_interaction", painted, "?foreground=true"),
            painted_lasso(own[0], (0,) * flat.ndim, True),
        ),
        (
            snap.post("/process_lasso_interaction", painted, "?foreground=false"),
            painted_lasso(own[0], (0,) * flat.ndim, False),
        ),
    ]
    for step, (answer, prompt) in enumerate(steps):
        session.add(prompt)
        np.testing.assert_array_equal(mask_in(answer, shape), session.mask.reshape(shape), err_msg=f"step {step}")
    assert mask_in(steps[0][0], shape).any()
    assert snap.server.ok("GET", f"{version}/reset_interactions/{snap.session}") == {"status": "success"}
    fresh = Session(Image.from_array(flat), default_model(flat.shape))
    fresh.add(Point((x, y, z)[: flat.ndim]))
    np.testing.assert_array_equal(mask_in(snap.point(x, y, z), shape), fresh.mask.reshape(shape))
    image = snap.server.ok("GET", "/api/images")["images"][0]
    assert [item["prompts"] for item in image["objects"]] == [5, 1]
    assert not image["spacing_known"]
    assert snap.server.ok("GET", f"{version}/end_session/{snap.session}") == {"message": "Session ended"}
    assert snap.server.ok("GET", f"{version}/end_session/{snap.session}") == {"message": "Invalid session"}


def test_what_the_server_offers_is_listed(serve: Callable[..., Any]) -> None:
    server = serve(bundled=True)
    assert server.ok("GET", "/status") == {"status": "ok", "version": "0.1.6"}
    models = server.ok("GET", "/v2/models")["models"]
    assert [(one["id"], one["dimensions"], one["channels"]) for one in models] == [
        ("bedside-2d", 2, [1]),
        ("bedside-3d", 3, [1]),
    ]
    assert all(one["interactions"] == ["point", "scribble", "lasso"] for one in models)
    for name in ("bedside-2d", "bedside-3d", "nnInteractive"):
        assert server.ok("GET", f"/v2/start_session/{name}")["session_id"]


def test_wrong_input_is_told_in_one_line_and_changes_nothing(serve: Callable[..., Any]) -> None:
    limit = 4 * int(np.prod(SHAPE))
    server = serve(image=limit)
    snap = Snap(server, "/v2")
    before = snap.point(18, 14, 5)
    assert snap.upload(_volume()).is_success
    kept = mask_in(snap.point(18, 14, 5), SHAPE)
    small, larger = np.ones((2, 3, 4)), np.zeros((11, 28, 36))
    lasso, upload = "/process_lasso_interaction", f"/v2/upload_raw/{snap.session}"
    no_gzip = {"files": {"file": ("image", b"x" * 96)}, "data": {"metadata": json.dumps({"dimensions": [4, 3, 2]})}}
    cases: list[tuple[int, str, httpx.Response]] = [
        (400, "no image", before),
        (413, f"at most {limit} bytes", snap.upload(larger)),
        (400, "float32 for dimensions", snap.upload(small, dimensions=[4, 3, 3])),
        (400, "float32 for dimensions", snap.upload(small, dimensions=[4, 3, 1])),
        (400, "2 or 3 whole numbers", snap.upload(small, dimensions=[4, -3, 2])),
        (400, "2 or 3 whole numbers", snap.upload(small, dimensions=[4])),
        (400, "2 or 3 whole numbers", snap.upload(small, dimensions="4,3,2")),
        (400, "2 or 3 whole numbers", snap.upload(small, dimensions=[True, 3, 2])),
        (400, "one value a voxel", snap.upload(small, components_per_pixel=3)),
        (400, "JSON object", server.client.post(upload, files=snap.form(small)["files"], data={"metadata": "{"})),
        (400, "JSON object", server.client.post(upload, files=snap.form(small)["files"])),
        (400, "no file", server.client.post(upload, data={"metadata": "{}"})),
        (400, "gzip", server.client.post(upload, **no_gzip)),
        (400, "outside the image", snap.point(99, 1, 1)),
        (400, "point", server.client.get(f"/v2/process_point_interaction/{snap.session}?foreground=true")),
        (400, "x", server.client.get(f"/process_point_interaction/{snap.session}?x=a&y=1&z=1")),
        (400, "2 or 3 ordinary", server.client.get(f"/v2/process_point_interaction/{snap.session}?point=1")),
        (400, "the image's dimensions", snap.post(lasso, small, "?foreground=true")),
        (400, "takes no lasso", snap.post(lasso, np.eye(28, 36)[None] * np.eye(10)[:, :1, None], "?foreground=true")),
        (400, "one of", server.client.get("/v2/start_session/another")),
        (410, "connect again", server.client.get("/v2/reset_interactions/another")),
    ]
    for status, words, answer in cases:
        assert (answer.status_code, list(answer.json())) == (status, ["error"]), answer.text
        assert words in answer.json()["error"], answer.text
        assert "\n" not in answer.json()["error"]
    image = server.ok("GET", "/api/images")["images"][0]
    assert [item["prompts"] for item in image["objects"]] == [1]
    np.testing.assert_array_equal(server.mask(image["image"], 1, SHAPE), kept)


def test_one_client_too_many_has_to_wait_and_an_idle_one_ends(serve: Callable[..., Any]) -> None:
    server = serve(sessions=1, idle=1000.0, alive=0.0)
    # ITK-SNAP does not say that it is there, and is not taken to have gone for that.
    snap = Snap(server, "")
    assert snap.upload(_volume()).is_success
    full = server.client.get("/start_session")
    assert (full.status_code, list(full.json())) == (503, ["error"])
    server.ok("GET", f"/end_session/{snap.session}")
    assert Snap(serve(idle=0.0), "").upload(_volume()).status_code == 410
