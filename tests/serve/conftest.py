from __future__ import annotations

import asyncio
import base64
import importlib.util
import json
import socket
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from numpy.typing import NDArray
from websockets.sync.client import connect

from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.stopping import check_stop
from bedside.io import write_image
from bedside.serve.app import Application, Clients
from bedside.serve.engines import Engines
from bedside.serve.service import Service, ServiceConfig
from bedside.session.workspace import Workspace

TOKEN = "a-token-for-tests-only"


def _grower_class() -> Any:
    path = Path(__file__).parents[1] / "session" / "region_grower.py"
    name = f"_bedside_tests_{path.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name].RegionGrower


class Gate:
    """Lets predictions through, or holds them until it is opened."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()
        self.reached = threading.Semaphore(0)

    def close(self) -> None:
        self._open.clear()

    def open(self) -> None:
        self._open.set()

    def wait(self) -> None:
        self.reached.release()
        until = time.monotonic() + 20
        while not self._open.wait(0.01):
            # As an engine does between two passes.
            check_stop()
            assert time.monotonic() < until


class Running:
    """A server in a thread of this process, with a client that may ask."""

    def __init__(self, application: Callable[[int], Application], gate: Gate, growers: list[Any]) -> None:
        self.gate, self.growers = gate, growers
        listening = socket.create_server(("127.0.0.1", 0))
        self.port = listening.getsockname()[1]
        self.application = application(self.port)
        self._server = uvicorn.Server(
            uvicorn.Config(self.application, log_level="error", lifespan="on", timeout_graceful_shutdown=1)
        )
        self._thread = threading.Thread(target=asyncio.run, args=(self._server.serve([listening]),))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30)
        # Where other machines may ask, the API is not there, and says so.
        assert self.client.get("/api/state").status_code in (200, 404)

    def stop(self) -> None:
        """Stop as Ctrl+C does."""
        self.gate.open()
        self.client.close()
        self._server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()

    @contextmanager
    def listen(self, image: int) -> Iterator[Any]:
        """A WebSocket of an image, after its greeting."""
        with self.connect(image) as connection:
            assert json.loads(connection.recv(timeout=10))["type"] == "hello"
            yield connection

    def connect(self, image: int, **headers: str) -> Any:
        """A WebSocket of an image."""
        given = {"Authorization": f"Bearer {TOKEN}", **headers}
        return connect(f"ws://127.0.0.1:{self.port}/api/images/{image}/ws", additional_headers=given, max_size=2**26)

    @property
    def service(self) -> Service:
        assert self.application.service is not None
        return self.application.service

    def get(self, path: str, **options: Any) -> Any:
        return self.client.get(path, **options)

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of an answer that must be a success."""
        answer = self.client.request(method, path, json=body)
        assert answer.is_success, (answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def rejected(self, method: str, path: str, status: int, body: Any = None) -> Any:
        """The problem of an answer that must be a rejection."""
        answer = self.client.request(method, path, json=body)
        assert answer.status_code == status, (answer.status_code, answer.text)
        problem = answer.json()
        assert set(problem) == {"kind", "what", "expected", "got", "fix", "message"}
        assert problem["message"]
        assert "\n" not in problem["message"]
        assert "Traceback" not in answer.text
        return problem

    def open(self, path: Path) -> Any:
        return self.ok("POST", "/api/images", {"path": str(path)})

    def click(self, image: int, *position: float, **fields: Any) -> Any:
        """The change that a click makes; fields of the prompt and of the request."""
        request = {name: fields.pop(name) for name in ("object", "predict") if name in fields}
        prompt = {"kind": "point", "position": list(position), **fields}
        return self.ok("POST", f"/api/images/{image}/prompts", {"prompt": prompt, **request})

    def mask(self, image: int, number: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """The whole mask of an object."""
        patch = self.ok("GET", f"/api/images/{image}/objects/{number}/mask")
        return pasted(patch, "bits", shape)

    def labels(self, image: int, shape: tuple[int, ...]) -> NDArray[Any]:
        """Who is seen where."""
        return pasted(self.ok("GET", f"/api/images/{image}/labels"), "labels", shape)


def bits(mask: Any) -> str:
    """A mask as the page sends it."""
    packed = np.packbits(np.asarray(mask, np.uint8)).tobytes()
    return base64.b64encode(zlib.compress(packed)).decode()


def decoded(patch: Any, field: str) -> NDArray[Any]:
    """A binary field of a patch, as the page decodes it."""
    shape = [b - a for a, b in zip(patch["start"], patch["stop"], strict=True)]
    raw = zlib.decompress(base64.b64decode(patch[field]))
    if field == "bits":
        return np.unpackbits(np.frombuffer(raw, np.uint8), count=int(np.prod(shape))).reshape(shape)
    return np.frombuffer(raw, np.dtype(patch["dtype"]).newbyteorder("<")).reshape(shape)


def pasted(patch: Any, field: str, shape: tuple[int, ...], onto: NDArray[Any] | None = None) -> NDArray[Any]:
    """A patch on the whole image's grid."""
    whole = np.zeros(shape, np.uint16 if field == "labels" else np.uint8) if onto is None else onto
    whole[tuple(slice(a, b) for a, b in zip(patch["start"], patch["stop"], strict=True))] = decoded(patch, field)
    return whole


@pytest.fixture
def tools() -> Any:
    """Helpers, since test folders are no packages."""
    return sys.modules[__name__]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts servers on the workspace of this test; the segmenter grows regions, unless a model is wanted."""
    running: list[Running] = []

    def begin(*paths: Path, engines: Engines | None = None, clients: Clients | None = None, **config: Any) -> Running:
        while running:
            running.pop().stop()
        gate, growers = Gate(), []

        def load(name: str) -> Any:
            grower = _grower_class()(name)
            answer = grower.predict
            growers.append(grower)

            def predict(*arguments: Any, **options: Any) -> Any:
                gate.wait()
                return answer(*arguments, **options)

            grower.predict = predict
            return grower

        settings = ServiceConfig(paths, **{"warm_up": False, "prepare_after": None, **config})
        workspace, page = tmp_path / "state" / "w.sqlite", tmp_path / "page"

        def make() -> Service:
            return Service(Workspace(workspace), settings, engines or Engines(load))

        server = Running(lambda port: Application(make, port, TOKEN, page, clients), gate, growers)
        running.append(server)
        return server

    yield begin
    while running:
        running.pop().stop()


@pytest.fixture
def grower_calls() -> Any:
    """The class of the segmenter, to compare with a session of the test's own."""
    return _grower_class()


SQUARES = (40, 60)
CUBES = (12, 30, 40)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Two bright squares, of 10 x 10 and 8 x 8 pixels, on a dark ground of 40 rows and 60 columns."""
    array = np.full(SQUARES, 20, dtype=np.uint8)
    array[5:15, 10:20] = 200
    array[25:33, 40:48] = 120
    path = tmp_path / "images" / "squares.png"
    path.parent.mkdir(exist_ok=True)
    write_image(path, Image(array, Geometry.create(SQUARES)))
    return path


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """Two bright cubes in a dark oblique volume of 12 slices."""
    array = np.full(CUBES, -1000, dtype=np.int16)
    array[2:8, 5:15, 10:20] = 200
    array[6:10, 18:26, 25:35] = 700
    turn = np.deg2rad(20)
    direction = [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    path = tmp_path / "images" / "cubes.nii.gz"
    path.parent.mkdir(exist_ok=True)
    write_image(path, Image(array, Geometry.create(CUBES, (0.5, 0.5, 2.0), (-10, 20, 30), direction)))
    return path
