"""The page as such: accessibility, layout, keys, and that it speaks the server's language."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.web.conftest import ROOT, Desk, Server
from tests.web.test_tools import CENTRE, fresh

pytestmark = pytest.mark.slow

AXE = ROOT / "web/node_modules/axe-core/axe.min.js"


def violations(desk: Desk) -> list[str]:
    """What axe-core finds that is serious or critical."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed; run `npm ci` in web/")
    # By the debugger's channel, which the page's policy of content does not reach.
    desk.page.evaluate(AXE.read_text(encoding="utf-8"))
    found: dict[str, Any] = desk.page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{item['id']}: {item['nodes'][0]['html'][:120]} {item['nodes'][0]['failureSummary'][:200]}"
        for item in found["violations"]
        if item["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_nobody_is_shut_out(desk: Desk, images: dict[str, Path], theme: str) -> None:
    desk.page.evaluate("theme => bedside.store.set({theme})", theme)
    desk.settle()
    assert violations(desk) == []
    fresh(desk, images["nifti"])
    desk.tool("p")
    desk.click("axial", CENTRE)
    assert violations(desk) == []
    for key in ("o", "?", "Control+s"):
        desk.page.keyboard.press(key)
        desk.page.locator("dialog[open]").wait_for()
        assert violations(desk) == []
        desk.page.keyboard.press("Escape")
        desk.page.locator("dialog").wait_for(state="detached")
    for name in ("Model", "From file", "Link a second image"):
        desk.page.get_by_role("button", name=name).click()
        assert violations(desk) == []
        desk.page.keyboard.press("Escape")


def test_the_theme_is_the_systems_until_one_is_chosen(desk: Desk) -> None:
    shown = "document.documentElement.dataset.theme"
    for scheme in ("light", "dark", "light"):
        desk.page.emulate_media(color_scheme=scheme)
        desk.wait(f"{shown} === '{scheme}'")
    desk.page.get_by_role("button", name="Dark theme").click()
    desk.wait(f"{shown} === 'dark'")
    desk.visit()
    desk.wait(f"{shown} === 'dark'")


def test_messages_are_seen_in_front_of_a_dialog(desk: Desk) -> None:
    desk.page.keyboard.press("?")
    desk.page.locator("dialog[open]").wait_for()
    desk.page.evaluate("bedside.actions.report(new Error('Something went wrong'))")
    message = desk.page.locator(".toast-error", has_text="Something went wrong")
    # It is what lies topmost there, and its button can be pressed.
    box = message.bounding_box()
    assert box is not None
    middle = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
    assert message.evaluate("(m, [x, y]) => m.contains(document.elementFromPoint(x, y))", middle)
    message.get_by_role("button", name="Dismiss").click()
    assert message.count() == 0
    desk.page.evaluate("bedside.actions.report(new Error('Something else'))")
    desk.page.keyboard.press("Escape")
    desk.page.locator("dialog").wait_for(state="detached")
    assert desk.page.locator(".toast-error", has_text="Something else").is_visible()


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (1024, 700), (1920, 1080)])
def test_nothing_runs_over_the_edge(desk: Desk, images: dict[str, Path], width: int, height: int) -> None:
    desk.page.set_viewport_size({"width": width, "height": height})
    desk.open(images["oblique"])
    desk.settle()
    wider = desk.page.evaluate(
        "document.documentElement.scrollWidth > innerWidth || document.body.scrollWidth > innerWidth"
    )
    assert not wider
    bar = desk.page.locator(".topbar").bounding_box()
    for name in ("Save", "Keys and help"):
        box = desk.page.get_by_role("button", name=name).first.bounding_box()
        assert box["x"] + box["width"] <= bar["width"]
    rail = desk.page.evaluate("(e => e.scrollHeight <= e.clientHeight + 1)(document.querySelector('.rail'))")
    assert rail


def test_every_tool_has_its_key_on_its_button(desk: Desk, images: dict[str, Path]) -> None:
    desk.open(images["nifti"])
    for name, key in {
        "move": "M",
        "window": "W",
        "point": "P",
        "box": "B",
        "scribble": "S",
        "lasso": "L",
        "brush": "D",
        "eraser": "E",
    }.items():
        button = desk.page.locator(".tool").filter(has_text=re.compile(name, re.IGNORECASE))
        assert button.locator("kbd").inner_text() == key
        desk.tool(key.lower())
        assert desk.state("tool") == name
        assert button.get_attribute("aria-pressed") == "true"


def test_keys_of_letters_stay_in_texts(desk: Desk, images: dict[str, Path]) -> None:
    desk.open(images["nifti"])
    desk.tool("p")
    desk.page.get_by_label("Window level").fill("1")
    desk.page.get_by_label("Window level").press("b")
    assert desk.state("tool") == "point"


def test_enter_in_the_dialog_presses_nothing_behind_it(desk: Desk, images: dict[str, Path]) -> None:
    desk.open(images["nifti"])
    desk.page.locator(".model-button").focus()
    desk.open(images["nrrd"])
    desk.settle()
    assert desk.page.locator("dialog[open]").count() == 0


