"""Segmentations made elsewhere are opened onto an image, corrected, and saved again."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from bedside.core.geometry import Geometry
from bedside.io import read_image, write_mask
from bedside.io.segmentations import read_segments
from tests.support.dicom_sources import told, write_series
from tests.support.moved_patient import overlap, write_visits
from tests.web.conftest import Desk
from tests.web.test_tools import prompts, same_masks

pytestmark = pytest.mark.slow


def open_masks(desk: Desk, path: Path, by: str = "path") -> None:
    """Open a segmentation by the dialog."""
    desk.page.get_by_role("button", name="From file").click()
    if by == "path":
        desk.page.get_by_label("Path on this machine").last.fill(str(path))
        desk.page.keyboard.press("Enter")
    else:
        with desk.page.expect_file_chooser() as chooser:
            desk.page.get_by_role("button", name="Choose a file").click()
        chooser.value.set_files(str(path))


@pytest.fixture
def masks(tmp_path: Path, images: dict[str, Path]) -> Path:
    """A segmentation of the volume with three labels, two of them named."""
    image = read_image(images["nifti"])
    labels = np.zeros(image.shape, np.uint8)
    labels[10:30, 20:40, 20:40], labels[15:25, 45:55, 60:80], labels[20:24, 10:14, 70:74] = 2, 5, 9
    path = tmp_path / "organs.seg.nrrd"
    write_mask(path, labels, image.geometry, {2: "liver", 5: "left kidney"})
    return path


@pytest.mark.parametrize("by", ["path", "file"])
def test_labels_become_objects_that_are_corrected(
    desk: Desk, images: dict[str, Path], masks: Path, tmp_path: Path, by: str
) -> None:
    desk.open(images["nifti"])
    desk.clear()
    desk.answered(lambda: open_masks(desk, masks, by))
    desk.wait("bedside.store.get().objects.length === 3 && bedside.store.get().loading === null")
    infos = desk.state("objects")
    assert [(o["name"], o["label"]) for o in infos] == [("liver", 2), ("left kidney", 5), ("segment 9", 9)]
    shown, labels = same_masks(desk), read_segments(masks).label_map()
    for info in infos:
        np.testing.assert_array_equal(shown == info["id"], labels == info["label"])
    # Its first object is the current one and lies in the views; the other names are in the list.
    assert desk.state("current") == infos[0]["id"]
    assert desk.state("cursor") == [30, 30, 20]
    assert desk.page.locator(".object-name").all_inner_texts()[1].startswith("left kidney")
    assert "Mask, painted or opened" in desk.page.locator(".prompt-list").inner_text()
    assert "3 objects opened from organs.seg.nrrd" in desk.page.locator(".toast-done").inner_text()
    # The network goes on from the mask, and undo comes back to it.
    desk.tool("p")
    desk.click("axial", (30, 30, 20))
    assert [p["kind"] for p in prompts(desk)] == ["mask", "point"]
    assert (same_masks(desk) == infos[0]["id"]).any()
    desk.press("Control+z")
    np.testing.assert_array_equal(same_masks(desk), shown)
    # Saved again, it is what it was, with its names.
    desk.page.keyboard.press("Control+s")
    desk.page.get_by_label("Format").select_option("nrrd")
    assert "values 2, 5, 9, with their names" in desk.page.locator("dialog").inner_text()
    with desk.page.expect_download() as download:
        desk.page.get_by_role("button", name="Save masks").click()
    download.value.save_as(tmp_path / "again.nrrd")
    again = read_segments(tmp_path / "again.nrrd")
    assert [(s.name, s.label) for s in again.segments] == [(o["name"], o["label"]) for o in infos]
    np.testing.assert_array_equal(again.label_map(), labels)
    desk.clear()


def test_dicom_goes_out_and_comes_back(desk: Desk, images: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
    desk.open(images["dicom"])
    desk.clear()
    desk.go((30, 30, 10))
    desk.tool("d")
    desk.drag("axial", [(28, 28, 10), (34, 30, 10)])
    desk.server.client.patch(
        f"/api/images/{desk.image}/objects/{desk.state('current')}", json={"name": "nodule", "colour": "#3366cc"}
    ).raise_for_status()
    desk.wait("bedside.store.get().objects[0].name === 'nodule'")
    painted = same_masks(desk) != 0
    for form in ("dicom-seg", "rtstruct"):
        desk.page.keyboard.press("Control+s")
        desk.page.get_by_label("Format").select_option(form)
        with desk.page.expect_download() as download:
            desk.page.get_by_role("button", name="Save masks").click()
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        desk.clear()
        desk.answered(partial(open_masks, desk, path, "file"))
        desk.wait("bedside.store.get().objects.length === 1 && bedside.store.get().loading === null")
        assert desk.state("objects")[0]["name"] == "nodule"
        np.testing.assert_array_equal(same_masks(desk) != 0, painted)
    desk.clear()


def test_dicom_leaves_without_the_patient(desk: Desk, tmp_path: Path) -> None:
    for package in ("highdicom", "dicomanonymizer"):
        pytest.importorskip(package, reason="the extras 'dicom' and 'pacs' are not installed")
    files = write_series(tmp_path / "study", (4, 16, 20))
    assert told(files[0].read_bytes()) != []
    desk.open(tmp_path / "study")
    desk.tool("d")
    desk.drag("axial", [(8, 8, 2), (12, 9, 2)])
    painted = same_masks(desk)
    desk.page.keyboard.press("Control+s")
    # Only DICOM carries a patient.
    assert desk.page.get_by_label("Without the patient").is_hidden()
    desk.page.get_by_label("Format").select_option("dicom-seg")
    desk.page.get_by_label("Without the patient").check()
    with desk.page.expect_download() as download:
        desk.page.get_by_role("button", name="Save masks").click()
    download.value.save_as(tmp_path / "masks.dcm")
    assert told((tmp_path / "masks.dcm").read_bytes()) + told(download.value.suggested_filename) == []
    read = read_segments(tmp_path / "masks.dcm")
    assert read.label_map().sum() == painted.sum()
    desk.clear()


def test_what_does_not_fit_says_why_and_changes_nothing(desk: Desk, images: dict[str, Path], tmp_path: Path) -> None:
    desk.open(images["nifti"])
    desk.clear()
    write_mask(tmp_path / "small.tif", np.ones((3, 4, 5), np.uint8), Geometry.create((3, 4, 5)))
    for path, said in ((tmp_path / "small.tif", "got (3, 4, 5)"), (images["nifti"], "give a mask and not an image")):
        open_masks(desk, path)
        alert = desk.page.locator("[role=alert] .toast", has_text=said)
        alert.wait_for()
        desk.wait("bedside.store.get().loading === null")
        assert desk.state("objects") == []
        alert.get_by_role("button", name="Dismiss").click()


def test_dicom_is_said_to_be_for_images_from_dicom(desk: Desk, images: dict[str, Path], masks: Path) -> None:
    desk.open(images["nifti"])
    desk.clear()
    desk.answered(lambda: open_masks(desk, masks))
    desk.wait("bedside.store.get().objects.length === 3 && bedside.store.get().loading === null")
    desk.page.keyboard.press("Control+s")
    dialog = desk.page.locator("dialog")
    assert dialog.locator("option[value=rtstruct]").is_disabled()
    assert "this one is not from DICOM files" in dialog.inner_text()
    desk.page.keyboard.press("Escape")
    desk.clear()


def test_masks_of_an_earlier_visit_are_carried_over(desk: Desk, tmp_path: Path) -> None:
    _, lesion = write_visits(tmp_path)
    desk.open(tmp_path / "now.nii.gz")
    desk.clear()
    desk.page.get_by_role("button", name="From file").click()
    desk.page.get_by_label("Path of the image that it was drawn on").fill(str(tmp_path / "before.nii.gz"))
    desk.page.get_by_label("Path on this machine").last.fill(str(tmp_path / "drawn.nii.gz"))
    desk.answered(lambda: desk.page.keyboard.press("Enter"))
    desk.wait("bedside.store.get().objects.length === 1 && bedside.store.get().loading === null")
    desk.page.get_by_text("the prior was moved by 1").wait_for()
    assert overlap(same_masks(desk), lesion) > 0.85
