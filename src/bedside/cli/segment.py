"""``bedside segment``: from an image and prompts to a mask file."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bedside.cli.convert import CompressOption, FormatOption, Policy, SegType, SegTypeOption
from bedside.cli.job import Job
from bedside.cli.phi import StripOption, UidMapOption, check_map, kept_map, tell_notes
from bedside.core.errors import FormatError, InputError, StorageError

if TYPE_CHECKING:
    from bedside.cli.stages import Stages
    from bedside.core.image import Image
    from bedside.core.placed import PlacedPrompt
    from bedside.core.prompts import Prompt
    from bedside.io.segmentations import Form
    from bedside.session import Session
    from bedside.session.journal import Journal
    from bedside.session.propagating import Propagation


class Frame(StrEnum):
    """Frames of coordinates."""

    INDEX = "index"
    WORLD = "world"


class Device(StrEnum):
    """Where the network runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


BoxOption = Annotated[
    list[str],
    typer.Option(
        "--box",
        metavar="X0,Y0,X1,Y1",
        help="Box, the end exclusive; x0,y0,z0,x1,y1,z1 in a volume. Repeatable: a box for each part.",
    ),
]
PointOption = Annotated[list[str], typer.Option("--point", metavar="X,Y[,Z]", help="Click on the object. Repeatable.")]
NegativePointOption = Annotated[
    list[str], typer.Option("--negative-point", metavar="X,Y[,Z]", help="Click off the object. Repeatable.")
]
ScribbleOption = Annotated[
    list[Path],
    typer.Option("--scribble", metavar="FILE", help="Stroke on the object: JSON vertices or a mask image. Repeatable."),
]
NegativeScribbleOption = Annotated[
    list[Path], typer.Option("--negative-scribble", metavar="FILE", help="Stroke off the object. Repeatable.")
]
LassoOption = Annotated[
    list[Path], typer.Option("--lasso", metavar="FILE", help="Outline around the object: JSON vertices. Repeatable.")
]


def segment(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="Image file, or a folder of DICOM files.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="MASK", help="Mask to write; the suffix is the format.")
    ],
    box: BoxOption = [],  # noqa: B006
    point: PointOption = [],  # noqa: B006
    negative_point: NegativePointOption = [],  # noqa: B006
    scribble: ScribbleOption = [],  # noqa: B006
    negative_scribble: NegativeScribbleOption = [],  # noqa: B006
    lasso: LassoOption = [],  # noqa: B006
    initial_mask: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Mask to start from, on the image's grid; alone it is written as it is."),
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Prompts of several objects: a session's journal (JSON).")
    ] = None,
    frame: Annotated[Frame, typer.Option(help="Coordinates are voxels (index) or mm in LPS (world).")] = Frame.INDEX,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Model; by default the bundled one.")] = None,
    device: Annotated[Device, typer.Option(help="Where the network runs.")] = Device.AUTO,
    propagate: Annotated[
        bool, typer.Option("--propagate", help="Carry the mask of its fullest slice along the other slices.")
    ] = False,
    policy: Annotated[
        Policy, typer.Option(help="A voxel of two objects: the first keeps it, or the last takes it.")
    ] = Policy.KEEP,
    series: Annotated[
        str | None, typer.Option(metavar="NAME", help="DICOM series: number, description or UID.")
    ] = None,
    volume: Annotated[int | None, typer.Option(metavar="N", help="Which volume of a 4D file, from 0.")] = None,
    form: FormatOption = None,
    seg_type: SegTypeOption = SegType.BINARY,
    compress: CompressOption = False,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What the object is, e.g. 'left kidney'; kept in DICOM and NRRD.")
    ] = None,
    strip_phi: StripOption = False,
    uid_map: UidMapOption = None,
    overlay: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Also write a picture of the result.")
    ] = None,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Write a mask in which nothing was found, too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a manifest as JSON instead of a summary.")] = False,
) -> None:
    """Segment objects of an image from prompts and write their mask.

    The boxes, points, scribbles and lassos given as options describe one object, which gets label 1 in the mask;
    --prompts describes several, each with the label that the journal gives it, else with that of its place: 1, 2, ...

    All prompts of an object are predicted together, in one step. The page answers each as it is given, so that a mask
    corrected there can differ; --prompts with the page's journal goes through the same steps and gives its mask.

    Where nothing was found, nothing is written: an older file stays, stderr says so, and the exit status is 2.
    """
    from bedside.session.flags import PromptFlags

    flags = PromptFlags(box, point, negative_point, scribble, negative_scribble, lasso, initial_mask, frame.value)
    job = Job(
        image, output, overlay, flags, prompts, model, device.value, policy.value, series, volume, as_json,
        form.value if form else None, seg_type.value, compress, name, allow_empty, strip_phi, uid_map, propagate,
    )  # fmt: skip
    manifest = perform(job)
    if as_json:
        print(json.dumps(manifest, indent=2))
    else:
        from bedside.cli.manifest import summary

        print("\n".join(summary(manifest)))


