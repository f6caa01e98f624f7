"""Masks of any form: label maps in files of images, DICOM SEG and RTSTRUCT, each to each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, get_args

import numpy as np

from bedside.core.errors import ChoiceError, FormatError, InputError
from bedside.core.image import Image
from bedside.core.labels import OverlapPolicy, free_label
from bedside.core.region import Region
from bedside.io.dicom.objects import SUFFIXES, ObjectFormat, kind_of, read_object
from bedside.io.dicom.phi import strip_file
from bedside.io.dicom.regrid import onto_grid
from bedside.io.dicom.rtstruct_writing import write_rtstruct
from bedside.io.dicom.seg_writing import SegType, write_seg
from bedside.io.dicom.segments import Segment, SegmentSet, segments_of_labels
from bedside.io.dicom.source import find_source
from bedside.io.dicom.uid_map import UidMap
from bedside.io.grey_values import reject_grey_values
from bedside.io.isolated import read_uploaded
from bedside.io.label_names import colours_in_header, names_in
from bedside.io.reading import read_mask
from bedside.io.registry import find_reader, find_writer
from bedside.io.writing import write_mask

Form = Literal["file"] | ObjectFormat

_WITH_PLACE = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
"""Formats that say where in the patient their voxels lie."""
_LAYERS = 256


def form_of(path: Path, wanted: str | None) -> Form:
    """What is written to ``path``: the object that ``wanted`` names, a SEG where its suffix is DICOM's, else a file.

    Raises:
        InputError: An unknown form, or a form and a suffix that contradict each other.
        FormatError: No format that can be written has the suffix.
    """
    dicom = path.name.lower().endswith(SUFFIXES)
    if wanted is None:
        if not dicom:
            find_writer(path)
        return "dicom-seg" if dicom else "file"
    if wanted not in get_args(ObjectFormat):
        raise InputError("--format", expected=f"one of {', '.join(get_args(ObjectFormat))}", got=f"'{wanted}'")
    if not dicom:
        raise InputError(f"--format {wanted}", expected=f"an output that ends in {SUFFIXES[0]}", got=str(path))
    return "rtstruct" if wanted == "rtstruct" else "dicom-seg"


def read_segments(
    path: str | Path,
    image: Image | None = None,
    *,
    names: Mapping[int, str] | Sequence[str] = (),
    threshold: float = 0.5,
    volume: int | None = None,
    sent: bool = False,
) -> SegmentSet:
    """The segments of a mask of any form, on the grid of ``image`` where one is given.

    Args:
        path: A label map in a file of ``read_mask``, a DICOM SEG or an RTSTRUCT.
        image: What they belong to; RTSTRUCT needs it.
        names: For the labels 1, 2, ..., or by label, over those of the file.
        threshold: Of a FRACTIONAL SEG, see ``read_seg``.
        volume: Volume of its series that ``image`` holds.
        sent: Whether a stranger sent the file, see ``read_uploaded``.

    Raises:
        InputError: Contours without an image, or a label map that cannot lie on the image's grid.
        FormatError: As the readers, or the values of a label map are the grey values of an image.
    """
    file = Path(path)
    if kind_of(file) is not None:
        return _named(read_object(file, image, threshold=threshold, volume=volume), names)
    found = _read_labels(file, _by_label(names), sent=sent)
    return found if image is None else _onto(file, found, image)


def _read_labels(path: Path, names: Mapping[int, str], *, sent: bool) -> SegmentSet:
    """Return the segments of a file of labels: of one map, or of the layers that 3D Slicer has for overlapping ones."""
    read = partial(read_uploaded, mask=True) if sent else read_mask
    try:
        maps = [read(path)]
    except ChoiceError as error:
        # Several volumes are layers only where a header says which segments each of them holds.
        maps = [read(path, volume=layer) for layer in range(min(error.count or 0, _LAYERS))]
        if not maps or not all(names_in(mask) for mask in maps):
            raise
    segments: list[Segment] = []
    used: set[int | None] = set()
    notes = []
    for layer, mask in enumerate(maps):
        reject_grey_values(mask.array, str(path))
        colours = colours_in_header(path, layer) if path.is_file() else {}
        for segment in segments_of_labels(mask.array, {**names_in(mask), **(names if len(maps) == 1 else {})}):
            label = segment.label
            if label in used:
                label = free_label(used, 0)
                notes.append(f"'{segment.name}' of layer {layer} has the number {label}: {segment.label} is taken")
            used.add(label)
            segments.append(replace(segment, label=label, colour=colours.get(segment.label)))
    found = SegmentSet(tuple(segments), maps[0].geometry, tuple(notes))
    return found if len(maps) == 1 else _named(found, names)


def write_segments(
    path: str | Path,
    found: SegmentSet,
    image: Image | None = None,
    *,
    form: Form = "file",
    seg_type: SegType = "binary",
    compress: bool = False,
    keyhole: bool = True,
    policy: OverlapPolicy = "keep",
    volume: int | None = None,
    uids: UidMap | None = None,
) -> tuple[str, ...]:
    """Write segments in any form.

    Args:
        path: Where to; for "file" its suffix is the format.
        found: On the grid of ``image``, where DICOM is written.
        image: Read from DICOM: SEG and RTSTRUCT refer to its instances and carry its patient and study.
        form: A label map in a file, a SEG or an RTSTRUCT.
        seg_type: See ``write_seg``.
        compress: See ``write_seg``.
        keyhole: See ``write_rtstruct``.
        policy: Which segment gets a voxel of two in a label map; SEG (binary) and RTSTRUCT keep both.
        volume: Volume of its series that ``image`` holds.
        uids: Where given, a SEG or RTSTRUCT says nothing of the patient and has new UIDs (``strip_file``).

    Returns:
        What a user should know, a sentence each.

    Raises:
        InputError: SEG or RTSTRUCT without an image from DICOM files, or in place of one of these files.
        FormatError: As the writers.
    """
    if form == "file":
        names = {s.label: s.name for s in found.segments}
        labels = found.label_map(policy)
        colours = {s.label: s.colour for s in found.segments if s.colour is not None}
        notes = write_mask(path, labels, found.geometry, names, colours)
        # Which two overlap is looked for only where some do, because there may be a thousand.
        shared = sum(int(s.patch.sum()) for s in found.segments) > np.count_nonzero(labels)
        overlap = found.overlapping() if shared else None
        note = f"'{overlap[0]}' and '{overlap[1]}' overlap, and the {_KEPT[policy]} has their voxels" if overlap else ""
        return (*notes, note) if note else notes
    if image is None:
        raise InputError(
            f"{path}: {form}", expected="the DICOM image that it belongs to", fix="give --image (image= in Python)"
        )
    source = find_source(image, volume=volume)
    target = Path(path).resolve()
    if any(target == Path(i.filename).resolve() for i in source.instances if getattr(i, "filename", None)):
        raise InputError(f"{path}", expected="another file than those of the image", fix="they are never overwritten")

    def write(where: str | Path) -> tuple[str, ...]:
        if form == "rtstruct":
            return write_rtstruct(where, found.segments, source, keyhole=keyhole)
        return write_seg(where, found.segments, source, seg_type=seg_type, compress=compress)

    if uids is None:
        return write(path)
    # Under its name there is never one that tells of the patient.
    with TemporaryDirectory(prefix="bedside-") as folder:
        whole = Path(folder) / "whole.dcm"
        return write(whole) + strip_file(whole, Path(path), uids)


_KEPT = {"keep": "first", "overwrite": "second", "overlap": "first"}


def _named(found: SegmentSet, names: Mapping[int, str] | Sequence[str]) -> SegmentSet:
    known = _by_label(names)
    # Other names are other things, whose codes the old ones are not.
    segments = tuple(replace(s, name=known[s.label], codes=None) if s.label in known else s for s in found.segments)
    return replace(found, segments=segments)


def _by_label(names: Mapping[int, str] | Sequence[str]) -> dict[int, str]:
    return dict(names) if isinstance(names, Mapping) else dict(enumerate(names, start=1))


def _onto(path: Path, found: SegmentSet, image: Image) -> SegmentSet:
    """A label map's segments on the image's grid; one from a file that says no place must have its shape."""
    if found.geometry.ndim == 2 and image.shape == (1, *found.geometry.shape):
        segments = tuple(_as_slice(s) for s in found.segments)
        return SegmentSet(segments, image.geometry, found.notes)
    title = find_reader(path)[0].title
    if not path.name.lower().endswith(_WITH_PLACE):
        if found.geometry.shape == image.shape:
            return SegmentSet(found.segments, image.geometry, found.notes)
        raise InputError(
            f"{path}: {title} says no place of its voxels",
            expected=f"shape {image.shape}",
            got=found.geometry.shape,
        )
    if found.geometry.ndim != image.ndim:
        raise FormatError(f"{path}", expected=f"a mask with {image.ndim} axes", got=found.geometry.ndim)
    return onto_grid(found, image.geometry)


def _as_slice(segment: Segment) -> Segment:
    region = segment.region
    if region.is_empty:
        return replace(segment, patch=np.zeros((0, 0, 0), np.uint8), region=Region.empty(3))
    return replace(segment, patch=segment.patch[None], region=Region((0, *region.start), (1, *region.stop)))
