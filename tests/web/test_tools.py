"""Each tool's gesture: the prompt that it becomes, and the mask that the page then shows, voxel by voxel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.web.conftest import Desk

pytestmark = pytest.mark.slow

CENTRE = (40, 43, 22)
VIEWS = ["axial", "coronal", "sagittal"]


def prompts(desk: Desk) -> list[dict[str, Any]]:
    """Those of the current object, as the server has them."""
    return list(desk.server.get(f"/api/images/{desk.image}/objects/{desk.state('current')}/prompts")["prompts"])


def same_masks(desk: Desk) -> np.ndarray[Any, Any]:
    """The page's labels, once they were found equal to the server's."""
    shown = desk.labels()
    np.testing.assert_array_equal(shown, desk.server.labels(desk.image))
    return shown


def fresh(desk: Desk, path: Path) -> None:
    """Open an image and begin its only object."""
    desk.open(path)
    desk.clear()
    desk.answered(lambda: desk.page.keyboard.press("n"))
    desk.go(CENTRE)


@pytest.mark.parametrize("name", ["nifti", "oblique"])
@pytest.mark.parametrize("view", VIEWS)
def test_a_click_is_where_the_pointer_was(desk: Desk, images: dict[str, Path], name: str, view: str) -> None:
    fresh(desk, images[name])
    desk.tool("p")
    desk.click(view, CENTRE)
    (point,) = prompts(desk)
    np.testing.assert_allclose(point["prompt"]["position"], CENTRE, atol=0.2)
    assert same_masks(desk)[CENTRE[::-1]] == desk.state("current")


def test_signs(desk: Desk, images: dict[str, Path]) -> None:
    fresh(desk, images["nifti"])
    desk.tool("p")
    desk.click("axial", CENTRE)
    desk.click("axial", (70, 40, 22), button="right")
    desk.page.keyboard.down("Shift")
    desk.click("axial", (75, 45, 22))
    desk.page.keyboard.up("Shift")
    desk.tool("x")
    desk.click("axial", (70, 60, 22))
    assert [info["positive"] for info in prompts(desk)] == [True, False, False, False]
    assert same_masks(desk)[22, 60, 70] == 0


@pytest.mark.parametrize("view", VIEWS)
def test_a_box_on_a_slice(desk: Desk, images: dict[str, Path], view: str) -> None:
    fresh(desk, images["oblique"])
    desk.tool("b")
    low, high = np.array([25, 28, 13]), np.array([56, 58, 31])
    through = {"axial": 2, "coronal": 1, "sagittal": 0}[view]
    low[through] = high[through] = CENTRE[through]
    desk.drag(view, [low.tolist(), high.tolist()])
    (box,) = prompts(desk)
    assert box["prompt"]["low"] == low.tolist()
    assert box["prompt"]["high"] == (high + 1).tolist()
    assert same_masks(desk).any()


def test_a_box_in_three_dimensions_is_shaped_before_it_is_sent(desk: Desk, images: dict[str, Path]) -> None:
    fresh(desk, images["nifti"])
    desk.tool("b")
    desk.page.get_by_role("button", name="3D", exact=True).click()
    desk.settle()
    desk.drag("axial", [(25, 28, 22), (56, 58, 22)], wait=False)
    desk.wait("bedside.store.get().shapedBox !== null")
    desk.settle()
    box = desk.state("shapedBox")
    top = box["high"][2]
    x, z = (box["low"][0] + box["high"][0]) / 2, top - 0.5
    y = desk.state("cursor")[1]
    desk.drag("coronal", [(x + 3, y, z), (x + 3, y, z - 3)], wait=False)
    desk.settle()
    assert desk.state("shapedBox")["high"][2] == top - 3
    assert prompts(desk) == []
    desk.press("Enter")
    (sent,) = prompts(desk)
    assert sent["prompt"]["high"] == [57, 59, top - 3]
    assert sent["prompt"]["low"][:2] == [25, 28]
    assert same_masks(desk).any()


@pytest.mark.parametrize(("key", "kind"), [("s", "scribble"), ("l", "lasso")])
@pytest.mark.parametrize("view", VIEWS)
def test_strokes(desk: Desk, images: dict[str, Path], key: str, kind: str, view: str) -> None:
    fresh(desk, images["oblique"])
    desk.tool(key)
    corners = np.array([CENTRE] * 4, dtype=float)
    across = {"axial": (0, 1), "coronal": (0, 2), "sagittal": (1, 2)}[view]
    corners[:, across[0]] += [-8, 8, 8, -8]
    corners[:, across[1]] += [-5, -5, 5, 5]
    desk.drag(view, corners.tolist())
    (stroke,) = prompts(desk)
    assert stroke["kind"] == kind
    points = np.array(stroke["prompt"]["points"])
    for corner in corners:
        assert np.abs(points - corner).max(axis=1).min() < 1.0
    shown = same_masks(desk)
    # Across the slices a stroke is thin: what a model makes of it there is its own affair.
    assert shown.any() or view != "axial"


@pytest.mark.parametrize("view", VIEWS)
def test_brush_and_eraser_change_exactly_what_they_touch(desk: Desk, images: dict[str, Path], view: str) -> None:
    fresh(desk, images["oblique"])
    current = desk.state("current")
    desk.page.evaluate("bedside.store.set({brushSize: 5})")
    desk.tool("d")
    shift = np.array({"axial": (6, 0, 0), "coronal": (6, 0, 0), "sagittal": (0, 6, 0)}[view])
    start = np.array(CENTRE)
    desk.drag(view, [start.tolist(), (start + shift).tolist()])
    painted = same_masks(desk) == current
    for place in (start, start + shift // 2, start + shift):
        assert painted[tuple(place[::-1])]
    through = {"axial": 0, "coronal": 1, "sagittal": 2}[view]
    assert np.unique(np.argwhere(painted)[:, through]).tolist() == [CENTRE[::-1][through]]
    desk.tool("e")
    desk.click(view, CENTRE)
    erased = same_masks(desk) == current
    assert not erased[CENTRE[::-1]]
    assert erased[tuple((start + shift)[::-1])]
    assert not (erased & ~painted).any()
    desk.press("Control+z")
    np.testing.assert_array_equal(same_masks(desk) == current, painted)


def test_a_picture_takes_all_of_it_in_two_dimensions(desk: Desk, images: dict[str, Path]) -> None:
    desk.open(images["png"])
    desk.clear()
    desk.answered(lambda: desk.page.keyboard.press("n"))
    desk.tool("b")
    desk.drag("picture", [(80, 85), (190, 185)])
    desk.tool("p")
    desk.click("picture", (136, 135))
    box, point = prompts(desk)
    assert (box["prompt"]["low"], box["prompt"]["high"]) == ([80, 85], [191, 186])
    np.testing.assert_allclose(point["prompt"]["position"], (136, 135), atol=0.5)
    assert same_masks(desk).any()


def test_keys_alone_place_a_point(desk: Desk, images: dict[str, Path]) -> None:
    fresh(desk, images["nifti"])
    desk.tool("p")
    desk.page.locator(".view-axial:not(.view-second) canvas").focus()
    desk.page.keyboard.press("ArrowRight")
    desk.page.keyboard.press("ArrowDown")
    desk.page.keyboard.press("PageUp")
    desk.press("Enter")
    (point,) = prompts(desk)
    assert point["prompt"]["position"] == [41, 44, 21]
    same_masks(desk)


def test_a_newer_prompt_supersedes_those_that_wait(desk: Desk, images: dict[str, Path]) -> None:
    fresh(desk, images["nifti"])
    desk.tool("p")
    spots = [desk.place("axial", (36 + 2 * i, 43, 22)) for i in range(5)]
    for spot in spots:
        desk.page.mouse.click(*spot)
    desk.wait("bedside.store.get().pending.length === 0")
    desk.wait("(bedside.store.get().prompts[bedside.store.get().current] ?? []).length === 5")
    assert len(prompts(desk)) == 5
    same_masks(desk)


def test_another_size_that_a_click_may_mean_is_shown_and_the_first_again(desk: Desk, images: dict[str, Path]) -> None:
    fresh(desk, images["nifti"])
    desk.tool("p")
    desk.page.mouse.click(*desk.place("axial", (41, 44, 22)))
    desk.wait("bedside.store.get().image.tools.candidates === true")
    desk.wait("bedside.store.get().pending.length === 0")
    button = "[...document.querySelectorAll('.tool')].find(one => one.textContent.includes('Another'))"
    desk.wait(f"{button}.getAttribute('aria-disabled') === 'false'")
    first = desk.state("objects")[0]["voxels"]
    for _ in range(4):
        version = desk.state("version")
        desk.page.keyboard.press("t")
        desk.wait(f"bedside.store.get().version !== {version}")
        same_masks(desk)
        if desk.state("objects")[0]["voxels"] == first:
            break
        assert [p["prompt"]["kind"] for p in prompts(desk)] == ["point", "mask"]
    assert desk.state("objects")[0]["voxels"] == first
    assert [p["prompt"]["kind"] for p in prompts(desk)] == ["point"]


def test_a_suggestion_is_shown_and_taken(desk: Desk, images: dict[str, Path]) -> None:
    fresh(desk, images["nifti"])
    desk.tool("b")
    desk.drag("axial", [(25, 28, 22), (56, 58, 22)])
    # Known at the latest when the model has answered.
    desk.wait("bedside.store.get().image.tools.suggest === true")
    button = desk.page.locator(".tool").filter(has_text="Suggest")
    assert button.get_attribute("aria-disabled") == "false"
    desk.tool("g")
    desk.wait("bedside.store.get().suggestion !== null")
    suggested = desk.state("suggestion")
    assert desk.page.get_by_role("button", name="Take the suggestion").is_visible()
    desk.press("g")
    assert prompts(desk)[-1]["prompt"] == suggested
    assert desk.state("suggestion") is None
    same_masks(desk)


def test_a_classical_tool_changes_the_mask_and_undo_takes_it_back(desk: Desk, images: dict[str, Path]) -> None:
    fresh(desk, images["nifti"])
    desk.tool("b")
    desk.drag("axial", [(25, 28, 22), (56, 58, 22)])
    desk.wait("bedside.store.get().pending.length === 0 && bedside.store.get().objects[0]?.voxels > 0")
    before = desk.state("objects")[0]["voxels"]
    desk.page.keyboard.press("f")
    dialog = desk.page.get_by_role("dialog")
    dialog.get_by_label("Tool").select_option("grow")
    dialog.get_by_role("spinbutton").fill("0")
    dialog.get_by_role("button", name="Apply").click()
    assert dialog.is_visible()  # A distance of nothing is not taken.
    dialog.get_by_role("spinbutton").fill("2")
    dialog.get_by_role("button", name="Apply").click()
    desk.wait(f"bedside.store.get().objects[0].voxels > {before}")
    same_masks(desk)
    desk.press("Control+z")
    desk.wait(f"bedside.store.get().objects[0].voxels === {before}")


def test_a_tool_that_can_do_nothing_says_why(desk: Desk, images: dict[str, Path]) -> None:
    fresh(desk, images["png"])
    desk.tool("d")
    desk.drag("picture", [(40, 43, 0), (60, 50, 0)])
    desk.page.keyboard.press("f")
    dialog = desk.page.get_by_role("dialog")
    # A picture has no next slice.
    dialog.get_by_label("Tool", exact=True).select_option("copy-slice")
    assert "A picture has one slice" in dialog.inner_text()
    assert dialog.get_by_role("button", name="Apply").is_disabled()
    # One that could, and finds nothing, changes nothing.
    version = desk.state("version")
    dialog.get_by_label("Tool", exact=True).select_option("keep-largest")
    dialog.get_by_role("button", name="Apply").click()
    desk.page.locator(".toast-info", has_text="Nothing has changed").wait_for()
    assert [info["kind"] for info in prompts(desk)] == ["mask"]
    assert same_masks(desk).any()
    assert desk.state("version") <= version + 1
    desk.clear()