def test_the_tour_runs_on_the_sample(serve: Callable[..., Server], tab: Callable[[Server], Desk]) -> None:
    desk = tab(serve()).visit()
    desk.page.get_by_role("button", name="Take the one-minute tour").click()
    bubble = desk.page.locator(".tour")
    bubble.wait_for(timeout=60_000)
    steps = int(bubble.locator(".muted").inner_text().split()[-1])
    for step in range(1, steps):
        assert bubble.locator(".muted").inner_text() == f"{step} of {steps}"
        assert violations(desk) == []
        bubble.get_by_role("button", name="Next").click()
        if step == 2:
            # What the later steps speak of is there to be seen.
            desk.wait("bedside.store.get().objects[0]?.voxels > 0 && bedside.store.get().pending.length === 0")
    bubble.get_by_role("button", name="Done").click()
    assert bubble.count() == 0
    assert len(desk.state("objects")) == 1


def test_messages_have_the_fields_that_the_server_publishes(server: Server) -> None:
    source = (ROOT / "web/src/api/messages.ts").read_text(encoding="utf-8")
    schemas = server.get("/api/openapi.json")["components"]["schemas"]
    inherited = {"Patch": {"start", "stop"}, "LabelPatch": {"start", "stop"}}
    seen = 0
    for name, body in re.findall(r"export interface (\w+)(?: extends \w+)? \{\n(.*?)\n\}", source, re.DOTALL):
        if name in schemas:
            fields = set(re.findall(r"^  (\w+)\??:", body, re.MULTILINE)) | inherited.get(name, set())
            assert fields == set(schemas[name]["properties"]), name
            seen += 1
    assert seen >= 15


def tabs_to_the_image(desk: Desk) -> int:
    """How often Tab is pressed, from the beginning of the page, until a view has the focus."""
    desk.page.evaluate("document.activeElement.blur()")
    for count in range(1, 60):
        desk.page.keyboard.press("Tab")
        if desk.page.evaluate("document.activeElement.matches('.view canvas')"):
            return count
    raise AssertionError("the views are not reached")


def test_the_image_is_few_keys_away(desk: Desk, images: dict[str, Path]) -> None:
    desk.open(images["nifti"])
    desk.visit(f"#image={desk.image}").loaded()
    # The first stop leads there; without it a row of buttons is one stop.
    desk.page.keyboard.press("Tab")
    assert desk.page.evaluate("document.activeElement.textContent") == "Skip to the image"
    assert violations(desk) == []
    desk.page.keyboard.press("Enter")
    assert desk.page.evaluate("document.activeElement.matches('.view-axial canvas')")
    assert tabs_to_the_image(desk) <= 18


def test_arrows_go_through_a_row_of_buttons(desk: Desk, images: dict[str, Path]) -> None:
    desk.open(images["nifti"])
    desk.tool("p")
    focused = "document.activeElement.querySelector('.tool-label')?.textContent"
    desk.page.locator(".tool", has_text="Point").focus()
    for key, name in (("ArrowDown", "Box"), ("ArrowUp", "Point"), ("End", "Redo"), ("ArrowDown", "Move")):
        desk.page.keyboard.press(key)
        assert desk.page.evaluate(focused) == name
    # Tab leaves the row, and comes back to where one was.
    desk.page.keyboard.press("Tab")
    assert not desk.page.evaluate("document.activeElement.matches('.tool')")
    desk.page.keyboard.press("Shift+Tab")
    assert desk.page.evaluate(focused) == "Move"
    desk.page.keyboard.press("Enter")
    assert desk.state("tool") == "move"


def test_the_views_are_arranged_in_three_ways(desk: Desk, images: dict[str, Path]) -> None:
    desk.open(images["nifti"])
    desk.page.evaluate("bedside.store.set({arrangement: 'grid', layout: 'all'})")

    def boxes() -> dict[str, dict[str, float]]:
        desk.settle()
        names = ("axial", "sagittal", "coronal", "rendering")
        return {
            n: b for n in names if (b := desk.page.locator(f".view-{n}:not(.view-second)").bounding_box()) is not None
        }

    grid = boxes()
    assert len({box["x"] for box in grid.values()}) == len({box["y"] for box in grid.values()}) == 2
    desk.page.keyboard.press("u")
    row = boxes()
    assert set(row) == {"axial", "sagittal", "coronal"}
    assert len({box["y"] for box in row.values()}) == 1
    assert row["axial"]["height"] > 1.5 * grid["axial"]["height"]
    desk.page.get_by_role("button", name="Arrange the views").click()
    large = boxes()
    assert large["axial"]["width"] > 2 * large["coronal"]["width"]
    assert len({box["x"] for name, box in large.items() if name != "axial"}) == 1
    # A click is where the pointer was in any of them, and the way is kept.
    desk.clear()
    desk.tool("p")
    desk.go(CENTRE)
    desk.click("coronal", CENTRE)
    assert desk.labels()[CENTRE[::-1]] == desk.state("current")
    desk.visit(f"#image={desk.image}").loaded()
    assert desk.state("arrangement") == "main"
    desk.page.keyboard.press("u")
    assert boxes() == grid
    desk.clear()
