"""A second image over the first and beside it, in a real browser: linked, shown, and segmented on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.imaging.linked import link_images
from bedside.io import read_image, write_image
from tests.support.dicom_sources import write_series
from tests.support.moved_patient import write_visits
from tests.web.conftest import Desk, Server
from tests.web.phantoms import HOT, HOT_MM, tracer
from tests.web.test_page import violations
from tests.web.test_tools import prompts, same_masks

pytestmark = pytest.mark.slow

SHAPE = (40, 96, 112)
PLACE = tuple(round(part * (n - 1)) for part, n in zip(HOT, SHAPE[::-1], strict=True))
"""The voxel in the middle of what glows, (x, y, z)."""


@pytest.fixture(scope="module")
def pet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tracer(tmp_path_factory.mktemp("second") / "pet.nii.gz")


def link(desk: Desk, path: Path, register: bool = False, by: str = "path") -> None:
    """Link an image by the dialog."""
    desk.page.keyboard.press("y")
    if register:
        desk.page.get_by_label("Register it").check()
    if by == "path":
        desk.page.get_by_label("Path on this machine").last.fill(str(path))
        desk.page.keyboard.press("Enter")
    elif by == "file":
        with desk.page.expect_file_chooser() as chooser:
            desk.page.get_by_role("button", name="Choose a file").click()
        chooser.value.set_files(str(path))
    else:
        desk.page.get_by_label("Image of the worklist").select_option(label=path.name)
        desk.page.get_by_role("button", name="Link", exact=True).click()


def linked(desk: Desk, ct: Path, pet: Path, **options: Any) -> None:
    desk.open(ct)
    desk.clear()
    # Tests share the server, and its images keep what is linked.
    desk.page.evaluate("bedside.actions.second.unlink()")
    link(desk, pet, **options)
    desk.wait("bedside.store.get().second && bedside.store.get().loading === null")
    desk.settle()


def pixel(desk: Desk, index: tuple[float, ...], group: str = "planes", view: str = "axial") -> list[int]:
    """The colour that a view shows at a voxel."""
    script = """([group, view, index]) => {
        const shown = bedside.views[group][view], box = shown.element.getBoundingClientRect(), at = shown.pageOf(index);
        const canvas = shown.element.querySelector("canvas"), scale = devicePixelRatio;
        const [x, y] = [(at.x - box.left) * scale, (at.y - box.top) * scale];
        return [...canvas.getContext("2d").getImageData(Math.round(x), Math.round(y), 1, 1).data];
    }"""
    return list(desk.page.evaluate(script, [group, view, list(index)]))


def across(desk: Desk) -> list[list[int]]:
    """The colours from the middle of what glows to beyond its rim."""
    return [pixel(desk, (PLACE[0] + step, *PLACE[1:])) for step in range(20)]


def spot(desk: Desk, index: tuple[float, ...], group: str, view: str = "axial") -> tuple[float, float]:
    """Where a voxel is on the screen, in a view of either image."""
    place = desk.page.evaluate("([g, v, i]) => bedside.views[g][v].pageOf(i)", [group, view, list(index)])
    return place["x"], place["y"]


def glowing() -> NDArray[np.bool_]:
    """Voxels of the first image in which the second one glows."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), axis=-1)[..., ::-1]
    middle = np.array(HOT) * (np.array(SHAPE[::-1]) - 1)
    return np.asarray((((index - middle) * [0.8, 0.8, 2.5]) ** 2).sum(axis=-1) < HOT_MM**2)


