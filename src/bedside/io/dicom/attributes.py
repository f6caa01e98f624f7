"""What tells apart the volumes of a series that lie at the same positions: echoes, phases, b-values, time points."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from functools import cache
from typing import Any

import numpy as np

from bedside.io.dicom.placement import group_of
from bedside.io.dicom.times import CLOCKS, seconds_of, seconds_of_moment
from bedside.io.dicom.values import first_number, tag_of, tags_of, text, value_of

VALUES = (
    "StackID",
    "EchoTime",
    "EchoNumbers",
    "ComplexImageComponent",
    "ImageType",
    "DiffusionBValue",
    "DiffusionGradientOrientation",
    "InversionTime",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "NominalPercentageOfCardiacPhase",
    "RespiratoryPhase",
    "EnergyWindow",
    "Detector",
    "Phase",
    "RRInterval",
    "TimeSlot",
    "FlipAngle",
    "SequenceName",
    "AcquisitionNumber",
    "KVP",
    "ConvolutionKernel",
    "SliceThickness",
    "RescaleType",
    "FrameReferenceTime",
    "TriggerTime",
    "CardiacTriggerDelay",
    "TemporalPositionTimeOffset",
    "AcquisitionTime",
    "FrameOfReferenceUID",
    "InstanceNumber",
)
"""Keywords whose value a volume has in common, the most telling first; dimensions of enhanced files come before."""

TIMES = (
    "TriggerTime",
    "CardiacTriggerDelay",
    "TemporalPositionTimeOffset",
    "FrameReferenceTime",
    "AcquisitionTime",
    "ContentTime",
)
"""Times that differ between the slices of one volume, too: only their order at one position tells volumes apart."""

ONE_VOLUME = ("EchoTime", "ComplexImageComponent", "DiffusionBValue", "FrameOfReferenceUID")
"""Of these a volume has one value, even where every position holds one slice."""

_MACROS = {
    "EchoTime": ("MREchoSequence", "EffectiveEchoTime"),
    "DiffusionBValue": ("MRDiffusionSequence", "DiffusionBValue"),
    "ImageType": ("MRImageFrameTypeSequence", "FrameType"),
    "ComplexImageComponent": ("MRImageFrameTypeSequence", "ComplexImageComponent"),
    "InversionTime": ("MRModifierSequence", "InversionTimes"),
    "StackID": ("FrameContentSequence", "StackID"),
    "TemporalPositionIndex": ("FrameContentSequence", "TemporalPositionIndex"),
    "AcquisitionNumber": ("FrameContentSequence", "FrameAcquisitionNumber"),
    "AcquisitionTime": ("FrameContentSequence", "FrameAcquisitionDateTime"),
    "ContentTime": ("FrameContentSequence", "FrameReferenceDateTime"),
    "CardiacTriggerDelay": ("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),
    "NominalPercentageOfCardiacPhase": ("CardiacSynchronizationSequence", "NominalPercentageOfCardiacPhase"),
    "RespiratoryPhase": ("RespiratorySynchronizationSequence", "NominalPercentageOfRespiratoryPhase"),
    "TemporalPositionTimeOffset": ("TemporalPositionSequence", "TemporalPositionTimeOffset"),
}
_CLOCKS = {
    "AcquisitionTime": ("AcquisitionDate", "AcquisitionDateTime"),
    "ContentTime": ("ContentDate", ""),
}
"""Elements with the date of a time, and with both at once."""
_MORE_MACROS = {
    "ImageType": ("CTImageFrameTypeSequence", "PETFrameTypeSequence", "XRay3DFrameTypeSequence"),
    "ComplexImageComponent": (),
}
_VECTORS = {
    "EnergyWindow": "EnergyWindowVector",
    "Detector": "DetectorVector",
    "Phase": "PhaseVector",
    "RRInterval": "RRIntervalVector",
    "TimeSlot": "TimeSlotVector",
}
_PRIVATE_B_VALUES = ((0x0019, 0x100C), (0x0043, 0x1039), (0x2001, 0x1003))
"""Siemens, GE and Philips, from before the standard had a place for it; GE adds 1e9 to some."""
_COMPONENTS = {
    **{"M": "MAGNITUDE", "P": "PHASE", "R": "REAL", "I": "IMAGINARY"},
    **{name: name for name in ("MAGNITUDE", "PHASE", "REAL", "IMAGINARY", "PHASE MAP", "VELOCITY")},
}
_PLACES = (0x00209057, 0x00200032, 0x00201041, 0x00209301)
"""Dimensions that count slices: In-Stack Position Number, Image Position (Patient or Volume), Slice Location."""


def volume_attributes(dataset: Any, index: int, count: int) -> dict[str, Hashable]:
    """Return the values of a frame by keyword; what the file does not say is left out."""
    # Old files have no groups, and most of these elements not at all.
    grouped = not tags_of(dataset).isdisjoint(_group_tags())
    found: dict[str, Hashable] = dict(_dimensions(dataset, index)) if grouped else {}
    for name in (*VALUES, "ContentTime"):
        # A file of many frames is a volume of its own; of a slice the number says nothing.
        if name == "InstanceNumber" and count == 1:
            continue
        if not grouped and tags_of(dataset).isdisjoint(_own_tags(name)):
            continue
        value = _value(dataset, index, count, name)
        value = value if isinstance(value, float) and name in CLOCKS else _plain(value)
        if value is not None:
            found[name] = value
    component = found.get("ComplexImageComponent") or _component(found.get("ImageType"))
    if component is not None:
        found["ComplexImageComponent"] = component
    return found


@cache
def _group_tags() -> frozenset[int]:
    return frozenset(map(tag_of, ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")))


@cache
def _own_tags(name: str) -> frozenset[int]:
    """Return elements outside functional groups that tell an attribute."""
    keywords = (name, _CLOCKS[name][1]) if name in _CLOCKS else (_VECTORS.get(name, name),)
    private = ((group << 16) + element for group, element in _PRIVATE_B_VALUES) if name == "DiffusionBValue" else ()
    return frozenset((*map(tag_of, keywords), *private)) - {-1}


def is_localizer(attributes: dict[str, Hashable]) -> bool:
    """Return whether the image's type calls it one."""
    kinds = attributes.get("ImageType")
    return isinstance(kinds, tuple) and any(str(kind) in ("LOCALIZER", "SCOUT", "TOPOGRAM") for kind in kinds)


