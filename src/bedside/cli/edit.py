"""``bedside edit``: classical tools on masks in files, in the order in which they are given."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from bedside.cli.convert import BelongsOption, CompressOption, FormatOption, SegType, SegTypeOption, check_paths
from bedside.cli.phi import tell_notes
from bedside.core.errors import InputError
from bedside.core.mask import PackedMask
from bedside.core.region import Region
from bedside.edits import EDITS, edit_mask

if TYPE_CHECKING:
    from bedside.core.image import Image
    from bedside.io.dicom.segments import Segment, SegmentSet


def _tools() -> str:
    """Return a line on each edit, for the help."""
    told = []
    for name, spec in EDITS.items():
        takes = " FILE" if spec.combines else f" {spec.value.unit}" if spec.value else ""
        told.append(f"--{name}{takes}: {spec.help}")
    # The mark keeps Click from filling lines.
    return "\n".join(["\b", "Tools:", *(f"  {line}" for line in told)])


# Edits come from a registry, so that the command cannot name them beforehand.
SETTINGS = {
    "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True},
    "epilog": _tools(),
    "options_metavar": "[TOOLS] [OPTIONS]",
}


@dataclass(frozen=True)
class Step:
    """One edit as it was given.

    Attributes:
        name: Of the edit.
        value: The number that it takes; None for its default.
        other: The file of the other mask, of one that combines two.
    """

    name: str
    value: float | None = None
    other: Path | None = None


def edit(
    context: typer.Context,
    mask: Annotated[Path, typer.Argument(metavar="MASK", help="Label map, DICOM SEG or RTSTRUCT.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="OUT", help="File to write; the suffix is the format, .dcm a SEG.")
    ],
    label: Annotated[
        list[int], typer.Option("--label", metavar="N", help="Label to change, may be repeated. [default: every one]")
    ] = [],  # noqa: B006
    image: BelongsOption = None,
    form: FormatOption = None,
    seg_type: SegTypeOption = SegType.BINARY,
    compress: CompressOption = False,
) -> None:
    """Change a mask by classical tools, one after the other in the order given.

    For example: bedside edit MASK --fill-holes --keep-largest 1 -o OUT. Every label is changed by itself; where labels
    meet, a voxel stays with the label that had it.
    """
    from bedside.io import read_image
    from bedside.io.segmentations import form_of, read_segments, write_segments

    if str(mask).startswith("--"):
        raise InputError(f"{mask}", expected="MASK before the tools", fix="bedside edit MASK --fill-holes -o OUT")
    target = form_of(output, form.value if form else None)
    check_paths(mask, output, image, target != "file")
    steps = parse_steps(context.args)
    for step in steps:
        if step.other is not None and step.other.resolve() == output.resolve():
            raise InputError(f"{output}", expected="another file than the input", fix="inputs are never overwritten")
    for step in steps:
        if EDITS.get(step.name).looks and image is None:
            raise InputError(
                f"--{step.name}", expected="the image that it looks at", got="none", fix="name it with --image"
            )
    belongs = None if image is None else read_image(image)
    found = read_segments(mask, belongs)
    others = {step.other: read_segments(step.other, belongs) for step in steps if step.other is not None}
    changed = _changed(found, steps, others, label, belongs)
    if target == "file":
        changed = changed.disjoint()
    emptied = [a.label for b, a in zip(found.segments, changed.segments, strict=True) if a.is_empty and not b.is_empty]
    if emptied and all(segment.is_empty for segment in changed.segments):
        raise InputError(
            "nothing is left of the mask", expected="at least one voxel", got="none", fix="nothing was written"
        )
    for number in emptied:
        print(f"bedside: warning: nothing is left of label {number}", file=sys.stderr)
    notes = write_segments(
        output, changed, belongs, form=target, seg_type=seg_type.value, compress=compress, policy="keep"
    )
    tell_notes((*found.notes, *notes))
    for before, after in zip(found.segments, changed.segments, strict=True):
        print(f"  {after.label} {after.name}: {int(before.patch.sum()):,} to {int(after.patch.sum()):,} voxels")
    print(f"wrote {output}")


def parse_steps(arguments: Sequence[str]) -> list[Step]:
    """Return the edits of a command line, in their order.

    Args:
        arguments: "--name", and for one that takes something the number or file after it, or "--name=5".

    Raises:
        InputError: There is none, one is unknown, or what it takes is missing or no number.
    """
    steps: list[Step] = []
    left = list(arguments)
    while left:
        flag, equals, joined = left.pop(0).partition("=")
        if not flag.startswith("--"):
            raise InputError(f"'{flag}'", expected="a tool, as --fill-holes", fix="see 'bedside edit --help'")
        name = flag.removeprefix("--")
        spec = EDITS.get(name)
        text = joined if equals else None
        if text is None and left and not left[0].startswith("--") and (spec.value or spec.combines):
            text = left.pop(0)
        if spec.combines:
            if text is None:
                raise InputError(flag, expected="the file of another mask", got="nothing")
            steps.append(Step(name, other=Path(text)))
            continue
        try:
            value = None if text is None else float(text)
        except ValueError as error:
            raise InputError(flag, expected="a number", got=f"'{text}'") from error
        spec.check(name, value)
        steps.append(Step(name, value))
    if not steps:
        raise InputError("tools", expected="at least one, as --fill-holes", got="none", fix="see 'bedside edit --help'")
    return steps


def _changed(
    found: SegmentSet, steps: Sequence[Step], others: dict[Path, SegmentSet], labels: Sequence[int], image: Image | None
) -> SegmentSet:
    known = [segment.label for segment in found.segments]
    missing = sorted(set(labels) - set(known))
    if missing:
        raise InputError("--label", expected=f"one of {known}", got=missing[0])
    shape = found.geometry.shape
    for path, other in others.items():
        if other.geometry.shape != shape or not other.geometry.matches(found.geometry):
            raise InputError(
                f"{path}", expected="a mask on the grid of the other", got="another grid", fix="resample it first"
            )
    segments = [
        _edited(segment, steps, others, found, image) if not labels or segment.label in labels else segment
        for segment in found.segments
    ]
    return replace(found, segments=tuple(_apart(segments, found.segments)))


def _edited(
    segment: Segment, steps: Sequence[Step], others: dict[Path, SegmentSet], found: SegmentSet, image: Image | None
) -> Segment:
    mask = PackedMask.of_patch(segment.patch, segment.region)
    shape, spacing = found.geometry.shape, found.geometry.array_spacing
    for step in steps:
        other = None
        if step.other is not None:
            held = others[step.other].label_map()
            other = PackedMask.of_patch(held, Region.whole(shape))
        mask = edit_mask(step.name, mask, shape, spacing, step.value, other, image)
    return replace(segment, patch=mask.patch(), region=mask.region)


def _apart(after: Sequence[Segment], before: Sequence[Segment]) -> list[Segment]:
    """Take from segments that grew the voxels that were another's and still are."""
    result = []
    for number, segment in enumerate(after):
        patch = segment.patch.copy()
        for other, (was, still) in enumerate(zip(before, after, strict=True)):
            common = segment.region.intersection(was.region).intersection(still.region)
            if other == number or common.is_empty:
                continue
            held = [s.patch[common.shift([-a for a in s.region.start]).slices] != 0 for s in (was, still)]
            own = before[number]
            inner = common.intersection(own.region)
            mine = np.zeros(common.shape, dtype=np.bool_)
            if not inner.is_empty:
                mine[inner.shift([-a for a in common.start]).slices] = (
                    own.patch[inner.shift([-a for a in own.region.start]).slices] != 0
                )
            # Where both had the voxel before, they overlap by intent.
            patch[common.shift([-a for a in segment.region.start]).slices][held[0] & held[1] & ~mine] = 0
        result.append(replace(segment, patch=patch))
    return result