def perform(job: Job) -> dict[str, Any]:
    """Do the job and return its manifest; nothing is written unless everything could be computed.

    Raises:
        BedsideError: Whatever the user can put right.
    """
    from bedside.cli.loading import load_model
    from bedside.cli.manifest import build_manifest
    from bedside.cli.stages import Stages
    from bedside.io import read_image, write_mask
    from bedside.session import Session
    from bedside.session.editing import change_object
    from bedside.session.flags import add_together
    from bedside.weights.defaults import default_model

    stages = Stages()
    check_outputs(job)
    journal = _check_prompts(job)
    with stages.stage("read", f"reading {job.image}"):
        image = read_image(job.image, series=job.series, volume=job.volume)
    tell_notes(image.metadata.get("notes", ()))
    target = check_form(job, image)
    drawn = _check_against(job, image, journal)
    with stages.stage("load_model", "loading the model"):
        name = job.model or (journal.model if journal else None) or default_model(image.shape)
        segmenter = load_model(name, job.device)
    with stages.stage("set_image", "preparing the image"):
        session = Session(image, segmenter=segmenter)
    with stages.stage("predict", "segmenting"):
        if journal is not None:
            session.restore(journal)
        else:
            add_together(session, drawn)
        if job.propagate:
            _propagate(session)
        if job.name is not None:
            change_object(session, session.objects[0].id, name=job.name)
        labels = session.label_map(job.policy)
    _check_found(job, session)
    picture = _picture(job, session, labels, stages)
    with stages.stage("write", f"writing {job.output}"):
        if target == "file":
            names = {o.label: o.name for o in session.objects}
            colours = {o.label: o.colour for o in session.objects if o.colour is not None}
            notes = write_mask(job.output, labels, image.geometry, names, colours)
        else:
            with kept_map(job.strip_phi, job.uid_map) as uids:
                notes = session.save_segmentation(
                    job.output, form=target, seg_type=job.seg_type, compress=job.compress, policy=job.policy,
                    volume=job.volume, uids=uids,
                )  # fmt: skip
        if job.overlay is not None:
            _save_picture(picture, job.overlay)
    tell_notes(notes)
    manifest = build_manifest(job, session, labels, stages)
    if job.time_warm:
        manifest["seconds"]["warm"] = _time_warm(session)
    return manifest


def _propagate(session: Session) -> None:
    """Carry the mask of each object along the slices, and say how far."""
    from bedside.core.placed import PlacedPrompt

    for item in session.objects:
        if item.voxels:
            found = session.propagate(object_id=item.id)
            for entry in item.prompts:
                _check_slice(PlacedPrompt.of(entry.prompt, session.image.geometry).prompt, found)
            ends = f"(below: {found.low}, above: {found.high})"
            print(
                f"bedside: note: {item.name}: from slice {found.start} to {found.first}-{found.last} {ends}",
                file=sys.stderr,
            )


