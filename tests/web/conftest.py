"""The page of ``bedside ui`` in a real browser: a server of its own, Chromium, and what tests say to the page."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.web import phantoms

ROOT = Path(__file__).parents[2]
TOKEN = "token-for-the-tests-of-the-page"
# As browsers do where there is no graphics card: WebGL by SwiftShader, the page itself put together without it.
FLAGS = ("--no-sandbox", "--enable-unsafe-swiftshader", "--disable-gpu-compositing", "--disable-gpu-rasterization")
PATIENCE = 60.0
"""Seconds after which a test says that the page did not do it; no assertion depends on being faster."""


def chromium() -> str | None:
    """Where a Chromium is; None where there is none."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def missing() -> str | None:
    """Why the page cannot be tested here; None where it can."""
    if chromium() is None:
        return "there is no Chromium; on Debian and Ubuntu install the package chromium"
    if not (ROOT / "src/bedside/serve/page/index.html").exists():
        return "the page is not built; run `make ui`"
    return None


class Server:
    """``bedside ui`` as a process, with variables of its own."""

    def __init__(self, folder: Path, *paths: Path, **variables: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.folder = folder
        self.paths = paths
        self.variables = variables
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=PATIENCE, trust_env=False
        )
        self.start()

    def start(self) -> None:
        """Start the process, also again after it was killed."""
        command = [Path(sys.executable).parent / "bedside", "ui", "--no-browser", "--port", str(self.port)]
        workspace = ["--workspace", self.folder / "workspace.sqlite"]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*map(str, [*command, *workspace, *self.paths])],
                stdout=log,
                stderr=log,
                env={**os.environ, "BEDSIDE_TOKEN": TOKEN, **self.variables},
            )
        until(self.answers, "the server to answer")

    def answers(self) -> bool:
        """Whether it can be asked."""
        if self.process.poll() is not None:
            raise AssertionError((self.folder / "server.log").read_text())
        try:
            return self.client.get("/api/state").status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """As a crash would: nothing is put away."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """As Ctrl+C."""
        self.client.close()
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.kill()

    def get(self, path: str) -> Any:
        """What the server says, from JSON."""
        response = self.client.get(path)
        response.raise_for_status()
        return response.json()

    def labels(self, image: int) -> NDArray[Any]:
        """Who is seen where, by the server's own file: (z, y, x) or (y, x)."""
        import gzip

        import nibabel

        content = self.client.get(f"/api/images/{image}/labels.nii").raise_for_status().content
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        return np.asarray(nibabel.Nifti1Image.from_bytes(content).dataobj).transpose(2, 1, 0)


def until(done: Callable[[], object], what: str) -> None:
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > end:
            raise AssertionError(f"waited {PATIENCE:g} s for {what}")
        time.sleep(0.02)


