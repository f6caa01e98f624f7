"""Cases of both challenges, made from an image and its label map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.challenge.intensity import (
    WINDOWS,
    IntensityWindow,
    percentiles_to_bytes,
    picture_to_bytes,
    window_to_bytes,
)
from bedside.challenge.labels import (
    CLEANINGS,
    Cleaning,
    clean_labels,
    drop_labels,
    labelled_slices,
    relabel,
    split_instances,
)
from bedside.core.errors import InputError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.prompts import Box
from bedside.data.objects import stable_generator
from bedside.io.challenge import ChallengeCase
from bedside.simulate.challenge_boxes import middle_slice_box

Form = Literal["box2024", "interactive2025"]


@dataclass(frozen=True)
class Preparation:
    """The official steps and their options.

    Attributes:
        form: The challenge.
        modality: As file names say it: CT, MR, PET, US, ...; CT is windowed, the rest is cut at percentiles.
        data_set: Second part of file names.
        window: Window of CT.
        cleaning: Thresholds of small parts of labels, volumes only.
        dropped: Label values that become background, before cleaning.
        instances: Label whose connected parts become labels of their own; None for no such label.
        labelled_only: Whether slices without a label are left out, as in the official data.
        boxes: Whether cases get boxes.
        cut_off: Whether grey 2D images are cut at percentiles.
        seed: Seed of the boxes' enlargement.
    """

    form: Form
    modality: str
    data_set: str = "data"
    window: IntensityWindow = WINDOWS["abdomen"]
    cleaning: Cleaning = CLEANINGS["2024"]
    dropped: Sequence[int] = ()
    instances: int | None = None
    labelled_only: bool = True
    boxes: bool = True
    cut_off: bool = False
    seed: int = 2025

    def case_name(self, case: str, dimensions: int) -> str:
        """Name of the case's file without its suffix, as the official ones are called."""
        if self.form == "box2024" and self.boxes:
            return f"{dimensions}DBox_{self.modality}_{self.data_set}_{case}"
        return f"{self.modality}_{self.data_set}_{case}"


def make_case(name: str, image: Image, labels: NDArray[np.uint16], preparation: Preparation) -> ChallengeCase:
    """Return a case with its ground truth; equal input and seed give the same case.

    Args:
        name: Name of the case in its dataset.
        image: A 2D image, or a volume.
        labels: uint16 of the image's spatial shape. Values become 1, 2, ... in ascending order where there are
            boxes, because the i-th box is predicted by i.
        preparation: The steps.

    Raises:
        InputError: No label is left, or a 2D image is to become a case of 2025.
    """
    if preparation.form == "interactive2025" and image.ndim == 2:
        raise InputError(f"case '{name}'", expected="a volume: the 2025 competition has no 2D images", got="2 axes")
    kept = drop_labels(labels, preparation.dropped)
    if preparation.instances is not None:
        kept = split_instances(kept, preparation.instances)
    kept = clean_labels(kept, preparation.cleaning)
    if not kept.any():
        raise InputError(
            f"case '{name}'", expected="labels", got="none left after cleaning", fix="choose lower thresholds"
        )
    array, geometry = image.array, image.geometry
    if image.ndim == 3 and preparation.labelled_only:
        chosen = labelled_slices(kept)
        array, kept = array[chosen], kept[chosen]
        geometry = replace(geometry, shape=kept.shape)
    truth: NDArray[Any] = kept.astype(np.uint8 if kept.max() <= 255 else np.uint16)
    if preparation.boxes or preparation.form == "interactive2025":
        truth, _ = relabel(kept)
    case = ChallengeCase(
        preparation.case_name(name, image.ndim), _to_bytes(array, geometry, preparation), ground_truth=truth
    )
    return _with_boxes(case, preparation) if preparation.boxes else case


def _to_bytes(array: NDArray[Any], geometry: Geometry, preparation: Preparation) -> Image:
    if geometry.ndim == 2:
        grey = picture_to_bytes(array, cut_off=preparation.cut_off)
    elif preparation.modality == "CT":
        grey = window_to_bytes(array, preparation.window)
    else:
        grey = percentiles_to_bytes(array)
    return Image(grey, geometry, modality=preparation.modality)


def _with_boxes(case: ChallengeCase, preparation: Preparation) -> ChallengeCase:
    truth = case.ground_truth
    assert truth is not None
    count = int(truth.max())
    if preparation.form == "interactive2025":
        drawn = [
            middle_slice_box(truth == label, stable_generator("boxes", preparation.seed, case.name, label))
            for label in range(1, count + 1)
        ]
        return replace(case, boxes=tuple(b for b, _ in drawn), middle_slices=tuple(m for _, m in drawn))
    places: list[tuple[slice, ...]] = ndimage.find_objects(truth)
    boxes = [Box(tuple(s.start for s in place[::-1]), tuple(s.stop for s in place[::-1])) for place in places]
    return replace(case, boxes=tuple(boxes), middle_slices=(None,) * count)
