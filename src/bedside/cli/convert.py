"""``bedside convert``: a mask of any form to any other."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bedside.cli.phi import StripOption, UidMapOption, check_map, kept_map, tell_notes
from bedside.core.errors import ChoiceError, InputError

if TYPE_CHECKING:
    from bedside.core.image import Image


class ObjectFormat(StrEnum):
    """DICOM objects that hold masks."""

    SEG = "dicom-seg"
    RTSTRUCT = "rtstruct"


class SegType(StrEnum):
    """Types of DICOM SEG that are written."""

    BINARY = "binary"
    LABELMAP = "labelmap"


class Policy(StrEnum):
    """Who gets a voxel that two objects claim."""

    KEEP = "keep"
    OVERWRITE = "overwrite"


FormatOption = Annotated[
    ObjectFormat | None,
    typer.Option("--format", help="DICOM object to write; a SEG where the output ends in .dcm and nothing is said."),
]
SegTypeOption = Annotated[SegType, typer.Option("--seg-type", help="Type of a SEG; a labelmap cannot overlap.")]
BelongsOption = Annotated[
    Path | None,
    typer.Option(
        "--image", metavar="IMAGE", help="What the mask belongs to, for DICOM out and RTSTRUCT in: file or folder."
    ),
]
CompressOption = Annotated[bool, typer.Option("--compress", help="Compress a SEG without loss.")]


def convert(
    mask: Annotated[Path, typer.Argument(metavar="IN", help="Label map, DICOM SEG or RTSTRUCT.")],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="File to write; the suffix is the format, .dcm a SEG.")],
    image: BelongsOption = None,
    form: FormatOption = None,
    seg_type: SegTypeOption = SegType.BINARY,
    compress: CompressOption = False,
    xor: Annotated[bool, typer.Option("--xor", help="Holes of an RTSTRUCT as contours of their own.")] = False,
    name: Annotated[
        list[str],
        typer.Option("--name", metavar="LABEL=NAME", help="Name of a label, e.g. 1=liver, kept in DICOM and NRRD."),
    ] = [],  # noqa: B006
    threshold: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Part of the largest value that counts, of a fractional SEG.")
    ] = 0.5,
    policy: Annotated[
        Policy, typer.Option(help="A voxel of two segments in a label map: the first keeps it, or the last takes it.")
    ] = Policy.KEEP,
    series: Annotated[
        str | None, typer.Option(metavar="NAME", help="DICOM series of IMAGE: number, description or UID.")
    ] = None,
    volume: Annotated[int | None, typer.Option(metavar="N", help="Which volume of IMAGE, from 0.")] = None,
    prior: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="PRIOR", help="Earlier image that the mask was drawn on; it is registered to IMAGE."
        ),
    ] = None,
    prior_series: Annotated[
        str | None, typer.Option("--from-series", metavar="NAME", help="DICOM series of PRIOR, as --series.")
    ] = None,
    prior_volume: Annotated[
        int | None, typer.Option("--from-volume", metavar="N", help="Which volume of PRIOR, from 0.")
    ] = None,
    strip_phi: StripOption = False,
    uid_map: UidMapOption = None,
) -> None:
    """Convert a mask: label maps (NIfTI, NRRD, MHA, PNG, TIFF, NPZ), DICOM SEG and RTSTRUCT, each to each.

    With --from PRIOR --image IMAGE a mask that was drawn on an earlier image of the patient is carried over to IMAGE by
    rigid registration, to be corrected there: bedside segment IMAGE --initial-mask OUT.
    """
    from bedside.io import read_image
    from bedside.io.segmentations import form_of, read_segments, write_segments
    from bedside.session.priors import read_of_prior

    target = form_of(output, form.value if form else None)
    names = _names(name)
    check_paths(mask, output, image, target != "file")
    check_map(strip_phi, uid_map)
    if strip_phi and target == "file":
        raise InputError("--strip-phi", expected="a DICOM output", got=f"{output}", fix="other formats hold no patient")
    if prior is None and (prior_series is not None or prior_volume is not None):
        raise InputError("--from-series and --from-volume", expected="--from PRIOR beside them", got="none")
    if prior is not None:
        _check_prior(prior, image, output)
    belongs: Image | None = None if image is None else read_image(image, series=series, volume=volume)
    if belongs is not None and prior is not None:
        before = _read_prior(prior, prior_series, prior_volume)
        found = read_of_prior(mask, belongs, before, names=names, threshold=threshold)
    else:
        found = read_segments(mask, belongs, names=names, threshold=threshold, volume=volume)
    with kept_map(strip_phi, uid_map) as uids:
        notes = write_segments(
            output, found, belongs, form=target, seg_type=seg_type.value, compress=compress, keyhole=not xor,
            policy=policy.value, volume=volume, uids=uids,
        )  # fmt: skip
    tell_notes((*found.notes, *notes))
    for segment in found.segments:
        print(f"  {segment.label} {segment.name}: {int(segment.patch.sum()):,} voxels")
    if all(segment.is_empty for segment in found.segments):
        print(f"bedside: warning: {mask} holds no label, and {output} is empty", file=sys.stderr)
    print(f"wrote {output}")


def _check_prior(prior: Path, image: Path | None, output: Path) -> None:
    if image is None:
        raise InputError("--from", expected="the image to carry the mask over to", fix="name it with --image")
    place, target = prior.resolve(), output.resolve()
    # Of a folder every file may be a slice.
    if target == place or (place.is_dir() and target.exists() and target.is_relative_to(place)):
        raise InputError(f"{output}", expected="another file than the input", fix="inputs are never overwritten")


def _read_prior(path: Path, series: str | None, volume: int | None) -> Image:
    from bedside.io import read_image

    try:
        return read_image(path, series=series, volume=volume)
    except ChoiceError as error:
        # The message names the option of the image.
        fix = (error.fix or "").replace("--", "--from-")
        raise ChoiceError(error.what, expected=error.expected, got=error.got, fix=fix) from error


def _names(given: list[str]) -> dict[int, str]:
    names = {}
    for text in given:
        label, equals, name = text.partition("=")
        if not equals or not label.strip().isdigit() or not name.strip() or int(label) < 1:
            raise InputError("--name", expected="LABEL=NAME, e.g. 1=liver", got=f"'{text}'")
        names[int(label)] = name.strip()
    return names


def check_paths(mask: Path, output: Path, image: Path | None, dicom: bool) -> None:
    """Check what can be known before anything is read.

    Raises:
        InputError: The output would replace an input, has no folder, or is DICOM without an image to refer to.
    """
    for path in (mask, image):
        if path is not None and output.resolve() == path.resolve():
            raise InputError(f"{output}", expected="another file than the input", fix="inputs are never overwritten")
    if output.is_dir():
        raise InputError(f"{output}", expected="a file to write", got="a folder")
    if not output.parent.is_dir():
        raise InputError(f"{output}", expected="an existing folder to write to", got=f"no folder {output.parent}")
    if dicom and image is None:
        raise InputError(f"{output}", expected="the DICOM image that the mask belongs to", fix="give it with --image")