@pytest.mark.parametrize("by", ["path", "file"])
def test_it_is_seen_over_the_first_image_and_beside_it(desk: Desk, images: dict[str, Path], pet: Path, by: str) -> None:
    linked(desk, images["nifti"], pet, by=by)
    desk.page.keyboard.press("c")
    desk.go(PLACE)
    assert violations(desk) == []
    # What glows is bright, and its rim red, where the first image is grey.
    assert min(pixel(desk, PLACE)[:3]) > 150
    assert any(p[0] > p[2] + 80 for p in across(desk))
    # Its opacity, colours and window are its own.
    window = desk.state("window")
    desk.page.get_by_label("Opacity of the second image").fill("0")
    desk.settle()
    grey = pixel(desk, PLACE)
    assert len(set(grey[:3])) == 1
    desk.page.get_by_label("Opacity of the second image").fill("1")
    desk.page.get_by_label("Colours of the second image").select_option("Cool")
    desk.settle()
    assert any(p[2] > p[0] + 80 for p in across(desk))
    desk.page.get_by_label("Lowest value of the second image's window").fill("11.5")
    desk.settle()
    assert desk.state("window") == window
    # Beside it: same slice, same place, same zoom.
    desk.page.keyboard.press("y")
    desk.settle()
    alone = pixel(desk, PLACE)
    assert len(set(alone[:3])) == 1
    assert abs(alone[0] - grey[0]) < 20
    assert violations(desk) == []
    views = desk.page.locator(".view-second")
    assert [views.nth(i).is_visible() for i in range(3)] == [True] * 3
    desk.page.mouse.move(*spot(desk, PLACE, "seconds"))
    desk.page.keyboard.down("Control")
    desk.page.mouse.wheel(0, -300)
    desk.page.keyboard.up("Control")
    desk.settle()
    cameras = desk.page.evaluate("['planes', 'seconds'].map((g) => bedside.views[g].axial.camera)")
    assert cameras[0] == cameras[1]
    assert cameras[0]["zoom"] > 1
    desk.page.mouse.wheel(0, 120)
    desk.settle()
    assert desk.state("cursor")[2] == PLACE[2] + 2
    assert "second" in desk.page.locator(".under").inner_text()
    desk.page.keyboard.press("y")
    desk.settle()
    assert not views.first.is_visible()
    desk.page.get_by_role("button", name="Let go of the second image").click()
    desk.wait("bedside.store.get().second === null")
    assert desk.server.client.get(f"/api/images/{desk.image}/second").status_code == 404
    desk.page.keyboard.press("c")


def test_its_line_is_whole_on_a_narrow_page(desk: Desk, images: dict[str, Path], pet: Path) -> None:
    desk.page.set_viewport_size({"width": 1024, "height": 700})
    linked(desk, images["nifti"], pet)
    line = desk.page.get_by_role("toolbar", name="Second image")
    edge = line.evaluate("bar => bar.getBoundingClientRect().right")
    controls = line.locator("button, input, select")
    boxes = [controls.nth(i).bounding_box() for i in range(controls.count())]
    assert len(boxes) >= 10
    assert all(box is not None and box["x"] + box["width"] <= edge for box in boxes)
    line.get_by_role("button", name="Let go of the second image").click()


def test_prompts_on_either_view_go_to_the_first_image(desk: Desk, images: dict[str, Path], pet: Path) -> None:
    linked(desk, images["nifti"], pet)
    desk.page.keyboard.press("y")
    desk.go(PLACE)
    desk.tool("p")
    # The network looks at the second image, and what is seen there alone is segmented, from either view.
    desk.page.keyboard.press("q")
    assert desk.state("second")["segmentOn"] == "second"
    desk.answered(lambda: desk.page.mouse.click(*spot(desk, PLACE, "seconds")))
    mask, truth = same_masks(desk) > 0, glowing()
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.75
    assert [p["kind"] for p in prompts(desk)] == ["mask"]
    desk.press("Control+z")
    assert not desk.labels().any()
    desk.answered(lambda: desk.page.mouse.click(*spot(desk, PLACE, "planes")))
    np.testing.assert_array_equal(same_masks(desk) > 0, mask)
    # On the first image the same click means something else, and is a prompt as any other.
    desk.page.keyboard.press("q")
    desk.answered(lambda: desk.page.keyboard.press("n"))
    desk.answered(lambda: desk.page.mouse.click(*spot(desk, PLACE, "seconds")))
    assert [(p["kind"], p["prompt"]["position"][2]) for p in prompts(desk)] == [("point", PLACE[2])]
    # After the page is loaded again it is still there, and the masks are.
    shown = desk.labels()
    desk.page.reload()
    desk.wait("window.bedside && bedside.store.get().second !== null && bedside.store.get().loading === null")
    desk.wait("bedside.store.get().painted > 0")
    desk.settle()
    np.testing.assert_array_equal(same_masks(desk), shown)
    desk.page.get_by_role("button", name="Let go of the second image").click()
    desk.clear()


