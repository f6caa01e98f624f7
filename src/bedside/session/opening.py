"""Opening what a session works on: its image, its model, and a journal that must belong to that image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.image import Image
from bedside.session.journal import Journal, Prompted
from bedside.session.stamp import ImageStamp

if TYPE_CHECKING:
    from bedside.engines.protocol import Segmenter


def check_journal(journal: Journal, image: Image) -> ImageStamp | None:
    """Make sure that ``journal`` was made on ``image``.

    Returns:
        The image's stamp; None where the journal names no image, so that none had to be made.

    Raises:
        InputError: It was made on another image.
    """
    if journal.image is None:
        return None
    events = (event for item in journal.objects for event in item.events)
    world = any(isinstance(event, Prompted) and event.prompt.frame == "world" for event in events)
    # The shape is compared first: hashing a large volume to find it of the wrong shape would be for nothing.
    if journal.image.shape != image.array.shape:
        journal.image.check(ImageStamp("", image.array.shape, image.array.dtype.name, image.geometry), world)
    stamp = ImageStamp.of(image)
    journal.image.check(stamp, world)
    return stamp


def open_image(image: Image | NDArray[Any] | str | Path) -> Image:
    """Return the image itself, one made from an array, or the one in a file.

    Raises:
        InputError: It is none of these.
        FormatError: The file cannot be read as an image.
    """
    if isinstance(image, Image):
        return image
    if isinstance(image, np.ndarray):
        return Image.from_array(image)
    if isinstance(image, str | Path):
        from bedside.io import read_image

        return read_image(image)
    raise InputError("image", expected="an Image, an array or a path", got=type(image).__name__)


def open_segmenter(model: str, device: str) -> Segmenter:
    """Return the segmenter of the model called ``model``; imports a runtime only now.

    Raises:
        InputError: No model has that name.
    """
    from bedside.engines import load_segmenter

    return load_segmenter(model, device=device)
