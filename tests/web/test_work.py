"""Objects, prompts, undo, saving, worklist, and work that outlives the server."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from bedside.io import read_mask
from tests.web import phantoms
from tests.web.conftest import Desk, Server
from tests.web.test_tools import CENTRE, fresh, prompts, same_masks

pytestmark = pytest.mark.slow


def two_objects(desk: Desk, path: Path) -> None:
    """A box for the first, and one that overlaps it for the second."""
    fresh(desk, path)
    desk.tool("b")
    desk.drag("axial", [(25, 28, 22), (56, 58, 22)])
    desk.answered(lambda: desk.page.keyboard.press("n"))
    desk.drag("axial", [(45, 28, 22), (88, 58, 22)])


def test_undo_and_redo(desk: Desk, images: dict[str, Path]) -> None:
    fresh(desk, images["nifti"])
    desk.tool("b")
    desk.drag("axial", [(25, 28, 22), (56, 58, 22)])
    first = same_masks(desk)
    desk.tool("p")
    desk.click("axial", (66, 41, 22))
    second = same_masks(desk)
    desk.press("Control+z")
    np.testing.assert_array_equal(same_masks(desk), first)
    desk.press("Control+z")
    assert (same_masks(desk) != desk.state("current")).all()
    desk.press("Control+Shift+z")
    desk.press("Control+Shift+z")
    np.testing.assert_array_equal(same_masks(desk), second)


def test_any_prompt_is_highlighted_and_deleted(desk: Desk, images: dict[str, Path]) -> None:
    fresh(desk, images["nifti"])
    desk.tool("p")
    for x in (38, 42, 46):
        desk.click("axial", (x, 43, 22))
    rows = desk.page.locator(".prompt")
    assert rows.count() == 3
    rows.nth(1).hover()
    second = prompts(desk)[1]["id"]
    desk.wait(f"bedside.store.get().hovered === {second}")
    desk.answered(lambda: rows.nth(1).get_by_role("button", name="Delete").click())
    assert second not in [info["id"] for info in prompts(desk)]
    assert desk.page.locator(".prompt").count() == 2
    same_masks(desk)


def test_two_objects_and_who_is_seen(desk: Desk, images: dict[str, Path]) -> None:
    two_objects(desk, images["nifti"])
    second = desk.state("current")
    kept = same_masks(desk)
    assert {second - 1, second} <= set(np.unique(kept))
    desk.answered(lambda: desk.page.get_by_label("Overlap").select_option("overwrite"))
    assert (same_masks(desk) == second).sum() >= (kept == second).sum()
    hide = desk.page.locator(".object.current").get_by_role("button", name="Hide")
    desk.answered(hide.click)
    assert (same_masks(desk) != second).all()
    desk.answered(desk.page.locator(".object.current").get_by_role("button", name="Show").click)
    row = desk.page.locator(".object.current .object-name")
    row.dblclick()
    desk.page.locator("input.rename").fill("left kidney")
    desk.answered(lambda: desk.page.keyboard.press("Enter"))
    assert desk.server.get(f"/api/images/{desk.image}/objects")["objects"][-1]["name"] == "left kidney"
    desk.answered(lambda: desk.page.get_by_label("Overlap").select_option("keep"))


def test_a_locked_object_is_left_alone(desk: Desk, images: dict[str, Path]) -> None:
    fresh(desk, images["nifti"])
    desk.tool("p")
    desk.click("axial", CENTRE)
    before = same_masks(desk)
    desk.answered(desk.page.locator(".object.current").get_by_role("button", name="Lock").click)
    desk.page.mouse.click(*desk.place("axial", (66, 41, 22)))
    desk.page.get_by_text("is locked").wait_for()
    np.testing.assert_array_equal(same_masks(desk), before)


def test_deleting_an_object_asks_first(desk: Desk, images: dict[str, Path]) -> None:
    fresh(desk, images["nifti"])
    desk.tool("p")
    desk.click("axial", CENTRE)
    current = desk.state("current")
    desk.page.locator(".object.current").get_by_role("button", name="Delete").click()
    desk.answered(desk.page.locator("dialog").get_by_role("button", name="Delete").click)
    assert current not in [info["id"] for info in desk.state("objects")]
    assert (same_masks(desk) != current).all()


def save(desk: Desk, choice: str | None, path: Path, button: str = "Save masks") -> Path:
    """Save by the dialog."""
    desk.page.keyboard.press("Control+s")
    if choice:
        desk.page.get_by_label(choice).check()
    with desk.page.expect_download() as download:
        desk.page.get_by_role("button", name=button).click()
    target = path / download.value.suggested_filename
    download.value.save_as(target)
    return target


def test_what_is_saved_is_read_by_others(
    serve: Callable[..., Server], tab: Callable[[Server], Desk], images: dict[str, Path], tmp_path: Path
) -> None:
    desk = tab(serve(images["oblique"])).visit().loaded()
    desk.go(CENTRE)
    desk.tool("b")
    desk.drag("axial", [(25, 28, 22), (56, 58, 22)])
    desk.answered(lambda: desk.page.keyboard.press("n"))
    desk.drag("axial", [(66, 30, 22), (84, 56, 22)])
    shown = same_masks(desk)
    saved = nibabel.load(save(desk, "All objects in one file", tmp_path))
    np.testing.assert_array_equal(np.asarray(saved.dataobj).transpose(2, 1, 0), shown)
    np.testing.assert_allclose(saved.affine, phantoms.oblique_affine((0.8, 0.8, 2.5)), atol=1e-4)
    archive = save(desk, "One file per object", tmp_path)
    with zipfile.ZipFile(archive) as parts:
        assert len(parts.namelist()) == 2
    journal = save(desk, None, tmp_path, "Save the prompt journal")
    assert '"box"' in journal.read_text()


def test_work_outlives_a_killed_server(
    serve: Callable[..., Server], tab: Callable[[Server], Desk], images: dict[str, Path]
) -> None:
    server = serve(images["nifti"])
    desk = tab(server).visit().loaded()
    desk.go(CENTRE)
    desk.tool("p")
    desk.click("axial", CENTRE)
    before = same_masks(desk)
    server.kill()
    desk.page.get_by_text("The server does not answer").first.wait_for()
    desk.page.mouse.click(*desk.place("axial", CENTRE))
    unsent = desk.page.get_by_text("Not sent: the server does not answer")
    unsent.wait_for()
    server.start()
    desk.wait("bedside.store.get().connection === 'open'")
    # What is no longer so is no longer said.
    assert unsent.count() == 0
    desk.wait("bedside.store.get().objects.length === 1")
    until_same(desk, before)
    # The page that was open goes on, and one that is opened again finds the same.
    desk.click("axial", (44, 46, 22))
    after = same_masks(desk)
    desk.page.reload()
    desk.wait("window.bedside?.actions.workplace")
    desk.loaded()
    until_same(desk, after)
    assert len(prompts(desk)) == 2


def until_same(desk: Desk, expected: np.ndarray[tuple[int, ...], np.dtype[np.uint16]]) -> None:
    """The page shows these labels, and so does the server."""
    desk.wait("bedside.store.get().painted > 0")
    desk.settle()
    np.testing.assert_array_equal(same_masks(desk), expected)


def test_a_second_tab_sees_what_the_first_does(
    serve: Callable[..., Server], tab: Callable[[Server], Desk], images: dict[str, Path]
) -> None:
    server = serve(images["nifti"])
    first, second = tab(server).visit().loaded(), tab(server).visit().loaded()
    assert first.image == second.image
    first.page.bring_to_front()
    first.go(CENTRE)
    first.tool("p")
    first.click("axial", CENTRE)
    second.page.bring_to_front()
    second.wait("bedside.store.get().objects.length === 1 && bedside.store.get().painted > 1")
    np.testing.assert_array_equal(second.labels(), same_masks(first))
    second.go(CENTRE)
    second.click("axial", (44, 46, 22))
    first.page.bring_to_front()
    first.wait("(bedside.store.get().prompts[1] ?? []).length === 2")
    np.testing.assert_array_equal(same_masks(first), second.labels())


def test_the_worklist_is_walked_and_marked(
    serve: Callable[..., Server], tab: Callable[[Server], Desk], tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(3):
        phantoms.write_nifti(folder / f"case{number}.nii.gz", phantoms.volume((12, 48, 56), seed=number))
    desk = tab(serve(folder)).visit()
    desk.wait("bedside.store.get().worklist.items.length === 3")
    desk.wait("bedside.store.get().image?.name === 'case0.nii.gz'")
    desk.loaded()
    desk.tool("p")
    desk.go((20, 21, 6))
    desk.click("axial", (20, 21, 6))
    desk.wait("bedside.store.get().worklist.items[0].state === 'in progress'")
    desk.page.keyboard.press(".")
    desk.wait("bedside.store.get().image.name === 'case1.nii.gz'")
    desk.loaded()
    assert desk.labels().max() == 0
    desk.page.keyboard.press(",")
    desk.wait("bedside.store.get().image.name === 'case0.nii.gz'")
    desk.loaded()
    # As wished, the masks go beside the image with that, and where they cannot, it is not done.
    desk.page.get_by_label("Save beside the image").check()
    in_the_way = folder / "case0-labels.nii.gz"
    in_the_way.write_bytes(b"mine")
    desk.page.get_by_role("button", name="Done, next").click()
    desk.page.locator("[role=alert] .toast", has_text="a file of another").wait_for()
    assert desk.state("worklist")["items"][0]["state"] == "in progress"
    in_the_way.unlink()
    shown = desk.labels()
    desk.page.get_by_role("button", name="Done, next").click()
    desk.wait("bedside.store.get().image.name === 'case1.nii.gz'")
    np.testing.assert_array_equal(read_mask(in_the_way).array, shown)
    desk.wait("bedside.store.get().worklist.items[0].state === 'done'")
    assert "1 of 3 done" in desk.page.get_by_label("Worklist", exact=True).inner_text()


def test_models_that_cannot_be_used_say_why(desk: Desk, images: dict[str, Path]) -> None:
    desk.open(images["nifti"])
    desk.page.get_by_role("button", name="Model").click()
    dialog = desk.page.get_by_role("dialog")
    assert dialog.locator(".model[aria-current=true] .model-name").inner_text().startswith(desk.state("image")["model"])
    models = desk.server.get("/api/models")["models"]
    rejected = next(model for model in models if not model["available"])
    row = dialog.locator(".model").filter(has_text=rejected["name"]).first
    assert row.get_attribute("aria-disabled") == "true"
    assert rejected["reason"] in (row.get_attribute("title") or "")


def test_a_volume_as_large_as_a_scan(
    serve: Callable[..., Server], tab: Callable[[Server], Desk], tmp_path: Path
) -> None:
    path = phantoms.write_nifti(tmp_path / "large.nii", phantoms.volume((300, 512, 512)))
    desk = tab(serve(path)).visit()
    desk.loaded()
    desk.go((184, 230, 165))
    desk.tool("b")
    desk.drag("axial", [(115, 150, 165), (255, 310, 165)])
    desk.tool("p")
    desk.click("coronal", (184, 230, 165))
    shown = same_masks(desk)
    assert shown[165, 230, 184] == 1
    desk.press("Control+z")
    same_masks(desk)
