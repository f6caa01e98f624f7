"""What ``Session.show`` puts into a notebook, in a real browser: its own module, and a session behind it."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from bedside import Session
from bedside.core.image import Image
from bedside.session.slices import Slices
from bedside.session.widget import PAGE
from tests.web.conftest import FLAGS, PATIENCE, ROOT, chromium, until

pytestmark = pytest.mark.slow
SHAPE = (10, 24, 32)
MODEL = """
const listeners = {};
let told = {};
const view = (text) => { const raw = atob(text); const all = new Uint8Array(raw.length);
  for (let at = 0; at < raw.length; at++) { all[at] = raw.charCodeAt(at); } return new DataView(all.buffer); };
const take = (text) => {
  told = JSON.parse(text);
  told.picture = view(told.picture);
  told.seen = view(told.seen);
  Object.values(listeners).forEach((all) => all.forEach((one) => one()));
};
const model = {
  get: (name) => told[name],
  on: (name, call) => (listeners[name] ??= []).push(call),
  off: (name, call) => { listeners[name] = listeners[name].filter((one) => one !== call); },
  send: async (asked) => take(await window.ask(JSON.stringify(asked))),
};
take(await window.ask("null"));
window.stop_showing = widget.default.render({ model, el: document.body });
window.ready = true;
"""


@pytest.fixture
def shown() -> Iterator[Any]:
    """A session, and a page of the widget's module; a stand-in for Jupyter carries what they say."""
    sync_api = pytest.importorskip("playwright.sync_api")
    if chromium() is None:
        pytest.skip("there is no Chromium; on Debian and Ubuntu install the package chromium")
    array = np.full(SHAPE, -800, np.int16)
    array[3:8, 6:18, 8:24] = 100
    session = Session(Image.from_array(array, (0.7, 1.4, 3.0)))
    slices = Slices(session)

    def ask(text: str) -> str:
        asked = json.loads(text)
        said = "" if asked is None else slices.ask(asked)
        coded = {
            name: base64.b64encode(one.tobytes()).decode()
            for name, one in (("picture", slices.picture()), ("seen", slices.objects_seen()))
        }
        return json.dumps({**coded, "view": slices.view(), "objects": slices.objects(), "said": said})

    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        page = browser.new_page()
        page.set_default_timeout(PATIENCE * 1000)
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.expose_function("ask", ask)
        module = "data:text/javascript;base64," + base64.b64encode(PAGE.read_bytes()).decode()
        page.set_content("<body></body>")
        page.add_script_tag(type="module", content=f"import * as widget from '{module}';{MODEL}")
        page.wait_for_function("window.ready")
        yield session, page
        assert problems == []
        browser.close()


def colour_at(page: Any, column: int, row: int) -> list[int]:
    """Red, green and blue of a pixel that is shown."""
    found: list[int] = page.evaluate(
        "([x, y]) => [...document.querySelector('canvas').getContext('2d').getImageData(x, y, 1, 1).data].slice(0, 3)",
        [column, row],
    )
    return found


def click_at(page: Any, column: float, row: float, **options: Any) -> None:
    """Click on the middle of a pixel."""
    box = page.locator("canvas").bounding_box()
    place = {"x": (column + 0.5) * box["width"] / SHAPE[2], "y": (row + 0.5) * box["height"] / SHAPE[1]}
    page.locator("canvas").click(position=place, **options)


