"""Makes the pictures of docs/ui.md with the real page: ``python -m tests.web.pictures docs/pictures [NAME ...]``.

The images are computed phantoms; the masks are those of the bundled models.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from scipy import ndimage

from tests.web import phantoms
from tests.web.conftest import FLAGS, Desk, Server, chromium, missing
from tests.web.test_second import link

VIEWPORT = {"width": 1366, "height": 768}
SIZE = (860, 484)


def organ_box(number: int, shape: tuple[int, int, int], margin: float = 2.0) -> dict[str, Any]:
    """A box in 3D around an organ of ``phantoms.ORGANS`` in a volume of ``shape`` (z, y, x)."""
    centre, radii, _ = phantoms.ORGANS[number]
    sides = [n - 1 for n in shape[::-1]]
    low = [(c - r) * n - margin for c, r, n in zip(centre, radii, sides, strict=True)]
    high = [(c + r) * n + margin + 1 for c, r, n in zip(centre, radii, sides, strict=True)]
    return {"kind": "box", "low": low, "high": high, "positive": True, "frame": "index"}


def segment(desk: Desk, name: str, prompt: dict[str, Any]) -> None:
    """Begin an object, name it, and have a prompt answered."""
    number = len(desk.state("objects")) + 1
    desk.page.keyboard.press("n")
    desk.wait(f"bedside.store.get().objects.length === {number}")
    desk.page.evaluate("([id, name]) => bedside.actions.updateObject(id, {name})", [number, name])
    desk.wait(f"bedside.store.get().objects[{number - 1}].name === '{name}'")
    desk.answered(lambda: desk.page.evaluate("prompt => bedside.actions.prompt(prompt)", prompt))


def rendered(desk: Desk) -> None:
    """Until the 3D view shows the masks."""
    desk.page.locator(".view-rendering[data-ready=true]").wait_for(timeout=60_000)
    desk.page.wait_for_timeout(4000)
    desk.settle()


def save(desk: Desk, path: Path) -> None:
    """The tab as it stands, smaller."""
    shown = Picture.open(io.BytesIO(desk.page.screenshot())).convert("RGB")
    shown.resize(SIZE, Picture.Resampling.LANCZOS).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def scan(shape: tuple[int, int, int], seed: int) -> NDArray[np.int16]:
    """A phantom with little noise, which would make large files of pictures."""
    smooth: NDArray[np.int16] = ndimage.gaussian_filter(phantoms.volume(shape, seed), (1.0, 1.2, 1.2))
    return smooth


def draw(browser: Any, scratch: Path, target: Path, names: Sequence[str] = ()) -> None:
    """The states of the page, one picture each; of some of them alone where they are named."""
    shape = (60, 160, 180)
    volume = phantoms.write_nifti(scratch / "scan.nii.gz", scan(shape, 3))
    colours = ndimage.gaussian_filter(phantoms.colour_picture(420), (4, 4, 0))
    picture = phantoms.write_picture(scratch / "slide.png", colours)
    cases = scratch / "cases"
    cases.mkdir()
    plate, middles = phantoms.cells()
    states = {
        "empty": (),
        "2d": (picture,),
        "3d": (volume,),
        "worklist": (cases,),
        "proposals": (phantoms.write_picture(scratch / "cells.png", plate),),
        "second": (volume,),
        "beside": (volume,),
    }
    for number in range(1, 5):
        phantoms.write_nifti(cases / f"case{number:02d}.nii.gz", scan(shape, number))
    tracer = phantoms.tracer(scratch / "pet.nii.gz", shape)
    for name, paths in states.items():
        if names and name not in names:
            continue
        folder = scratch / name
        folder.mkdir()
        server = Server(folder, *paths)
        desk = Desk(browser.new_context(viewport=VIEWPORT, color_scheme="dark").new_page(), server).visit()
        if paths:
            desk.wait("bedside.store.get().image")
            desk.loaded()
        if name == "2d":
            segment(desk, "nucleus", {"kind": "box", "low": [108, 120], "high": [252, 262], "positive": True})
            segment(desk, "vessel", {"kind": "point", "position": [330, 176], "positive": True})
            desk.tool("p")
        elif name == "3d":
            segment(desk, "liver", organ_box(0, shape))
            segment(desk, "spleen", organ_box(1, shape))
            desk.go((118, 67, 30))
            desk.tool("p")
            rendered(desk)
        elif name == "worklist":
            segment(desk, "liver", organ_box(0, shape))
            segment(desk, "spleen", organ_box(1, shape))
            desk.page.get_by_role("button", name="Done, next").click()
            desk.wait("bedside.store.get().image.name === 'case02.nii.gz'")
            desk.loaded()
            segment(desk, "spleen", organ_box(1, shape))
            desk.go((118, 67, 30))
            desk.tool("p")
            desk.wait("bedside.store.get().worklist.items[1].state === 'in progress'")
            rendered(desk)
        elif name == "proposals":
            segment(desk, "cell", {"kind": "point", "position": list(middles[8]), "positive": True})
            desk.page.keyboard.press("k")
            desk.wait("bedside.store.get().proposals !== null && bedside.store.get().task === null")
            desk.page.keyboard.press("j")
            desk.page.keyboard.press("Delete")
        elif name in ("second", "beside"):
            place = tuple(round(part * (n - 1)) for part, n in zip(phantoms.HOT, shape[::-1], strict=True))
            link(desk, tracer)
            desk.wait("bedside.store.get().second && bedside.store.get().loading === null")
            desk.page.evaluate("bedside.actions.second.set({segmentOn: 'second'})")
            segment(desk, "lesion", {"kind": "point", "position": list(place), "positive": True, "frame": "index"})
            desk.go(place)
            desk.wait("document.querySelector('.toast') === null")
            if name == "beside":
                desk.page.keyboard.press("y")
            else:
                rendered(desk)
        desk.page.mouse.move(900, 30)
        desk.settle()
        save(desk, target / f"ui-{name}.png")
        server.stop()


def main() -> None:
    """Draw all."""
    reason = missing()
    if reason or len(sys.argv) < 2:
        raise SystemExit(reason or "name the folder: python -m tests.web.pictures docs/pictures")
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        draw(browser, Path(scratch), Path(sys.argv[1]), sys.argv[2:])
        browser.close()


if __name__ == "__main__":
    main()
