"""``bedside surface``: surfaces of masks, for printing, planning and programs of three dimensions."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from bedside.cli.convert import BelongsOption, check_paths
from bedside.cli.phi import tell_notes
from bedside.core.errors import InputError
from bedside.core.region import Region

if TYPE_CHECKING:
    from bedside.io.dicom.segments import Segment


class Form(StrEnum):
    """Formats of surfaces."""

    STL = "stl"
    PLY = "ply"


def surface(
    mask: Annotated[Path, typer.Argument(metavar="MASK", help="Label map with three axes, DICOM SEG or RTSTRUCT.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="OUT", help="A file (.stl, .ply), or a folder for one a label.")
    ],
    label: Annotated[
        list[int], typer.Option("--label", metavar="N", help="Label to take, may be repeated. [default: every one]")
    ] = [],  # noqa: B006
    smooth: Annotated[
        float, typer.Option("--smooth", metavar="MM", help="Round the steps of the voxels off, by so many mm.")
    ] = 0.0,
    form: Annotated[Form | None, typer.Option("--format", help="Of the files in a folder. [default: stl]")] = None,
    image: BelongsOption = None,
) -> None:
    """Write the surface of a mask as triangles in millimetres (LPS): of all labels in one file, or of each in a folder.

    Nothing is simplified. The same voxels give the same surface. Needs scikit-image: pip install 'bedside[evaluate]'.
    """
    from bedside.imaging.surface import mask_surface
    from bedside.io import read_image
    from bedside.io.segmentations import read_segments
    from bedside.io.surfaces import surface_writer, write_surface

    single = bool(output.suffix) and not output.is_dir()
    if single:
        check_paths(mask, output, image, dicom=False)
        surface_writer(output)
        if form is not None and output.suffix.lower() != f".{form}":
            raise InputError("--format", expected=f"that of {output}, or a folder as --output", got=form.value)
    elif output.exists() and not output.is_dir():
        raise InputError(f"{output}", expected="a folder to write to", got="a file")
    found = read_segments(mask, None if image is None else read_image(image))
    if found.geometry.ndim != 3:
        raise InputError(f"{mask}", expected="a mask with three axes", got=f"one with {found.geometry.ndim}")
    if missing := sorted(set(label) - {segment.label for segment in found.segments}):
        there = ", ".join(str(segment.label) for segment in found.segments)
        raise InputError(
            "--label", expected=f"labels of the mask ({there or 'none'})", got=", ".join(map(str, missing))
        )
    chosen = [s for s in found.segments if not s.is_empty and (not label or s.label in label)]
    if not chosen:
        raise InputError(f"{mask}", expected="a label with a voxel", got="none")
    parts = (
        [(output, _united(chosen))] if single else [(output / f"{_file_name(s)}.{form or Form.STL}", s) for s in chosen]
    )
    made = [(path, mask_surface(s.patch, s.region, found.geometry, smooth)) for path, s in parts]
    if not single:
        output.mkdir(parents=True, exist_ok=True)
    tell_notes(found.notes)
    for path, one in made:
        write_surface(path, one)
        print(f"wrote {path}: {len(one.faces):,} triangles, {one.volume / 1000:.2f} ml")


def _united(segments: list[Segment]) -> Segment:
    """Return the segments as one."""
    from bedside.io.dicom.segments import Segment

    region = segments[0].region
    for segment in segments[1:]:
        region = region.union(segment.region)
    patch = np.zeros(region.shape, np.uint8)
    for segment in segments:
        inner = Region(segment.region.start, segment.region.stop).shift([-a for a in region.start])
        patch[inner.slices] |= segment.patch
    return Segment(segments[0].label, segments[0].name, patch, region)


def _file_name(segment: Segment) -> str:
    """Return a name of letters, digits, hyphens and underscores, the label before it so that no two are the same."""
    name = "".join(c if c.isalnum() or c in "-_" else "_" for c in segment.name)[:80]
    return f"{segment.label}-{name}" if name else str(segment.label)