def test_clicks_make_masks_that_are_seen_and_undone(shown: Any) -> None:
    session, page = shown
    box = page.locator("canvas").bounding_box()
    # Pixels are twice as high as wide.
    assert box["height"] / box["width"] == pytest.approx(SHAPE[1] * 2 / SHAPE[2], rel=0.02)
    assert colour_at(page, 16, 12) == [255, 255, 255]
    click_at(page, 16, 12)
    page.get_by_text("object 1").wait_for()
    (prompt,) = session.objects[0].prompts
    assert prompt.prompt.position == pytest.approx((16, 12, 5), abs=0.5)
    mask = session.mask
    assert mask[5, 12, 16] == 1
    # White under 45 % of #e6b422.
    assert colour_at(page, 16, 12) == pytest.approx([244, 221, 156], abs=2)
    assert colour_at(page, 0, 0) == [0, 0, 0]
    click_at(page, 4, 4, modifiers=["Shift"])
    page.wait_for_function("document.querySelectorAll('li').length === 1")
    for _ in range(2):
        page.get_by_role("button", name="Undo").click()
    page.get_by_text("object 1: 0 voxels").wait_for()
    assert not session.mask.any()
    page.get_by_role("button", name="Redo").click()
    page.get_by_text(f"object 1: {mask.sum()} voxels").wait_for()
    np.testing.assert_array_equal(session.mask, mask)
    # Another axis, another slice, another object; what cannot be done is said.
    page.get_by_role("combobox").select_option("2")
    page.wait_for_function(f"document.querySelector('canvas').width === {SHAPE[1]}")
    page.get_by_role("slider").fill("0")
    page.wait_for_function("document.querySelector('canvas').getContext('2d').getImageData(12, 5, 1, 1).data[0] === 0")
    page.get_by_role("button", name="New object").click()
    page.get_by_text("object 2").wait_for()
    page.locator("canvas").click(button="right", position={"x": 5, "y": 5})
    page.get_by_text("positive").wait_for()
    page.evaluate("window.stop_showing()")


NOTEBOOK = """
import numpy as np
from bedside import Image, Session
array = np.full((10, 24, 32), -800, np.int16)
array[3:8, 6:18, 8:24] = 100
session = Session(Image.from_array(array, (0.7, 1.4, 3.0)))
session.show()
"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """The address of a notebook server with a notebook that shows a session and one cell that tells its voxels."""
    for needed in ("jupyterlab", "anywidget", "ipykernel"):
        pytest.importorskip(needed)
    cells = [
        {"cell_type": "code", "source": source, "metadata": {}, "outputs": [], "execution_count": None, "id": name}
        for name, source in (("show", NOTEBOOK), ("tell", "print('voxels', int(session.mask.sum()))"))
    ]
    book = {"cells": cells, "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}}}
    (tmp_path / "show.ipynb").write_text(json.dumps({**book, "nbformat": 4, "nbformat_minor": 5}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    homes = {name: str(tmp_path / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    options = [f"--ServerApp.port={port}", "--IdentityProvider.token=test", "--no-browser", "--allow-root"]
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *options],
        cwd=tmp_path,
        env={**os.environ, **homes, "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}/lab/tree/show.ipynb?token=test"
    finally:
        server.terminate()
        server.wait(PATIENCE)


def test_a_notebook_shows_a_session_and_its_next_cell_has_the_mask(lab: str) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    if chromium() is None:
        pytest.skip("there is no Chromium; on Debian and Ubuntu install the package chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        page = browser.new_page()
        page.set_default_timeout(PATIENCE * 1000)
        until(lambda: _answers(lab), "the notebook server answers")
        page.goto(lab)
        page.locator(".jp-Notebook .jp-Cell").first.wait_for()
        # A cell that is run before its kernel is there is not run at all.
        page.get_by_text("| Idle").wait_for()
        page.locator(".jp-Notebook .jp-Cell").first.locator(".cm-content").click()
        page.keyboard.press("Control+Enter")
        page.locator(".bedside canvas").wait_for()
        page.locator(".bedside canvas").scroll_into_view_if_needed()
        box = page.locator(".bedside canvas").bounding_box()
        page.locator(".bedside canvas").click(position={"x": box["width"] * 0.5, "y": box["height"] * 0.5})
        page.get_by_text("object 1:").wait_for()
        told = page.get_by_text("object 1:").inner_text()
        page.locator(".jp-Notebook .jp-Cell").last.locator(".cm-content").click()
        page.keyboard.press("Control+Enter")
        page.get_by_text(f"voxels {told.split()[2]}").wait_for()
        assert int(told.split()[2]) > 100
        if picture := os.environ.get("BEDSIDE_TEST_PICTURE"):
            page.screenshot(path=picture)
        browser.close()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code < 400
    except httpx.TransportError:
        return False
