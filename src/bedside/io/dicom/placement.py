"""Where the frames of a DICOM file lie: each by its own position, or by steps from the first.

DICOM PS3.3: Image Plane (C.7.6.2), Plane Position and Orientation macros (C.7.6.16.2), NM Reconstruction (C.8.4.15),
RT Dose (C.8.8.3), Plane Position (Volume) (C.8.24.3).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.io.dicom.values import first_number, last_digits, text, value_of, vector

Placement = tuple[NDArray[np.float64] | None, NDArray[np.float64], NDArray[np.float64] | None]
"""Position (3,), what its last digits are worth (3,), and orientation (2, 3) of a frame."""

NOWHERE: Placement = (None, np.zeros(3), None)

_PLANES = (
    ("PlanePositionSequence", "ImagePositionPatient", "PlaneOrientationSequence", "ImageOrientationPatient"),
    ("PlanePositionVolumeSequence", "ImagePositionVolume", "PlaneOrientationVolumeSequence", "ImageOrientationVolume"),
)
_STACKED = ("CT", "MR", "PT", "NM", "RTDOSE", "OT")
"""Modalities of which a file of many frames with one position is a stack and not a film."""
_CENTIMETRES = 3


def group_of(dataset: Any, index: int, name: str) -> Any | None:
    """Return the functional group that describes a frame: its own or the shared one; None where there is none."""
    own = value_of(dataset, "PerFrameFunctionalGroupsSequence")
    for group in (
        own[index] if own and index < len(own) else None,
        *(value_of(dataset, "SharedFunctionalGroupsSequence") or ()),
    ):
        if group is not None and value_of(group, name):
            return group[name].value[0]
    return None


def macro(dataset: Any, index: int, name: str) -> Any:
    """Return the part of the header that describes a frame: its functional group, or the whole header of old files."""
    group = group_of(dataset, index, name)
    return dataset if group is None else group


def own_group(dataset: Any, index: int, name: str) -> Any | None:
    """Return a functional group of this frame alone."""
    own = value_of(dataset, "PerFrameFunctionalGroupsSequence")
    if own and index < len(own) and value_of(own[index], name):
        return own[index][name].value[0]
    return None


def placement(dataset: Any, index: int, count: int) -> Placement:
    """Return where a frame lies; ``NOWHERE`` where the file does not tell."""
    for position_group, position_name, orientation_group, orientation_name in _PLANES:
        own = own_group(dataset, index, position_group)
        stated = value_of(own if own is not None else macro(dataset, index, position_group), position_name)
        orientation = vector(value_of(macro(dataset, index, orientation_group), orientation_name), 6)
        position = vector(stated, 3)
        if position is None:
            continue
        axes = _axes(orientation)
        if count == 1 or own is not None:
            return position, last_digits(stated), axes
        step = _offset(dataset, index, count)
        if step is None:
            return NOWHERE
        return position + _normal(axes) * step, last_digits(stated), axes
    return _of_detector(dataset, index, count)


def _of_detector(dataset: Any, index: int, count: int) -> Placement:
    """Return a frame of nuclear medicine, whose first position stands with the detector."""
    detectors = value_of(dataset, "DetectorInformationSequence")
    if not detectors or (count > 1 and not _is_reconstruction(dataset)):
        return NOWHERE
    stated = value_of(detectors[0], "ImagePositionPatient")
    position = vector(stated, 3)
    if position is None:
        return NOWHERE
    axes = _axes(vector(value_of(detectors[0], "ImageOrientationPatient"), 6))
    step = _offset(dataset, index, count) if count > 1 else 0.0
    return NOWHERE if step is None else (position + _normal(axes) * step, last_digits(stated), axes)


def _is_reconstruction(dataset: Any) -> bool:
    """Return whether frames of nuclear medicine are slices and not views of a camera or moments of a film."""
    kinds = [str(v).upper() for v in np.ravel(value_of(dataset, "ImageType") or ())]
    return any(kind.startswith("RECON") for kind in kinds) or value_of(dataset, "SliceVector") is not None


def _axes(orientation: NDArray[np.float64] | None) -> NDArray[np.float64]:
    return (np.array([1.0, 0, 0, 0, 1, 0]) if orientation is None else orientation).reshape(2, 3)


def _normal(axes: NDArray[np.float64]) -> NDArray[np.float64]:
    normal = np.cross(axes[0], axes[1])
    length = float(np.linalg.norm(normal))
    return np.asarray(normal / length if length > 0 else normal)


def _offset(dataset: Any, index: int, count: int) -> float | None:
    """Return millimetres along the normal from the first slice's position to that of a frame; None where nothing
    tells.
    """
    offsets = vector(value_of(dataset, "GridFrameOffsetVector"), count)
    if offsets is not None:
        return float(offsets[index] - offsets[0])
    step = _step(dataset, index)
    return None if step is None else step * _slice(dataset, index, count)


def _step(dataset: Any, index: int) -> float | None:
    """Return signed millimetres from one slice to the next of a file with one position."""
    measures = macro(dataset, index, "PixelMeasuresSequence")
    between = first_number(value_of(measures, "SpacingBetweenSlices"))
    modality = text(value_of(dataset, "Modality"))
    if _is_film(dataset) or (modality not in _STACKED and not between):
        return None
    if between and np.isfinite(between):
        return between
    thickness = first_number(value_of(measures, "SliceThickness"))
    return thickness if thickness and thickness > 0 and np.isfinite(thickness) else None


def _is_film(dataset: Any) -> bool:
    """Return whether frames follow each other in time."""
    pointers = np.ravel(value_of(dataset, "FrameIncrementPointer") or ())
    # Frame Time and Frame Time Vector.
    return any(int(p) in (0x00181063, 0x00181065) for p in pointers) or (
        len(pointers) == 0
        and (value_of(dataset, "FrameTime") is not None or value_of(dataset, "FrameTimeVector") is not None)
    )


def _slice(dataset: Any, index: int, count: int) -> int:
    """Return which slice a frame belongs to, from 0."""
    slices = vector(value_of(dataset, "SliceVector"), count)
    if slices is not None:
        return int(slices[index] - slices.min())
    content = own_group(dataset, index, "FrameContentSequence")
    place = first_number(value_of(content, "InStackPositionNumber")) if content is not None else None
    if place is not None:
        return int(place) - 1
    total = first_number(value_of(dataset, "NumberOfSlices"))
    # Several volumes one after the other, as in gated studies.
    return index % int(total) if total and 0 < total < count and count % int(total) == 0 else index


def pixel_spacing(dataset: Any, index: int) -> tuple[float, float] | None:
    """Return millimetres between rows and columns, in the patient where the file knows it, else at the detector."""
    measures = macro(dataset, index, "PixelMeasuresSequence")
    for values in (
        value_of(measures, "PixelSpacing"),
        value_of(dataset, "PixelSpacing"),
        value_of(dataset, "ImagerPixelSpacing"),
        value_of(dataset, "NominalScannedPixelSpacing"),
    ):
        spacing = vector(values, 2)
        if spacing is not None and spacing.min() > 0:
            return float(spacing[0]), float(spacing[1])
    return _ultrasound_spacing(dataset)


def _ultrasound_spacing(dataset: Any) -> tuple[float, float] | None:
    """Return millimetres between rows and columns of an ultrasound picture with one calibrated region."""
    regions = list(value_of(dataset, "SequenceOfUltrasoundRegions") or ())
    if len(regions) != 1:
        return None
    region = regions[0]
    if any(region.get(f"PhysicalUnits{axis}Direction") != _CENTIMETRES for axis in "XY"):
        return None
    x = 10 * abs(first_number(value_of(region, "PhysicalDeltaX")) or 0.0)
    y = 10 * abs(first_number(value_of(region, "PhysicalDeltaY")) or 0.0)
    return (y, x) if x > 0 and y > 0 else None