def _check_slice(prompt: Prompt, found: Propagation) -> None:
    """Make sure that a mark lies on the slice from which the mask was carried: elsewhere it has no effect.

    Raises:
        InputError: It lies on another.
    """
    from bedside.core.prompts import Point, Scribble

    if isinstance(prompt, Point | Scribble):
        places = prompt.vertices()[:, 2 - found.axis]
        if abs(places - found.start).max() > 0.5:
            raise InputError(
                f"--propagate: {prompt.kind} on slice {places[0]:g}",
                expected=f"all marks on slice {found.start}, from which the mask is carried",
                fix="leave it out, and give it with --initial-mask MASK once the mask is carried",
            )


def _check_found(job: Job, session: Session) -> None:
    """Warn of each object without a voxel, and let no mask of nothing take the place of an older file unasked.

    Raises:
        InputError: No object has a voxel, and that is not allowed.
    """
    empty = [item.name for item in session.objects if item.voxels == 0]
    if len(empty) == len(session.objects) and not job.allow_empty:
        raise InputError(
            "nothing was found" if len(empty) > 1 else f"the mask of {empty[0]} is empty",
            expected="at least one voxel",
            got="none",
            fix="nothing was written; add a click on the object, or write the empty mask with --allow-empty",
        )
    for name in empty:
        print(f"bedside: warning: the mask of {name} is empty", file=sys.stderr)


def _time_warm(session: Session) -> float:
    """Return seconds that the same prompts take once more, now that nothing is done for the first time.

    What a user waits for in a running program, where ``predict`` is what the first prompt of a process costs.
    """
    began = time.perf_counter()
    session.replay()
    return round(time.perf_counter() - began, 6)


def check_outputs(job: Job) -> None:
    """Make sure, before anything is computed, that the results could be written.

    Raises:
        InputError: A result would replace the image or another result, or the overlay is no PNG.
        FormatError: No format has the mask's suffix.
    """
    from bedside.io.segmentations import form_of

    form_of(job.output, job.format)
    check_map(job.strip_phi, job.uid_map)
    if job.overlay is not None and job.overlay.suffix.lower() != ".png":
        raise InputError("--overlay", expected="a file that ends in .png", got=str(job.overlay))
    for flag, path in (("-o", job.output), ("--overlay", job.overlay)):
        if path is None:
            continue
        if path.resolve() == job.image.resolve():
            raise InputError(
                f"{flag} {path}", expected="another file than the image", fix="the image is never overwritten"
            )
        if path.resolve() in _given(job):
            raise InputError(
                f"{flag} {path}", expected="another file than a prompt's", fix="inputs are never overwritten"
            )
        if path.is_dir():
            raise InputError(f"{flag} {path}", expected="a file to write", got="a folder")
        if not path.parent.is_dir():
            raise InputError(
                f"{flag} {path}", expected="an existing folder to write to", got=f"no folder {path.parent}"
            )
        if not os.access(path.parent, os.W_OK):
            raise InputError(f"{flag} {path}", expected="a folder you may write to", got=str(path.parent))
    if job.overlay is not None and job.overlay.resolve() == job.output.resolve():
        raise InputError(f"--overlay {job.overlay}", expected="another file than -o")


def _given(job: Job) -> set[Path]:
    """Return the files that prompts were given in."""
    flags = job.flags
    files = [*flags.scribbles, *flags.negative_scribbles, *flags.lassos, flags.initial_mask, job.prompts]
    return {file.resolve() for file in files if file is not None}


def check_form(job: Job, image: Image) -> Form:
    """Make sure, before a model is loaded, that the output can hold masks of this image.

    Raises:
        InputError: A format with other axes, or a DICOM object of an image that does not come from DICOM files.
        FormatError: Source instances to which an object cannot refer.
    """
    from bedside.io.dicom.seg_writing import require_highdicom
    from bedside.io.dicom.source import find_source
    from bedside.io.segmentations import form_of

    form = form_of(job.output, job.format)
    if form == "file":
        check_dimensions(job.output, image.ndim)
    elif form == "rtstruct" and not find_source(image, volume=job.volume).placed:
        raise InputError("--format rtstruct", expected="an image with positions in the patient", got="a picture")
    elif form == "dicom-seg":
        find_source(image, volume=job.volume)
        require_highdicom()
    return form


