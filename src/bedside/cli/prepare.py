"""``bedside prepare``: images and labels to cases of the challenges or a training store, annotations to data sets."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from bedside.cli.export import DoneOption, FolderOption, NameOption, WorkspaceArgument, chosen, opened_workspace, tell
from bedside.core.errors import InputError

if TYPE_CHECKING:
    from bedside.challenge.cases import Preparation
    from bedside.challenge.intensity import IntensityWindow
    from bedside.data.sources import Source

Value = TypeVar("Value")

prepare = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    help="Make cases of the challenges (.npz) or a training store from images and label maps, or training data of what "
    "was annotated.",
    no_args_is_help=True,
)

ImagesArgument = Annotated[
    Path, typer.Argument(metavar="IMAGES", help="Image file, DICOM folder, or folder of images.")
]
LabelsArgument = Annotated[
    Path, typer.Argument(metavar="LABELS", help="Label file, or folder of label files with the images' names.")
]
OutputArgument = Annotated[Path, typer.Argument(metavar="OUTPUT_DIR", help="Folder for the cases.")]
ModalityOption = Annotated[str, typer.Option("--modality", help="As file names say it: CT, MR, PET, US, X-Ray, ...")]
DataSetOption = Annotated[str, typer.Option("--data-set", metavar="NAME", help="Second part of file names.")]
WindowOption = Annotated[str, typer.Option("--window", help="CT window: abdomen, lung, brain or mediastinum.")]
LevelOption = Annotated[float | None, typer.Option("--window-level", metavar="HU", help="Instead of --window.")]
WidthOption = Annotated[float | None, typer.Option("--window-width", metavar="HU", help="Instead of --window.")]
CleaningOption = Annotated[
    str, typer.Option("--cleaning", help="Small parts removed: 2024 (1000 voxels, 100 pixels), 2025 (100, 10) or none.")
]
DropOption = Annotated[
    list[int], typer.Option("--drop", metavar="LABEL", help="Label to leave out (officially 12). Repeatable.")
]
InstancesOption = Annotated[
    int | None, typer.Option("--instances", metavar="LABEL", help="Label whose connected parts are objects each.")
]
AllSlicesOption = Annotated[bool, typer.Option("--all-slices", help="Keep slices without a label, too.")]
NoBoxesOption = Annotated[bool, typer.Option("--no-boxes", help="Write no boxes.")]
TruthOption = Annotated[
    Path | None, typer.Option("--truth", metavar="DIR", help="Keep the truth (gts) in this folder, out of the cases.")
]
SeriesOption = Annotated[str | None, typer.Option("--series", help="DICOM series: number, description or UID.")]


@prepare.command("box2024", short_help="Make cases of 2024: with boxes, 2D and 3D.")
def box2024(
    images: ImagesArgument,
    labels: LabelsArgument,
    output: OutputArgument,
    modality: ModalityOption,
    data_set: DataSetOption = "data",
    window: WindowOption = "abdomen",
    window_level: LevelOption = None,
    window_width: WidthOption = None,
    cleaning: CleaningOption = "2024",
    drop: DropOption = [],  # noqa: B006
    instances: InstancesOption = None,
    all_slices: AllSlicesOption = False,
    no_boxes: NoBoxesOption = False,
    cut_off: Annotated[bool, typer.Option("--cut-off", help="Cut grey 2D images at percentiles.")] = False,
    truth: TruthOption = None,
    series: SeriesOption = None,
) -> None:
    """Cases of the CVPR 2024 challenge: 2D images or volumes with tight boxes, or without for training."""
    from bedside.challenge.cases import Preparation
    from bedside.challenge.labels import CLEANINGS

    preparation = Preparation(
        form="box2024",
        modality=modality,
        data_set=data_set,
        window=_window(window, window_level, window_width),
        cleaning=_choice("--cleaning", cleaning, CLEANINGS),
        dropped=tuple(drop),
        instances=instances,
        labelled_only=not all_slices,
        boxes=not no_boxes,
        cut_off=cut_off,
    )
    _prepare(images, labels, output, truth, series, preparation)


@prepare.command("interactive2025", short_help="Make cases of 2025: volumes, with boxes.")
def interactive2025(
    images: ImagesArgument,
    labels: LabelsArgument,
    output: OutputArgument,
    modality: ModalityOption,
    data_set: DataSetOption = "data",
    window: WindowOption = "abdomen",
    window_level: LevelOption = None,
    window_width: WidthOption = None,
    cleaning: CleaningOption = "none",
    drop: DropOption = [],  # noqa: B006
    instances: InstancesOption = None,
    all_slices: AllSlicesOption = False,
    no_boxes: NoBoxesOption = False,
    seed: Annotated[int, typer.Option("--seed", help="Of the boxes' enlargement.")] = 2025,
    truth: TruthOption = None,
    series: SeriesOption = None,
) -> None:
    """Cases of the CVPR 2025 competition: volumes with boxes by the official generator, or without."""
    from bedside.challenge.cases import Preparation
    from bedside.challenge.labels import CLEANINGS

    preparation = Preparation(
        form="interactive2025",
        modality=modality,
        data_set=data_set,
        window=_window(window, window_level, window_width),
        cleaning=_choice("--cleaning", cleaning, CLEANINGS),
        dropped=tuple(drop),
        instances=instances,
        labelled_only=not all_slices,
        boxes=not no_boxes,
        seed=seed,
    )
    _prepare(images, labels, output, truth, series, preparation)


def _choice(option: str, value: str, choices: Mapping[str, Value]) -> Value:
    if value not in choices:
        raise InputError(option, expected=f"one of {', '.join(choices)}", got=f"'{value}'")
    return choices[value]


def _window(name: str, level: float | None, width: float | None) -> IntensityWindow:
    """Return the window called ``name``, with whatever of it is given as numbers."""
    from bedside.challenge.intensity import WINDOWS, IntensityWindow

    named = _choice("--window", name, WINDOWS)
    return IntensityWindow(named.level if level is None else level, named.width if width is None else width)


def _prepare(
    images: Path, labels: Path, output: Path, truth: Path | None, series: str | None, preparation: Preparation
) -> None:
    from rich.console import Console

    from bedside.challenge.cases import make_case
    from bedside.challenge.writing import write_case
    from bedside.data.pairs import find_pairs
    from bedside.evaluate.runner import progress_bar

    for folder in (output, truth):
        if folder is not None and folder.exists() and not folder.is_dir():
            raise InputError(f"{folder}", expected="a folder to write to", got="a file")
    if truth is not None and truth.resolve() == output.resolve():
        raise InputError("--truth", expected="another folder than that of the cases", got=str(truth))
    pairs = find_pairs(images, labels)
    with progress_bar(Console(stderr=True), len(pairs)) as advance:
        for pair in pairs:
            image, mask = pair.load(series=series)
            case = make_case(pair.name, image, mask, preparation)
            file = f"{case.name}.npz"
            write_case(output / file, case, truth / file if truth is not None else None)
            advance(pair.name)
    print(f"{len(pairs)} cases in {output}")


@prepare.command("training", short_help="Make data sets of what was annotated, for bedside train.")
def training(
    workspace: WorkspaceArgument = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="DIR", help="Folder of data sets.")] = None,
    folder: FolderOption = None,
    done: DoneOption = False,
    name: NameOption = "annotated",
) -> int:
    """Data sets of a workspace's images and masks, in the form that 'bedside train --data DIR' takes.

    Objects of one name are one structure; where none has a name of its own they are instances. Give masks that you
    checked, with --done.
    """
    from bedside.worklist.training import prepare_training

    if output is None:
        raise InputError("-o", expected="a folder to write to", got="none")
    with opened_workspace(workspace) as work:
        outcome = prepare_training(work, chosen(work, folder, done), output, name=name)
    return tell(outcome, f"in {output}")


@prepare.command("store", short_help="Pack folders of images and labels into a training store, for bedside train.")
def store(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE...",
            help="Folders: data sets with set.json, cases of the challenges (.npz), or with --labels one of images.",
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder of the store.")],
    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="DIR", help="Label files with the images' names, SEG too.")
    ] = None,
    data_set: Annotated[
        str | None, typer.Option("--data-set", metavar="NAME", help="Name of a set without set.json, not the folder's.")
    ] = None,
    licence: Annotated[str | None, typer.Option("--licence", help="Of a set without set.json.")] = None,
    modality: Annotated[str | None, typer.Option("--modality", help="Of a set without set.json: CT, MR, ...")] = None,
    structure: Annotated[
        list[str], typer.Option("--structure", metavar="LABEL=NAME", help="What a label is, with --labels. Repeatable.")
    ] = [],  # noqa: B006
    instances: Annotated[
        bool, typer.Option("--instances", help="With --labels: each value is an object of its own.")
    ] = False,
    series: SeriesOption = None,
    jobs: Annotated[int, typer.Option("--jobs", metavar="N", help="Processes.")] = 1,
    shard_mb: Annotated[float, typer.Option("--shard-mb", metavar="MB", help="Source files of a shard.")] = 16.0,
    no_superpixels: Annotated[
        bool, typer.Option("--no-superpixels", help="Leave out superpixels, which recipes draw as objects, too.")
    ] = False,
) -> int:
    """A training store in compressed shards, on disk or to be copied to object storage; 'bedside train --data DIR'.

    The same command goes on where it was stopped. Cases that cannot be read are named and left out, with exit status 1.
    """
    from rich.console import Console

    from bedside.data.sharding import make_store, plan_shards
    from bedside.evaluate.runner import progress_bar

    if jobs < 1:
        raise InputError("--jobs", expected="at least 1", got=jobs)
    if not 0 < shard_mb < float("inf"):
        raise InputError("--shard-mb", expected="more than 0", got=shard_mb)
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}", expected="a folder to write to", got="a file")
    place = output.resolve()
    for folder in (*sources, *((labels,) if labels is not None else ())):
        given = folder.resolve()
        if place == given or place in given.parents or given in place.parents:
            raise InputError(f"{output}", expected="a folder beside the sources", got=f"one with {folder} in common")
    found = _found_sources(sources, labels, data_set, licence, modality, structure, instances, series)
    plans = plan_shards(found, shard_mb=shard_mb, superpixels=not no_superpixels)
    with progress_bar(Console(stderr=True), len(plans)) as advance:
        manifest = make_store(plans, output, jobs=jobs, sources=found, advance=advance)
    failed = [f"{shard.set_name}/{f.case}: {f.message}" for shard in manifest.shards for f in shard.failed]
    for line in failed:
        print(line, file=sys.stderr)
    size, cases = sum(s.bytes for s in manifest.shards) / 1e9, sum(s.cases for s in manifest.sets)
    print(f"{cases} cases in {len(manifest.shards)} shards in {output} ({size:.3g} GB)")
    return 1 if failed else 0


def _found_sources(
    folders: list[Path],
    labels: Path | None,
    name: str | None,
    licence: str | None,
    modality: str | None,
    structures: list[str],
    instances: bool,
    series: str | None,
) -> list[Source]:
    from bedside.data.pairs import find_pairs
    from bedside.data.sources import find_sources, pair_source

    if labels is None:
        if structures or instances or series is not None:
            raise InputError("--structure, --instances and --series", expected="--labels with them", got="none")
        return [s for folder in folders for s in find_sources(folder, name=name, licence=licence, modality=modality)]
    if len(folders) != 1:
        raise InputError("--labels", expected="one folder of images", got=len(folders))
    named = dict(_structure(text) for text in structures)
    return [
        pair_source(
            find_pairs(folders[0], labels),
            name or folders[0].resolve().name,
            str(folders[0]),
            licence=licence,
            modality=modality,
            label_kind="instance" if instances else "semantic",
            structures=named,
            series=series,
        )
    ]


def _structure(text: str) -> tuple[str, str]:
    value, equals, name = text.partition("=")
    if not (equals and value.isdecimal() and name):
        raise InputError("--structure", expected="a label and its name, as 1=liver", got=f"'{text}'")
    return str(int(value)), name
