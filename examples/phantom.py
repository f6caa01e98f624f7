"""Draws the picture of docs/how-to/command-line.md: a phantom, a box, the mask, and a correction.

The phantom is computed, so that the picture belongs to nobody's patient: ellipses of different brightness under a slow
shading, blurred and with noise. Run it as `.venv/bin/python examples/phantom.py docs/images/phantom.png`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from scipy import ndimage

import bedside
from bedside.cli.overlay import draw_overlay
from bedside.simulate.clicks import next_click

SIDE = 320
ELLIPSES = (
    # centre y, x, radius y, x, angle in degrees, brightness
    (160, 160, 140, 110, 0, 60),
    (150, 105, 62, 36, 20, 45),
    (145, 215, 58, 34, -18, 38),
    (235, 165, 30, 26, 0, 70),
    (132, 98, 16, 13, 0, 40),
    (215, 172, 12, 10, 0, -50),
)
OBJECT = 1
"""Number of the ellipse that is segmented."""


def ellipse(number: int) -> NDArray[np.bool_]:
    """The pixels of one ellipse."""
    y, x, radius_y, radius_x, angle, _ = ELLIPSES[number]
    turn = np.deg2rad(angle)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    along = (rows - y) * np.cos(turn) + (columns - x) * np.sin(turn)
    across = (columns - x) * np.cos(turn) - (rows - y) * np.sin(turn)
    inside: NDArray[np.bool_] = (along / radius_y) ** 2 + (across / radius_x) ** 2 <= 1
    return inside


def phantom() -> NDArray[np.uint8]:
    """The picture, uint8 (y, x)."""
    rng = np.random.default_rng(7)
    grey = np.full((SIDE, SIDE), 20.0)
    for number, (*_, brightness) in enumerate(ELLIPSES):
        grey[ellipse(number)] += brightness
    shading = ndimage.zoom(rng.uniform(0.85, 1.15, (4, 4)), SIDE / 4, order=3)
    grey = ndimage.gaussian_filter(grey * shading, 1.5) + rng.normal(0, 9, grey.shape)
    pixels: NDArray[np.uint8] = grey.clip(0, 255).astype(np.uint8)
    return pixels


def agreement(mask: NDArray[np.uint8]) -> float:
    """DSC of a mask with the ellipse."""
    truth = ellipse(OBJECT)
    return float(2 * np.count_nonzero(truth & (mask > 0)) / (truth.sum() + mask.sum()))


def main(path: Path) -> None:
    """Segment from a box, correct the largest error by a click, and write the three stages side by side."""
    image = bedside.Image.from_array(phantom())
    session = bedside.Session(image)
    rows, columns = np.nonzero(ellipse(OBJECT))
    session.add_object("ellipse")
    session.add_box((columns.min() - 2, rows.min() - 2), (columns.max() + 3, rows.max() + 3))
    first = agreement(session.mask)
    panels = [panel(session, masked=False), panel(session)]
    click = next_click(ellipse(OBJECT), session.mask, np.random.default_rng(0))
    if click is not None:
        session.add(click)
    panels.append(panel(session))
    print(f"DSC {first:.3f} from the box, {agreement(session.mask):.3f} after one click")
    gap = np.full((panels[0].shape[0], 8, 3), 255, dtype=np.uint8)
    Picture.fromarray(np.concatenate([panels[0], gap, panels[1], gap, panels[2]], axis=1)).save(path)


def panel(session: bedside.Session, *, masked: bool = True) -> NDArray[np.uint8]:
    """The session as it stands, RGB."""
    prompts = [given.prompt for item in session.objects for given in item.prompts]
    labels = session.label_map()
    return np.asarray(draw_overlay(session.image, labels if masked else np.zeros_like(labels), prompts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