class Desk:
    """A tab with the page, and what a person does there."""

    def __init__(self, page: Any, server: Server) -> None:
        self.page = page
        self.server = server
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))

    def visit(self, query: str = "") -> Desk:
        """Open the address that the command printed."""
        self.page.goto(f"{self.server.url}/?token={TOKEN}{query}")
        self.wait("window.bedside && bedside.store.get().server !== null")
        return self

    def wait(self, expression: str) -> None:
        """Until an expression of the page is true (the page's own policy forbids that Playwright waits inside it)."""
        until(lambda: self.page.evaluate(f"Boolean({expression})"), expression)

    def state(self, name: str) -> Any:
        """A part of the page's state."""
        return self.page.evaluate("name => bedside.store.get()[name]", name)

    def open(self, path: Path) -> Desk:
        """Type a path into the dialog."""
        before = self.page.evaluate("bedside.store.get().image?.image ?? null")
        self.page.keyboard.press("o")
        self.page.get_by_label("Path on this machine").last.fill(str(path))
        self.page.keyboard.press("Enter")
        self.wait(f"(bedside.store.get().image?.image ?? null) !== {before if before is not None else 'null'}")
        return self.loaded()

    def clear(self) -> None:
        """Delete all objects of the image: tests share the server, and its images keep their work."""
        for info in self.state("objects"):
            path = f"/api/images/{self.image}/objects/{info['id']}"
            self.server.client.patch(path, json={"locked": False}).raise_for_status()
            self.server.client.delete(path).raise_for_status()
        self.wait("bedside.store.get().objects.length === 0")

    def loaded(self) -> Desk:
        """Until the image is on the screen."""
        self.wait("bedside.actions.workplace?.voxels && bedside.store.get().loading === null")
        self.wait("bedside.store.get().connection === 'open'")
        self.settle()
        return self

    @property
    def image(self) -> int:
        """Number of the open image."""
        return int(self.page.evaluate("bedside.store.get().image.image"))

    def array(self, expression: str, dtype: str) -> NDArray[Any]:
        """A typed array of the page, as (z, y, x)."""
        # Deflated: the labels of a scan are hundreds of megabytes of zeros.
        script = """async () => {
            const deflated = new Response(new Blob([%s]).stream().pipeThrough(new CompressionStream("deflate")));
            const bytes = new Uint8Array(await deflated.arrayBuffer()), parts = [];
            for (let i = 0; i < bytes.length; i += 32768)
                parts.push(String.fromCharCode(...bytes.subarray(i, i + 32768)));
            return btoa(parts.join(""));
        }"""
        x, y, z = self.page.evaluate("bedside.actions.workplace.geometry.size")
        data = zlib.decompress(base64.b64decode(self.page.evaluate(script % expression)))
        return np.frombuffer(data, dtype=dtype).reshape(z, y, x)

    def labels(self) -> NDArray[Any]:
        """What the page paints: numbers of objects (z, y, x)."""
        return self.array("Uint16Array.from(bedside.actions.workplace.labels.data)", "<u2")

    def place(self, view: str, index: Sequence[float]) -> tuple[float, float]:
        """Where a voxel (x, y, z) is on the screen, in a view."""
        spot = self.page.evaluate("([view, index]) => bedside.views.planes[view].pageOf(index)", [view, list(index)])
        return spot["x"], spot["y"]

    def go(self, index: Sequence[float]) -> None:
        """Set the crosshair, and with it all slices."""
        self.page.evaluate("index => bedside.actions.goTo(index)", list(index))
        self.settle()

    def click(self, view: str, index: Sequence[float], **options: Any) -> None:
        """Click on a voxel and wait for the answer."""
        self.answered(lambda: self.page.mouse.click(*self.place(view, index), **options))

    def drag(self, view: str, path: Sequence[Sequence[float]], wait: bool = True) -> None:
        """Press at the first voxel, go through the others, release at the last."""

        def gesture() -> None:
            mouse = self.page.mouse
            mouse.move(*self.place(view, path[0]))
            mouse.down()
            for index in path[1:]:
                mouse.move(*self.place(view, index), steps=4)
            mouse.up()

        if wait:
            self.answered(gesture)
        else:
            gesture()

    def press(self, key: str) -> None:
        """A key that is answered by the server."""
        self.answered(lambda: self.page.keyboard.press(key))

    def answered(self, act: Callable[[], object]) -> None:
        """Do something and wait until the page has painted the server's answer."""
        version = self.state("version")
        act()
        self.wait(f"bedside.store.get().version > {version} && bedside.store.get().pending.length === 0")
        self.settle()

    def settle(self) -> None:
        """Two frames: what was set is drawn."""
        self.page.evaluate(
            "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))"
        )

    def tool(self, key: str) -> None:
        """Take a tool by its key."""
        self.page.keyboard.press(key)
        self.settle()


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One synthetic image in every format, by name."""
    folder = tmp_path_factory.mktemp("images")
    small = phantoms.volume((20, 64, 72))
    slices = phantoms.write_dicom(folder / "dicom", small)
    return {
        "nifti": phantoms.write_nifti(folder / "ct.nii.gz", phantoms.volume()),
        "oblique": phantoms.write_nifti(
            folder / "oblique.nii", phantoms.volume(), phantoms.oblique_affine((0.8, 0.8, 2.5))
        ),
        "nrrd": phantoms.write_itk(folder / "ct.nrrd", small),
        "mha": phantoms.write_itk(folder / "ct.mha", small),
        "dicom": slices,
        "zip": phantoms.write_zip(folder / "ct.zip", slices),
        "png": phantoms.write_picture(folder / "grey.png", phantoms.picture()),
        "jpeg": phantoms.write_picture(folder / "colour.jpg", phantoms.colour_picture()),
        "tiff": phantoms.write_picture(folder / "grey.tif", phantoms.picture()),
    }


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium that renders in software."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with playwright.sync_playwright() as api:
        running = api.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        yield running
        running.close()


@pytest.fixture(scope="module")
def server(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server without an image."""
    running = Server(tmp_path_factory.mktemp("server"))
    yield running
    running.stop()


@pytest.fixture
def serve(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers of a test's own, with the paths it names."""
    running: list[Server] = []

    def start(*paths: Path, **variables: str) -> Server:
        folder = tmp_path / f"server{len(running)}"
        folder.mkdir()
        running.append(Server(folder, *paths, **variables))
        return running[-1]

    yield start
    for each in running:
        each.stop()


@pytest.fixture
def tab(browser: Any) -> Iterator[Callable[[Server], Desk]]:
    """Opens tabs; fails where the page threw an error that nobody caught."""
    desks: list[Desk] = []
    size = {"width": 1366, "height": 768}
    context = browser.new_context(viewport=size, accept_downloads=True, color_scheme="dark")

    # The 3D view takes what the model and the tests could use; the test of it switches it on.
    context.add_init_script(
        "localStorage.getItem('bedside.settings') ?? localStorage.setItem('bedside.settings', '{\"rendering\":false}')"
    )

    def open_tab(server: Server) -> Desk:
        desks.append(Desk(context.new_page(), server))
        return desks[-1]

    yield open_tab
    problems = [problem for desk in desks for problem in desk.problems]
    context.close()
    assert problems == []


@pytest.fixture
def desk(tab: Callable[[Server], Desk], server: Server) -> Desk:
    """A tab with the page of the shared server."""
    return tab(server).visit()
