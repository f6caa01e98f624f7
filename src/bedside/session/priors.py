"""Masks that were drawn on a prior: an earlier image of the patient, or one of another modality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bedside.core.errors import InputError
from bedside.core.image import Image

if TYPE_CHECKING:
    from bedside.imaging.registration import RigidMotion
    from bedside.io.dicom.segments import SegmentSet


def read_of_prior(
    path: str | Path,
    image: Image,
    prior: Image,
    *,
    names: Mapping[int, str] | Sequence[str] = (),
    threshold: float = 0.5,
    sent: bool = False,
) -> SegmentSet:
    """Return segments that were drawn on a prior as they lie on an image, which a rigid registration tells.

    What moved in itself, as a leg that is bent otherwise or a tumour that grew, is to be corrected.

    Args:
        path: A mask of any form, see ``read_segments``, on the grid of the prior or with a place of its own.
        image: The image that the masks are wanted for.
        prior: What they were drawn on.
        names: For the labels 1, 2, ..., or by label, over those of the file.
        threshold: Part of the largest value from which on a voxel of a fractional SEG counts.
        sent: Whether a stranger sent the file, see ``read_uploaded``.

    Returns:
        Segments on the image's grid, each voxel from the nearest one; the last note tells how far the patient moved.

    Raises:
        FormatError: As ``read_segments``.
        InputError: As ``read_segments`` and ``register_rigid``, or none of the masks lies on the image.

    Example:
        >>> session.take(read_of_prior("baseline-mask.nii.gz", session.image, baseline))  # doctest: +SKIP
    """
    from bedside.imaging.registration import register_rigid
    from bedside.io.dicom.regrid import onto_grid
    from bedside.io.label_lists import is_label_list
    from bedside.io.segmentations import read_segments

    if is_label_list(Path(path)):
        raise InputError(
            f"{path}",
            expected="a mask that was drawn on the prior",
            got="a list of labels",
            fix="open it without a prior",
        )
    drawn = read_segments(path, prior, names=names, threshold=threshold, sent=sent)
    motion = register_rigid(image, prior)
    # Pixels stand for millimetres where no size is known: grids of one shape must not pass for the same place.
    grid = replace(image.geometry, spacing_known=True)
    carried = onto_grid(replace(drawn, geometry=motion.place(prior.geometry)), grid)
    told = [*drawn.notes, _told(motion, image.geometry.spacing_known)]
    lost = [a.name for a, b in zip(drawn.segments, carried.segments, strict=True) if b.is_empty and not a.is_empty]
    if lost:
        told.insert(-1, f"outside the image, and empty there: {', '.join(map(repr, lost[:5]))}")
    return replace(carried, geometry=image.geometry, notes=tuple(told))


def _told(motion: RigidMotion, millimetres: bool) -> str:
    if not motion.moves:
        return "the prior lies on the image as its file says: registration found no better place"
    unit = "mm" if millimetres else "pixels"
    return f"the prior was moved by {motion.shift_mm:.1f} {unit} and turned by {motion.angle_degrees:.1f} degrees"
