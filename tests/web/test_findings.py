"""What the network finds by itself: others of the kind, proposed and taken; a mask carried along; and both stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.web.conftest import Desk
from tests.web.phantoms import write_nifti, write_picture
from tests.web.test_page import violations
from tests.web.test_tools import prompts, same_masks

pytestmark = pytest.mark.slow

PLACES = [(x, y) for y in (40, 110, 180) for x in (40, 100, 160, 220)]
"""Middles of the cells, (x, y)."""


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve bright discs on a dark ground with a little noise."""
    y, x = np.mgrid[:220, :260]
    noise = np.random.default_rng(5).normal(0, 4, x.shape)
    pixels = 40 + noise
    for column, row in PLACES:
        pixels[(x - column) ** 2 + (y - row) ** 2 < 14**2] += 150
    return write_picture(tmp_path_factory.mktemp("cells") / "cells.png", pixels.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def column(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bright column through slices 5 to 17 of a dark volume."""
    z, y, x = np.mgrid[:24, :64, :72]
    inside = ((x - 36) ** 2 + (y - 30) ** 2 < 10**2) & (z >= 5) & (z < 18)
    noise = np.random.default_rng(6).normal(0, 8, x.shape)
    return write_nifti(
        tmp_path_factory.mktemp("column") / "column.nii.gz", (np.where(inside, 180, 20) + noise).astype(np.int16)
    )


def shown_proposals(desk: Desk) -> NDArray[np.uint16]:
    """What the page paints of proposals."""
    return desk.array("Uint16Array.from(bedside.actions.workplace.proposals.data)", "<u2")[0]


def find(desk: Desk, cells: Path) -> None:
    """Show proposals for the first cell."""
    desk.open(cells)
    desk.clear()
    desk.tool("p")
    desk.click("picture", (*PLACES[0], 0))
    desk.page.keyboard.press("k")
    desk.wait("bedside.store.get().proposals !== null && bedside.store.get().task === null")
    desk.settle()


def test_others_of_the_kind_are_looked_at_and_taken(desk: Desk, cells: Path) -> None:
    find(desk, cells)
    labels = shown_proposals(desk)
    numbers = {int(labels[y, x]) for x, y in PLACES[1:]}
    assert 0 not in numbers
    assert len(numbers) == len(PLACES) - 1
    assert labels[PLACES[0][1], PLACES[0][0]] == 0
    # Nothing has changed yet; the line says how many there are, and everyone can use it.
    assert len(desk.state("objects")) == 1
    bar = desk.page.locator(".options")
    taking = bar.get_by_role("button", name="Take", exact=False).first
    before = int(taking.inner_text().split()[1])
    assert before >= len(PLACES) - 1
    assert violations(desk) == []
    # A click drops one, and so does a key for the one in hand; the slider leaves the most alike.
    x, y = PLACES[5]
    desk.page.mouse.click(*desk.place("picture", (x, y, 0)))
    desk.settle()
    assert desk.state("proposals")["dropped"] == [int(labels[y, x])]
    desk.page.keyboard.press("j")
    desk.page.keyboard.press("Delete")
    desk.settle()
    dropped = set(desk.state("proposals")["dropped"])
    assert len(dropped) == 2
    assert taking.inner_text().split()[1] == str(before - 2)
    best = desk.state("proposals")["all"][0]
    desk.page.evaluate("score => bedside.actions.finding.setThreshold(score)", best["score"])
    desk.settle()
    assert int(taking.inner_text().split()[1]) <= 1
    desk.page.evaluate("bedside.actions.finding.setThreshold(0)")
    desk.answered(lambda: desk.page.keyboard.press("Enter"))
    assert desk.state("proposals") is None
    masks = same_masks(desk)[0]
    wanted = [n for n in np.unique(labels) if n and n not in dropped]
    assert len(desk.state("objects")) == 1 + len(wanted)
    np.testing.assert_array_equal(masks > 1, np.isin(labels, wanted))
    assert all(info["name"].startswith("object ") for info in desk.state("objects"))
    # One undo takes all of them away.
    desk.press("Control+z")
    assert [info["name"] for info in desk.state("objects")] == ["object 1"]
    assert len(np.unique(same_masks(desk))) == 2
    # Redo brings all of them back, and undo takes them away again.
    desk.press("Control+Shift+z")
    assert len(desk.state("objects")) == 1 + len(wanted)
    np.testing.assert_array_equal(same_masks(desk)[0] > 1, np.isin(labels, wanted))
    desk.press("Control+z")
    assert len(desk.state("objects")) == 1
    desk.clear()


def test_proposals_are_discarded(desk: Desk, cells: Path) -> None:
    find(desk, cells)
    version = desk.state("version")
    desk.page.keyboard.press("Escape")
    desk.settle()
    assert desk.state("proposals") is None
    assert desk.state("version") == version
    assert desk.page.evaluate("bedside.actions.workplace.proposals") is None
    desk.clear()


def test_a_mask_is_carried_along_and_taken_back(desk: Desk, column: Path) -> None:
    desk.open(column)
    desk.clear()
    desk.go((36, 30, 11))
    desk.tool("d")
    desk.page.evaluate("bedside.store.set({brushSize: 20})")
    desk.drag("axial", [(36, 30, 11), (36, 30.4, 11)])
    drawn = same_masks(desk) != 0
    assert drawn.any(axis=(1, 2)).sum() == 1
    desk.answered(lambda: desk.page.keyboard.press("a"))
    desk.wait("bedside.store.get().carried !== null")
    desk.settle()
    carried = (same_masks(desk) != 0).any(axis=(1, 2))
    first, last = desk.state("carried")["info"]["first"], desk.state("carried")["info"]["last"]
    assert np.flatnonzero(carried).tolist() == list(range(first, last + 1))
    assert first < 11 < last
    bar = desk.page.locator(".options")
    assert f"Slices {first + 1} to {last + 1}. " in bar.inner_text()
    assert violations(desk) == []
    assert [info["kind"] for info in prompts(desk)] == ["mask", "mask"]
    desk.answered(lambda: bar.get_by_role("button", name="Discard").click())
    np.testing.assert_array_equal(same_masks(desk) != 0, drawn)
    assert "Slices" not in bar.inner_text()
    # Again, and kept: the line goes, the mask stays.
    desk.answered(lambda: desk.page.locator(".tool", has_text="Propagate").click())
    desk.wait("bedside.store.get().carried !== null")
    desk.page.keyboard.press("Enter")
    desk.settle()
    assert desk.state("carried") is None
    assert ((same_masks(desk) != 0).any(axis=(1, 2)) == carried).all()
    desk.clear()


def test_a_search_is_stopped(desk: Desk, cells: Path) -> None:
    desk.open(cells)
    desk.clear()
    desk.tool("p")
    desk.click("picture", (*PLACES[0], 0))
    version = desk.state("version")
    # Stopped as soon as it is said how far it is: the button is there then.
    desk.page.evaluate(
        "bedside.store.watch(['task'], () => bedside.store.get().task?.done > 0 && "
        "document.querySelector('.status .stop:not([hidden])')?.click())"
    )
    desk.page.keyboard.press("k")
    desk.page.locator(".toast-info", has_text="Stopped. Nothing has changed").wait_for()
    assert desk.state("task") is None
    assert desk.state("proposals") is None
    # The server is free again, and nothing was kept of it.
    desk.visit(f"#image={desk.image}").loaded()
    assert desk.state("version") == version
    desk.click("picture", (*PLACES[1], 0))
    desk.clear()


def test_an_answer_is_stopped(desk: Desk, cells: Path) -> None:
    desk.open(cells)
    desk.clear()
    desk.tool("p")
    desk.click("picture", (*PLACES[0], 0))
    before, version, masks = prompts(desk), desk.state("version"), same_masks(desk)
    # A click while the network is at something else waits for its turn, and Stop takes it back.
    desk.page.evaluate("""() => {
        const { store, actions } = bedside;
        let asked = false;
        store.watch(["task", "pending"], () => {
            const state = store.get();
            if (!asked && state.task?.done > 0) {
                asked = true;
                actions.prompt({ kind: "point", position: [100, 40], positive: true, frame: "index" });
            } else if (state.pending.length > 0) document.querySelector(".status .stop:not([hidden])").click();
        });
    }""")
    desk.page.keyboard.press("k")
    desk.page.locator(".toast-info", has_text="Stopped. Nothing has changed").wait_for()
    desk.wait("bedside.store.get().pending.length === 0 && bedside.store.get().task === null")
    assert desk.page.locator(".status .stop").first.is_hidden()
    assert prompts(desk) == before
    assert desk.server.get(f"/api/images/{desk.image}/objects")["version"] == version
    np.testing.assert_array_equal(same_masks(desk), masks)
    desk.visit(f"#image={desk.image}").loaded()
    desk.clear()


def test_a_picture_has_no_slices_to_carry_along(desk: Desk, cells: Path) -> None:
    desk.open(cells)
    button = desk.page.locator(".tool", has_text="Propagate")
    assert button.get_attribute("aria-disabled") == "true"
    assert "no slices" in (button.get_attribute("title") or "")