def check_dimensions(output: Path, dimensions: int) -> None:
    """Make sure that the format of ``output`` holds masks of so many axes.

    Raises:
        InputError: It does not.
    """
    from bedside.io.registry import WRITERS, all_suffixes, find_writer

    writer = find_writer(output)
    if dimensions not in writer.dimensions:
        able = all_suffixes([w for _, w in WRITERS.items() if dimensions in w.dimensions])
        raise InputError(f"-o {output}", expected=f"a format that holds {dimensions} axes ({able})", got=writer.title)


def _check_prompts(job: Job) -> Journal | None:
    """Return what can be known of the prompts before the image is read."""
    from bedside.session.journal import Journal

    if job.name is not None and not job.name.strip():
        raise InputError("--name", expected="a name, e.g. 'left kidney'", got="nothing")
    if job.prompts is not None:
        if job.flags.has_prompts or job.flags.initial_mask is not None:
            raise InputError(
                "--prompts cannot be combined with prompts as options", fix="put all of them into the file"
            )
        journal = Journal.load(job.prompts)
        if not journal.objects:
            raise InputError(f"--prompts {job.prompts}", expected="at least one object", got="none")
        if job.name is not None and len(journal.objects) > 1:
            got = f"{len(journal.objects)} in {job.prompts}"
            raise InputError("--name", expected="one object", got=got, fix="name them in that file")
        return journal
    if not job.flags.has_prompts and job.flags.initial_mask is None:
        raise InputError("no prompt", expected="--box, --point, --scribble, --lasso or --prompts", got="none of them")
    job.flags.typed()
    return None


def _check_against(job: Job, image: Image, journal: Journal | None) -> list[PlacedPrompt]:
    """Return all prompts of the options, placed on the image before a model is loaded; a journal is checked too."""
    from bedside.core.placed import PlacedPrompt
    from bedside.session.journal import Prompted, history
    from bedside.session.opening import check_journal

    if journal is None:
        drawn = job.flags.placed(image)
        _warn_of_left_out(drawn)
        return drawn
    check_journal(journal, image)
    for item in journal.objects:
        placed = {e.id: PlacedPrompt.of(e.prompt, image.geometry) for e in item.events if isinstance(e, Prompted)}
        _warn_of_left_out((placed[entry.id] for entry in history(item.events).prompts), f"{item.name}: ")
    return []


def _warn_of_left_out(prompts: Iterable[PlacedPrompt], whose: str = "") -> None:
    for prompt in prompts:
        if prompt.left_out is not None:
            print(f"bedside: warning: {whose}{prompt.left_out}", file=sys.stderr)


def _picture(job: Job, session: Session, labels: Any, stages: Stages) -> Any:
    if job.overlay is None:
        return None
    from bedside.cli.overlay import draw_overlay
    from bedside.core.prompts import place_prompt

    with stages.stage("overlay", "drawing the overlay"):
        prompts = [place_prompt(p.prompt, session.image.geometry) for o in session.objects for p in o.prompts]
        return draw_overlay(session.image, labels, prompts, {o.label: o.colour for o in session.objects if o.colour})


def _save_picture(picture: Any, path: Path) -> None:
    from bedside.core.files import atomic_path

    try:
        with atomic_path(path) as temporary:
            picture.save(temporary, format="PNG")
    except OSError as error:
        # The path of the error is that of the temporary file, which tells nobody anything.
        said = error.got if isinstance(error, StorageError) else error.strerror
        got, fix = said or str(error), "the mask is written; make room, or leave --overlay out"
        raise FormatError(f"--overlay {path} cannot be written", got=got, fix=fix) from error