def test_the_page_resamples_as_the_server_does(desk: Desk, images: dict[str, Path], tmp_path: Path) -> None:
    first = read_image(images["oblique"])
    turn = np.deg2rad(12)
    direction = [[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]]
    shape = (24, 30, 34)
    centre = first.geometry.index_to_world([(n - 1) / 2 for n in first.shape[::-1]])
    grid = Geometry.create(shape, (2.5, 2.2, 4.0), None, direction)
    origin = centre - grid.index_to_world([(n - 1) / 2 for n in shape[::-1]])
    grid = Geometry.create(shape, grid.spacing, list(origin), direction)
    values = np.random.default_rng(1).integers(0, 900, shape).astype(np.int16)
    write_image(tmp_path / "other.nii.gz", Image(values, grid))
    linked(desk, images["oblique"], tmp_path / "other.nii.gz")
    other = link_images(first, read_image(tmp_path / "other.nii.gz"))
    for index in ((40, 50, 20), (70, 41, 8), (3, 90, 33)):
        found = desk.page.evaluate("index => bedside.actions.second.valueAt(index)", list(index))
        truth = other.slice(0, index[2])[index[1], index[0]]
        assert found == (None if np.isnan(truth) else pytest.approx(float(truth), abs=0.5))
    desk.page.get_by_role("button", name="Let go of the second image").click()


def test_a_prior_is_registered(desk: Desk, tmp_path: Path) -> None:
    write_visits(tmp_path)
    desk.open(tmp_path / "now.nii.gz")
    link(desk, tmp_path / "before.nii.gz", register=True)
    desk.wait("bedside.store.get().second !== null")
    assert 9 < desk.state("second")["info"]["shift"] < 15
    desk.page.get_by_text("The second image was moved by 1").wait_for()


def test_what_cannot_be_linked_is_said(
    serve: Callable[..., Server], tab: Callable[[Server], Desk], images: dict[str, Path], tmp_path: Path
) -> None:
    study = tmp_path / "study"
    write_series(study / "a", (4, 40, 44))
    write_series(study / "b", (5, 40, 44))
    desk = tab(serve(images["nifti"], images["png"])).visit().loaded()
    desk.settle()
    # What another test has linked to this image.
    desk.page.evaluate("bedside.actions.second.unlink()")
    said = desk.page.locator(".toast-error")
    link(desk, images["png"], by="worklist")
    said.get_by_text("the second image: expected a volume, got a picture of two axes", exact=False).wait_for()
    link(desk, study)
    said.get_by_text("2 series", exact=False).first.wait_for()
    # They are on the list now, to be chosen from.
    desk.wait("bedside.store.get().worklist.items.length === 4")
    desk.page.keyboard.press("y")
    options = desk.page.get_by_label("Image of the worklist").locator("option")
    assert options.count() == 3


def test_a_picture_takes_no_second_image(
    serve: Callable[..., Server], tab: Callable[[Server], Desk], images: dict[str, Path]
) -> None:
    desk = tab(serve(images["png"])).visit().loaded()
    assert not desk.page.get_by_role("button", name="Link a second image").is_visible()
    desk.page.keyboard.press("y")
    desk.page.get_by_text("A picture has no place in the patient").wait_for()