def _dimensions(dataset: Any, index: int) -> Iterator[tuple[str, Hashable]]:
    """Yield where a frame stands on each dimension of an enhanced file that does not count slices."""
    content = group_of(dataset, index, "FrameContentSequence")
    values = np.ravel(value_of(content, "DimensionIndexValues") or ()) if content is not None else np.empty(0)
    pointers = list(value_of(dataset, "DimensionIndexSequence") or ())
    for place, value in enumerate(values):
        tag = value_of(pointers[place], "DimensionIndexPointer") if place < len(pointers) else None
        if tag is None:
            yield f"dimension {place + 1}", int(value)
        elif int(tag) not in _PLACES:
            yield f"dimension {_keyword(int(tag))}", int(value)


def _keyword(tag: int) -> str:
    from pydicom.datadict import keyword_for_tag

    return keyword_for_tag(tag) or f"({tag >> 16:04x},{tag & 0xFFFF:04x})"


def _value(dataset: Any, index: int, count: int, name: str) -> Any:
    if name in _VECTORS:
        values = value_of(dataset, _VECTORS[name])
        return np.ravel(values)[index] if values is not None and np.size(values) == count else None
    sequence, keyword = _MACROS.get(name, ("", name))
    for group_name in (sequence, *_MORE_MACROS.get(name, ())):
        group = group_of(dataset, index, group_name) if group_name else None
        if group is not None and value_of(group, keyword if group_name == sequence else "FrameType") is not None:
            found = value_of(group, keyword if group_name == sequence else "FrameType")
            return seconds_of_moment(text(found)) or found if name in CLOCKS else found
    if name == "DiffusionGradientOrientation":
        return _gradient(dataset, index)
    if name == "DiffusionBValue":
        return _b_value(dataset)
    value = value_of(dataset, name)
    if name in _CLOCKS:
        day, moment = (text(value_of(dataset, keyword)) for keyword in _CLOCKS[name])
        found = seconds_of_moment(moment)
        found = seconds_of(text(value), day) if found is None else found
        return value if found is None else found
    return value


def _gradient(dataset: Any, index: int) -> Any:
    diffusion = group_of(dataset, index, "MRDiffusionSequence")
    directions = value_of(diffusion, "DiffusionGradientDirectionSequence") if diffusion is not None else None
    if directions:
        return value_of(directions[0], "DiffusionGradientOrientation")
    return value_of(dataset, "DiffusionGradientOrientation")


def _b_value(dataset: Any) -> Any:
    stated = value_of(dataset, "DiffusionBValue")
    if stated is not None:
        return stated
    for tag in _PRIVATE_B_VALUES:
        element = dataset.get(tag)
        if element is None or isinstance(element.value, bytes):
            continue
        try:
            value = float(np.ravel(np.asarray(element.value, dtype=object))[0])
        except (TypeError, ValueError, IndexError):
            continue
        return value % 100_000 if value >= 1e9 else value
    return None


def _component(kinds: Hashable) -> str | None:
    """Return magnitude, phase, real or imaginary, of the parts of an image's type after the second."""
    if not isinstance(kinds, tuple):
        return None
    return next((_COMPONENTS[str(kind)] for kind in kinds[2:] if str(kind) in _COMPONENTS), None)


def _plain(value: Any) -> Hashable | None:
    """Return a value that can be compared: numbers to six digits, text, or a tuple of them."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, bytes):
        return None
    if hasattr(value, "__iter__"):
        parts = tuple(_plain(part) for part in value)
        return None if not parts else parts[0] if len(parts) == 1 else parts
    number = first_number(value)
    if number is None or not np.isfinite(number):
        return str(value).strip() or None
    return float(f"{number:.6g}")
