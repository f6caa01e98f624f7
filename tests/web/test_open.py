"""Opening every format in the page: the voxels, the grid and what is shown of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.web import phantoms
from tests.web.conftest import Desk

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["nifti", "oblique", "nrrd", "mha", "dicom", "zip"])
def test_volumes_arrive_voxel_by_voxel(desk: Desk, images: dict[str, Path], name: str) -> None:
    desk.open(images[name])
    expected = phantoms.volume() if name in ("nifti", "oblique") else phantoms.volume((20, 64, 72))
    np.testing.assert_array_equal(desk.array("bedside.actions.workplace.voxels.samples", "<i2"), expected)
    text = desk.page.locator(".about").inner_text()
    assert "0.8 \u00d7 0.8 \u00d7 2.5 mm" in text
    assert "CT" in text
    assert ("oblique 25°" in text) == (name == "oblique")
    assert desk.page.locator(".view:visible").count() == 4


@pytest.mark.parametrize("name", ["png", "tiff"])
def test_grey_pictures_arrive_pixel_by_pixel(desk: Desk, images: dict[str, Path], name: str) -> None:
    desk.open(images[name])
    pixels = desk.array("bedside.actions.workplace.voxels.samples", "u1")
    np.testing.assert_array_equal(pixels[0], phantoms.picture())
    assert desk.page.locator(".view:visible").count() == 1


def test_colour_pictures_are_shown_in_colour(desk: Desk, images: dict[str, Path]) -> None:
    desk.open(images["jpeg"])
    colours = desk.array("bedside.actions.workplace.voxels.colours", "<u4")[0]
    channels = np.stack([colours & 255, colours >> 8 & 255, colours >> 16 & 255], axis=-1)
    # JPEG loses a little; its decoders differ by less.
    assert np.abs(channels.astype(int) - phantoms.colour_picture()).mean() < 8
    assert desk.page.get_by_label("Window preset").is_hidden()


def test_letters_of_an_oblique_scan_name_two_directions(desk: Desk, images: dict[str, Path]) -> None:
    desk.open(images["oblique"])
    letters = desk.page.locator(".view-axial:not(.view-second) .letter").all_inner_texts()
    assert sorted(letters) == ["AS", "L", "PI", "R"]


def test_a_file_is_chosen_and_one_is_dropped(desk: Desk, images: dict[str, Path]) -> None:
    desk.page.locator("input[type=file]").first.set_input_files(images["nrrd"])
    desk.wait("bedside.store.get().image?.name === 'ct.nrrd'")
    desk.loaded()
    transfer = desk.page.evaluate_handle(
        """text => {
            const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0)), data = new DataTransfer();
            data.items.add(new File([bytes], "dropped.png"));
            return data;
        }""",
        __import__("base64").b64encode(images["png"].read_bytes()).decode(),
    )
    desk.page.dispatch_event("body", "dragenter", {"dataTransfer": transfer})
    assert desk.page.get_by_text("Drop to open").is_visible()
    desk.page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    desk.wait("bedside.store.get().image?.name === 'dropped.png'")
    desk.loaded()


def test_what_cannot_be_opened_says_what_to_do(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "notes.nii").write_text("not an image")
    desk.page.get_by_label("Path on this machine").fill(str(tmp_path / "notes.nii"))
    desk.page.keyboard.press("Enter")
    alert = desk.page.locator("[role=alert] .toast")
    alert.wait_for()
    assert "notes.nii" in alert.inner_text()
    assert desk.state("image") is None
    assert desk.page.get_by_role("heading", name="Open a scan").is_visible()


def test_window_presets_and_drags_change_the_picture(desk: Desk, images: dict[str, Path]) -> None:
    desk.open(images["nifti"])
    desk.page.get_by_label("Window preset").select_option("CT lung")
    desk.settle()
    assert desk.state("window") == {"level": -600, "width": 1500}
    desk.tool("w")
    x, y = desk.place("axial", (50, 40, 20))
    desk.page.mouse.move(x, y)
    desk.page.mouse.down()
    desk.page.mouse.move(x + 60, y, steps=3)
    desk.page.mouse.up()
    assert desk.state("window")["width"] > 1500
    assert desk.page.get_by_label("Window preset").input_value() == ""


def test_the_rendering_appears(desk: Desk, images: dict[str, Path]) -> None:
    desk.page.evaluate("bedside.store.set({rendering: true})")
    desk.open(images["nifti"])
    desk.page.locator(".view-rendering[data-ready=true]").wait_for(timeout=60_000)
    shot = desk.page.locator(".view-rendering canvas").screenshot()
    from io import BytesIO

    from PIL import Image as Picture

    grey = np.asarray(Picture.open(BytesIO(shot)).convert("L"))
    assert (grey > 40).mean() > 0.05
